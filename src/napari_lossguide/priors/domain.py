"""The one place between images and network channels: real and complex images, scale, limits of the noise level.

A network sees float32 (B, 2, ny, nx), real and imaginary part. A real image has an imaginary channel that is exactly
zero, noise included, and the imaginary channel of the estimate is dropped: one network serves both kinds of image.
A network of another library may see one channel or three, other units, and only sides of certain lengths (``Domain``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
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


@dataclass(frozen=True)
class Domain:
    """What a network sees of our images; the default is that of our own networks.

    Attributes
    ----------
    channels : 2, real and imaginary part; 1, a real image; 3, the same image three times. With 1 or 3 channels the real
        and the imaginary part of a complex image are two images (Chung & Ye 2022, "Score-based diffusion models for
        accelerated MRI", section 3).
    offset, gain : the network sees offset + gain x, and gain times the noise.
    multiple : sides are padded by reflection to multiples of this.
    """

    channels: int = 2
    offset: float = 0.0
    gain: float = 1.0
    multiple: int = 1

    def to_network(self, x: Tensor) -> Tensor:
        """Images (B, ny, nx) -> channels in the network's units, padded: (B or 2 B, channels, ny', nx') float32."""
        if self.channels == 2:
            channels = to_channels(x)
        else:
            parts = torch.cat([x.real, x.imag]) if x.is_complex() else x
            channels = parts[:, None].expand(-1, self.channels, -1, -1)
        if self.gain != 1 or self.offset != 0:
            channels = self.offset + self.gain * channels
        (top, bottom), (left, right) = (self._margins(n) for n in x.shape[-2:])
        if top + bottom + left + right == 0:
            return channels
        # By reflection, so that the noise in the margin has the statistics of the rest.
        return F.pad(channels, (left, right, top, bottom), mode="reflect")

    def from_network(self, channels: Tensor, like: Tensor) -> Tensor:
        """The network's channels -> images of the kind and shape of ``like``."""
        (top, _), (left, _) = (self._margins(n) for n in like.shape[-2:])
        channels = channels[..., top : top + like.shape[-2], left : left + like.shape[-1]]
        if self.gain != 1 or self.offset != 0:
            channels = (channels - self.offset) / self.gain
        if self.channels == 2:
            return from_channels(channels, real=not like.is_complex())
        parts = channels.mean(dim=1)
        return torch.complex(*parts.chunk(2)) if like.is_complex() else parts

    def _margins(self, n: int) -> tuple[int, int]:
        missing = -n % self.multiple
        return missing // 2, missing - missing // 2


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


def within_limits(
    x: Tensor, sigma: float, network: str, least: int, sigmas: tuple[float, float]
) -> tuple[Tensor, float]:
    """An image and its noise level as a network may see them: shrunk to the largest level, or the label raised.

    Parameters
    ----------
    x, sigma : images (B, ny, nx) at a noise level.
    network : "the prior 'NAME'", for the complaint.
    least : pixels along the shorter side.
    sigmas : least and greatest noise level of the network.

    Raises
    ------
    InvalidInput
        If the image is too small.
    """
    if min(x.shape[-2:]) < least:
        raise InvalidInput(
            f"The image is {x.shape[-2]} x {x.shape[-1]} pixels; {network} needs at least {least} x {least}."
        )
    lowest, highest = sigmas
    return (x * (highest / sigma), highest) if sigma > highest else (x, max(sigma, lowest))


OWN_DOMAIN = Domain()


class NetworkDenoiser:
    """D(x; sigma) on images from a preconditioned network on channels; satisfies ``types.Denoiser``.

    Parameters
    ----------
    model : ``EDMPrecond`` or the like, (channels (B, C, ny, nx), sigma (B,)) -> channels, all in its own units.
    info : what the prior says of itself; its limits on sigma and size are kept here.
    domain : what the model sees of our images.
    """

    def __init__(self, model: nn.Module, info: PriorInfo, domain: Domain = OWN_DOMAIN) -> None:
        self.model = model.eval().requires_grad_(False)
        self.info = info
        self.domain = domain

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Denoise images (B, ny, nx), real or complex.

        Above ``sigma_max`` x is all but noise and is shrunk to that level; below ``sigma_min`` the label stays there.

        Raises
        ------
        InvalidInput
            If the image is smaller than the network's coarsest cell.
        """
        limits = self.info.sigma_min, self.info.sigma_max
        x, sigma = within_limits(x, sigma, f"the prior '{self.info.name}'", 2 * self.info.divisible_by, limits)
        channels = self.domain.to_network(x).contiguous(memory_format=torch.channels_last)
        level = sigma * self.domain.gain
        estimate = self.model(channels, torch.full((len(channels),), level, device=x.device))
        return self.domain.from_network(estimate, x)
