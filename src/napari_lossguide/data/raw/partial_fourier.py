"""Partial Fourier: k-space that was measured on one side of its centre only in part."""

from __future__ import annotations

import numpy as np

from napari_lossguide.data.fourier import ifft2c
from napari_lossguide.types import InvalidInput


def columns(n_samples: int, size: int, centre: int, *, reverse: bool = False) -> np.ndarray:
    """Where the samples of a line belong on a centred axis.

    Parameters
    ----------
    n_samples : of the line
    size : of the axis; its centre, k = 0, is index size // 2
    centre : which sample of the line, in the order of measurement, is k = 0
    reverse : the line was measured from high to low k

    Returns
    -------
    int (n_samples,)
        The point one above the highest of an even axis is the lowest: both are the same frequency of the transform.

    Raises
    ------
    InvalidInput
        If a sample falls off the axis.
    """
    k = np.arange(n_samples) - centre
    k = -k if reverse else k
    low, high = -(size // 2), size - size // 2 - 1
    if reverse and size % 2 == 0 and n_samples <= size:
        k = np.where(k == high + 1, low, k)
    if n_samples and (k.min() < low or k.max() > high):
        raise InvalidInput(
            f"A line of {n_samples} samples with k = 0 at sample {centre} does not fit {size} points; "
            f"accepted are k from {low} to {high}."
        )
    return k + size // 2


def zero_fill(lines: np.ndarray, size: int, centre: int) -> np.ndarray:
    """Put lines (..., sample) with k = 0 at sample `centre` on a centred axis of `size` points; the rest is zero."""
    filled = np.zeros((*lines.shape[:-1], size), lines.dtype)
    filled[..., columns(lines.shape[-1], size, centre)] = lines
    return filled


def homodyne_weights(acquired: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What homodyne detection multiplies the rows of k-space by.

    Parameters
    ----------
    acquired : bool (ny,), rows that were measured: a contiguous range that holds the centre

    Returns
    -------
    weight : (ny,), two where a row was measured alone, a ramp over the central rows, zero where none was measured
    both : bool (ny,), the central rows, which were measured on both sides

    Raises
    ------
    InvalidInput
        If the rows are not such a range, or none lies on both sides.
    """
    acquired = np.asarray(acquired, bool)
    ny = len(acquired)
    rows = np.flatnonzero(acquired)
    if acquired.ndim != 1 or rows.size == 0 or rows[-1] - rows[0] + 1 != rows.size or not acquired[ny // 2]:
        raise InvalidInput(f"Homodyne detection needs one range of {ny} rows that holds row {ny // 2}, the centre.")
    k = np.arange(ny) - ny // 2
    # The lowest row of an even axis is its own mirror image.
    overscan = int(min(-max(k[rows[0]], -((ny - 1) // 2)), k[rows[-1]]))
    if overscan < 1:
        raise InvalidInput("Homodyne detection needs rows on both sides of the centre of k-space; there are none.")
    both = np.abs(k) <= overscan
    sign = 1 if k[rows[-1]] > overscan else -1
    weight = np.where(both, 1 + sign * k / (overscan + 1), 2.0) * acquired
    mirror = (2 * (ny // 2) - np.arange(ny)) % ny
    return np.where(acquired & acquired[mirror] & ~both, 1.0, weight), both


def homodyne(kspace: np.ndarray, acquired: np.ndarray) -> np.ndarray:
    """Homodyne detection (Noll, Nishimura and Macovski 1991, doi 10.1109/42.79473), of partial Fourier along y.

    The half that was measured alone counts twice, with a linear ramp over the central rows that were measured on both
    sides; the image's phase is that of these central rows, and what remains real is the image.

    Parameters
    ----------
    kspace : complex (..., ny, nx), centred, zero where not measured
    acquired : bool (ny,), rows that were measured: a contiguous range that holds the centre

    Returns
    -------
    real (..., ny, nx)
        Image of each coil with the phase of the central rows taken off; it may be negative.

    Raises
    ------
    InvalidInput
        If the rows are not such a range, or none lies on both sides.
    """
    if np.shape(acquired) != kspace.shape[-2:-1]:
        raise InvalidInput(
            f"Homodyne detection was told of rows of shape {np.shape(acquired)}; the k-space has {kspace.shape[-2]}."
        )
    weight, both = homodyne_weights(acquired)
    phase = np.exp(-1j * np.angle(ifft2c(kspace * both[:, None])))
    return (ifft2c(kspace * weight[:, None]) * phase).real
