"""What a reconstruction predicts of k-space, beside what was acquired: F(maps image), all points of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.result import Result
from napari_lossguide.types import InvalidInput


@dataclass(frozen=True)
class Predicted:
    """K-space of a reconstruction and of the data it was made from.

    Attributes
    ----------
    acquired : complex64 (slice, coil, ny, nx), the points that the reconstruction used, zero elsewhere.
    predicted : complex64, same shape; NaN in slices without an image.
    used : bool (ny, nx), which points were used.
    noise_std : E|n|^2 = noise_std^2 per point and coil, or None if it is not known.
    """

    acquired: NDArray[np.complex64]
    predicted: NDArray[np.complex64]
    used: NDArray[np.bool_]
    noise_std: float | None

    def residual(self) -> NDArray[np.complex64]:
        """predicted - acquired on the points that were used, zero elsewhere."""
        out: NDArray[np.complex64] = (self.predicted - self.acquired) * self.used
        return out

    def level(self) -> float:
        """Root mean square of the residual over the points used, in units of the noise std.

        Without a noise level: relative to the root mean square of the acquired points. Slices without an image are
        left out.
        """
        whole = np.isfinite(self.predicted).all(axis=(1, 2, 3))
        error, data = (x[whole][..., self.used] for x in (self.residual(), self.acquired))
        if not error.size:
            return math.nan
        unit = self.noise_std or _rms(data)
        return _rms(error) / unit if unit else math.nan


def predict(result: Result, kdata: KData) -> Predicted:
    """Predict k-space from the image of a result and its coil maps.

    Parameters
    ----------
    result : of a reconstruction.
    kdata : what it was made from.

    Raises
    ------
    InvalidInput
        If the sizes do not fit, or none of the points that the result used was acquired.
    """
    image, maps = np.asarray(result.image), np.asarray(result.maps)
    ny, nx = kdata.image_shape
    expected = (kdata.n_slices, ny, nx)
    if image.shape != expected:
        raise InvalidInput(f"The reconstruction has shape {image.shape}, but the k-space of {kdata.name} {expected}.")
    if maps.shape != kdata.kspace.shape:
        raise InvalidInput(
            f"The coil maps of the reconstruction have shape {maps.shape}, but the k-space of {kdata.name} has "
            f"{kdata.kspace.shape}."
        )
    if result.mask.shape != (ny, nx):
        raise InvalidInput(f"The reconstruction's mask has shape {result.mask.shape}, but the k-space {(ny, nx)}.")
    used = result.mask & kdata.acquired
    if not used.any():
        raise InvalidInput(f"None of the points that the reconstruction used was acquired in {kdata.name}.")
    known = math.isfinite(result.noise_std) and result.noise_std > 0
    return Predicted(
        np.asarray(kdata.kspace) * used,
        fft2c(maps * image[:, None]).astype(np.complex64, copy=False),
        used,
        float(result.noise_std) if known else None,
    )


def _rms(values: NDArray[np.complex64]) -> float:
    return float(np.sqrt(np.mean(np.abs(values).astype(np.float64) ** 2)))
