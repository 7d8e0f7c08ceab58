"""The losses of the estimate that a recipe can name: total variation, a range of magnitudes, a region's residual."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Problem

Loss = Callable[["Tensor"], "Tensor"]
"""Images (B, ny, nx) of the problem's units -> the loss of each, (B,)."""

EDGE = 0.02  # gradients of the image below this are smoothed quadratically by total variation


class LossTerm(BaseModel):
    """One further loss, as a recipe keeps it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["tv", "range", "region"] = Field(
        title="Loss",
        description="'tv' smooths and keeps edges; 'range' keeps magnitudes between low and high; 'region' weights the "
        "data inside a region more.",
    )
    weight: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        title="Weight",
        description="No unit; 1 is as strong as the prior is where it is unsure by one, 0 is as without the loss.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.01, 100.0]},
    )
    low: float = Field(0.0, ge=0, title="Low", description="Least magnitude, in units of the scaled image.")
    high: float = Field(1.5, gt=0, title="High", description="Greatest magnitude, in units of the scaled image.")

    @model_validator(mode="after")
    def check_order(self) -> LossTerm:
        """Low is below high."""
        if self.low >= self.high:
            raise ValueError(f"low = {self.low} must be less than high = {self.high}.")
        return self

    def loss(self, problem: Problem) -> Loss:
        """The function, of this problem; the weight is left out, since it may change during a run."""
        if self.kind == "tv":
            return total_variation
        if self.kind == "range":
            return lambda x: outside(x, self.low, self.high)
        if problem.region is None:
            raise InvalidInput("The loss 'region' needs a region: a mask of the image's size.")
        return lambda x: region_residual(x, problem)


def total_variation(x: Tensor) -> Tensor:
    """Sum over pixels of sqrt(|gradient|^2 + EDGE^2), circular, (B,); Rudin, Osher & Fatemi 1992."""
    dy, dx = x.roll(-1, -2) - x, x.roll(-1, -1) - x
    return (dy.abs().square() + dx.abs().square() + EDGE**2).sqrt().sum((-2, -1))


def outside(x: Tensor, low: float, high: float) -> Tensor:
    """Half the squared distance of magnitudes from [low, high], summed over pixels, (B,)."""
    size = (x.abs().square() + 1e-12).sqrt()
    return 0.5 * ((low - size).clamp(min=0).square() + (size - high).clamp(min=0).square()).sum((-2, -1))


def region_residual(x: Tensor, problem: Problem) -> Tensor:
    """Half of |A^H (y - A x)|^2 inside the region, (B,)."""
    r = problem.A.adjoint(problem.y - problem.A.forward(x))
    return 0.5 * (problem.region * r.abs().square()).sum((-2, -1))
