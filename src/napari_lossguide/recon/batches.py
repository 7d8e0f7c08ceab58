"""What goes through the network together: samples of a slice, and slices of a stack where that pays.

A GPU is idle most of the time while it denoises one image; a CPU is not, and there slices that go together only delay
the first result. No image depends on what else is in its batch, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, cast

import torch

from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.types import Problem

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.recon.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """The same samples of one or several slices, slice by slice: image ``j P + p`` is sample p of slice j.

    Attributes
    ----------
    slices : from 0.
    samples : their numbers, from 0.
    """

    slices: tuple[int, ...]
    samples: range

    @property
    def draws(self) -> list[tuple[int, int]]:
        """(slice, sample) of every image."""
        return [(index, p) for index in self.slices for p in self.samples]

    def rows(self, index: int) -> slice:
        """Where the images of a slice are."""
        first = self.slices.index(index) * len(self.samples)
        return slice(first, first + len(self.samples))

    def without(self, failed: Iterable[int]) -> Batch:
        """What is left of it when some slices are not."""
        gone = set(failed)
        return Batch(tuple(index for index in self.slices if index not in gone), self.samples)

    def halves(self) -> tuple[Batch, Batch]:
        """Half of its slices and the others; of a single slice, half of the samples and the others."""
        if len(self.slices) > 1:
            middle = len(self.slices) // 2
            return Batch(self.slices[:middle], self.samples), Batch(self.slices[middle:], self.samples)
        middle = len(self.samples) // 2
        return Batch(self.slices, self.samples[:middle]), Batch(self.slices, self.samples[middle:])


def slices_at_once(recipe: Recipe, slices: int, device: torch.device) -> int:
    """How many slices of so many go through the network together, at most; see ``Recipe.slices``.

    Whole slices only: as many as ``batch`` holds with all their samples, so that a slice ends with its batch.
    Where changes of knobs are replayed that were written down without a word on the slices, their steps were counted
    in a run of one slice after another.
    """
    together = recipe.slices == "together" or (
        recipe.slices == "auto" and device.type in ("cuda", "mps") and not recipe.changes
    )
    return min(slices, max(1, recipe.batch // recipe.samples)) if together else 1


def groups(kinds: Sequence[object], most: int) -> list[tuple[int, ...]]:
    """Slices in order, in groups of one kind with so many at most.

    Parameters
    ----------
    kinds : of each slice; slices whose linear systems are solved in different ways cannot share a batch.
    most : slices of a group.
    """
    out = []
    for _, members in groupby(range(len(kinds)), key=lambda index: kinds[index]):
        alike = list(members)
        out += [tuple(alike[i : i + most]) for i in range(0, len(alike), most)]
    return out


def joined(problems: Sequence[Problem], repeats: int) -> Problem:
    """The problem of several slices of one scan with so many images each; one slice is its own problem.

    Parameters
    ----------
    problems : of the slices, with the same mask and region.
    repeats : images of each slice, one after another.
    """
    first = problems[0]
    if len(problems) == 1:
        return first
    assert all(isinstance(problem.A, CartesianSense) for problem in problems)
    models = cast("list[CartesianSense]", [problem.A for problem in problems])
    maps = torch.stack([A.maps for A in models]).repeat_interleave(repeats, 0)
    y = torch.cat([problem.y for problem in problems]).repeat_interleave(repeats, 0)

    def each(values: Sequence[float | Tensor]) -> Tensor:
        numbers = torch.tensor([float(v) for v in values], dtype=torch.float64)
        return numbers.repeat_interleave(repeats).reshape(-1, 1, 1)

    noise = [problem.noise_std for problem in problems]
    return Problem(
        y,
        CartesianSense(models[0].mask, maps),
        each(noise) if any(noise) else 0.0,
        each([problem.scale for problem in problems]),
        first.real,
        first.n_measured,
        first.region,
    )
