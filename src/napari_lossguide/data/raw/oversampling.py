"""Readout oversampling: the field of view is larger along x than the image that is wanted."""

from __future__ import annotations

import numpy as np

from napari_lossguide.types import InvalidInput


def remove_oversampling(kspace: np.ndarray, size: int) -> np.ndarray:
    """Keep the central `size` pixels along the last axis of k-space (..., nx); white noise keeps its variance.

    Both transforms are orthonormal, and index n // 2 is the centre before and after.

    Raises
    ------
    InvalidInput
        If `size` is not from 1 to nx.
    """
    full = kspace.shape[-1]
    if not 1 <= size <= full:
        raise InvalidInput(f"{size} of {full} readout samples cannot be kept; accepted are 1 to {full}.")
    if size == full:
        return kspace
    image = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(kspace, axes=-1), norm="ortho"), axes=-1)
    start = full // 2 - size // 2
    inner = np.fft.ifftshift(image[..., start : start + size], axes=-1)
    return np.fft.fftshift(np.fft.fft(inner, norm="ortho"), axes=-1).astype(kspace.dtype, copy=False)
