"""DDIM-eta: estimate, correct, re-noise.

Song, Meng & Ermon 2021, "Denoising Diffusion Implicit Models", arXiv 2010.02502, eq. 12, in variance-exploding units:

    x' = x0_hat + sigma' ( sqrt(1 - eta^2) e + eta z ),    e = (x - D) / sigma  or  (x - x0_hat) / sigma.
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


class DDIMParams(BaseModel):
    """Knobs of the DDIM step."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    eta: float = Field(
        1.0,
        ge=0,
        le=1,
        title="Stochasticity η",
        description="Share of fresh noise in each step, no unit: 1 draws all of it anew, 0 is deterministic.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.0, 1.0]},
    )
    direction: Literal["network", "estimate"] = Field(
        "estimate",
        title="Noise direction",
        description="Where the noise that is kept comes from: what the network removed (DDS), or what lies between "
        "the state and the estimate after the data correction (DiffPIR). Without effect at η = 1.",
    )


class DDIMSampler:
    """Walks down a path of sigmas."""

    Params = DDIMParams

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[DDIMParams, Any]],
        noise: Callable[[], Tensor],
    ) -> Iterator[Step]:
        """Yield after every level.

        Parameters
        ----------
        denoise : D(x; sigma).
        guide : a guidance, with ``correct_state(x, sigma, params)`` and
            ``correct_estimate(d, x, sigma, params)``, d = D(x; sigma).
        x : state at ``sigmas[0]``, (B, ny, nx) real or complex.
        sigmas : n + 1 decreasing levels, the last one 0.
        knobs : called once a step with its index: the sampler's and the guidance's parameters as they are now.
        noise : unit noise of the state's shape and kind.
        """
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            x = guide.correct_state(x, sigma, theirs)
            d = denoise(x, sigma)
            x0 = guide.correct_estimate(d, x, sigma, theirs)
            e = (x - (d if own.direction == "network" else x0)) / sigma
            x = x0 + sigma_next * (math.sqrt(1 - own.eta**2) * e + own.eta * noise())
            yield Step(i, len(sigmas) - 1, sigma, x, x0, i + 1, {"sampler.eta": own.eta})
