"""Coil sensitivities from local covariances of low-resolution coil images, fast where coils are many or images large.

Adaptive reconstruction: Walsh, Gmitro and Marcellin 2000, Magn Reson Med 43:682.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.data.fourier import ifft2c
from napari_lossguide.operators.coil_maps import calibration_square

SMOOTHING = 0.35  # standard deviation of the local mean, as a part of the resolution of the calibration square
SIGNAL = 0.05  # of the brightest: where less is seen, there is no signal
ITERATIONS = 12  # of the power method; the next eigenvalue is about a hundredth of the first one in an object
_BYTES = 2**26  # of covariances that are in memory at one time


def walsh_maps(kspace: NDArray[np.complex64], mask: NDArray[np.bool_], *, width: int = 24) -> NDArray[np.complex64]:
    """Walsh's adaptive maps of one slice, normalised to sum_c |maps_c|^2 = 1 inside the object and 0 outside.

    The fully acquired centre, weighted by a Hann window so that edges do not ring, gives coil images of low resolution.
    At every pixel the map is the eigenvector of the largest eigenvalue of their covariance, a mean over the neighbours
    weighted by a Gaussian. The object is where the root of that eigenvalue, the magnitude seen by all coils together,
    is at least `SIGNAL` times its 99th percentile; holes in it count as object. As with ESPIRiT the first coil that is
    not dead has phase zero.

    Parameters
    ----------
    kspace : complex64 (coil, ny, nx), zero outside the mask.
    mask : bool (ny, nx).
    width : side of the calibration square used, at most.

    Raises
    ------
    InvalidInput
        If the fully acquired centre is too small or holds no signal.
    """
    from scipy.ndimage import binary_fill_holes

    top, left, width, alive = calibration_square(kspace, mask, width)
    own = slice(top, top + width), slice(left, left + width)
    window = np.cos(np.pi * (np.arange(width) - width // 2) / (width + 1)) ** 2
    centre = np.zeros((int(alive.sum()), *mask.shape), np.complex64)
    centre[:, *own] = kspace[alive][:, *own] * np.outer(window, window)
    images = ifft2c(centre)
    images /= np.abs(images).max()  # or the squares of large or small units leave the range of complex64
    smoothing = (SMOOTHING * mask.shape[0] / width, SMOOTHING * mask.shape[1] / width)
    found = [dominant(rows) for rows in local_covariances(images, smoothing)]
    vectors = np.moveaxis(np.concatenate([vector for vector, _ in found]), -1, 0)
    magnitude = np.sqrt(np.concatenate([value for _, value in found]))
    inside = binary_fill_holes(magnitude >= SIGNAL * np.percentile(magnitude, 99))
    maps = np.zeros(kspace.shape, np.complex64)
    maps[alive] = vectors * np.exp(-1j * np.angle(vectors[0])) * inside
    return maps


def local_covariances(images: NDArray[np.complex64], smoothing: tuple[float, float]) -> Iterator[NDArray[np.complex64]]:
    """Mean of image_c conj(image_d) around every pixel, weighted by a Gaussian; some rows at a time.

    Parameters
    ----------
    images : complex64 (coil, ny, nx).
    smoothing : standard deviation of the Gaussian along y and x, in pixels.

    Yields
    ------
    complex64 (row, nx, coil, coil), Hermitian
    """
    from scipy.ndimage import gaussian_filter

    coils, ny, nx = images.shape
    reach = [int(4 * deviation + 0.5) for deviation in smoothing]  # in pixels, where SciPy cuts the Gaussian off
    step = max(1, _BYTES // (8 * coils**2 * nx))
    for first in range(0, ny, step):
        last = min(first + step, ny)
        above = min(reach[0], first)
        rows = images[:, first - above : last + reach[0]]
        out = np.empty((last - first, nx, coils, coils), np.complex64)
        for c in range(coils):
            for d in range(c + 1):
                mean = gaussian_filter(rows[c] * rows[d].conj(), smoothing, mode="constant")
                out[..., c, d] = mean[above : above + last - first]
                out[..., d, c] = out[..., c, d].conj()
        yield out


def dominant(matrices: NDArray[np.complex64]) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Unit eigenvector of the largest eigenvalue, and that value, of Hermitian matrices without negative eigenvalues.

    By the power method, which begins with the column of the largest diagonal element: it is never orthogonal to what is
    looked for unless they are all zero.

    Parameters
    ----------
    matrices : complex64 (..., n, n).

    Returns
    -------
    complex64 (..., n), float32 (...)
        Zero where the matrix is.
    """
    diagonal = np.diagonal(matrices, axis1=-2, axis2=-1).real
    vectors = np.take_along_axis(matrices, diagonal.argmax(axis=-1)[..., None, None], axis=-1)
    smallest = np.finfo(np.float32).tiny
    for _ in range(ITERATIONS):
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-2, keepdims=True), smallest)
        vectors = matrices @ vectors
    values = np.linalg.norm(vectors, axis=-2, keepdims=True)
    vectors = vectors / np.maximum(values, smallest)
    return vectors[..., 0], values[..., 0, 0]
