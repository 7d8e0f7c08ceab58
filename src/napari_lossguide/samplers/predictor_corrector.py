"""Predictor-corrector sampling of the variance-exploding SDE.

Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", arXiv 2011.13456,
algorithms 2 and 4; with score s = (x0_hat - x) / sigma^2:

    corrector:  x <- x + eps s + sqrt(2 eps) z,    eps = 2 (snr |z| / |s|)^2
    predictor:  x' = x + (sigma^2 - sigma'^2) s + sqrt(sigma^2 - sigma'^2) z      (reverse diffusion)

The last predictor, to sigma' = 0, adds no noise: it is Tweedie's formula. Norms are each image's own.
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


class PredictorCorrectorParams(BaseModel):
    """Knobs of the corrector."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    snr: float = Field(
        0.16,
        gt=0,
        le=2,
        title="Corrector's ratio",
        description="Signal-to-noise ratio of the corrector's step, r in the paper, no unit: larger steps mix more.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.01, 1.0]},
    )
    corrections: int = Field(
        1, ge=0, le=20, title="Corrections", description="Langevin steps at each noise level, an evaluation each."
    )


class PredictorCorrectorSampler:
    """Walks down a path of sigmas."""

    Params = PredictorCorrectorParams
    takes = frozenset({"state", "estimate", "gradient"})
    from_state = True

    @staticmethod
    def evaluations(params: PredictorCorrectorParams, falls: int, ends: int = 1) -> int:
        """One a level, and one a correction."""
        return (params.corrections + 1) * falls

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[PredictorCorrectorParams, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """See ``path.Sampler``."""
        nfe = 0

        def score(x: Tensor, sigma: float, theirs: Any) -> tuple[Tensor, Tensor, Tensor]:
            x = guide.correct_state(x, sigma, theirs)
            _, x0 = guide.estimate(denoise, x, sigma, theirs)
            return x, x0, (x0 - x) / sigma**2

        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            for _ in range(own.corrections):
                x, _, s = score(x, sigma, theirs)
                z = noise()
                eps = 2 * (own.snr * norm(z) / norm(s).clamp(min=1e-12)) ** 2
                x = x + eps * s + (2 * eps).sqrt() * z
            x, x0, s = score(x, sigma, theirs)
            change = sigma**2 - sigma_next**2
            x = x + change * s
            if sigma_next > 0:
                x = x + math.sqrt(change) * noise()
            x = guide.correct_next(x, sigma, sigma_next, theirs)
            nfe += own.corrections + 1
            yield Step(i, len(sigmas) - 1, sigma, x, x0, nfe, {"sampler.snr": own.snr})


def norm(x: Tensor) -> Tensor:
    """Euclidean norm of each image, (B, 1, 1)."""
    return x.abs().square().sum((-2, -1), keepdim=True).sqrt()
