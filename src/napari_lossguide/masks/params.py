"""Parameters that several kinds of mask share. Forms, options and checks are made from these fields."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.types import InvalidInput


class MaskParams(BaseModel):
    """No parameters; the base of all."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PointParams(MaskParams):
    """A mask of single points: both axes are phase-encoded."""

    acceleration: float = Field(
        4.0, ge=1, le=64, title="Acceleration", description="All points divided by the acquired points."
    )
    center_fraction: float = Field(
        0.08,
        ge=0,
        le=1,
        title="Centre fraction",
        description="The fully sampled centre (calibration region), as a fraction of each axis.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Mask seed", description="The same seed gives the same mask.")


class LineParams(MaskParams):
    """A mask of whole lines: one axis is phase-encoded."""

    acceleration: float = Field(
        4.0, ge=1, le=64, title="Acceleration", description="All lines divided by the acquired lines."
    )
    center_fraction: float = Field(
        0.08,
        ge=0,
        le=1,
        title="Centre fraction",
        description="The fully sampled centre (calibration lines), as a fraction of all lines.",
    )
    axis: Literal["x", "y"] = Field(
        "x", title="Phase encoding", description="x: columns are skipped; y: rows are skipped."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Mask seed", description="The same seed gives the same mask.")


def centre(n: int, width: int) -> slice:
    """The middle `width` of n indices; holds the centre of k-space, n // 2, if width is at least 1."""
    start = (n - width + 1) // 2
    return slice(start, start + width)


def budget(total: int, in_centre: int, params: PointParams | LineParams) -> float:
    """How many of `total` lines or points the acceleration leaves outside the centre.

    Raises
    ------
    InvalidInput
        If the centre alone is more than the acceleration allows.
    """
    left = total / params.acceleration - in_centre
    # Half a line of slack: the centre is rounded to whole lines.
    if left < -0.5:
        raise InvalidInput(
            f"center_fraction {params.center_fraction:g} alone keeps {in_centre} of {total}, but acceleration "
            f"{params.acceleration:g} allows only {total / params.acceleration:.4g}; lower one of them."
        )
    return max(left, 0.0)


def weighted_choice(log_weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Flat indices of `count` different entries, drawn one after another with these weights.

    Adding Gumbel noise to the logarithms and taking the largest is the same draw (Efraimidis and Spirakis 2006) and
    stays right where the weights themselves would underflow. Weight 0 is -inf.
    """
    keys = (log_weights + rng.gumbel(size=log_weights.shape)).ravel()
    keys[np.isneginf(log_weights).ravel()] = -np.inf
    return np.argpartition(keys, keys.size - count)[keys.size - count :] if count else np.empty(0, int)
