"""Centred orthonormal Fourier transform in torch, the twin of ``data.fourier``."""

from __future__ import annotations

import torch
from torch import Tensor


def fft2c(x: Tensor) -> Tensor:
    """Image to k-space over the last two axes, zero frequency at index n // 2 for even and odd n."""
    k = torch.fft.fft2(torch.fft.ifftshift(x, dim=(-2, -1)), norm="ortho")
    return torch.fft.fftshift(k, dim=(-2, -1))


def mirrored(k: Tensor) -> Tensor:
    """The value at -k for every k, of (..., ny, nx); at k itself where an even size has no -k."""
    return torch.roll(k.flip(-2, -1), [1 - n % 2 for n in k.shape[-2:]], dims=(-2, -1))


def ifft2c(k: Tensor) -> Tensor:
    """Inverse, and adjoint, of ``fft2c``."""
    x = torch.fft.ifft2(torch.fft.ifftshift(k, dim=(-2, -1)), norm="ortho")
    return torch.fft.fftshift(x, dim=(-2, -1))
