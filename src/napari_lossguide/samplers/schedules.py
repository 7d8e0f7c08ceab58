"""Paths of noise levels, down and up. No sampler knows more of time than the list of sigmas it is given."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Schedule(BaseModel, ABC):
    """Levels that go down, and how often the way is gone.

    Resampling walks parts of the path again: "long", from ever lower levels to the end (Peer 2023, long-grained
    resampling); "short", a bit up and down again all along the way (Lugmayr et al. 2022, RePaint, arXiv 2201.09865,
    algorithm 1; Peer 2023, short-grained resampling).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    steps: int = Field(
        50,
        ge=1,
        le=5000,
        title="Steps",
        description="Noise levels of one way down: network evaluations per sample, if the sampler needs one a level "
        "and nothing is resampled. More is slower and, up to a point, better.",
    )
    resample: Literal["no", "long", "short"] = Field(
        "no",
        title="Resampling",
        description="'long' starts again from ever lower noise levels and each time goes on to the end, 'short' jumps "
        "back a little all along the way.",
    )
    jump: float = Field(
        0.2,
        gt=0,
        lt=1,
        title="Jump",
        description="Share of the levels between two restarts ('long') or of one jump back ('short').",
    )
    repeats: int = Field(
        1, ge=1, le=100, title="Repeats", description="How often each jump back is made; 'short' resampling only."
    )
    renoise: bool = Field(
        True,
        title="Re-noise",
        description="Add the noise that a higher level has. Off: the DDPM state is taken as it is for a noisier one, "
        "as the thesis's code does.",
    )

    @abstractmethod
    def levels(self) -> list[float]:
        """One way down: ``steps + 1`` levels, largest first, ending with 0."""

    def sigmas(self) -> list[float]:
        """The whole path: ``levels`` with the parts that are walked again."""
        levels = self.levels()
        n, stride = self.steps, max(1, round(self.jump * (self.steps + 1)))
        if self.resample == "long":
            return [sigma for start in range(0, n, stride) for sigma in levels[start:]]
        if self.resample == "short":
            path = levels[: stride + 1]
            for here in range(stride, n, stride):
                path += self.repeats * levels[here - stride : here + 1] + levels[here + 1 : here + stride + 1]
            return path
        return levels

    def falls(self) -> int:
        """Steps down on the whole path."""
        path = self.sigmas()
        return sum(after < now for now, after in pairwise(path))

    def ends(self) -> int:
        """How often the whole path reaches level 0."""
        return self.sigmas().count(0.0)


class GeometricSchedule(Schedule):
    """sigma_i = sigma_max (sigma_min / sigma_max)^(i/(n-1)), then 0: that of the variance-exploding SDE.

    Song et al. 2021, arXiv 2011.13456, appendix C.
    """

    sigma_max: float = Field(
        2.0,
        gt=0,
        le=1000,
        title="sigma max",
        description="Noise level at the start, in units of the scaled image (its bright tissue is about 1).",
    )
    sigma_min: float = Field(
        0.01,
        gt=0,
        le=1,
        title="sigma min",
        description="Last noise level before the final estimate, in units of the scaled image.",
    )

    @model_validator(mode="after")
    def check_order(self) -> GeometricSchedule:
        """The path goes down."""
        if self.steps > 1 and self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min = {self.sigma_min} must be less than sigma_max = {self.sigma_max}.")
        return self

    def levels(self) -> list[float]:
        """Levels from ``sigma_max`` down to 0: ``steps + 1`` of them."""
        ratio = self.sigma_min / self.sigma_max
        return [self.sigma_max * ratio ** (i / max(self.steps - 1, 1)) for i in range(self.steps)] + [0.0]


class KarrasSchedule(GeometricSchedule):
    """sigma_i = (sigma_max^(1/rho) + i/(n-1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho, then 0.

    Karras et al. 2022, arXiv 2206.00364, eq. 5.
    """

    rho: float = Field(
        7.0,
        ge=1,
        le=20,
        title="rho",
        description="How much the steps crowd at low noise: 1 is even, 7 is usual.",
    )

    def levels(self) -> list[float]:
        """Levels from ``sigma_max`` down to 0: ``steps + 1`` of them."""
        if self.steps == 1:
            return [self.sigma_max, 0.0]
        a, b = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        return [(a + i / (self.steps - 1) * (b - a)) ** self.rho for i in range(self.steps)] + [0.0]


class CosineDDPMSchedule(Schedule):
    """The levels of a DDPM with the cosine schedule, in variance-exploding units, visited T-1 ... 1, then 0.

    Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17: abar(t) = f(t)/f(0), f(t) = cos^2((t/T + s)/(1 + s) pi/2), with
    beta clipped; sigma_t = sqrt((1 - abar_t)/abar_t). The thesis (Peer 2023) uses T = 1000 and 999 evaluations.
    """

    steps: int = Field(
        999, ge=1, le=5000, title="Steps", description="Noise levels of one way down; the thesis takes 999."
    )
    offset: float = Field(
        0.008, ge=0, le=0.1, title="Offset s", description="Keeps the first noise levels from being too small."
    )
    max_beta: float = Field(0.999, gt=0, lt=1, title="Largest beta", description="Clip of the noise added by one step.")

    def levels(self) -> list[float]:
        """``steps + 1`` levels, largest first, ending with 0."""
        total = self.steps + 1

        def f(t: float) -> float:
            return math.cos((t / total + self.offset) / (1 + self.offset) * math.pi / 2) ** 2

        abar, sigmas = 1.0, [0.0]
        for t in range(total):
            abar *= 1 - min(1 - f(t + 1) / f(t), self.max_beta)
            sigmas.append(math.sqrt((1 - abar) / abar))
        # The state at index t has level sigmas[t + 1]; the DDPM's loop runs t = T-1 ... 1 down to t = 0.
        return [*sigmas[-1:1:-1], 0.0]
