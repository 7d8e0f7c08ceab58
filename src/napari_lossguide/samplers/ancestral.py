"""Ancestral sampling, the reverse chain of a DDPM.

Ho, Jain & Abbeel 2020, arXiv 2006.11239, algorithm 2, in variance-exploding units:

    x' = D + (sigma'^2 / sigma^2) (x - D) + s z,

with s^2 = (sigma^2 - sigma'^2)(1 + sigma'^2)/(1 + sigma^2) ("beta", the DDPM's larger variance, which the thesis uses;
seen from the variance-preserving state) or s^2 = sigma'^2 (sigma^2 - sigma'^2)/sigma^2 ("posterior"). The last step
adds no noise.
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


class AncestralParams(BaseModel):
    """Knobs of the ancestral step."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    variance: Literal["beta", "posterior"] = Field(
        "beta",
        title="Noise variance",
        description="'beta' is the DDPM's larger variance, which the thesis uses; "
        "'posterior' the smaller one, right when the image is known.",
    )


class AncestralSampler:
    """Walks down a path of sigmas."""

    Params = AncestralParams
    takes = frozenset({"state", "estimate", "gradient", "noise", "next"})
    from_state = True

    @staticmethod
    def evaluations(params: AncestralParams, falls: int, ends: int = 1) -> int:
        """One a level."""
        return falls

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[AncestralParams, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """See ``path.Sampler``."""
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            x = guide.correct_state(x, sigma, theirs)
            s2 = sigma**2 - sigma_next**2
            s2 *= (1 + sigma_next**2) / (1 + sigma**2) if own.variance == "beta" else sigma_next**2 / sigma**2
            fresh = math.sqrt(s2) if sigma_next > 0 else 0.0
            guide.expect_fresh(fresh)
            _, x0 = guide.estimate(denoise, x, sigma, theirs)
            x = x0 + (sigma_next / sigma) ** 2 * (x - x0)
            if sigma_next > 0:
                x = x + guide.shape_noise(noise(), fresh, theirs)
            x = guide.correct_next(x, sigma, sigma_next, theirs)
            yield Step(i, len(sigmas) - 1, sigma, x, x0, i + 1, {})
