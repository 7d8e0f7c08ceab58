"""The one place between images and network channels: real and complex images, scale, limits of the noise level.

A network sees float32 (B, 2, ny, nx), real and imaginary part. A real image has an imaginary channel that is exactly
zero, noise included, and the imaginary channel of the estimate is dropped: one network serves both kinds of image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_lossguide.types import InvalidInput, PriorInfo

REFERENCE_QUANTILE = 0.995
"""A prior sees images whose magnitude has this quantile at about one."""

ZERO_FILLED_RATIO = 0.75
"""Quantile of the zero-filled over that of the true magnitude: geometric mean over the validation slices at 3.1 to
11.6-fold undersampling (0.79 ... 0.63, standard deviation 16 %). Training varies the intensity by 0.6 ... 1.5, which
covers the error."""


def to_channels(x: Tensor) -> Tensor:
    """Images (B, ny, nx), real or complex -> (B, 2, ny, nx) float32."""
    if x.is_complex():
        return torch.stack([x.real, x.imag], dim=1)
    return torch.stack([x, torch.zeros_like(x)], dim=1)


def from_channels(channels: Tensor, *, real: bool) -> Tensor:
    """(B, 2, ny, nx) -> real or complex images (B, ny, nx)."""
    return channels[:, 0] if real else torch.complex(channels[:, 0], channels[:, 1])


def estimate_scale(zero_filled: Tensor) -> float:
    """Units of the input per unit of the prior, from the measured data alone.

    Parameters
    ----------
    zero_filled : A^H y on the input's scale, complex (ny, nx).

    Raises
    ------
    InvalidInput
        If the zero-filled image is empty.
    """
    top = float(torch.quantile(zero_filled.abs().flatten().float(), REFERENCE_QUANTILE))
    if not top > 0:
        raise InvalidInput("The k-space gives an empty image: all acquired points are zero, or the coil maps are.")
    return top / ZERO_FILLED_RATIO


class NetworkDenoiser:
    """D(x; sigma) on images from a preconditioned network on channels; satisfies ``types.Denoiser``.

    Parameters
    ----------
    model : ``EDMPrecond`` or the like, (channels (B, 2, ny, nx), sigma (B,)) -> channels.
    info : what the prior says of itself; its limits on sigma and size are kept here.
    """

    def __init__(self, model: nn.Module, info: PriorInfo) -> None:
        self.model = model.eval().requires_grad_(False)
        self.info = info

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Denoise images (B, ny, nx), real or complex.

        Above ``sigma_max`` x is all but noise and is shrunk to that level; below ``sigma_min`` the label stays there.

        Raises
        ------
        InvalidInput
            If the image is smaller than the network's coarsest cell.
        """
        least = self.info.divisible_by * 2
        if min(x.shape[-2:]) < least:
            raise InvalidInput(
                f"The image is {x.shape[-2]} x {x.shape[-1]} pixels; "
                f"the prior '{self.info.name}' needs at least {least} x {least}."
            )
        if sigma > self.info.sigma_max:
            x, sigma = x * (self.info.sigma_max / sigma), self.info.sigma_max
        level = torch.full((len(x),), max(sigma, self.info.sigma_min), device=x.device)
        channels = to_channels(x).contiguous(memory_format=torch.channels_last)
        return from_channels(self.model(channels, level), real=not x.is_complex())
