"""Decoupled annealing: each step solves the probability flow to its end, draws a clean image, and noises it anew.

Zhang et al. 2024, "Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing" (DAPS), algorithm 1,
arXiv 2407.01521: x0_hat from a few Euler steps of the unconditional flow, x0 ~ p(x0 | x0_hat, y) from the guidance, and
x' = x0 + sigma' z. Errors of early steps are forgotten instead of carried along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.samplers.schedules import KarrasSchedule
from napari_lossguide.types import Step

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Noise


class DecoupledParams(BaseModel):
    """Knobs of the flow."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    flow_steps: int = Field(
        5,
        ge=1,
        le=100,
        title="Flow steps",
        description="Euler steps from each noise level to the clean image, an evaluation each; 1 is the denoiser.",
    )


class DecoupledSampler:
    """Walks down a path of sigmas."""

    Params = DecoupledParams
    takes = frozenset({"estimate", "noise"})
    from_state = True

    @staticmethod
    def evaluations(params: DecoupledParams, falls: int, ends: int = 1) -> int:
        """Those of the flow at each level."""
        return params.flow_steps * falls

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[DecoupledParams, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """See ``path.Sampler``."""
        nfe = 0
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            guide.expect_fresh(sigma_next)
            x0 = guide.correct_estimate(flow(denoise, x, sigma, own.flow_steps), x, sigma, theirs)
            x = x0 + guide.shape_noise(noise(), sigma_next, theirs) if sigma_next > 0 else x0
            x = guide.correct_next(x, sigma, sigma_next, theirs)
            nfe += own.flow_steps
            yield Step(i, len(sigmas) - 1, sigma, x, x0, nfe, {})


def flow(denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, steps: int) -> Tensor:
    """The end of the probability flow from x at level sigma, by so many Euler steps."""
    path = KarrasSchedule.model_construct(steps=steps, sigma_max=sigma, sigma_min=min(0.01, sigma / 2), rho=7.0)
    for now, after in pairwise(path.levels()):
        x = x + (after / now - 1) * (x - denoise(x, now))
    return x
