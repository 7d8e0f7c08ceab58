"""Priors whose denoiser is known in closed form: the ground truth of the tests.

x0 ~ sum_k w_k N(mean_k, std_k^2) pixel by pixel gives D(x; sigma) = E[x0 | x] exactly; with one component, and a linear
forward model, the whole posterior is Gaussian and known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_lossguide.types import PriorInfo


def analytic_info(name: str, std: float) -> PriorInfo:
    """Information of a prior that has no limits of its own."""
    return PriorInfo(name, sigma_min=0.0, sigma_max=float("inf"), sigma_data=std, channels=2, divisible_by=1)


class GaussianPrior:
    """x0 ~ N(mean, std^2) in every channel: D = (std^2 x + sigma^2 mean) / (std^2 + sigma^2).

    Parameters
    ----------
    mean : image (ny, nx), real or complex, or a number.
    std : standard deviation per channel, a number or (ny, nx).
    """

    def __init__(self, mean: Tensor | float, std: Tensor | float) -> None:
        self.mean, self.std = mean, std
        self.info = analytic_info("gaussian", float(torch.as_tensor(std).mean()))

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """E[x0 | x] of images (B, ny, nx)."""
        v = self.std**2
        return (v * x + sigma**2 * self.mean) / (v + sigma**2)


class MixturePrior:
    """A mixture of isotropic Gaussians over whole images, the components' images given.

    p(x0) = sum_k w_k N(mean_k, std^2 I); the responsibilities use the whole image, so the posterior has several modes.

    Parameters
    ----------
    means : (K, ny, nx), real or complex.
    weights : (K,), positive.
    std : standard deviation per channel, common to all components.
    """

    def __init__(self, means: Tensor, weights: Tensor, std: float) -> None:
        self.means, self.std = means, std
        p = weights / weights.sum()
        self.log_weights = p.log()
        between = (p[:, None, None] * (means - (p[:, None, None] * means).sum(0)).abs().square()).sum(0).mean()
        channels = 2 if means.is_complex() else 1
        self.info = analytic_info("mixture", float((std**2 + between / channels).sqrt()))

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """E[x0 | x] of images (B, ny, nx)."""
        v, s2 = self.std**2, sigma**2
        distance = (x[:, None] - self.means).abs().square().flatten(2).sum(-1)
        responsibility = (self.log_weights - distance / (2 * (v + s2))).softmax(dim=1)
        mean = (responsibility.to(self.means.dtype)[:, :, None, None] * self.means).sum(1)
        return (v * x + s2 * mean) / (v + s2)
