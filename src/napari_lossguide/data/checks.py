"""What arrays of an acquisition must be, and what is said if they are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_lossguide.data.missing import check_slices
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.types import InvalidInput


def as_mask(mask: np.ndarray, shape: tuple[int, ...], what: str = "The mask") -> np.ndarray:
    """Check a sampling mask.

    Parameters
    ----------
    mask : bool, integers (non-zero: acquired) or floats 0 and 1; (ny, nx), or (nx,) for whole columns.
    shape : (ny, nx) it must have.
    what : how the error message calls it.

    Returns
    -------
    bool (ny, nx)

    Raises
    ------
    InvalidInput
        If it has another shape or other values, or is empty.
    """
    mask = np.asarray(mask)
    ny, nx = (int(n) for n in shape)
    if mask.shape == (nx,):
        mask = np.broadcast_to(mask, (ny, nx))
    if mask.shape != (ny, nx):
        raise InvalidInput(f"{what} has shape {mask.shape}, but the k-space has {(ny, nx)}; they must be the same.")
    if mask.dtype.kind not in "buif":
        raise InvalidInput(f"{what} has values of type {mask.dtype}; accepted are bool, integers, and floats 0 and 1.")
    if mask.dtype.kind == "f" and not np.isin(mask, (0, 1)).all():
        raise InvalidInput(f"{what} holds values other than 0 and 1; is it an image?")
    if not mask.any():
        raise InvalidInput(f"{what} is empty; at least one point must be set.")
    return mask != 0


def as_complex64(array: Any, what: str, *, real_too: bool = False, slices: bool = False) -> Any:
    """An array as finite complex64; a `SliceWise` of that type as it is, whose slices are checked when they are read.

    Parameters
    ----------
    array : complex, of any precision.
    what : how the error message calls it.
    real_too : real numbers are accepted.
    slices : slices (slice, ...) that are NaN as a whole are accepted; they are missing.

    Raises
    ------
    InvalidInput
        If it is real, or a value is not finite or too large for complex64.
    """
    if isinstance(array, SliceWise) and array.dtype == np.complex64:
        return array
    array = np.asarray(array)
    if not np.iscomplexobj(array) and not (real_too and array.dtype.kind in "buif"):
        raise InvalidInput(
            f"{what} has real values ({array.dtype}), which looks like an image; k-space is complex "
            "(an image can be simulated: give it as `images`)."
        )
    if slices and array.ndim == 4:
        check_slices(array, what)
    elif not np.isfinite(array).all():
        raise InvalidInput(f"{what} holds NaN or infinity; every value must be finite.")
    with np.errstate(over="ignore"):
        single = array.astype(np.complex64, copy=False)
    if single is not array and np.isinf(single).any():
        raise InvalidInput(f"{what} reaches {np.nanmax(np.abs(array)):.3g}, which is more than complex64 can hold.")
    return single


def as_spacing(spacing: tuple[float, ...], name: str) -> tuple[float, float, float]:
    """The distances of pixels, (slice, y, x) in mm.

    Raises
    ------
    InvalidInput
        If they are not three numbers above 0.
    """
    try:
        slice_mm, y_mm, x_mm = (float(mm) for mm in spacing)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"The spacing of {name} is {spacing!r}; it must be three numbers (slice, y, x) in mm."
        ) from error
    if not all(0 < mm < np.inf for mm in (slice_mm, y_mm, x_mm)):
        raise InvalidInput(f"The spacing of {name} is {spacing!r} mm; every number must be above 0.")
    return slice_mm, y_mm, x_mm
