"""Fewer, virtual coils (Buehrer et al. 2007, doi 10.1002/mrm.21237; Zhang et al. 2013, doi 10.1002/mrm.24267)."""

from __future__ import annotations

import numpy as np

from napari_lossguide.types import InvalidInput


def compression_matrix(kspace: np.ndarray, n_coils: int) -> np.ndarray:
    """Combinations of coils that keep the most energy: the first left singular vectors of all coils' samples.

    Parameters
    ----------
    kspace : complex (..., coil, ny, nx), prewhitened, or its noise changes its correlation
    n_coils : virtual coils to keep

    Returns
    -------
    complex128 (n_coils, coil)
        Its rows are orthonormal, so white noise stays white and keeps its variance.

    Raises
    ------
    InvalidInput
        If there are fewer coils.
    """
    coils = kspace.shape[-3]
    if not 1 <= n_coils <= coils:
        raise InvalidInput(f"{coils} coils cannot be compressed to {n_coils}; accepted are 1 to {coils}.")
    samples = np.moveaxis(kspace, -3, 0).reshape(coils, -1).astype(np.complex128)
    _, vectors = np.linalg.eigh(samples @ samples.conj().T)
    return vectors[:, ::-1][:, :n_coils].conj().T


def compress(kspace: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Virtual coils (..., n_coils, ny, nx) of k-space (..., coil, ny, nx)."""
    mixed = np.moveaxis(kspace, -3, -1) @ matrix.T.astype(kspace.dtype)
    return np.moveaxis(mixed, -1, -3)
