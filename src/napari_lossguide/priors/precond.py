"""From a raw network F to a denoiser D(x; sigma), whatever F was trained to predict.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv 2206.00364, table 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

PREDICTIONS = ("epsilon", "v", "x0")


class EDMPrecond(nn.Module):
    """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise).

    Parameters
    ----------
    network : F(x, c_noise) on (B, channels, ny, nx).
    sigma_data : standard deviation of one channel of the training images.
    """

    def __init__(self, network: nn.Module, sigma_data: float) -> None:
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise x (B, channels, ny, nx) at noise levels sigma (B,), the standard deviation of each channel."""
        s, s_d = sigma[:, None, None, None], self.sigma_data
        c_skip = s_d**2 / (s**2 + s_d**2)
        c_out = s * s_d / (s**2 + s_d**2).sqrt()
        c_in = 1 / (s**2 + s_d**2).sqrt()
        c_noise = sigma.log() / 4
        return c_skip * x + c_out * self.network(c_in * x, c_noise).float()


def edm_weight(sigma: Tensor, sigma_data: float) -> Tensor:
    """lambda(sigma) = 1 / c_out^2, which makes the loss of every noise level equal at the start of training."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


class DDPMPrecond(nn.Module):
    """D(x; sigma) from a network that was trained on u = sqrt(abar) x0 + sqrt(1 - abar) z.

    With abar = 1 / (1 + sigma^2), u = x / sqrt(1 + sigma^2). The network's time of a noise level is found by
    interpolating ln sigma_t, sigma_t = sqrt((1 - abar_t) / abar_t).

    Parameters
    ----------
    network : F(u, t), u (B, channels, ny, nx), t (B,) float.
    times, sigmas : times of the training and their noise levels, both rising.
    prediction : what F estimates: epsilon = z (Ho et al. 2020, arXiv 2006.11239), v = sqrt(abar) z - sqrt(1 - abar) x0
        (Salimans & Ho 2022, arXiv 2202.00512, appendix D) or x0.
    """

    def __init__(self, network: nn.Module, times: ArrayLike, sigmas: ArrayLike, prediction: str) -> None:
        super().__init__()
        self.network = network
        self.prediction = prediction
        self.register_buffer("times", torch.as_tensor(times, dtype=torch.float32), persistent=False)
        self.register_buffer("log_sigmas", torch.as_tensor(sigmas, dtype=torch.float64).log().float(), persistent=False)

    def time(self, sigma: Tensor) -> Tensor:
        """Times (B,) of noise levels (B,); those beyond the schedule get its first or last."""
        level = sigma.log()
        k = torch.searchsorted(self.log_sigmas, level).clamp(1, len(self.log_sigmas) - 1)
        below, above = self.log_sigmas[k - 1], self.log_sigmas[k]
        part = ((level - below) / (above - below)).clamp(0, 1)
        return self.times[k - 1] + part * (self.times[k] - self.times[k - 1])

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise x (B, channels, ny, nx) at noise levels sigma (B,), the standard deviation of each channel."""
        s = sigma[:, None, None, None]
        c_in = 1 / (1 + s**2).sqrt()
        f = self.network(c_in * x, self.time(sigma)).float()
        if self.prediction == "x0":
            return f
        if self.prediction == "v":
            return c_in**2 * x - s * c_in * f
        return x - s * f


class ScorePrecond(nn.Module):
    """D(x; sigma) = x + sigma^2 s(x, sigma), by Tweedie's formula, from a network of variance-exploding noise.

    Parameters
    ----------
    score : s(x, sigma), the gradient of ln p of the noisy images.
    """

    def __init__(self, score: nn.Module) -> None:
        super().__init__()
        self.score = score

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise x (B, channels, ny, nx) at noise levels sigma (B,), the standard deviation of each channel."""
        return x + sigma[:, None, None, None] ** 2 * self.score(x, sigma).float()


class Call(nn.Module):
    """A network behind a function of it: how it is called, and what of its output is taken.

    Parameters
    ----------
    network : any module.
    call : (network, x, t) -> output.
    """

    def __init__(self, network: nn.Module, call: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.call = call

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Output for x (B, channels, ny, nx) and t (B,)."""
        return self.call(self.network, x, t)
