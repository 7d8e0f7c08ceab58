"""Slices that a file holds the place of, and no more: those that failed when it was made. They are NaN as a whole."""

from __future__ import annotations

import numpy as np

from napari_lossguide.types import InvalidInput


def missing_slices(array: np.ndarray) -> tuple[int, ...]:
    """Numbers, from 0, of the slices of an array (slice, ...) that are NaN as a whole."""
    gone = np.isnan(array).reshape(len(array), -1).all(axis=1) if array.dtype.kind in "fc" else ()
    return tuple(int(index) for index in np.flatnonzero(gone))


def check_slices(array: np.ndarray, what: str) -> tuple[int, ...]:
    """Check that an array (slice, ...) is finite, but for slices that are missing.

    Returns
    -------
    tuple of int
        Those that are.

    Raises
    ------
    InvalidInput
        If another value is not finite, or every slice is missing.
    """
    if np.isfinite(array).all():
        return ()
    missing = missing_slices(array)
    if len(missing) == len(array):
        raise InvalidInput(f"{what} is NaN everywhere: it is missing, as slices are that failed when a file was made.")
    if not np.isfinite(np.delete(array, missing, axis=0)).all():
        raise InvalidInput(f"{what} holds NaN or infinity; every value must be finite, or the whole slice NaN.")
    return missing


def missing_words(missing: tuple[int, ...]) -> str:
    """A clause for people; empty if nothing is missing."""
    if not missing:
        return ""
    *most, last = map(str, missing)
    which = f"slice {last} is" if not most else f"slices {', '.join(most)} and {last} are"
    return f"{which} missing (NaN)"
