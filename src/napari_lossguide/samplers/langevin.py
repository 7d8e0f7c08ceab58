"""Annealed Langevin dynamics: several steps at every noise level.

Song & Ermon 2019, arXiv 1907.05600, algorithm 1; for MRI Jalal et al. 2021, "Robust Compressed Sensing MRI with Deep
Generative Priors", arXiv 2108.01368, eq. 5. With score s = (x0_hat - x) / sigma^2 and a = step sigma^2:

    x <- x + a s + sqrt(2 a) z.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.types import Step

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Noise


class LangevinParams(BaseModel):
    """Knobs of the steps at one level."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    step: float = Field(
        0.02,
        gt=0,
        le=1,
        title="Step",
        description="Size of a step over the square of the noise level, no unit: the published 0.02 wants thousands of "
        "evaluations; larger is quicker and less exact.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.005, 1.0]},
    )
    repeats: int = Field(
        3, ge=1, le=100, title="Steps per level", description="Steps at each noise level, an evaluation each."
    )


class LangevinSampler:
    """Walks down a path of sigmas."""

    Params = LangevinParams
    takes = frozenset({"state", "estimate", "gradient"})
    from_state = True

    @staticmethod
    def evaluations(params: LangevinParams, falls: int, ends: int = 1) -> int:
        """Each step's, and one at each end."""
        return params.repeats * falls + ends

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[LangevinParams, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """See ``path.Sampler``. At the end comes the estimate of one more evaluation (Tweedie)."""
        nfe = 0
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            a = own.step * sigma**2
            for _ in range(own.repeats):
                x = guide.correct_state(x, sigma, theirs)
                _, x0 = guide.estimate(denoise, x, sigma, theirs)
                x = x + own.step * (x0 - x) + math.sqrt(2 * a) * noise()
            nfe += own.repeats
            if sigma_next == 0:
                _, x0 = guide.estimate(denoise, x, sigma, theirs)
                x, nfe = x0, nfe + 1
            x = guide.correct_next(x, sigma, sigma_next, theirs)
            yield Step(i, len(sigmas) - 1, sigma, x, x0, nfe, {"sampler.step": own.step})
