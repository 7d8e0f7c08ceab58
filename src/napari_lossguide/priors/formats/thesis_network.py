"""The U-Net of L. Peer's thesis on loss-guided MRI reconstruction, with the names of its checkpoints.

After Ronneberger et al. 2015, "U-Net", arXiv 1505.04597: batch norm after every convolution, maxima on the way down,
transposed convolutions on the way up, the time added between the two convolutions of every block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Unit(nn.Sequential):
    """Convolution, batch norm, activation."""

    def __init__(self, conv: nn.Module, n: int, activation: str) -> None:
        super().__init__(conv, nn.BatchNorm2d(n), getattr(nn, activation)())


def same(n_in: int, n_out: int, kernel: int) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)


class Block(nn.Module):
    """Two units with the time added after the first; ``scale`` comes after them (down) or before them (up)."""

    def __init__(self, n_in: int, n: int, n_time: int, kernel: int, activation: str) -> None:
        super().__init__()
        self.time_embedding_fc = nn.Linear(n_time, n)
        self.conv1 = Unit(same(n_in, n, kernel), n, activation)
        self.conv2 = Unit(same(n, n, kernel), n, activation)

    def units(self, x: Tensor, time: Tensor) -> Tensor:
        """Features (B, n_in, ny, nx) and time (B, n_time) -> (B, n, ny, nx)."""
        return self.conv2(self.conv1(x) + self.time_embedding_fc(time)[:, :, None, None])


class Encode(Block):
    """A level on the way down."""

    def __init__(self, n_in: int, n: int, n_time: int, kernel: int, activation: str) -> None:
        super().__init__(n_in, n, n_time, kernel, activation)
        self.scale = nn.MaxPool2d(2)


class Decode(Block):
    """A level on the way up."""

    def __init__(self, n_in: int, n: int, n_time: int, kernel: int, activation: str) -> None:
        super().__init__(2 * n, n, n_time, kernel, activation)
        self.scale = Unit(nn.ConvTranspose2d(n_in, n, 2, stride=2), n, activation)


class ThesisNetwork(nn.Module):
    """F(u, t).

    Parameters
    ----------
    channels : of the image.
    width : features of the first level; every further one has twice as many.
    levels : halvings of the resolution.
    n_time : features of the time.
    kernel : side of the convolutions.
    activation : name in ``torch.nn``.
    """

    def __init__(
        self, channels: int, width: int, levels: int, n_time: int, kernel: int = 3, activation: str = "SiLU"
    ) -> None:
        super().__init__()
        self.n_time = n_time
        widths = [width * 2**k for k in range(levels)]
        self.in_conv = Unit(same(channels, width, kernel), width, activation)
        self.encoder = nn.ModuleList(
            Encode(n_in, n, n_time, kernel, activation) for n_in, n in zip([width, *widths], widths, strict=False)
        )
        n, wide = widths[-1], 2 * widths[-1]
        first, second = Unit(same(n, wide, kernel), wide, activation), Unit(same(wide, wide, kernel), wide, activation)
        # Positions 3 and 7 were dropout, which has no weights and does nothing after training.
        self.bottleneck = nn.Sequential(*first, nn.Identity(), *second, nn.Identity())
        self.decoder = nn.ModuleList(Decode(2 * n, n, n_time, kernel, activation) for n in reversed(widths))
        self.out_conv = same(width, channels, kernel)

    def time_features(self, t: Tensor) -> Tensor:
        """Sines and cosines in turn (Vaswani et al. 2017, section 3.5), (B,) -> (B, n_time)."""
        step = -math.log(10000.0) / self.n_time
        angle = t[:, None] * torch.exp(step * torch.arange(0, self.n_time, 2, device=t.device))
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)

    def forward(self, u: Tensor, t: Tensor) -> Tensor:
        """Evaluate F: u (B, channels, ny, nx), sides multiples of 2^(levels + 1), t (B,) -> same shape as u."""
        time = self.time_features(t)
        h, skips = self.in_conv(u), []
        for level in self.encoder:
            skips.append(level.units(h, time))
            h = level.scale(skips[-1])
        h = self.bottleneck(h)
        for level in self.decoder:
            h = level.units(torch.cat([level.scale(h), skips.pop()], dim=1), time)
        return self.out_conv(h)
