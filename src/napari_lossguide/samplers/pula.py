"""Preconditioned unadjusted Langevin steps at every noise level; the guidance preconditions them by the data term.

"Annealed preconditioned Langevin for MRI", arXiv 2512.05791, as in BART's `sample`. Data and prior are followed with
one matrix step, so that a step may be large in every direction; see ``guidance.preconditioned``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.types import Step

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Noise


class PulaParams(BaseModel):
    """Knobs of the steps at one level."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    step: float = Field(
        0.5,
        gt=0,
        lt=2,
        title="Step γ",
        description="In units of the preconditioner, no unit: 1 replaces the image by a draw around its estimate, "
        "2 is the limit of stability.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.05, 1.5]},
    )
    repeats: int = Field(
        1, ge=1, le=100, title="Steps per level", description="Steps at each noise level, an evaluation each."
    )


class PulaSampler:
    """Walks down a path of sigmas."""

    Params = PulaParams
    takes = frozenset({"langevin"})
    from_state = True

    @staticmethod
    def evaluations(params: PulaParams, falls: int, ends: int = 1) -> int:
        """Each step's, and one at each end."""
        return params.repeats * falls + ends

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[PulaParams, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """See ``path.Sampler``. At the end comes the estimate of one more evaluation (Tweedie)."""
        nfe = 0
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            for _ in range(own.repeats):
                x0 = denoise(x, sigma)
                x = guide.langevin(x, x0, sigma, own.step, theirs)
            nfe += own.repeats
            if sigma_next == 0:
                x = x0 = denoise(x, sigma)
                nfe += 1
            yield Step(i, len(sigmas) - 1, sigma, x, x0, nfe, {"sampler.step": own.step})
