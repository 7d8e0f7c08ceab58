"""How good a prior in training is: denoising of slices it has not seen, and samples to look at."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from napari_lossguide.priors.training.augment import noise_for, random_views
from napari_lossguide.priors.training.augmentation import Augmentation

VALIDATION_SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0)
MOST = 16  # slices of one set that are measured on
BATCH = 8


def plain(size: int, complex_fraction: float) -> Augmentation:
    """Views that change nothing but the resolution."""
    return Augmentation(
        size=size,
        complex_fraction=complex_fraction,
        plain_fraction=1,
        turned_fraction=0,
        whole_fraction=1,
        gamma=(1, 1),
        intensity=(1, 1),
        residue=0,
        noisy_fraction=0,
    )


def evenly(n: int, most: int = MOST) -> list[int]:
    """At most so many indices of ``n``, evenly spread."""
    return sorted({int(i) for i in np.linspace(0, n - 1, min(n, most))})


@torch.no_grad()
def denoising_psnr(
    denoiser: nn.Module, slices: Sequence[Tensor], size: int = 128, seed: int = 0, device: str = "cpu"
) -> dict[str, float]:
    """Mean PSNR in dB (peak 1, the reference quantile) of whole slices by noise level, real and with a phase.

    Parameters
    ----------
    denoiser : (channels (B, 2, size, size), sigma (B,)) -> channels.
    slices : (1, n, n) each; n may differ.
    """
    rng = torch.Generator().manual_seed(seed)
    scores = {}
    for kind, fraction in (("real", 0.0), ("complex", 1.0)):
        view = plain(size, fraction)
        x0 = torch.cat([random_views(s[None].float(), view, rng) for s in slices])
        for sigma in VALIDATION_SIGMAS:
            x = x0 + sigma * noise_for(x0, rng)
            d = torch.cat([denoiser(b, torch.full((len(b),), sigma, device=device)).cpu() for b in split(x, device)])
            mse = (d - x0).square().sum(1).flatten(1).mean(1)
            scores[f"{kind} {sigma}"] = round(float((-10 * mse.log10()).mean()), 2)
    return scores


def split(x: Tensor, device: str) -> list[Tensor]:
    """Batches on the device."""
    return [b.to(device).contiguous(memory_format=torch.channels_last) for b in x.split(BATCH)]


@torch.no_grad()
def sample_grid(denoiser: nn.Module, size: int, n: int = 4, steps: int = 18, device: str = "cpu") -> np.ndarray:
    """Samples of the prior side by side: magnitude of complex images, 1 is white.

    Heun's method on the probability flow of Karras et al. 2022 (algorithm 1), sigma 10 -> 0.01 with rho = 7.

    Returns
    -------
    float32 (size, n size)
    """
    ramp = torch.linspace(0, 1, steps)
    sigmas = [*((10 ** (1 / 7) + ramp * (0.01 ** (1 / 7) - 10 ** (1 / 7))) ** 7).tolist(), 0.0]
    x = sigmas[0] * torch.randn((n, 2, size, size), generator=torch.Generator().manual_seed(0)).to(device)

    def slope(x: Tensor, sigma: float) -> Tensor:
        return (x - denoiser(x, torch.full((n,), sigma, device=device))) / sigma

    for now, after in itertools.pairwise(sigmas):
        d = slope(x, now)
        ahead = x + (after - now) * d
        x = ahead if after == 0 else x + (after - now) * (d + slope(ahead, after)) / 2
    magnitude = x.square().sum(1).sqrt().clamp(0, 1).cpu()
    return torch.cat(list(magnitude), dim=1).numpy()
