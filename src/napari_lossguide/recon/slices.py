"""The slices of a scan as problems, each made when its turn comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_lossguide.data.kdata import KData
from napari_lossguide.operators.cartesian_sense import uniform
from napari_lossguide.recon.batches import Batch, joined
from napari_lossguide.recon.classical import classical_steps
from napari_lossguide.recon.problem import data_residual, make_problem
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput, Problem

MapsOf = Callable[[KData, int, int, Literal["espirit", "walsh"]], NDArray[np.complex64]]


class Slices:
    """What is known of each slice before it is reconstructed.

    Parameters
    ----------
    kdata : undersampled k-space.
    recipe : with its kind of image filled in.
    given : complex64 (slice, coil, ny, nx) maps; None: ``maps_of`` makes them.
    maps_of : (k-space, slice, side of the calibration square, estimator) -> maps (coil, ny, nx).
    region : bool (ny, nx) that a person drew.
    device : where to compute.

    Attributes
    ----------
    maps : complex64 (slice, coil, ny, nx); zero for slices whose turn has not come, as is ``zero_filled``.
    zero_filled : complex64 (slice, ny, nx), A^H y on the input's scale.
    problems : by slice.
    starts : images (1, ny, nx) that a warm start begins from, by slice.
    """

    def __init__(
        self,
        kdata: KData,
        recipe: Recipe,
        given: NDArray[np.complex64] | None,
        maps_of: MapsOf,
        region: NDArray[np.bool_] | None,
        device: torch.device,
    ) -> None:
        self.kdata, self.recipe, self.given, self.maps_of = kdata, recipe, given, maps_of
        self.region, self.device = region, device
        self.maps = np.zeros(kdata.kspace.shape, np.complex64)
        self.zero_filled = np.zeros((kdata.n_slices, *kdata.image_shape), np.complex64)
        self.problems: dict[int, Problem] = {}
        self.starts: dict[int, Tensor] = {}

    def kinds(self) -> list[bool]:
        """Whether one uniform coil saw each slice, or would have; other systems are solved in another way."""
        if self.given is None or self.kdata.n_coils > 1:
            return [True] * self.kdata.n_slices
        return [uniform(torch.tensor(maps)) for maps in self.given]

    def prepare(self, index: int, checkpoint: Callable[[], None]) -> None:
        """Make the problem of a slice, and what it starts from.

        Raises
        ------
        InvalidInput
            If its data do not do.
        """
        if index in self.kdata.missing:
            raise InvalidInput(
                f"Slice {index} of {self.kdata.name} is missing: it is NaN, as slices are that failed before."
            )
        if self.given is None:
            maps = self.maps_of(self.kdata, index, self.recipe.calibration, self.recipe.coil_maps)
        else:
            maps = self.given[index]
        problem = make_problem(
            self.kdata,
            index,
            maps,
            real=self.recipe.image == "real",
            noise_std=self.recipe.noise_std,
            device=self.device,
            region=self.region,
        )
        self.maps[index] = maps
        self.zero_filled[index] = problem.A.adjoint(problem.y)[0].cpu().numpy() * problem.scale
        self.problems[index] = problem
        if self.recipe.start != "noise":
            for step in classical_steps(problem, Recipe.for_method(self.recipe.start)):
                checkpoint()
                self.starts[index] = step.x0

    def problem(self, batch: Batch) -> Problem:
        """That of a batch."""
        return joined([self.problems[index] for index in batch.slices], len(batch.samples))

    def start(self, batch: Batch) -> Tensor | None:
        """Images (B, ny, nx) that a warm start begins from; None without one."""
        starts = [self.starts[index] for index in batch.slices if index in self.starts]
        return torch.cat(starts).repeat_interleave(len(batch.samples), 0) if starts else None

    def scale(self, index: int) -> float:
        """Units of the input per unit of a slice's problem; NaN where there is none."""
        return float(self.problems[index].scale) if index in self.problems else math.nan

    def noise_std(self) -> float:
        """Noise level on the input's scale, mean over slices."""
        levels = [float(p.noise_std) * float(p.scale) for p in self.problems.values()]
        return float(np.mean(levels)) if levels else math.nan

    def residual(self, image: NDArray[np.complex64], failed: Collection[int]) -> float:
        """Root mean square of the residuals of the slices that have an image, of complex64 (slice, ny, nx)."""
        values = []
        for index, problem in self.problems.items():
            if index in failed:
                continue
            x = torch.from_numpy(image[index : index + 1] / np.float32(self.scale(index))).to(self.device)
            values.append(data_residual(problem, x)[0] ** 2)
        return float(np.sqrt(np.mean(values))) if values else math.nan
