"""The U-Nets of EDM (DDPM++, NCSN++ and ADM), made from the names and shapes of their weights.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv 2206.00364, appendix F.
DDPM++ and NCSN++ are those of Song et al. 2021 (arXiv 2011.13456, appendix H), ADM that of Dhariwal & Nichol 2021. The
names of the parameters are those of EDM's and of InverseBench's checkpoints.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLACE = re.compile(r"(enc|dec)\.(\d+)x\d+_(\w+)\.")
# The order of the layers of one resolution.
ORDER = ("conv", "down", "in0", "in1", "up", "aux_down", "aux_skip", "aux_residual", "block", "aux_up", "aux_norm")
HEAD = 64  # channels of a head in ADM


def group_norm(n: int, eps: float) -> nn.GroupNorm:
    """Groups of at least four channels, at most 32 groups."""
    return nn.GroupNorm(min(32, n // 4), n, eps=eps)


class FilteredConv(nn.Module):
    """A convolution with a low-pass filter before a doubling or halving; without weights only the filter.

    Parameters
    ----------
    shapes, name : of its weights.
    change : "up", "down" or "".
    fused : the filter comes after the convolution instead.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], name: str, change: str = "", *, fused: bool = False
    ) -> None:
        super().__init__()
        self.change, self.fused = change, fused
        for key in ("weight", "bias"):
            shape = shapes.get(f"{name}.{key}")
            self.register_parameter(key, None if shape is None else nn.Parameter(torch.zeros(shape)))
        if change:
            self.register_buffer("resample_filter", torch.zeros(shapes[f"{name}.resample_filter"]))

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, ny, nx) -> (B, n_out, ny', nx')."""
        if self.fused:
            margin = self.weight.shape[-1] // 2 + (self.resample_filter.shape[-1] - 1) // 2
            return self.resample(F.conv2d(x, self.weight, self.bias, padding=margin), margin=0)
        if self.change:
            x = self.resample(x, (self.resample_filter.shape[-1] - 1) // 2)
        return x if self.weight is None else F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)

    def resample(self, x: Tensor, margin: int) -> Tensor:
        """Filter every channel, at every second position or between them."""
        n = x.shape[1]
        kernel = self.resample_filter.expand(n, 1, -1, -1)
        if self.change == "up":
            return F.conv_transpose2d(x, 4 * kernel, stride=2, padding=margin, groups=n)
        return F.conv2d(x, kernel, stride=2, padding=margin, groups=n)


class EDMBlock(nn.Module):
    """Residual block with the noise level as shift, or scale and shift, of its second norm, and perhaps attention.

    Parameters
    ----------
    shapes, name : of its weights.
    change : "up", "down" or "".
    song : constants of DDPM++ and NCSN++ (sums scaled by sqrt(1/2), one head), else of ADM.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], name: str, change: str, *, song: bool) -> None:
        super().__init__()
        eps, self.scale = (1e-6, math.sqrt(0.5)) if song else (1e-5, 1.0)
        n, self.n_in = shapes[f"{name}.conv0.weight"][:2]
        n_affine, n_emb = shapes[f"{name}.affine.weight"]
        self.adaptive = n_affine == 2 * n
        self.norm0 = group_norm(self.n_in, eps)
        self.conv0 = FilteredConv(shapes, f"{name}.conv0", change)
        self.affine = nn.Linear(n_emb, n_affine)
        self.norm1 = group_norm(n, eps)
        self.conv1 = FilteredConv(shapes, f"{name}.conv1")
        has_skip = any(k.startswith(f"{name}.skip.") for k in shapes)
        self.skip = FilteredConv(shapes, f"{name}.skip", change) if has_skip else nn.Identity()
        self.heads = 0
        if f"{name}.qkv.weight" in shapes:
            self.heads = 1 if song else n // HEAD
            self.norm2 = group_norm(n, eps)
            self.qkv = FilteredConv(shapes, f"{name}.qkv")
            self.proj = FilteredConv(shapes, f"{name}.proj")

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Features (B, n_in, ny, nx) and noise level (B, n_emb) -> (B, n, ny', nx')."""
        h = self.conv0(F.silu(self.norm0(x)))
        e = self.affine(emb)[:, :, None, None]
        if self.adaptive:
            scale, shift = e.chunk(2, dim=1)
            h = shift + self.norm1(h) * (1 + scale)
        else:
            h = self.norm1(h + e)
        h = (self.skip(x) + self.conv1(F.silu(h))) * self.scale
        return (h + self.attend(h)) * self.scale if self.heads else h

    def attend(self, h: Tensor) -> Tensor:
        """Self-attention over all positions, (B, n, ny, nx) -> same shape."""
        b, c, ny, nx = h.shape
        q, k, v = self.qkv(self.norm2(h)).reshape(b, self.heads, c // self.heads, 3, ny * nx).unbind(3)
        a = F.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT.reshape(b, c, ny, nx)
        return self.proj(a)


class FourierLevels(nn.Module):
    """Random Fourier features of a label, whose frequencies are part of the weights."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.zeros(n))

    def forward(self, label: Tensor) -> Tensor:
        """(B,) -> (B, 2 n), cosines first."""
        angle = label[:, None] * (2 * math.pi * self.freqs)
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class PositionalLevels(nn.Module):
    """Cosines and sines of a label at frequencies 1 ... 1e-4; ``endpoint`` includes the last."""

    def __init__(self, width: int, *, endpoint: bool) -> None:
        super().__init__()
        half = width // 2
        frequencies = 1e-4 ** (torch.arange(half) / (half - endpoint))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, label: Tensor) -> Tensor:
        """(B,) -> (B, width), cosines first."""
        angle = label[:, None] * self.frequencies
        return torch.cat([angle.cos(), angle.sin()], dim=1)


def places(shapes: Mapping[str, tuple[int, ...]], side: str) -> list[str]:
    """Names of the layers of the encoder or decoder in the order in which they run."""

    def order(name: str) -> tuple[int, int, int]:
        resolution, kind = name.split("_", 1)
        size = int(resolution.split("x")[0])
        number = int(kind[5:]) if kind.startswith("block") else 0
        known = "block" if kind.startswith("block") else kind
        rank = ORDER.index(known) if known in ORDER else len(ORDER)  # aux_conv is the last
        return (-size if side == "enc" else size), rank, number

    names = {k.split(".")[1] for k in shapes if (m := PLACE.match(k)) and m[1] == side}
    return sorted(names, key=order)


class EDMNetwork(nn.Module):
    """F(x, c_noise).

    Parameters
    ----------
    shapes : of the weights, by name; those of class and augmentation labels are not used.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.song = song = "out_conv.weight" not in shapes
        n_emb, width = shapes["map_layer0.weight"]
        fourier = shapes.get("map_noise.freqs")
        self.map_noise = FourierLevels(fourier[0]) if fourier else PositionalLevels(width, endpoint=song)
        self.map_layer0, self.map_layer1 = nn.Linear(width, n_emb), nn.Linear(n_emb, n_emb)
        self.enc = nn.ModuleDict({name: self.layer(shapes, "enc", name) for name in places(shapes, "enc")})
        self.dec = nn.ModuleDict({name: self.layer(shapes, "dec", name) for name in places(shapes, "dec")})
        if not song:
            self.out_norm = group_norm(shapes["out_norm.weight"][0], 1e-5)
            self.out_conv = FilteredConv(shapes, "out_conv")

    def layer(self, shapes: Mapping[str, tuple[int, ...]], side: str, name: str) -> nn.Module:
        """One layer from its name and shapes."""
        place, kind = f"{side}.{name}", name.split("_", 1)[1]
        change = kind.removeprefix("aux_")
        if kind == "aux_norm":
            return group_norm(shapes[f"{place}.weight"][0], 1e-6)
        if kind == "aux_residual":
            return FilteredConv(shapes, place, "down", fused=True)
        if kind == "conv" or kind.startswith("aux_"):
            return FilteredConv(shapes, place, change if change in ("up", "down") else "")
        return EDMBlock(shapes, place, change if change in ("up", "down") else "", song=self.song)

    def embed(self, label: Tensor) -> Tensor:
        """Noise label (B,) -> (B, n_emb)."""
        features = self.map_noise(label)
        if self.song:  # its networks have the sines first
            features = torch.cat(features.chunk(2, dim=1)[::-1], dim=1)
        return F.silu(self.map_layer1(F.silu(self.map_layer0(features))))

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """Evaluate F: x (B, channels, ny, nx), c_noise (B,) -> same shape as x."""
        emb = self.embed(c_noise)
        skips: list[Tensor] = []
        aux = h = x
        for name, layer in self.enc.items():
            if name.endswith("aux_down"):
                aux = layer(aux)
            elif name.endswith("aux_skip"):
                h = skips[-1] = h + layer(aux)
            elif name.endswith("aux_residual"):
                h = skips[-1] = aux = (h + layer(aux)) * math.sqrt(0.5)
            else:
                h = layer(h, emb) if isinstance(layer, EDMBlock) else layer(h)
                skips.append(h)
        return self.decode(h, skips, emb)

    def decode(self, h: Tensor, skips: list[Tensor], emb: Tensor) -> Tensor:
        """The way up: features, those kept on the way down, noise level -> the output."""
        image: Tensor | None = None
        normed = h
        for name, layer in self.dec.items():
            if isinstance(layer, EDMBlock):
                if h.shape[1] != layer.n_in:
                    h = torch.cat([h, skips.pop()], dim=1)
                h = layer(h, emb)
            elif name.endswith("aux_norm"):
                normed = F.silu(layer(h))
            elif name.endswith("aux_conv"):
                part = layer(normed)
                image = part if image is None else image + part
            else:
                assert image is not None
                image = layer(image)
        return image if self.song and image is not None else self.out_conv(F.silu(self.out_norm(h)))
