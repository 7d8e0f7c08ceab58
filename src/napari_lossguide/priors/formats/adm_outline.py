"""Levels and blocks of guided-diffusion's U-Net from the names of its weights, without torch."""

from __future__ import annotations

from collections.abc import Mapping


class Outline:
    """Levels and blocks, as the names of the weights tell them.

    Attributes
    ----------
    blocks : of each level on the way down.
    levels : resolutions.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = shapes
        count = 1 + max(int(k.split(".")[1]) for k in shapes if k.startswith("output_blocks."))
        ups = [i for i in range(count) if self.rises(i)]
        self.blocks = ups[0] if ups else count - 1
        self.levels = len(ups) + 1

    def rises(self, i: int) -> bool:
        """Whether output block ``i`` ends with a doubling: a convolution, or a second residual block."""
        layers = {tuple(k.split(".")[2:4]) for k in self.shapes if k.startswith(f"output_blocks.{i}.")}
        parts = [part for _, part in layers]
        return "conv" in parts or parts.count("in_layers") > 1

    def falls(self, i: int) -> bool:
        """Whether input block ``i`` halves the resolution."""
        return i > 0 and i % (self.blocks + 1) == 0
