"""Masks of whole lines. Each function draws which of n lines are acquired; `as_lines` makes the (ny, nx) mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from pydantic import Field

from napari_lossguide.masks.params import LineParams, budget, centre, weighted_choice

Params = TypeVar("Params", bound=LineParams)


class ThesisParams(LineParams):
    """Lines as the thesis draws them."""

    acceleration: float = Field(
        4.0,
        ge=1,
        le=64,
        title="Acceleration outside the centre",
        description="1 / acceleration of the lines outside the centre are acquired, so the whole is accelerated less.",
    )
    center_fraction: float = Field(
        0.1,
        ge=0,
        le=1,
        title="Centre fraction",
        description="The fully sampled centre, as a fraction of all lines, rounded down to an even number.",
    )


class GaussianLineParams(LineParams):
    """Lines with a Gaussian density."""

    width: float = Field(
        0.15,
        ge=0.01,
        le=2,
        title="Width",
        description="Standard deviation of the density, as a fraction of the number of lines.",
    )


def random_lines(n: int, params: LineParams) -> np.ndarray:
    """The centre, and every other line with the probability that gives the acceleration on average.

    fastMRI's `RandomMaskFunc` (Zbontar et al. 2018, arXiv 1811.08839, section 6): round(n center_fraction) lines in
    the centre.
    """
    lines = np.zeros(n, bool)
    in_centre = round(n * params.center_fraction)
    probability = budget(n, in_centre, params) / max(n - in_centre, 1)
    lines[np.random.default_rng(params.seed).uniform(size=n) < probability] = True
    lines[centre(n, in_centre)] = True
    return lines


def equispaced_lines(n: int, params: LineParams) -> np.ndarray:
    """The centre, and lines at equal distances from a random offset.

    fastMRI's `EquispacedMaskFractionFunc`: the distance is widened so that the whole, centre included, has the asked
    acceleration: distance = (n - n_centre) / (n / acceleration - n_centre).
    """
    lines = np.zeros(n, bool)
    in_centre = round(n * params.center_fraction)
    lines[centre(n, in_centre)] = True
    left = budget(n, in_centre, params)
    if left > 0:
        distance = (n - in_centre) / left
        offset = np.random.default_rng(params.seed).uniform(0, distance)
        lines[np.arange(offset, n, distance).astype(int).clip(max=n - 1)] = True
    return lines


def thesis_lines(n: int, params: ThesisParams) -> np.ndarray:
    """The centre, and exactly 1 / acceleration of the *other* lines, drawn at random.

    The centre reaches floor(n center_fraction / 2) lines to either side, and the number of the others is rounded
    down: at n = 128, (0.10, 4), (0.07, 8) and (0.04, 16) keep 41, 23 and 11 lines, that is 3.12, 5.57 and 11.64.
    """
    lines = np.zeros(n, bool)
    half = int(n * params.center_fraction / 2)
    lines[n // 2 - half : n // 2 + half] = True
    others = np.flatnonzero(~lines)
    drawn = np.random.default_rng(params.seed).permutation(others)
    lines[drawn[: int(len(others) / params.acceleration)]] = True
    return lines


def gaussian_lines(n: int, params: GaussianLineParams) -> np.ndarray:
    """The centre, and other lines with a Gaussian density: exactly round(n / acceleration) in all."""
    lines = np.zeros(n, bool)
    in_centre = round(n * params.center_fraction)
    lines[centre(n, in_centre)] = True
    count = round(budget(n, in_centre, params))
    log_density = -0.5 * ((np.arange(n) - n // 2) / (params.width * n)) ** 2
    log_density[lines] = -np.inf
    lines[weighted_choice(log_density, count, np.random.default_rng(params.seed))] = True
    return lines


def as_lines(draw: Callable[[int, Params], np.ndarray]) -> Callable[[tuple[int, int], Params], np.ndarray]:
    """Turn a function that draws lines into one that makes a mask (ny, nx)."""

    def mask(shape: tuple[int, int], params: Params) -> np.ndarray:
        ny, nx = shape
        if params.axis == "x":
            return np.repeat(draw(nx, params)[None, :], ny, axis=0)
        return np.repeat(draw(ny, params)[:, None], nx, axis=1)

    return mask
