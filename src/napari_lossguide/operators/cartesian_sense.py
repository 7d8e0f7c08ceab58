"""Cartesian SENSE: y_c = mask . F(maps_c . x).

Pruessmann et al. 1999, "SENSE: Sensitivity encoding for fast MRI", Magn Reson Med 42:952.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_lossguide.operators.fourier import fft2c, ifft2c, mirrored


class CartesianSense:
    """Forward model of one slice, or of a batch of images each of a slice of its own; satisfies ``types.ForwardModel``.

    Parameters
    ----------
    mask : bool (ny, nx), acquired points.
    maps : complex64 (coil, ny, nx) coil sensitivities, or (B, coil, ny, nx) with one set for each image; ones of one
        coil when the data are already combined.
        With sum_c |maps_c|^2 <= 1 the norm of A is at most one, which the step sizes of the guidance rely on.
    """

    def __init__(self, mask: Tensor, maps: Tensor) -> None:
        self.mask = mask.to(torch.bool)
        self.maps = maps
        self.image_shape = tuple(maps.shape[-2:])
        self.data_shape = tuple(maps.shape[-3:])
        self._eigenvalues: dict[bool, Tensor] = {}  # of real images, or not
        if uniform(maps):
            known = maps[..., 0, :1, :1].abs() ** 2 * self.mask
            self._eigenvalues = {True: (known + mirrored(known)) / 2, False: known}

    def forward(self, x: Tensor) -> Tensor:
        """A x: (B, ny, nx) real or complex -> (B, coil, ny, nx)."""
        return self.mask * fft2c(self.maps * x[:, None])

    def adjoint(self, y: Tensor) -> Tensor:
        """A^H y: (B, coil, ny, nx) -> complex (B, ny, nx)."""
        return (self.maps.conj() * ifft2c(self.mask * y)).sum(1)

    def normal(self, x: Tensor) -> Tensor:
        """A^H A x in the space of x: for a real x the real part, which is the normal operator of A on real images."""
        n = self.adjoint(self.forward(x))
        return n if x.is_complex() else n.real

    def eigenvalues(self, *, real: bool) -> Tensor | None:
        """Those of A^H A on real or complex images if the Fourier basis diagonalises it: for one uniform coil.

        A frequency of a real image is known from either side: measured on one of them, its eigenvalue is a half.
        """
        return self._eigenvalues.get(real)


def uniform(maps: Tensor) -> bool:
    """Whether maps (..., coil, ny, nx) are of one coil that sees every pixel of an image alike."""
    return maps.shape[-3] == 1 and bool((maps == maps[..., :1, :1]).all())
