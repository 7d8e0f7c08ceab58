"""PSNR, SSIM and NMSE as fastMRI defines them (Zbontar et al. 2018, arXiv 1811.08839, section 5).

All take a volume (slice, ny, nx), or one slice (ny, nx), real or complex, of which magnitudes are compared. The dynamic
range is the largest magnitude of the reference *volume*. Nothing is rescaled: bring both to the same scale first.
"""

from __future__ import annotations

import numpy as np

from napari_lossguide.types import InvalidInput

# scikit-image's default, which fastMRI uses: a flat window of 7 x 7.
_SSIM_WINDOW = 7


def nmse(reference: np.ndarray, image: np.ndarray) -> float:
    """||image - reference||^2 / ||reference||^2 over the volume."""
    truth, estimate = _magnitudes(reference, image)
    return float(np.sum((estimate - truth) ** 2) / np.sum(truth**2))


def psnr(reference: np.ndarray, image: np.ndarray) -> float:
    """10 log10(max(reference)^2 / mean squared error) over the volume, in dB; infinite for equal images."""
    truth, estimate = _magnitudes(reference, image)
    mean_square = np.mean((estimate - truth) ** 2)
    return float(10 * np.log10(truth.max() ** 2 / mean_square)) if mean_square else float("inf")


def ssim(reference: np.ndarray, image: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004) of each slice, averaged over slices."""
    from skimage.metrics import structural_similarity

    truth, estimate = _magnitudes(reference, image)
    if min(truth.shape[-2:]) < _SSIM_WINDOW:
        raise InvalidInput(f"Images of {truth.shape[-2:]} are too small for SSIM; it needs at least 7 x 7 pixels.")
    data_range = truth.max()
    slices = [structural_similarity(t, e, data_range=data_range) for t, e in zip(truth, estimate, strict=True)]
    return float(np.mean(slices))


def evaluate(reference: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """All three.

    Returns
    -------
    dict
        `psnr` (dB), `ssim`, `nmse`.

    Raises
    ------
    InvalidInput
        If the shapes differ, a value is not finite, or the reference is zero everywhere.
    """
    return {"psnr": psnr(reference, image), "ssim": ssim(reference, image), "nmse": nmse(reference, image)}


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
