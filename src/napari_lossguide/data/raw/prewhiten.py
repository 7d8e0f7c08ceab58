"""Noise prewhitening: make the noise of all coils independent and of the same size.

Kellman and McVeigh 2005 (doi 10.1002/mrm.20713); Pruessmann et al. 2001 (doi 10.1002/mrm.1241).
"""

from __future__ import annotations

import numpy as np

from napari_lossguide.types import InvalidInput


def noise_covariance(noise: np.ndarray) -> np.ndarray:
    """Covariance E[n n^H] of samples of noise alone; their mean is taken as zero.

    Parameters
    ----------
    noise : complex (coil, sample)

    Returns
    -------
    complex128 (coil, coil), Hermitian
    """
    samples = np.asarray(noise, np.complex128)
    return samples @ samples.conj().T / samples.shape[1]


def prewhitening_matrix(covariance: np.ndarray) -> np.ndarray:
    """W = L^-1 with covariance = L L^H (Cholesky), so that the noise of W y has E|n|^2 = 1 and no correlation.

    Parameters
    ----------
    covariance : complex (coil, coil), Hermitian

    Returns
    -------
    complex128 (coil, coil), lower triangular

    Raises
    ------
    InvalidInput
        If the covariance is not positive definite: a coil without noise, or fewer samples than coils.
    """
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as error:
        raise InvalidInput(
            f"The noise covariance of {len(covariance)} coils is not positive definite; a coil measured no noise, or "
            "there are fewer samples of noise than coils."
        ) from error
    return np.linalg.inv(factor)


def dwell_scale(dwell_us: float, noise_dwell_us: float, bandwidth: float = 1.0) -> float:
    """Factor for data that were prewhitened by a noise scan of another dwell time, so that their noise is 1 again.

    The variance of noise goes with the receiver's bandwidth, 1 / dwell: the data have noise_dwell / dwell times that of
    the noise scan.

    Parameters
    ----------
    dwell_us, noise_dwell_us : time per sample, of the data and of the noise scan; if either is unknown, 0: returns 1
    bandwidth : effective share of the nominal bandwidth in which the noise scan received noise

    Returns
    -------
    sqrt(bandwidth dwell / noise_dwell)
    """
    if not (dwell_us > 0 and noise_dwell_us > 0):
        return 1.0
    return float(np.sqrt(bandwidth * dwell_us / noise_dwell_us))


def prewhiten(kspace: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a prewhitening matrix to the coils of (..., coil, ny, nx) or, of one line, (coil, nx)."""
    coils_last = kspace.swapaxes(-2, -1) if kspace.ndim == 2 else np.moveaxis(kspace, -3, -1)
    mixed = coils_last @ matrix.T.astype(kspace.dtype)
    return mixed.swapaxes(-2, -1) if kspace.ndim == 2 else np.moveaxis(mixed, -1, -3)
