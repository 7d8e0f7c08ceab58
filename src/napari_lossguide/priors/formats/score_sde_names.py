"""From the numbered modules of score_sde's NCSN++ to the named ones of EDM's SongUNet, by their shapes alone.

score_sde keeps all layers in one list in the order in which they run; layers without weights leave a gap. A residual
block that changes the resolution has a 1 x 1 convolution (``Conv_2``) though its channels stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_lossguide.types import InvalidInput

BLOCK = {
    "GroupNorm_0": "norm0",
    "Conv_0": "conv0",
    "Dense_0": "affine",
    "GroupNorm_1": "norm1",
    "Conv_1": "conv1",
    "Conv_2": "skip",
}
Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class Plan:
    """What becomes of every weight.

    Attributes
    ----------
    names : our name -> theirs.
    attention : our block -> their attention, whose four matrices are put together in another way.
    filters : our names of the low-pass filters.
    fir : the filter is [1, 3, 3, 1], else [1, 1], as far as the kind of network tells.
    """

    names: dict[str, str] = field(default_factory=dict)
    attention: dict[str, str] = field(default_factory=dict)
    filters: list[str] = field(default_factory=list)
    fir: bool = False


def kinds(shapes: Shapes) -> list[tuple[str, str]]:
    """All layers with weights in order: (name, kind)."""
    places: dict[int, set[str]] = {}
    for key in shapes:
        if key.startswith("all_modules."):
            _, number, rest = key.split(".", 2)
            places.setdefault(int(number), set()).add(rest)
    return [(f"all_modules.{i}", kind_of(f"all_modules.{i}", parts, shapes)) for i, parts in sorted(places.items())]


def kind_of(name: str, parts: set[str], shapes: Shapes) -> str:
    """What a layer is."""
    if "Conv_1.weight" in parts:
        n_out, n_in = shapes[f"{name}.Conv_0.weight"][:2]
        return "change" if n_in == n_out and "Conv_2.weight" in parts else "block"
    known = {"W": "fourier", "NIN_3.W": "attention", "Conv.weight": "combine", "Conv2d_0.weight": "pyramid"}
    for part, kind in known.items():
        if part in parts:
            return kind
    return {1: "norm", 2: "linear", 4: "conv"}.get(len(shapes.get(f"{name}.weight", ())), "other")


def is_fourier(shapes: Shapes) -> bool:
    """Whether the noise level comes as random Fourier features, as for VE."""
    return "all_modules.0.W" in shapes


def level_count(shapes: Shapes) -> int:
    """Resolutions: as many as halvings, and one more."""
    return sum(kind == "change" for _, kind in kinds(shapes)) // 2 + 1


class Walk:
    """Takes the layers one after another.

    Parameters
    ----------
    shapes : of all weights.
    """

    def __init__(self, shapes: Shapes) -> None:
        self.shapes, self.left, self.plan = shapes, kinds(shapes), Plan()

    def next_is(self, kind: str) -> bool:
        """Whether the next layer is of this kind."""
        return bool(self.left) and self.left[0][1] == kind

    def take(self, kind: str, ours: str) -> str:
        """The next layer, which must be of this kind; its weights get our name. Returns its own."""
        if not self.next_is(kind):
            raise ValueError(f"a {kind} was expected before {self.left[0] if self.left else 'the end'}")
        name, _ = self.left.pop(0)
        if kind in ("linear", "conv", "norm", "combine", "pyramid"):
            inner = {"combine": "Conv.", "pyramid": "Conv2d_0."}.get(kind, "")
            self.plan.names |= {f"{ours}.{p}": f"{name}.{inner}{p}" for p in ("weight", "bias")}
        return name

    def block(self, ours: str, *, change: bool = False) -> None:
        """A residual block, and the attention after it, if there is one."""
        name = self.take("change" if change else "block", ours)
        for theirs, part in BLOCK.items():
            for p in ("weight", "bias"):
                if f"{name}.{theirs}.{p}" in self.shapes:
                    self.plan.names[f"{ours}.{part}.{p}"] = f"{name}.{theirs}.{p}"
        if change:
            self.plan.filters += [f"{ours}.conv0.resample_filter", f"{ours}.skip.resample_filter"]

    def attend(self, ours: str) -> None:
        """Attention, which is part of the block before it, if there is one."""
        if self.next_is("attention"):
            name = self.take("attention", ours)
            self.plan.attention[ours] = name
            self.plan.names |= {f"{ours}.norm2.{p}": f"{name}.GroupNorm_0.{p}" for p in ("weight", "bias")}

    def embedding(self) -> None:
        """The noise level."""
        if self.next_is("fourier"):
            self.plan.names["map_noise.freqs"] = self.take("fourier", "") + ".W"
            self.plan.fir = True
        self.take("linear", "map_layer0")
        self.take("linear", "map_layer1")

    def encoder(self, levels: int, blocks: int) -> None:
        """The way down."""
        self.take("conv", f"enc.{side(levels, 0)}_conv")
        for level in range(levels):
            place = f"enc.{side(levels, level)}"
            if level:
                self.block(f"{place}_down", change=True)
                if self.next_is("combine"):
                    self.take("combine", f"{place}_aux_skip")
                    self.plan.filters.append(f"{place}_aux_down.resample_filter")
                    self.plan.fir = True
                elif self.next_is("pyramid"):
                    self.take("pyramid", f"{place}_aux_residual")
                    self.plan.filters.append(f"{place}_aux_residual.resample_filter")
                    self.plan.fir = True
            for k in range(blocks):
                self.block(f"{place}_block{k}")
                self.attend(f"{place}_block{k}")

    def decoder(self, levels: int, blocks: int) -> None:
        """The middle, and the way up."""
        for level in reversed(range(levels)):
            place = f"dec.{side(levels, level)}"
            if level == levels - 1:
                self.block(f"{place}_in0")
                self.attend(f"{place}_in0")
                self.block(f"{place}_in1")
            else:
                self.block(f"{place}_up", change=True)
            for k in range(blocks + 1):
                self.block(f"{place}_block{k}")
            self.attend(f"{place}_block{blocks}")
            if self.next_is("norm"):
                self.take("norm", f"{place}_aux_norm")
                self.take("conv", f"{place}_aux_conv")
                if level < levels - 1 and f"dec.{side(levels, levels - 1)}_aux_norm.weight" in self.plan.names:
                    self.plan.filters.append(f"{place}_aux_up.resample_filter")


def side(levels: int, level: int) -> str:
    """A resolution as EDM names it; only the order counts."""
    n = 2 ** (levels - level + 1)
    return f"{n}x{n}"


def edm_names(shapes: Shapes, path: Path) -> Plan:
    """What becomes of every weight.

    Raises
    ------
    InvalidInput
        If the network is of another kind.
    """
    walk = Walk(shapes)
    levels = level_count(shapes)
    # L n blocks on the way down, two in the middle, L (n + 1) on the way up.
    blocks = (sum(kind == "block" for _, kind in walk.left) - 2 - levels) // (2 * levels)
    try:
        walk.embedding()
        walk.encoder(levels, blocks)
        walk.decoder(levels, blocks)
        if walk.left:
            raise ValueError(f"{walk.left[0]} is left over")
    except ValueError as error:
        raise InvalidInput(
            f"{path} is not an NCSN++ or DDPM++ of continuous time as they are read here ({error}); "
            "see docs/own_models.md."
        ) from error
    return walk.plan
