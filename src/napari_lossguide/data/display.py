"""Real views of complex arrays, for the screen."""

from __future__ import annotations

import numpy as np

from napari_lossguide.types import InvalidInput

VIEWS = ("log-magnitude", "magnitude", "phase", "real", "imaginary")
FLOOR_DB = -100.0


def view(array: np.ndarray, kind: str) -> np.ndarray:
    """One real view of an array.

    Parameters
    ----------
    array : real or complex, any shape
    kind : one of `VIEWS`. "log-magnitude" is in dB relative to the largest magnitude of the whole array, not below
        `FLOOR_DB`; "phase" is in radians, [-pi, pi], and 0 where the value is zero, whatever the signs of its parts.

    Returns
    -------
    float32, same shape

    Raises
    ------
    InvalidInput
        If `kind` is not one of `VIEWS`.
    """
    if kind == "log-magnitude":
        return decibels(np.abs(array))
    if kind == "magnitude":
        return np.abs(array).astype(np.float32)
    if kind == "phase":
        # 0 + 0 is 0 for either sign of the first: masking leaves -0, of which the angle would be pi.
        return np.angle(array + 0).astype(np.float32)
    if kind == "real":
        return np.real(array).astype(np.float32)
    if kind == "imaginary":
        return np.imag(array).astype(np.float32)
    raise InvalidInput(f"The view {kind!r} is unknown; accepted are {', '.join(VIEWS)}.")


def decibels(magnitude: np.ndarray, largest: float | None = None) -> np.ndarray:
    """Magnitudes in dB, not below `FLOOR_DB`.

    Parameters
    ----------
    magnitude : real, from 0, any shape; NaN stays NaN.
    largest : the magnitude of 0 dB; None: the largest one given.

    Returns
    -------
    float32, same shape
    """
    if largest is None:
        largest = float(np.nanmax(magnitude, initial=0))
    if largest <= 0:
        return np.where(np.isnan(magnitude), np.nan, FLOOR_DB).astype(np.float32)
    smallest = largest * 10 ** (FLOOR_DB / 20)
    return (20 * np.log10(np.maximum(magnitude, smallest) / largest)).astype(np.float32)


def display_limits(array: np.ndarray, kind: str) -> tuple[float, float]:
    """Contrast limits (low < high) that suit a view.

    Parameters
    ----------
    array : the complex (or real) array itself; a view of it that `view` returned gives the same limits
    kind : one of `VIEWS`

    Notes
    -----
    The log-magnitude shows 80 dB, the phase exactly its range. The linear views saturate the largest 0.1 % of the
    values that are not zero, so that one bright point does not turn the rest black; real and imaginary parts are
    symmetric about 0.
    """
    if kind == "log-magnitude":
        return -80.0, 0.0
    if kind == "phase":
        return -float(np.pi), float(np.pi)
    shown = np.abs(view(array, kind) if np.iscomplexobj(array) or kind not in VIEWS else array)
    shown = shown[shown > 0]
    high = float(np.percentile(shown, 99.9)) if shown.size else 1.0
    return (0.0, high) if kind == "magnitude" else (-high, high)
