"""Variational sampling: an optimiser moves one image, the denoiser regularises it at every noise level in turn.

Mardani et al. 2023, "A Variational Perspective on Solving Inverse Problems with Diffusion Models" (RED-diff), arXiv
2305.04391, algorithm 1. With z fresh noise and e = (mu + sigma z - D(mu + sigma z; sigma)) / sigma, Adam follows

    grad = -(pull of the guidance at mu) + weight sigma (e - z).

It looks for one image: samples differ by the optimiser's noise, not by what is uncertain.
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

BETAS = 0.9, 0.99


class RedDiffParams(BaseModel):
    """Knobs of the optimiser."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weight: float = Field(
        0.25,
        ge=0,
        le=100,
        title="Weight of the prior",
        description="Of the denoiser's pull against that of the data, times the noise level, no unit.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.01, 10.0]},
    )
    learning_rate: float = Field(
        0.1,
        gt=0,
        le=1,
        title="Learning rate",
        description="Of Adam, in units of the scaled image: about how far a pixel moves in one step.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.001, 0.5]},
    )


class RedDiffSampler:
    """Visits the levels of a path, the largest first."""

    Params = RedDiffParams
    takes = frozenset({"estimate"})
    from_state = False

    @staticmethod
    def evaluations(params: RedDiffParams, falls: int, ends: int = 1) -> int:
        """One a level."""
        return falls

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[RedDiffParams, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """See ``path.Sampler``; the start is what the guidance makes of an empty image, the state is the image."""
        zero = x * 0
        mu = guide.correct_estimate(zero, zero, sigmas[0], knobs(0)[1])
        first, second = zero, zero.abs() * 0  # Adam's moments; of a complex image the second is of its modulus
        for i, (sigma, _) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            z = noise()
            noisy = mu + sigma * z
            e = (noisy - denoise(noisy, sigma)) / sigma
            gradient = mu - guide.correct_estimate(mu, noisy, sigma, theirs) + own.weight * sigma * (e - z)
            first = BETAS[0] * first + (1 - BETAS[0]) * gradient
            second = BETAS[1] * second + (1 - BETAS[1]) * gradient.abs() ** 2
            size = (second / (1 - BETAS[1] ** (i + 1))).sqrt() + 1e-8
            mu = mu - own.learning_rate * first / (1 - BETAS[0] ** (i + 1)) / size
            params = {"sampler.weight": own.weight, "sampler.learning_rate": own.learning_rate}
            yield Step(i, len(sigmas) - 1, sigma, mu, mu, i + 1, params)
