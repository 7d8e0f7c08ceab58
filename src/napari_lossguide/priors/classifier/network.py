"""The network of a noise-conditional classifier: the encoder half of the prior's U-Net, pooled, with linear heads.

Dhariwal & Nichol 2021, arXiv 2105.05233, section 4 and appendix H: a classifier for guidance is the down-sampling trunk
of the diffusion model, told the noise level like it. Names and shapes are those of ``network.UNet``, so that the
weights of a prior can be the start. What is pooled is the mean and the spread of every level over all positions: any
size of image will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_lossguide.priors.network import FourierFeatures, ResidualBlock

DEGREE = 4  # of the polynomials in the logarithm of the noise level


class HalfUNet(nn.Module):
    """Logits of several questions about a noisy image.

    Normalisation is by groups within an image: nothing depends on the rest of a batch.

    Parameters
    ----------
    heads : number of answers of each question, by its name.
    sigma_data : standard deviation of one channel of the training images.
    channels : image channels (2: real and imaginary part).
    widths : feature channels of each level, finest (half resolution) first; each a multiple of 8.
    hidden : features that the heads see.
    """

    def __init__(
        self,
        heads: Mapping[str, int],
        sigma_data: float,
        channels: int = 2,
        widths: Sequence[int] = (64, 96, 128),
        hidden: int = 96,
    ) -> None:
        super().__init__()
        self.config = {
            "heads": dict(heads),
            "sigma_data": sigma_data,
            "channels": channels,
            "widths": list(widths),
            "hidden": hidden,
        }
        self.sigma_data, self.stride = sigma_data, 2 ** len(widths)
        n_emb = 4 * widths[0]
        self.label = nn.Sequential(
            FourierFeatures(widths[0]), nn.Linear(widths[0], n_emb), nn.SiLU(), nn.Linear(n_emb, n_emb), nn.SiLU()
        )
        self.stem = nn.Conv2d(4 * channels, widths[0], 3, padding=1)
        n = widths[0]
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            if level > 0:
                self.down.append(nn.Conv2d(n, n, 3, stride=2, padding=1))
            self.down.append(ResidualBlock(n, width, n_emb))
            n = width
        # Of the pooled features over training images, as polynomials in the noise level, which changes them far more
        # than what an image shows: mean, and logarithm of the deviation from it.
        self.register_buffer("center", torch.zeros(DEGREE + 1, 2 * sum(widths)))
        self.register_buffer("width", torch.zeros(DEGREE + 1, 2 * sum(widths)))
        self.mix = nn.Linear(2 * sum(widths), hidden)
        self.embed = nn.Linear(DEGREE + 1, 2 * hidden)
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, answers) for name, answers in heads.items()})

    def forward(self, x: Tensor, sigma: Tensor) -> dict[str, Tensor]:
        """Evaluate.

        Parameters
        ----------
        x : (B, channels, ny, nx) float, x0 + sigma z; sides that ``stride`` does not divide are padded by reflection.
        sigma : (B,) noise levels.

        Returns
        -------
        (B, answers) logits of each question.
        """
        return self.decide(self.pooled(x, sigma), sigma)

    def decide(self, pooled: Tensor, sigma: Tensor) -> dict[str, Tensor]:
        """Logits from pooled features (B, 2 sum(widths)) at noise levels (B,)."""
        # Smooth in sigma: the prior's embedding of it tells neighbouring levels apart, which a small training fits to.
        t = powers(sigma)
        scale, shift = self.embed(t).chunk(2, dim=1)
        h = F.silu(self.mix((pooled - t @ self.center) / (t @ self.width).exp()) * (1 + scale) + shift)
        return {name: head(h) for name, head in self.heads.items()}

    def pooled(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Mean and spread of the features of every level over all positions, (B, 2 sum(widths))."""
        ny, nx = x.shape[-2:]
        py, px = -ny % self.stride, -nx % self.stride
        if py or px:
            x = F.pad(x, (px // 2, px - px // 2, py // 2, py - py // 2), mode="reflect")
        x = x / (sigma**2 + self.sigma_data**2).sqrt()[:, None, None, None]
        emb = self.label(sigma.log() / 4)
        h, pooled = self.stem(F.pixel_unshuffle(x, 2)), []
        for layer in self.down:
            if isinstance(layer, ResidualBlock):
                h = layer(h, emb)
                pooled.append(mean_and_spread(h))
            else:
                h = layer(h)
        return torch.cat(pooled, dim=1)


def powers(sigma: Tensor) -> Tensor:
    """Powers 0 ... ``DEGREE`` of ln(sigma)/4, clipped to the levels that are trained on, (B, DEGREE + 1)."""
    t = (sigma.log() / 4).clamp(-1.25, 0.6)
    return torch.stack([t**k for k in range(DEGREE + 1)], dim=1)


def mean_and_spread(h: Tensor) -> Tensor:
    """(B, n, ny, nx) -> (B, 2 n): mean and standard deviation over positions."""
    return torch.cat([h.mean((-2, -1)), (h.var((-2, -1), correction=0) + 1e-4).sqrt()], dim=1)
