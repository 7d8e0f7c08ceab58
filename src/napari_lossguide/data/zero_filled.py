"""The zero-filled image of one slice under one mask after another, quick enough to follow a brush."""

from __future__ import annotations

import numpy as np


class ZeroFilled:
    """Magnitude of the inverse transform of masked k-space, coils combined (root sum of squares).

    What does not depend on the mask is done once: the shift of the centre, and, for masks of whole lines, the
    transform along the lines. Each image then costs a transform along one axis, of single precision.

    Parameters
    ----------
    kspace : complex64 (coil, ny, nx), centred.
    """

    def __init__(self, kspace: np.ndarray) -> None:
        self._corner = np.fft.ifftshift(np.asarray(kspace, np.complex64), axes=(-2, -1))
        self._along: dict[int, np.ndarray] = {}  # axis of the lines -> transformed along it, that axis last but one

    def magnitude(self, mask: np.ndarray) -> np.ndarray:
        """The image with only the masked points, float32 (ny, nx).

        Parameters
        ----------
        mask : bool (ny, nx)
        """
        from scipy.fft import ifft, ifft2

        corner = np.fft.ifftshift(mask).astype(np.float32)
        if (corner == corner[:1]).all():  # columns
            images = ifft(self._lines(0) * corner[0], axis=-1, norm="ortho", overwrite_x=True)
            return np.fft.fftshift(_rss(images))
        if (corner == corner[:, :1]).all():  # rows
            images = ifft(self._lines(1) * corner[:, 0], axis=-1, norm="ortho", overwrite_x=True)
            return np.fft.fftshift(_rss(images).T)
        images = ifft2(self._corner * corner, axes=(-2, -1), norm="ortho", overwrite_x=True)
        return np.fft.fftshift(_rss(images))

    def _lines(self, axis: int) -> np.ndarray:
        """Transformed along the lines; the axis that counts the lines comes last, where a transform is quickest."""
        from scipy.fft import ifft

        if axis not in self._along:
            source = self._corner if axis == 0 else np.ascontiguousarray(self._corner.swapaxes(-1, -2))
            self._along[axis] = ifft(source, axis=-2, norm="ortho")
        return self._along[axis]


def _rss(images: np.ndarray) -> np.ndarray:
    """Root sum of squares over the first axis without complex temporaries."""
    parts = images.view(np.float32)
    squares = np.einsum("cyi,cyi->yi", parts, parts)
    out: np.ndarray = np.sqrt(squares[:, ::2] + squares[:, 1::2])
    return out
