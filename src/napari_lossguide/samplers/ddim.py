"""DDIM-eta: estimate, correct, re-noise.

Song, Meng & Ermon 2021, "Denoising Diffusion Implicit Models", arXiv 2010.02502, eq. 12, in variance-exploding units:

    x' = x0_hat + sigma' ( sqrt(1 - eta^2) e + eta z ),    e = (x - D) / sigma  or  (x - x0_hat) / sigma.

With eta = 1 a step is v <- x0_hat(v + sigma z): stochastic gradient ascent on the smoothed prior (Renaud et al. 2024,
SNORE, arXiv 2402.01779), and the noise of its gradient is what limits few steps. Two classical cures, below a noise
level: draws come in antithetic pairs z, -z (Hammersley & Morton 1956) and the last two estimates are averaged, so that
their error that is odd in z cancels; and Polyak's momentum (1964) makes up for the lag:

    v' = (x0_hat + x0_hat_before) / 2 + momentum (v - v_before),    x' = v' + sigma' ( ... ).
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
    average_below: float = Field(
        0.0,
        ge=0,
        le=1000,
        title="Averaging below σ",
        description="At smaller noise levels noise comes in pairs of opposite sign and two estimates are averaged; "
        "0: never, as in the papers.",
    )
    momentum: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Momentum κ",
        description="Share of the last move that is made again, where estimates are averaged; no unit.",
    )


class DDIMSampler:
    """Walks down a path of sigmas."""

    Params = DDIMParams
    takes = frozenset({"state", "estimate", "gradient", "noise", "next"})
    from_state = True

    @staticmethod
    def evaluations(params: DDIMParams, falls: int, ends: int = 1) -> int:
        """One a level."""
        return falls

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[DDIMParams, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """See ``path.Sampler``."""
        before = v = z = x
        move: Tensor | float = 0.0
        paired = False  # whether the next noise is the last one's opposite
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            own, theirs = knobs(i)
            x = guide.correct_state(x, sigma, theirs)
            fresh = own.eta * sigma_next
            guide.expect_fresh(fresh)
            d, x0 = guide.estimate(denoise, x, sigma, theirs)
            e = (x - (d if own.direction == "network" else x0)) / sigma
            if i > 0 and sigma_next > 0 and sigma <= own.average_below:
                v_next = (x0 + before) / 2 + own.momentum * move
                move = v_next - v
            else:
                v_next, move = x0, 0.0
            before, v = x0, v_next
            z = -z if paired else noise()
            paired = not paired and sigma_next <= own.average_below
            x = v + sigma_next * math.sqrt(1 - own.eta**2) * e + guide.shape_noise(z, fresh, theirs)
            x = guide.correct_next(x, sigma, sigma_next, theirs)
            yield Step(i, len(sigmas) - 1, sigma, x, x0, i + 1, {"sampler.eta": own.eta})
