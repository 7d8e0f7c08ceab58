"""A network small enough for a unit test, with weights that do something."""

from __future__ import annotations

import torch

from napari_lossguide.priors.domain import NetworkDenoiser
from napari_lossguide.priors.network import UNet
from napari_lossguide.priors.precond import EDMPrecond
from napari_lossguide.types import PriorInfo

WIDTHS = (8, 16)


def tiny_unet(seed: int = 0, widths: tuple[int, ...] = WIDTHS) -> UNet:
    """A UNet with every weight drawn: a fresh one has zeros at its end and in its residual branches."""
    network = UNet(widths=widths, heads=2)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(0.15 * torch.randn(p.shape, generator=rng))
    return network


def tiny_denoiser(seed: int = 0, sigma_data: float = 0.25) -> NetworkDenoiser:
    info = PriorInfo("tiny", sigma_min=0.002, sigma_max=10.0, sigma_data=sigma_data, channels=2, divisible_by=8)
    return NetworkDenoiser(EDMPrecond(tiny_unet(seed), sigma_data), info)
