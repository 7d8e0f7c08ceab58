"""Reading k-space, masks and images from .npy, .npz and fastMRI .h5 files. What a file is, its first bytes say."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from napari_lossguide.data.kdata import KData, as_mask
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.phantoms import simulate
from napari_lossguide.types import InvalidInput

FileKind = Literal["npy", "npz", "h5"]

_SIGNATURES: dict[bytes, FileKind] = {b"\x93NUMPY": "npy", b"PK\x03\x04": "npz", b"\x89HDF\r\n\x1a\n": "h5"}
_REFERENCES = ("reconstruction_rss", "reconstruction_esc")
_SIMULATED = ("simulated", "real", "reference")  # what `KData.arrays` says of a simulation
_KSPACE_NAMES = ("kspace", "images", "mask", "maps", "spacing", "pixel_mm", "ismrmrd_header", *_SIMULATED, *_REFERENCES)
_IMAGE_NAMES = ("image", "mean", "images", *_REFERENCES)
# What NumPy, zipfile and h5py raise on damaged files.
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    RuntimeError,
    OverflowError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class _Contents:
    """Some arrays of a file, by name, and the names of all."""

    kind: FileKind
    arrays: Mapping[str, np.ndarray]
    names: tuple[str, ...]


def read(path: str | os.PathLike[str], *, real: bool = False, variable: str | None = None) -> KData:
    """Read an acquisition, or an image to simulate one from.

    Parameters
    ----------
    path : .npy with complex k-space; .npz with `kspace` (and `mask`, `maps`, `spacing` or `pixel_mm`) or with `images`
        (slice, ny, nx), from which one coil is simulated; fastMRI .h5 (a 3-D `kspace` is (slice, ny, nx) there). What
        `KData.arrays` wrote to an .npz is read whole.
    real : the k-space is a simulation of an image known to be real-valued
    variable : name of the array to read instead of `kspace` or `images`: k-space if complex, an image if real

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
    kdata = _read(path, real, variable)
    given = {"real": real, "variable": variable}
    return replace(kdata, origin=Origin.of_file(path, **{name: value for name, value in given.items() if value}))


def _read(path: str | os.PathLike[str], real: bool, variable: str | None) -> KData:
    contents = _load(path, (variable,) if variable else ("kspace", "images"), _KSPACE_NAMES)
    chosen = _first(contents, (variable,) if variable else ("kspace", "images"), path)
    array = contents.arrays[chosen]
    fields: dict[str, Any] = {"spacing": _spacing(contents, path), "name": Path(path).stem, "source": str(path)}
    if chosen == "images" or (variable not in (None, "kspace") and not np.iscomplexobj(array)):
        if real and np.iscomplexobj(array):
            raise InvalidInput(f"The images in {path} are complex ({array.dtype}), but `real` says otherwise.")
        return simulate(_unit_range(array), **fields)
    if chosen == "kspace" and contents.kind == "npz":
        fields |= _simulation(contents.arrays)
    if real:
        fields |= {"real": True, "simulated": True}
    if contents.kind == "h5":
        return _from_fastmri(array, contents.arrays, fields)
    return KData.from_array(array, contents.arrays.get("mask"), maps=contents.arrays.get("maps"), **fields)


def _simulation(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What `KData.arrays` wrote of a simulation; nothing of any other file."""
    if not np.any(arrays.get("simulated", False)):
        return {}
    return {"simulated": True, "real": bool(np.any(arrays.get("real", False))), "reference": arrays.get("reference")}


def read_mask(path: str | os.PathLike[str], shape: tuple[int, int], *, what: str = "mask") -> np.ndarray:
    """Read a sampling mask or a region: an .npy file, or `mask` of an .npz or .h5 file (or the only array in it).

    Returns
    -------
    bool (ny, nx)

    Raises
    ------
    InvalidInput
        If the file cannot be read or its mask is empty or has another shape than `shape` (ny, nx).
    """
    names = tuple(dict.fromkeys((what, "mask", "acquired")))
    contents = _load(path, names)
    return as_mask(contents.arrays[_first(contents, names, path)], shape, f"The {what} in {path}")


def read_noise(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a scan of noise alone: an .npy file, or `noise` or `kspace` of an .npz or .h5 file (or its only array).

    Returns
    -------
    array as it is stored; `recon.problem.noise_from_scan` checks it.

    Raises
    ------
    InvalidInput
        If the file cannot be read or holds no such array.
    """
    contents = _load(path, ("noise", "kspace"))
    return contents.arrays[_first(contents, ("noise", "kspace"), path)]


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read images to compare: an .npy file, or `image`, `mean`, `images` or a fastMRI reconstruction, the first found.

    Returns
    -------
    complex64 or float32 (slice, ny, nx)
        uint8 is divided by 255.

    Raises
    ------
    InvalidInput
        If the file cannot be read or holds no image.
    """
    contents = _load(path, _IMAGE_NAMES)
    image = contents.arrays[_first(contents, _IMAGE_NAMES, path)]
    if image.dtype.kind not in "buifc" or image.ndim not in (2, 3) or image.size == 0:
        raise InvalidInput(
            f"The image in {path} has shape {image.shape} and type {image.dtype}; "
            "accepted are numbers of shape (ny, nx) or (slice, ny, nx)."
        )
    image = _unit_range(image).astype(np.complex64 if np.iscomplexobj(image) else np.float32, copy=False)
    if not np.isfinite(image).all():
        raise InvalidInput(f"The image in {path} holds NaN or infinity; every value must be finite.")
    return image.reshape(-1, *image.shape[-2:])


def _load(path: str | os.PathLike[str], preferred: tuple[str, ...], others: tuple[str, ...] = ()) -> _Contents:
    """Load the arrays of these names; if none of the preferred is there and the file has only one array, that one."""
    try:
        kind = _sniff(Path(path))
        if kind == "npy":
            return _Contents(kind, {preferred[0]: np.load(path, allow_pickle=False)}, preferred[:1])
        return _load_npz(path, preferred, others) if kind == "npz" else _load_h5(path, preferred, others)
    except InvalidInput:
        raise
    except MemoryError as error:
        raise InvalidInput(f"{path} needs more memory than there is ({error}).") from error
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InvalidInput(f"{path} could not be read; it is damaged or incomplete ({reason}).") from error


def _sniff(path: Path) -> FileKind:
    accepted = "accepted are .npy, .npz and fastMRI .h5 files"
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; {accepted}.")
    if not path.exists():
        raise InvalidInput(f"{path} does not exist; {accepted}.")
    with open(path, "rb") as file:
        start = file.read(8)
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    raise InvalidInput(f"{path} is of another kind; {accepted}.")


def _load_npz(path: str | os.PathLike[str], preferred: tuple[str, ...], others: tuple[str, ...]) -> _Contents:
    with np.load(path, allow_pickle=False) as file:
        names = tuple(file.files)
        wanted = _wanted(names, preferred, others)
        return _Contents("npz", {name: np.asarray(file[name]) for name in wanted}, names)


def _load_h5(path: str | os.PathLike[str], preferred: tuple[str, ...], others: tuple[str, ...]) -> _Contents:
    import h5py

    with h5py.File(path, "r") as file:
        names = tuple(str(name) for name, item in file.items() if isinstance(item, h5py.Dataset))
        wanted = _wanted(names, preferred, others)
        return _Contents("h5", {name: np.asarray(file[name][()]) for name in wanted}, names)


def _wanted(names: tuple[str, ...], preferred: tuple[str, ...], others: tuple[str, ...]) -> set[str]:
    found = set(names) & set(preferred)
    if not found and len(names) == 1:
        return set(names)
    return found | (set(names) & set(others))


def _first(contents: _Contents, preferred: tuple[str, ...], path: str | os.PathLike[str]) -> str:
    for name in (*preferred, *(contents.names if len(contents.names) == 1 else ())):
        if name in contents.arrays:
            return name
    listed = ", ".join(contents.names) or "none"
    raise InvalidInput(f"{path} holds no array named {' or '.join(preferred)}; its arrays are: {listed}.")


def _unit_range(image: np.ndarray) -> np.ndarray:
    return image / np.float32(255) if image.dtype == np.uint8 else image


def _spacing(contents: _Contents, path: str | os.PathLike[str]) -> tuple[float, ...]:
    """(slice, y, x) in mm; 1 where the file does not say."""
    arrays = contents.arrays
    if "ismrmrd_header" in arrays:
        return _header_spacing(arrays["ismrmrd_header"], path)
    values = arrays.get("spacing", arrays.get("pixel_mm"))
    if values is None:
        return (1.0, 1.0, 1.0)
    if values.dtype.kind not in "uif" or values.size not in (1, 2, 3):
        raise InvalidInput(f"The pixel size in {path} is {values!r}; accepted are one to three numbers in mm.")
    mm = tuple(float(value) for value in values.ravel())
    return {1: (1.0, *mm, *mm), 2: (1.0, *mm), 3: mm}[len(mm)]


def _header_spacing(header: np.ndarray, path: str | os.PathLike[str]) -> tuple[float, float, float]:
    """Voxel of the encoded space: fastMRI's rows are ISMRMRD's x, the readout, and its columns are y."""
    try:
        space = ElementTree.fromstring(header.item()).find(".//{*}encodedSpace")
        if space is None:
            return (1.0, 1.0, 1.0)
        x, y, z = (
            float(space.findtext(f"{{*}}fieldOfView_mm/{{*}}{axis}", ""))
            / float(space.findtext(f"{{*}}matrixSize/{{*}}{axis}", ""))
            for axis in "xyz"
        )
    except (ElementTree.ParseError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InvalidInput(f"The ismrmrd_header in {path} is damaged: it gives no voxel size ({error}).") from error
    return z, x, y


def _from_fastmri(kspace: np.ndarray, arrays: Mapping[str, np.ndarray], fields: dict[str, Any]) -> KData:
    if kspace.ndim == 3:
        kspace = kspace[:, None]
    reference = next(
        (arrays[key] for key in _REFERENCES if key in arrays and arrays[key].shape == _images_shape(kspace)), None
    )
    return KData.from_array(kspace, arrays.get("mask"), reference=reference, **fields)


def _images_shape(kspace: np.ndarray) -> tuple[int, ...]:
    return (*kspace.shape[:1], *kspace.shape[-2:])
