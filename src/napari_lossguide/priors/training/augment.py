"""Training images for a brain prior: random views of magnitude slices, some of them given a phase.

Everything is drawn from one ``torch.Generator`` that the caller owns, in batches, on the device of the images.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from napari_lossguide.priors.training.augmentation import Augmentation


def uniform(low: float, high: float, shape: tuple[int, ...], rng: Generator) -> Tensor:
    """Uniform draws on [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=rng, device=rng.device)


def smooth_field(batch: int, size: int, knots: int, rng: Generator) -> Tensor:
    """A smooth random field of about unit standard deviation, (batch, size, size): bicubic through random knots."""
    coarse = torch.randn((batch, 1, knots, knots), generator=rng, device=rng.device)
    return F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)[:, 0]


def random_grid(batch: int, source: int, whole: Tensor, aug: Augmentation, rng: Generator) -> Tensor:
    """Random positions (batch, size, size, 2) for ``grid_sample``: zoom, rotation, stretch, flip, shift, elastic."""
    warped = (torch.rand(batch, generator=rng, device=rng.device) >= aug.plain_fraction).float()
    fit = source / aug.size  # source pixels per output pixel of a whole slice
    zoom = torch.where(whole, fit * uniform(*aug.whole_extent, (batch,), rng), uniform(*aug.crop_zoom, (batch,), rng))
    zoom = torch.where(warped.bool(), zoom, torch.where(whole, fit, min(1.0, fit)))
    turned = torch.rand(batch, generator=rng, device=rng.device) < aug.turned_fraction
    quarter = torch.randint(0, 4, (batch,), generator=rng, device=rng.device) * turned
    angle = warped * uniform(-aug.rotation, aug.rotation, (batch,), rng) + quarter * (math.pi / 2)
    stretch = (warped * uniform(-aug.stretch, aug.stretch, (batch,), rng)).exp()
    flip = torch.randint(0, 2, (batch,), generator=rng, device=rng.device) * 2.0 - 1
    extent = zoom * aug.size / source  # half-width of the view in units of the source's half-width
    slack = torch.where(whole, 0.12, (1 - 0.75 * extent).clamp(min=0))
    shift = uniform(-1, 1, (batch, 2), rng) * slack[:, None]
    shift = (
        (shift * source / 4).round() * 4 / source
    )  # whole pixels of the half image: plain views stay on the source grid

    line = torch.linspace(-1, 1, aug.size, device=rng.device) * (1 - 1 / aug.size)
    gy, gx = torch.meshgrid(line, line, indexing="ij")
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    sx = (extent * stretch * flip)[:, None, None]
    sy = (extent / stretch)[:, None, None]
    x = sx * (cos * gx - sin * gy) + shift[:, 0, None, None]
    y = sy * (sin * gx + cos * gy) + shift[:, 1, None, None]
    amount = (
        2 * aug.elastic / source * torch.rand((batch, 1, 1), generator=rng, device=rng.device) * warped[:, None, None]
    )
    x = x + amount * smooth_field(batch, aug.size, 7, rng)
    y = y + amount * smooth_field(batch, aug.size, 7, rng)
    return torch.stack([x, y], dim=-1)


def smooth_phase(batch: int, size: int, std: float, rng: Generator) -> Tensor:
    """Random smooth phase in radians, (batch, size, size): any constant, bent like those of coils and B0."""
    constant = uniform(-math.pi, math.pi, (batch, 1, 1), rng)
    slow = smooth_field(batch, size, 3, rng) * uniform(0, std, (batch, 1, 1), rng)
    fast = smooth_field(batch, size, 6, rng) * uniform(0, std / 3, (batch, 1, 1), rng)
    return constant + slow + fast


def random_complex(image: Tensor, aug: Augmentation, rng: Generator) -> Tensor:
    """Give magnitudes (B, 1, n, n) what raw data have: smooth phase, residue of the coil combination, noise.

    Returns
    -------
    (B, 2, n, n) : x e^(i phase) (1 + e) + noise. The residue e is smooth and complex, as sum_c conj(m'_c) m_c - 1 is
    where the estimated coil maps m' differ from the true ones; noise is in ``noisy_fraction`` of the images.
    """
    batch, size = len(image), aug.size
    phase = smooth_phase(batch, size, aug.phase, rng)
    amount = uniform(0, aug.residue, (batch, 1, 1), rng)
    residue = 1 + amount * torch.complex(smooth_field(batch, size, 8, rng), smooth_field(batch, size, 8, rng))
    x = torch.view_as_real(torch.polar(image[:, 0], phase) * residue).movedim(-1, 1)
    noisy = torch.rand((batch, 1, 1, 1), generator=rng, device=rng.device) < aug.noisy_fraction
    level = uniform(0, aug.noise, (batch, 1, 1, 1), rng) * noisy
    return x + level * torch.randn(x.shape, generator=rng, device=rng.device)


def random_views(slices: Tensor, aug: Augmentation, rng: Generator) -> Tensor:
    """Draw one augmented view of each slice.

    Parameters
    ----------
    slices : (B, 1, n, n) float, magnitudes with the ``REFERENCE_QUANTILE`` at one.
    aug : ranges.
    rng : the generator of every draw.

    Returns
    -------
    (B, 2, size, size) float: real and imaginary part. The imaginary part of a *real* image is exactly zero, which
    is how the network knows one; a *complex* image is made by ``random_complex``.
    """
    batch, source = slices.shape[0], slices.shape[-1]
    whole = torch.rand(batch, generator=rng, device=rng.device) < aug.whole_fraction
    grid = random_grid(batch, source, whole, aug, rng)
    coarse = whole & (source >= 1.5 * aug.size)
    half = F.avg_pool2d(slices, 2)  # a view at half resolution is sampled from the half image, or it would alias
    views = [
        F.grid_sample((half if coarse[b] else slices)[b : b + 1], grid[b : b + 1], mode="bicubic", align_corners=False)
        for b in range(batch)
    ]
    image = torch.cat(views).clamp(min=0)
    gamma = uniform(math.log(aug.gamma[0]), math.log(aug.gamma[1]), (batch, 1, 1, 1), rng).exp()
    level = uniform(math.log(aug.intensity[0]), math.log(aug.intensity[1]), (batch, 1, 1, 1), rng).exp()
    image = level * image.pow(gamma)
    is_complex = torch.rand(batch, generator=rng, device=rng.device) < aug.complex_fraction
    real = torch.cat([image, torch.zeros_like(image)], dim=1)
    return torch.where(is_complex[:, None, None, None], random_complex(image, aug, rng), real)


def noise_for(images: Tensor, rng: Generator) -> Tensor:
    """Unit white noise in every channel of a complex image; none in the imaginary part of a real one."""
    noise = torch.randn(images.shape, generator=rng, device=rng.device)
    is_real = (images[:, 1:] == 0).flatten(1).all(dim=1)
    noise[is_real, 1:] = 0
    return noise
