"""NIfTI files, version 1 or 2, zipped or not: images that k-space is simulated from.

Voxel (i, j, k) is column i, row j of slice k: no axis is exchanged. Where j runs to the front or to the top of the
patient the rows are reversed, so that the picture is upright; but not in files of our own writer, which keeps the rows
as they were seen. `Loaded.affine` says where each voxel lies.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.exports.record import read_record
from napari_lossguide.data.formats.base import Entry, Loaded, choose_entry, opening
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import nibabel

_GZIP = b"\x1f\x8b"
_IN_MM = {"meter": 1000.0, "micron": 1e-3}


class Nifti:
    """One volume, `images`, or several, `volume 0` and so on."""

    name = "NIfTI"
    suffixes: tuple[str, ...] = (".nii", ".nii.gz")

    def recognises(self, path: Path, head: bytes) -> bool:
        """The format's own mark, where the header and the voxels are in one file."""
        if head.startswith(_GZIP):
            try:
                head = zlib.decompressobj(31).decompress(head, 400)
            except zlib.error:
                return False
        return head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Each volume; axes after the fourth are counted on."""
        with _image(path) as image:
            (nx, ny, slices, *more), dtype = _shape(image, path), image.get_data_dtype()
        names = [f"volume {n}" for n in range(int(np.prod(more)))] if more else ["images"]
        return tuple(Entry(name, "images", (slices, ny, nx), str(dtype)) for name in names)

    def choose(self, path: Path, variable: str | None) -> str:
        """The only volume, if nothing was said."""
        return choose_entry(self.entries(path), path, variable)

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices with their scale; of a zipped file what stands before them is unzipped too."""
        with _image(path) as image:
            _, ny, _, *more = shape = _shape(image, path)
            volume = int(name.removeprefix("volume ")) if more else 0
            stored = len(image.shape)
            further = [int(i) for i in np.unravel_index(volume, more or (1,), order="F")]
            wanted = (slice(None), slice(None), slices, *further)
            voxels = np.asarray(image.dataobj[wanted[:stored]])
            if slices == slice(None):
                while image.dataobj.file_like.read(1 << 20):  # a zipped file's checksum stands at its end
                    pass
            affine, record = _affine(image), read_record(_record_text(image))
            zooms = image.header.get_zooms()
        voxels = voxels.reshape(*shape[:2], -1).T  # (slice, y, x)
        array = voxels.astype(np.complex64 if voxels.dtype.kind == "c" else np.float32)
        if affine is None:
            spacing = _spacing(np.array([*zooms, 1, 1][:3]) * _scale(image))
        else:
            spacing = _spacing(np.linalg.norm(affine[:3, :3], axis=0))
        if record is not None and record.agrees(spacing, None if affine is None else affine[:, [2, 1, 0, 3]]):
            return Loaded("images", np.ascontiguousarray(array), record.spacing, affine=record.affine)
        if affine is None:
            return Loaded("images", array, spacing)
        if _upwards(affine[:3, 1]):
            array = array[:, ::-1]
            affine = affine @ np.array([[1, 0, 0, 0], [0, -1, 0, ny - 1], [0, 0, 1, 0], [0, 0, 0, 1.0]])
        return Loaded("images", np.ascontiguousarray(array), spacing, affine=affine[:, [2, 1, 0, 3]])

    def record_text(self, path: Path) -> str | None:
        """That of our own writer, an extension of the header."""
        with _image(path) as image:
            return _record_text(image)


@contextmanager
def _image(path: Path) -> Iterator[nibabel.Nifti1Image]:
    """The header; voxels are read while it is open."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    with opening(path, HeaderDataError, ImageFileError):
        with open(path, "rb") as file:
            zipped = file.read(2) == _GZIP
        with gzip.open(path) if zipped else open(path, "rb") as stream:
            second = stream.read(8)[4:8] == b"n+2\0"
            stream.seek(0)
            yield (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_stream(stream)


def _shape(image: nibabel.Nifti1Image, path: Path) -> tuple[int, ...]:
    """At least three axes; further ones only where one of them is longer than 1."""
    shape, dtype = tuple(int(n) for n in image.shape), image.get_data_dtype()
    if dtype.kind not in "iufc" or len(shape) < 2 or min(shape) < 1:
        raise InvalidInput(
            f"{path} holds voxels of shape {shape} and type {dtype}; accepted are numbers, on 2 axes or more."
        )
    shape = (*shape, 1)[: max(3, len(shape))]
    return shape if any(n > 1 for n in shape[3:]) else shape[:3]


def _scale(image: nibabel.Nifti1Image) -> float:
    """Millimetres in the file's unit; files that name none mean mm."""
    return _IN_MM.get(image.header.get_xyzt_units()[0], 1.0)


def _affine(image: nibabel.Nifti1Image) -> np.ndarray | None:
    """From (i, j, k, 1) to mm, if the file says it."""
    header = image.header
    if not (header["sform_code"] or header["qform_code"]):
        return None
    affine = np.diag([*(_scale(image),) * 3, 1.0]) @ image.affine
    return affine if np.isfinite(affine).all() and np.linalg.det(affine[:3, :3]) else None


def _record_text(image: nibabel.Nifti1Image) -> str | None:
    contents = (extension.get_content() for extension in image.header.extensions)
    texts = (bytes(content).rstrip(b"\0") for content in contents if isinstance(content, bytes | bytearray))
    return next((text.decode() for text in texts if read_record(text) is not None), None)


def _upwards(direction: np.ndarray) -> bool:
    """Whether it runs mostly to the front (+y) or to the top (+z) of the patient."""
    axis = int(np.abs(direction).argmax())
    return axis > 0 and bool(direction[axis] > 0)


def _spacing(mm: np.ndarray) -> tuple[float, ...]:
    """(slice, y, x) from (x, y, slice); 1 where the file says nothing."""
    return tuple(float(size) if 0 < size < np.inf else 1.0 for size in mm[::-1])
