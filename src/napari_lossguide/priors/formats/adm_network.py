"""The U-Net of guided-diffusion ("ADM"), made from the names and shapes of its weights.

Dhariwal & Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", arXiv 2105.05233, section 3 and appendix; the
names of the parameters are those of the published checkpoints. Widths, depths, levels, the places of attention and the
kind of every block follow from the shapes; how attention is split into heads does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_lossguide.priors.formats.adm_outline import Outline

GROUPS = 32  # of every GroupNorm


def time_features(t: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of a time (B,) at frequencies 1 ... 1e-4 -> (B, width)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
    angle = t[:, None].float() * frequencies
    return F.pad(torch.cat([angle.cos(), angle.sin()], dim=1), (0, width % 2))


class ADMBlock(nn.Module):
    """Residual block with the time as shift, or scale and shift, of its second norm; ``change`` is "", up or down."""

    def __init__(self, n_in: int, n_out: int, n_emb: int, *, scaled: bool, change: str = "") -> None:
        super().__init__()
        self.scaled, self.change = scaled, change
        self.in_layers = nn.Sequential(nn.GroupNorm(GROUPS, n_in), nn.SiLU(), nn.Conv2d(n_in, n_out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(n_emb, (1 + scaled) * n_out))
        out = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.out_layers = nn.Sequential(nn.GroupNorm(GROUPS, n_out), nn.SiLU(), nn.Identity(), out)
        self.skip_connection = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Features (B, n_in, ny, nx) and time (B, n_emb) -> (B, n_out, ny', nx')."""
        norm, silu, conv = self.in_layers
        h = silu(norm(x))
        if self.change:
            h, x = resize(h, self.change), resize(x, self.change)
        h = conv(h)
        e = self.emb_layers(emb)[:, :, None, None]
        if not self.scaled:
            return self.skip_connection(x) + self.out_layers(h + e)
        scale, shift = e.chunk(2, dim=1)
        return self.skip_connection(x) + self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)


def resize(x: Tensor, change: str) -> Tensor:
    """Half the resolution by averages, or twice by repetition."""
    return F.avg_pool2d(x, 2) if change == "down" else F.interpolate(x, scale_factor=2, mode="nearest")


class ADMAttention(nn.Module):
    """Residual self-attention over all positions.

    Parameters
    ----------
    n, heads : channels and heads.
    new_order : the channels of ``qkv`` are ordered by query, key, value, then by head; else the other way round.
    """

    def __init__(self, n: int, heads: int, *, new_order: bool) -> None:
        super().__init__()
        self.heads, self.new_order = heads, new_order
        self.norm = nn.GroupNorm(GROUPS, n)
        self.qkv = nn.Conv1d(n, 3 * n, 1)
        self.proj_out = nn.Conv1d(n, n, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, ny, nx) -> same shape."""
        flat = x.flatten(2)
        b, c, positions = flat.shape
        qkv = self.qkv(self.norm(flat))
        if self.new_order:
            q, k, v = qkv.reshape(b, 3, self.heads, c // self.heads, positions).unbind(1)
        else:
            q, k, v = qkv.reshape(b, self.heads, 3, c // self.heads, positions).unbind(2)
        a = F.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT.reshape(b, c, positions)
        return (flat + self.proj_out(a)).reshape(x.shape)


class Resample(nn.Module):
    """A convolution of stride 2, or one after a doubling."""

    def __init__(self, n: int, change: str) -> None:
        super().__init__()
        self.change = change
        if change == "down":
            self.op = nn.Conv2d(n, n, 3, stride=2, padding=1)
        else:
            self.conv = nn.Conv2d(n, n, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, ny, nx) -> (B, n, ny', nx')."""
        return self.op(x) if self.change == "down" else self.conv(resize(x, "up"))


class Stage(nn.Sequential):
    """Layers of one place, of which some take the time."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Features and time (B, n_emb) -> features."""
        for layer in self:
            x = layer(x, emb) if isinstance(layer, ADMBlock) else layer(x)
        return x


class ADMNetwork(nn.Module):
    """F(u, t).

    Parameters
    ----------
    shapes : of the weights, by name.
    num_heads, num_head_channels : heads of every attention, or the channels of a head (it wins).
    new_order : see ``ADMAttention``.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], num_heads: int = 1, num_head_channels: int = -1, *, new_order: bool
    ) -> None:
        super().__init__()
        self.shapes, self.heads = shapes, (num_heads, num_head_channels, new_order)
        outline = Outline(shapes)
        n_emb, self.width = shapes["time_embed.0.weight"]
        self.time_embed = nn.Sequential(nn.Linear(self.width, n_emb), nn.SiLU(), nn.Linear(n_emb, n_emb))
        total = outline.levels * (outline.blocks + 1)
        self.input_blocks = nn.ModuleList(
            self.stage(f"input_blocks.{i}", "down" if outline.falls(i) else "") for i in range(total)
        )
        self.middle_block = self.stage("middle_block", "")
        self.output_blocks = nn.ModuleList(
            self.stage(f"output_blocks.{i}", "up" if outline.rises(i) else "") for i in range(total)
        )
        n_out, n = shapes["out.2.weight"][:2]
        self.out = nn.Sequential(nn.GroupNorm(GROUPS, n), nn.SiLU(), nn.Conv2d(n, n_out, 3, padding=1))

    def stage(self, place: str, change: str) -> Stage:
        """The layers whose weights have names under ``place``; its last residual block makes the change."""
        numbers = sorted({int(k[len(place) + 1 :].split(".")[0]) for k in self.shapes if k.startswith(f"{place}.")})
        last = numbers[-1]
        return Stage(*(self.layer(f"{place}.{i}", change if i == last else "") for i in numbers))

    def layer(self, name: str, change: str) -> nn.Module:
        """One layer from its shapes."""
        heads, per_head, new_order = self.heads
        if (qkv := self.shapes.get(f"{name}.qkv.weight")) is not None:
            n = qkv[1]
            return ADMAttention(n, n // per_head if per_head > 0 else heads, new_order=new_order)
        if (conv := self.shapes.get(f"{name}.in_layers.2.weight")) is not None:
            n_out, n_in = conv[:2]
            n_time, n_emb = self.shapes[f"{name}.emb_layers.1.weight"]
            return ADMBlock(n_in, n_out, n_emb, scaled=n_time == 2 * n_out, change=change)
        for key, direction in (("op", "down"), ("conv", "up")):
            if (conv := self.shapes.get(f"{name}.{key}.weight")) is not None:
                return Resample(conv[0], direction)
        n_out, n_in = self.shapes[f"{name}.weight"][:2]
        return nn.Conv2d(n_in, n_out, 3, padding=1)

    def forward(self, u: Tensor, t: Tensor) -> Tensor:
        """Evaluate F: u (B, channels, ny, nx), t (B,) -> (B, n_out, ny, nx)."""
        emb = self.time_embed(time_features(t, self.width))
        h, skips = u, []
        for stage in self.input_blocks:
            h = stage(h, emb)
            skips.append(h)
        h = self.middle_block(h, emb)
        for stage in self.output_blocks:
            h = stage(torch.cat([h, skips.pop()], dim=1), emb)
        return self.out(h)
