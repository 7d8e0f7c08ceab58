"""PSNR, SSIM and NMSE as fastMRI defines them (Zbontar et al. 2018, arXiv 1811.08839, section 5).

All take a volume (slice, ny, nx), or one slice (ny, nx), real or complex, of which magnitudes are compared. The dynamic
range is the largest magnitude of the reference *volume*. Nothing is rescaled: bring both to the same scale first. In a
region, bool (ny, nx), means and sums run over its pixels alone; the range stays that of the volume.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_lossguide.types import InvalidInput

# scikit-image's default, which fastMRI uses: a flat window of 7 x 7.
_SSIM_WINDOW = 7


def nmse(reference: np.ndarray, image: np.ndarray, region: np.ndarray | None = None) -> float:
    """||image - reference||^2 / ||reference||^2 over the volume; not a number where the reference is zero."""
    truth, estimate = _magnitudes(reference, image)
    where = _where(region, truth)
    power = np.sum(truth[where] ** 2)
    return float(np.sum((estimate - truth)[where] ** 2) / power) if power else float("nan")


def psnr(reference: np.ndarray, image: np.ndarray, region: np.ndarray | None = None) -> float:
    """10 log10(max(reference)^2 / mean squared error) over the volume, in dB; infinite for equal images."""
    truth, estimate = _magnitudes(reference, image)
    mean_square = np.mean((estimate - truth)[_where(region, truth)] ** 2)
    return float(10 * np.log10(truth.max() ** 2 / mean_square)) if mean_square else float("inf")


def ssim(reference: np.ndarray, image: np.ndarray, region: np.ndarray | None = None) -> float:
    """Structural similarity (Wang et al. 2004) of each slice, averaged over slices.

    In a region it is the mean of the map, whose windows may reach beyond the region's edge.
    """
    truth, estimate = _ssim_pair(reference, image)
    if region is not None:
        return float(ssim_map(truth, estimate)[_where(region, truth)].mean())
    return float(np.mean(list(_similarities(truth, estimate))))


def ssim_map(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Structural similarity around each pixel, at most 1, where both are alike.

    Returns
    -------
    float64 (slice, ny, nx)
        Each slice's mean without its outermost three pixels is that of `ssim`.

    Raises
    ------
    InvalidInput
        As `evaluate`, and if the images are smaller than the window.
    """
    truth, estimate = _ssim_pair(reference, image)
    return np.stack([each for _, each in _similarities(truth, estimate, full=True)])


def evaluate(reference: np.ndarray, image: np.ndarray, region: np.ndarray | None = None) -> dict[str, float]:
    """All three, of the whole or of a region, bool (ny, nx).

    Returns
    -------
    dict
        `psnr` (dB), `ssim`, `nmse`.

    Raises
    ------
    InvalidInput
        If the shapes differ, a value is not finite, the reference is zero everywhere or the region empty.
    """
    return {f.__name__: f(reference, image, region) for f in (psnr, ssim, nmse)}


def _ssim_pair(reference: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, estimate = _magnitudes(reference, image)
    if min(truth.shape[-2:]) < _SSIM_WINDOW:
        raise InvalidInput(f"Images of {truth.shape[-2:]} are too small for SSIM; it needs at least 7 x 7 pixels.")
    return truth, estimate


def _similarities(truth: np.ndarray, estimate: np.ndarray, *, full: bool = False) -> Iterator[Any]:
    """The mean of each slice; with `full` the mean and the map."""
    from skimage.metrics import structural_similarity

    for t, e in zip(truth, estimate, strict=True):
        yield structural_similarity(t, e, data_range=truth.max(), full=full)


def _where(region: np.ndarray | None, truth: np.ndarray) -> np.ndarray:
    """The pixels that count, bool (slice, ny, nx)."""
    if region is None:
        return np.ones(truth.shape, bool)
    chosen = np.asarray(region, bool)
    if chosen.shape != truth.shape[-2:]:
        raise InvalidInput(f"The region has shape {chosen.shape}, but the images have {truth.shape[-2:]}.")
    if not chosen.any():
        raise InvalidInput("The region is empty; it must have at least one pixel.")
    return np.broadcast_to(chosen, truth.shape)


def _magnitudes(reference: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, estimate = (np.abs(np.asarray(array)).astype(np.float64) for array in (reference, image))
    if truth.shape != estimate.shape:
        raise InvalidInput(f"The image has shape {estimate.shape}, but the reference has {truth.shape}.")
    if truth.ndim not in (2, 3) or truth.size == 0:
        raise InvalidInput(f"The reference has shape {truth.shape}; accepted are (ny, nx) and (slice, ny, nx).")
    for name, array in (("reference", truth), ("image", estimate)):
        if not np.isfinite(array).all():
            raise InvalidInput(f"The {name} holds NaN or infinity; every value must be finite.")
    if not truth.any():
        raise InvalidInput("The reference is zero everywhere; nothing can be compared with it.")
    return truth.reshape(-1, *truth.shape[-2:]), estimate.reshape(-1, *truth.shape[-2:])
