"""What files of named arrays have in common: which array is k-space, and what the others say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_lossguide.data import orientation
from napari_lossguide.data.formats.base import ArrayFormat, Entry, Kind, Loaded
from napari_lossguide.types import InvalidInput

DEFAULTS = ("kspace", "images")
AXES: dict[Kind, int] = {"kspace": 4, "images": 3}
_SIMULATED = ("simulated", "real", "reference")  # what `KData.arrays` says of a simulation
BESIDE = ("mask", "maps", "calibration", "spacing", "pixel_mm", "affine", *_SIMULATED)


def choose_array(names: Sequence[str], path: Path, preferred: Sequence[str]) -> str:
    """The first of the preferred names that the file has; else its only array.

    Raises
    ------
    InvalidInput
        If it has none of them and more than one array.
    """
    found = next((name for name in preferred if name in names), names[0] if len(names) == 1 else None)
    if found is None:
        listed = ", ".join(names) or "none"
        raise InvalidInput(f"{path} holds no array named {' or '.join(preferred)}; its arrays are: {listed}.")
    return found


def read_array(form: ArrayFormat, path: Path, preferred: Sequence[str]) -> np.ndarray:
    """Read the first of the preferred arrays that the file has; else its only one."""
    name = choose_array(form.names(path), path, preferred)
    return form.arrays(path, {name})[name]


def kind_of(name: str, dtype: np.dtype) -> Kind:
    """K-space is complex; what is called `kspace` must be, and `images` and the `image` of a result are none."""
    return "images" if name in ("image", "images") or (name != "kspace" and dtype.kind != "c") else "kspace"


def array_entry(name: str, shape: tuple[int, ...], dtype: np.dtype) -> Entry | None:
    """What a person can choose: an array with the size of images or k-space; None for others."""
    kind = kind_of(name, dtype)
    axes = AXES[kind]
    if dtype.kind not in "buifc" or not 2 <= len(shape) <= axes or 0 in shape or name in BESIDE:
        return None
    return Entry(name, kind, (1,) * (axes - len(shape)) + shape, str(dtype))


def stacked(array: np.ndarray, kind: Kind, slices: slice) -> np.ndarray:
    """Slices of an array as (slice, coil, ny, nx) or (slice, ny, nx), where it has fewer axes."""
    if array.ndim < 2:
        return array  # what is wrong with it is said where it is used
    return array[(None,) * (AXES[kind] - array.ndim)][slices]


def beside(arrays: Mapping[str, np.ndarray], slices: slice, path: Path) -> dict[str, object]:
    """What arrays of their usual names say of the k-space beside them: fields of `Loaded`."""
    fields = placed(arrays, path)
    fields["mask"] = arrays.get("mask")
    maps = arrays.get("maps")
    fields["maps"] = maps[slices] if maps is not None and maps.ndim == 4 else maps
    calibration = arrays.get("calibration")
    fields["calibration"] = calibration if calibration is None else calibration[slices]
    if np.any(arrays.get("simulated", False)):
        reference = arrays.get("reference")
        fields |= {"simulated": True, "real": bool(np.any(arrays.get("real", False)))}
        fields["reference"] = reference if reference is None else reference[slices]
    return fields


def placed(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, object]:
    """What arrays of their usual names say of where the pixels lie: fields of `Loaded`."""
    return {"spacing": spacing_of(arrays, path), "affine": arrays.get("affine")}


def spacing_of(arrays: Mapping[str, np.ndarray], path: Path) -> tuple[float, ...]:
    """(slice, y, x) in mm: what the file says, or else the steps of its affine; 1 where it says neither."""
    values = arrays.get("spacing", arrays.get("pixel_mm"))
    affine = arrays.get("affine")
    if values is None and affine is not None and affine.shape == (4, 4) and affine.dtype.kind in "uif":
        return orientation.spacing_of(affine)
    if values is None:
        return (1.0, 1.0, 1.0)
    if values.dtype.kind not in "uif" or values.size not in (1, 2, 3):
        raise InvalidInput(f"The pixel size in {path} is {values!r}; accepted are one to three numbers in mm.")
    mm = tuple(float(value) for value in values.ravel())
    return {1: (1.0, *mm, *mm), 2: (1.0, *mm), 3: mm}[len(mm)]


def load_plain(form: ArrayFormat, path: Path, name: str, slices: slice) -> Loaded:
    """Slices of an array of a file that reads arrays whole only."""
    arrays = form.arrays(path, {name} | (set(BESIDE) & set(form.names(path))))
    array = arrays[name]
    kind = kind_of(name, array.dtype)
    if kind == "images":
        own = placed(arrays, path)
    else:
        own = beside(arrays, slices, path)
    return Loaded(kind, stacked(array, kind, slices), **own)  # type: ignore[arg-type]
