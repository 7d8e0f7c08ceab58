"""Centred orthonormal Fourier transforms, right for odd and even sizes."""

from __future__ import annotations

import numpy as np

_AXES = (-2, -1)


def fft2c(image: np.ndarray) -> np.ndarray:
    """Image to k-space over the last two axes.

    The centre of both is index n // 2: y[k] = 1/sqrt(n) sum_j x[j] exp(-2 pi i (k - n//2)(j - n//2) / n) on each axis.

    Parameters
    ----------
    image : (..., ny, nx), real or complex

    Returns
    -------
    complex (..., ny, nx); complex64 from float32 or complex64
    """
    centre_first = np.fft.ifftshift(image, axes=_AXES)
    return np.fft.fftshift(np.fft.fft2(centre_first, axes=_AXES, norm="ortho"), axes=_AXES)


def ifft2c(kspace: np.ndarray) -> np.ndarray:
    """K-space to image over the last two axes; the inverse and the adjoint of `fft2c`."""
    centre_first = np.fft.ifftshift(kspace, axes=_AXES)
    return np.fft.fftshift(np.fft.ifft2(centre_first, axes=_AXES, norm="ortho"), axes=_AXES)


def mirrored(kspace: np.ndarray) -> np.ndarray:
    """The value at -k for every k, of (..., ny, nx); at k itself where an even size has no -k."""
    ny, nx = kspace.shape[-2:]
    y, x = (2 * (ny // 2) - np.arange(ny)) % ny, (2 * (nx // 2) - np.arange(nx)) % nx
    return kspace[..., y, :][..., x]


def rss(images: np.ndarray, axis: int = -3) -> np.ndarray:
    """Root of the sum of squared magnitudes over `axis`, by default the coils of (..., coil, ny, nx)."""
    squares = images.real**2 + images.imag**2 if np.iscomplexobj(images) else np.square(images)
    return np.sqrt(squares.sum(axis=axis))
