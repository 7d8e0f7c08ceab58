"""The bundled network F: a residual U-Net on pixel-unshuffled images.

The layout follows the residual U-Nets of Ho et al. 2020 (DDPM) and Dhariwal & Nichol 2021 (scale-shift norm), with a
space-to-depth stem as in Hoogeboom et al. 2023 ("simple diffusion"): the full-resolution level, where CPUs
spend most of their time, is gone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8  # groups of every GroupNorm


class FourierFeatures(nn.Module):
    """Random Fourier features of the noise label, as in Song et al. 2021 (arXiv 2011.13456, appendix C.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # A fixed geometric set of frequencies instead of a random one: nothing here then depends on a generator.
        self.register_buffer("frequencies", 2 * math.pi * torch.logspace(-2, 1, width // 2), persistent=False)

    def forward(self, c_noise: Tensor) -> Tensor:
        """(B,) -> (B, width)."""
        angle = c_noise[:, None] * self.frequencies
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class ResidualBlock(nn.Module):
    """norm-silu-conv twice, with the noise embedding as scale and shift of the second norm."""

    def __init__(self, n_in: int, n_out: int, n_emb: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.embed = nn.Linear(n_emb, 2 * n_out)
        self.norm2 = nn.GroupNorm(GROUPS, n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        """Features (B, n_in, ny, nx) and noise embedding (B, n_emb) -> (B, n_out, ny, nx)."""
        scale, shift = self.embed(emb)[:, :, None, None].chunk(2, dim=1)
        r = self.conv1(F.silu(self.norm1(h)))
        r = self.conv2(F.silu(self.norm2(r) * (1 + scale) + shift))
        return self.skip(h) + r


class SelfAttention(nn.Module):
    """Residual multi-head self-attention over all positions of the coarsest level."""

    def __init__(self, n: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, n)
        self.qkv = nn.Conv2d(n, 3 * n, 1)
        self.out = nn.Conv2d(n, n, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor) -> Tensor:
        """(B, n, ny, nx) -> same shape."""
        b, c, ny, nx = h.shape
        q, k, v = self.qkv(self.norm(h)).reshape(b, 3, self.heads, c // self.heads, ny * nx).transpose(-1, -2).unbind(1)
        a = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(b, c, ny, nx)
        return h + self.out(a)


class UNet(nn.Module):
    """Raw network F(c_in x; c_noise) of the EDM parameterisation.

    Parameters
    ----------
    channels : image channels in and out (2: real and imaginary part).
    widths : feature channels of each level, finest (half resolution) first; each a multiple of 8.
    blocks : residual blocks of each level on the way down; one more on the way up.
    heads : attention heads at the coarsest level.
    """

    def __init__(
        self, channels: int = 2, widths: tuple[int, ...] = (64, 96, 128, 192), blocks: int = 1, heads: int = 4
    ):
        super().__init__()
        self.config = {"channels": channels, "widths": list(widths), "blocks": blocks, "heads": heads}
        self._stride = 2 ** len(widths)
        n_emb = 4 * widths[0]
        self.label = nn.Sequential(
            FourierFeatures(widths[0]), nn.Linear(widths[0], n_emb), nn.SiLU(), nn.Linear(n_emb, n_emb), nn.SiLU()
        )
        self.stem = nn.Conv2d(4 * channels, widths[0], 3, padding=1)

        n, skips = widths[0], [widths[0]]
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            if level > 0:
                self.down.append(nn.Conv2d(n, n, 3, stride=2, padding=1))
                skips.append(n)
            for _ in range(blocks):
                self.down.append(ResidualBlock(n, width, n_emb))
                n = width
                skips.append(n)

        self.middle1, self.attention, self.middle2 = (
            ResidualBlock(n, n, n_emb),
            SelfAttention(n, heads),
            ResidualBlock(n, n, n_emb),
        )

        self.up = nn.ModuleList()
        for level in reversed(range(len(widths))):
            for _ in range(blocks + 1):
                self.up.append(ResidualBlock(n + skips.pop(), widths[level], n_emb))
                n = widths[level]
            if level > 0:
                self.up.append(nn.Upsample(scale_factor=2, mode="nearest"))

        self.norm = nn.GroupNorm(GROUPS, n)
        self.head = nn.Conv2d(n, 4 * channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def stride(self) -> int:
        """Image sides must be multiples of this inside the network."""
        return self._stride

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """Evaluate F.

        Parameters
        ----------
        x : (B, channels, ny, nx) float, any ny and nx of at least ``stride``; sides that ``stride`` does not divide are
            padded by reflection inside, so that the noise in the margin has the statistics of the rest.
        c_noise : (B,) float, ln(sigma) / 4.

        Returns
        -------
        (B, channels, ny, nx) float.
        """
        ny, nx = x.shape[-2:]
        py, px = -ny % self.stride, -nx % self.stride
        if py or px:
            x = F.pad(x, (px // 2, px - px // 2, py // 2, py - py // 2), mode="reflect")
        emb = self.label(c_noise)
        h = self.stem(F.pixel_unshuffle(x, 2))
        skips = [h]
        for layer in self.down:
            h = layer(h, emb) if isinstance(layer, ResidualBlock) else layer(h)
            skips.append(h)
        h = self.middle2(self.attention(self.middle1(h, emb)), emb)
        for layer in self.up:
            h = layer(torch.cat([h, skips.pop()], dim=1), emb) if isinstance(layer, ResidualBlock) else layer(h)
        f = F.pixel_shuffle(self.head(F.silu(self.norm(h))), 2)
        return f[..., py // 2 : py // 2 + ny, px // 2 : px // 2 + nx]
