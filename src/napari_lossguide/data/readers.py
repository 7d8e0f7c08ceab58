"""Reading k-space. What a file is, its contents say; `data.formats` knows each kind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.data.file_names import stem
from napari_lossguide.data.formats.base import Entry, Format, Loaded, ManyFiles, RawFormat, opening
from napari_lossguide.data.formats.registry import format_of
from napari_lossguide.data.image_readers import unit_range
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.missing import missing_words
from napari_lossguide.data.orientation import affine_from
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.phantoms import simulate
from napari_lossguide.data.raw.coil_compression import compress_coils
from napari_lossguide.data.raw.steps import USUAL, RawSteps
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.types import InvalidInput

Steps = RawSteps | Mapping[str, Any]
"""Raw-data steps, or by name those that are not as usual: ``{"coils": 8}``."""

LARGE = 2**30
"""Bytes of k-space from which `Scan.read_sparingly` leaves it in its file."""
_KEPT = 3  # slices of such a file that stay in memory: for the layers of k-space and image, and for a run


@dataclass(frozen=True)
class Scan:
    """K-space, or images to simulate it from, in a file: nothing of it is in memory until it is asked for.

    Attributes
    ----------
    path : of the file.
    form : its format.
    entry : name of the array, contrast or repetition.
    real : the k-space is a simulation of an image known to be real-valued.
    shape : (slice, coil, ny, nx) of k-space, (slice, ny, nx) of images; as the file says it, before raw-data steps.
    origin : how to get it again.
    steps : what is done to raw data.
    """

    path: Path
    form: Format
    entry: str
    real: bool
    shape: tuple[int, ...]
    origin: Origin
    steps: RawSteps = USUAL

    @property
    def n_slices(self) -> int:
        """How many there are."""
        return self.shape[0]

    def read_slice(self, index: int) -> KData:
        """Read one slice; where the file has no mask, the acquired points are those of this slice.

        Raises
        ------
        InvalidInput
            If there is no such slice, or it cannot be read.
        """
        if not 0 <= index < self.n_slices:
            raise InvalidInput(f"Slice {index} is not in {self.path}; it has slices 0 to {self.n_slices - 1}.")
        return replace(self._load(slice(index, index + 1)), origin=self.origin.select(index))

    def read(self) -> KData:
        """Read all slices."""
        return replace(self._load(slice(None)), origin=self.origin)

    def read_sparingly(self, large: int | None = None) -> KData:
        """All slices; of k-space of more bytes than `large`, or `LARGE`, each is read when somebody looks at it.

        Such k-space has the acquired points of its middle slice.

        Raises
        ------
        InvalidInput
            As `read`; later, for a slice that cannot be read, or that has more points or another size.
        """
        size = int(np.prod(self.shape, dtype=np.int64)) * np.dtype(np.complex64).itemsize
        small = size <= (LARGE if large is None else large)
        return self.read() if small or self.n_slices == 1 else self._lazily()

    def _lazily(self) -> KData:
        middle = self._load(slice(self.n_slices // 2, self.n_slices // 2 + 1))

        @lru_cache(maxsize=_KEPT)
        def one(index: int) -> KData:
            return self._load(slice(index, index + 1), middle.acquired)

        def stack(name: str) -> SliceWise | None:
            like = getattr(middle, name)
            if like is None:
                return None
            return SliceWise(lambda index: getattr(one(index), name)[0], (self.n_slices, *like.shape[1:]), like.dtype)

        affine = None if middle.affine is None else affine_from(middle.affine, -(self.n_slices // 2))
        arrays: dict[str, Any] = {name: stack(name) for name in ("kspace", "reference", "maps", "calibration")}
        return replace(middle, **arrays, affine=affine, origin=self.origin)

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """Bytes and time of the last change, in ns, of each of its files: whether they are as they were, at no cost."""
        stats = [file.stat() for file in _files(self.form, self.path, self.entry)]
        return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)

    def _load(self, slices: slice, acquired: np.ndarray | None = None) -> KData:
        with opening(self.path):
            if isinstance(self.form, RawFormat):
                loaded, notes = self.form.load_raw(self.path, self.entry, slices, self.steps), self.steps.left_out()
            else:
                loaded, notes = self.form.load(self.path, self.entry, slices), []
        if loaded.affine is not None and loaded.affine.shape == (4, 4) and slices.start:
            # Formats give the affine of all slices.
            loaded = replace(loaded, affine=affine_from(loaded.affine.astype(np.float64), slices.start))
        kdata = _kdata(loaded, self.path, self.real, acquired)
        notes = [*notes, missing_words(tuple(index + (slices.start or 0) for index in kdata.missing))]
        kdata = replace(kdata, source="; ".join(filter(None, [kdata.source, *notes])))
        if self.steps.coils is not None:
            kdata = compress_coils(kdata, self.steps.coils, self.steps.compression)
        return kdata


def open_scan(
    path: str | os.PathLike[str],
    *,
    real: bool = False,
    variable: str | None = None,
    steps: Steps = USUAL,
    origin: Origin | None = None,
) -> Scan:
    """Look at a file without reading its data.

    Parameters
    ----------
    path, real, variable, steps : as of `read`, and so are the errors.
    origin : what an earlier look gave; without it the whole file is read once, for its checksum.
    """
    steps = RawSteps.of(steps)
    form, where = format_of(path), Path(path)
    with opening(path):
        name = form.choose(where, variable)
        shapes = {entry.name: entry.shape for entry in form.entries(where)}
        if origin is None:
            origin = _origin(form, where, name, real=real, variable=variable, steps=steps.changed())
    return Scan(where, form, name, real, shapes.get(name, (1,)), origin, steps)


def entries(path: str | os.PathLike[str]) -> tuple[Entry, ...]:
    """What can be read from a file, for a person to choose from; only headers are looked at.

    Raises
    ------
    InvalidInput
        If the file is missing, damaged or of no known kind.
    """
    form = format_of(path)
    with opening(path):
        return form.entries(Path(path))


def read(
    path: str | os.PathLike[str], *, real: bool = False, variable: str | None = None, steps: Steps = USUAL
) -> KData:
    """Read an acquisition, or images to simulate one from.

    Parameters
    ----------
    path : .npy with complex k-space; .npz with `kspace` (and `mask`, `maps`, `spacing` or `pixel_mm`) or with `images`
        (slice, ny, nx), from which one coil is simulated; fastMRI .h5 (a 3-D `kspace` is (slice, ny, nx) there). What
        `KData.arrays` wrote to an .npz is read whole.
    real : the k-space is a simulation of an image known to be real-valued
    variable : name of the array to read instead of `kspace` or `images`: k-space if complex, images if real
    steps : what is done to raw data, `RawSteps` or by name what is not as usual: ``{"coils": 8}``

    Returns
    -------
    KData
        Images of type uint8 are divided by 255, others keep their scale. Without a mask in the file the acquired
        points are those that are not zero. The reference of a fastMRI file is read if it has the k-space's size.

    Raises
    ------
    InvalidInput
        If the file is missing, damaged or of another kind, or holds no usable array.
    """
    return open_scan(path, real=real, variable=variable, steps=steps).read()


def read_again(origin: Origin, steps: Steps) -> KData:
    """Read with these steps what was read from a file before: the same entry, slice and points.

    Raises
    ------
    InvalidInput
        As `read`; or if it did not come from a file, or its points were chosen on a k-space of another size.
    """
    if origin.kind != "file":
        raise InvalidInput(f"“{origin.name}” did not come from a file, so it cannot be read again.")
    scan = open_scan(origin.name, **{**origin.parameters, "steps": steps})
    kdata = scan.read_sparingly() if origin.slice is None else scan.read_slice(origin.slice)
    return kdata if origin.kept is None else kdata.undersample(origin.kept)


def _origin(form: Format, path: Path, entry: str, **given: Any) -> Origin:
    files = _files(form, path, entry)
    return Origin.of_file(path, files, **{name: value for name, value in given.items() if value})


def _files(form: Format, path: Path, entry: str) -> tuple[Path, ...]:
    return form.files(path, entry) if isinstance(form, ManyFiles) else (path,)


def _kdata(loaded: Loaded, path: str | os.PathLike[str], real: bool, acquired: np.ndarray | None = None) -> KData:
    """K-space from what a format gave. `acquired`: the points of the scan, of which a slice may lack some."""
    fields: dict[str, Any] = {"spacing": loaded.spacing, "name": stem(path), "source": str(path)}
    if loaded.kind == "images":
        if real and np.iscomplexobj(loaded.array):
            raise InvalidInput(f"The images in {path} are complex ({loaded.array.dtype}), but `real` says otherwise.")
        return replace(simulate(unit_range(loaded.array), **fields), affine=loaded.affine)
    fields |= {
        "affine": loaded.affine,
        "maps": loaded.maps,
        "calibration": loaded.calibration,
        "reference": loaded.reference,
        "noise_std": loaded.noise_std,
    }
    fields |= {"simulated": loaded.simulated or real, "real": loaded.real or real}
    if acquired is None:
        return KData.from_array(loaded.array, loaded.mask, **fields)
    array = np.asarray(loaded.array)
    if array.shape[-2:] != acquired.shape or array[..., ~acquired].any():
        raise InvalidInput(
            f"A slice of {path} has another size or other points than its middle slice; read it alone (slice)."
        )
    return KData(array, acquired, **fields)
