"""Heun's second-order steps along the probability flow, or Euler's; with churn if asked for.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv 2206.00364, algorithm 2:

    sigma^ = (1 + gamma) sigma,   x^ = x + sqrt(sigma^^2 - sigma^2) z,   gamma = min(S_churn / n, sqrt(2) - 1)
    e = (x^ - x0_hat) / sigma^,   x' = x^ + (sigma' - sigma^) e                      (Euler)
    e' = (x' - x0_hat') / sigma', x' = x^ + (sigma' - sigma^) (e + e') / 2           (Heun, unless sigma' = 0)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.types import Step

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Noise


class HeunParams(BaseModel):
    """Knobs of the deterministic steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    order: Literal["heun", "euler"] = Field(
        "heun",
        title="Order",
        description="'heun' looks at the end of each step too, at the price of a second network evaluation; 'euler' "
        "does not.",
    )
    churn: float = Field(
        0.0,
        ge=0,
        le=1000,
        title="Churn",
        description="Noise added and taken away again over the whole path, S_churn of the paper, no unit; 0: none.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.0, 80.0]},
    )


class HeunSampler:
    """Walks down a path of sigmas."""

    Params = HeunParams
    takes = frozenset({"state", "estimate", "gradient"})
    from_state = True

    @staticmethod
    def evaluations(params: HeunParams, falls: int, ends: int = 1) -> int:
        """Two a level for Heun, but for the last of each way down to 0."""
        return 2 * falls - ends if params.order == "heun" else falls

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[HeunParams, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """See ``path.Sampler``."""
        n, nfe = len(sigmas) - 1, 0
        for i, (start, sigma_next) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            sigma = (1 + min(own.churn / n, math.sqrt(2) - 1)) * start
            if sigma > start:
                x = x + math.sqrt(sigma**2 - start**2) * noise()
            x = guide.correct_state(x, sigma, theirs)
            _, x0 = guide.estimate(denoise, x, sigma, theirs)
            slope, nfe = (x - x0) / sigma, nfe + 1
            if own.order == "heun" and sigma_next > 0:
                end = x + (sigma_next - sigma) * slope
                _, x0_end = guide.estimate(denoise, end, sigma_next, theirs)
                slope, nfe = (slope + (end - x0_end) / sigma_next) / 2, nfe + 1
            x = x + (sigma_next - sigma) * slope
            x = guide.correct_next(x, sigma, sigma_next, theirs)
            yield Step(i, n, sigma, x, x0, nfe, {"sampler.churn": own.churn})
