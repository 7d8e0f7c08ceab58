"""The network of low noise levels: plain residual convolutions at half resolution, without going any coarser.

Where little noise is left, all that a pixel's estimate depends on is near it, and a U-Net spends most of its weights on
what is far. The layout is FFDNet's (Zhang, Zuo & Zhang 2018, arXiv 1710.04026): space to depth by 2, then convolutions
of one width; here with residual blocks, and with the noise level as scale and shift instead of a noise map.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from napari_lossguide.priors.network import FourierFeatures


class LocalBlock(nn.Module):
    """conv-silu-conv around a skip; the noise embedding scales and shifts between the two."""

    def __init__(self, n: int, n_emb: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n, n, 3, padding=1)
        self.embed = nn.Linear(n_emb, 2 * n)
        self.conv2 = nn.Conv2d(n, n, 3, padding=1)
        nn.init.zeros_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        """Features (B, n, ny, nx) and noise embedding (B, n_emb) -> (B, n, ny, nx)."""
        scale, shift = self.embed(emb)[:, :, None, None].chunk(2, dim=1)
        return h + self.conv2(F.silu(self.conv1(h) * (1 + scale) + shift))


class LocalNet(nn.Module):
    """Raw network F(c_in x; c_noise) of the EDM parameterisation, for low noise.

    Parameters
    ----------
    channels : image channels in and out (2: real and imaginary part).
    width : feature channels.
    blocks : residual blocks; the receptive field is 4 blocks + 6 half-resolution pixels wide.
    """

    def __init__(self, channels: int = 2, width: int = 48, blocks: int = 7) -> None:
        super().__init__()
        self.config = {"channels": channels, "width": width, "blocks": blocks}
        self.label = nn.Sequential(FourierFeatures(width), nn.Linear(width, width), nn.SiLU())
        self.stem = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(LocalBlock(width, width) for _ in range(blocks))
        self.head = nn.Conv2d(width, 4 * channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """(B, channels, ny, nx) and ln(sigma)/4 (B,) -> (B, channels, ny, nx); odd sides are reflected inside."""
        ny, nx = x.shape[-2:]
        x = F.pad(x, (0, nx % 2, 0, ny % 2), mode="reflect") if nx % 2 or ny % 2 else x
        emb = self.label(c_noise)
        h = self.stem(F.pixel_unshuffle(x, 2))
        for block in self.blocks:
            h = block(h, emb)
        return F.pixel_shuffle(self.head(F.silu(h)), 2)[..., :ny, :nx]
