"""Where in k-space an image is wrong: its error relative to the reference, in rings of one radius."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.types import InvalidInput

PIXELS = (0.5, 0.5)
"""Spacing that makes the radius a fraction of the Nyquist frequency of each axis."""


@dataclass(frozen=True)
class RingError:
    """Energies in rings of k-space, summed over slices.

    Attributes
    ----------
    radius : middle of each ring, rising; in cycles per unit of the spacing.
    error : |F(image - reference)|^2, summed over each ring.
    reference : |F reference|^2, likewise.
    """

    radius: NDArray[np.float64]
    error: NDArray[np.float64]
    reference: NDArray[np.float64]

    @property
    def relative(self) -> NDArray[np.float64]:
        """Error over reference; not a number where the reference has nothing."""
        out: NDArray[np.float64] = np.full(len(self.radius), np.nan)
        np.divide(self.error, self.reference, out=out, where=self.reference > 0)
        return out


def ring_error(reference: np.ndarray, image: np.ndarray, spacing: tuple[float, float] = PIXELS) -> RingError:
    """Error of an image against the radius in k-space.

    The rings are as wide as the larger step of k-space, so that none is empty, and reach to the corners: each point is
    in one ring, and the sums over all rings are those over the image (Parseval).

    Parameters
    ----------
    reference, image : real or complex, (ny, nx) or (slice, ny, nx), of one shape; used as they are, phase included.
    spacing : (y, x), size of a pixel. In mm the radius is in 1/mm. With `PIXELS` it is a fraction of Nyquist: rings are
        then circles in a k-space whose two axes both end at 1.

    Raises
    ------
    InvalidInput
        If the shapes differ, a value is not finite or the reference is zero everywhere.
    """
    truth, estimate = _checked(reference, image)
    steps = [1 / (n * size) for n, size in zip(truth.shape[-2:], spacing, strict=True)]
    ky, kx = ((np.arange(n) - n // 2) * step for n, step in zip(truth.shape[-2:], steps, strict=True))
    width = max(steps)
    # Points on an edge between two rings must not be parted by rounding.
    ring = np.floor(np.hypot(ky[:, None], kx[None, :]) / width + 0.5 + 1e-9).astype(int).ravel()
    sums: list[NDArray[np.float64]] = []
    for array in (estimate - truth, truth):
        power = (np.abs(fft2c(array)) ** 2).sum(0).ravel()
        sums.append(np.bincount(ring, weights=power).astype(np.float64))
    return RingError(np.arange(len(sums[0])) * width, sums[0], sums[1])


def nyquist(spacing: tuple[float, float]) -> float:
    """The smaller of the two axes' Nyquist frequencies: rings beyond it hold corners of k-space alone."""
    return 0.5 / max(spacing)


def _checked(reference: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, estimate = (_double(array) for array in (reference, image))
    if truth.shape != estimate.shape:
        raise InvalidInput(f"The image has shape {estimate.shape}, but the reference has {truth.shape}.")
    if truth.ndim not in (2, 3) or truth.size == 0:
        raise InvalidInput(f"The reference has shape {truth.shape}; accepted are (ny, nx) and (slice, ny, nx).")
    for name, array in (("reference", truth), ("image", estimate)):
        if not math.isfinite(np.abs(array).sum()):
            raise InvalidInput(f"The {name} holds NaN or infinity; every value must be finite.")
    if not truth.any():
        raise InvalidInput("The reference is zero everywhere; nothing can be compared with it.")
    return truth.reshape(-1, *truth.shape[-2:]), estimate.reshape(-1, *truth.shape[-2:])


def _double(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
