"""EDM preconditioning: from a raw network F to a denoiser D(x; sigma).

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv 2206.00364, table 1.
"""

from __future__ import annotations

from torch import Tensor, nn


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
