"""How the data speak: what a guidance may correct, and when.

A sampler goes down from sigma to sigma' in this order; each guidance corrects in one of these places:

    x  <- correct_state(x)            "state": the noisy image, before the network sees it
    d  <- D(x; sigma)
    x0 <- correct_estimate(d, x)      "estimate": what the network takes for the image
    x' <- correct_next(step of the sampler)      "next": the noisy image after the step

"gradient" is a correction of the estimate that differentiates through the network, by overriding ``estimate``;
"noise" one that goes with the fresh noise of the step, which the guidance shapes; "langevin" a whole step that the
guidance makes for the sampler.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.operators.per_image import Level
    from napari_lossguide.types import Noise, Problem


def cg_iterations(default: int) -> Any:
    """The field of a guidance that solves a linear system in every step."""
    return Field(
        default,
        ge=1,
        le=500,
        title="CG iterations",
        description="Conjugate-gradient iterations per step, at most; one coil without maps needs none.",
    )


def cg_tolerance() -> Any:
    """Where its conjugate gradients stop."""
    return Field(
        1e-4,
        gt=0,
        le=0.1,
        title="CG tolerance",
        description="The iterations stop at this relative residual; one coil without maps needs none.",
    )


class Solver(Protocol):
    """Parameters with these two fields."""

    @property
    def iterations(self) -> int:
        """At most."""
        ...

    @property
    def tolerance(self) -> float:
        """Relative."""
        ...


class NoParams(BaseModel):
    """Nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoisyDataParams(BaseModel):
    """How far data are trusted that are taken as noisy, and how well the system with them is solved."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tau: float = Field(
        0.01,
        ge=0,
        le=1,
        title="Data noise τ",
        description="Least standard deviation of the data per channel, in units of the scaled image; the measured "
        "noise is taken where it is larger.",
    )
    gamma: float = Field(
        1.0,
        ge=1e-6,
        le=1000,
        title="Guidance strength γ",
        description="Weight of the measured data against the prior, no unit; 1 trusts the noise level.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.01, 100]},
    )
    iterations: int = cg_iterations(20)
    tolerance: float = cg_tolerance()

    def level(self, noise_std: Level) -> Level:
        """Standard deviation of the data per channel that is reckoned with, from E|n|^2 = noise_std^2."""
        variance = per_channel(noise_std)
        if isinstance(variance, float | int):
            return max(self.tau, math.sqrt(variance)) / math.sqrt(self.gamma)
        return variance.sqrt().clamp(min=self.tau) / math.sqrt(self.gamma)


class Guidance:
    """Corrects nothing; the base of all others.

    Parameters
    ----------
    problem : the slice, or the slices that share the batch; what is written for one broadcasts over several.
    sigma_data : the prior's spread per channel, in the units of the problem.
    noise : unit noise for what is drawn at random; a guidance that draws nothing needs none.
    """

    Params: type[BaseModel] = NoParams
    corrects: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, problem: Problem, sigma_data: float, noise: Noise | None = None) -> None:
        self.problem, self.sigma_data = problem, sigma_data
        self._noise = noise

    @property
    def noise(self) -> Noise:
        """Where random numbers come from."""
        assert self._noise is not None, "this guidance draws noise and was given none"
        return self._noise

    @classmethod
    def hooks(cls, params: Any) -> frozenset[str]:
        """Where it corrects with these parameters: "state", "estimate", "gradient", "noise", "next", "langevin"."""
        return cls.corrects

    @classmethod
    def suited(cls, places: frozenset[str]) -> dict[str, Any]:
        """Parameters other than the defaults that a sampler needs which lets only these places be corrected."""
        return {}

    def correct_state(self, x: Tensor, sigma: float, params: Any) -> Tensor:
        """The noisy image (B, ny, nx) at level sigma, before the network sees it."""
        return x

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: Any) -> Tensor:
        """The estimate, from d = D(x; sigma)."""
        return d

    def expect_fresh(self, std: float) -> None:
        """Told before each estimate, by samplers that take "noise": the standard deviation of the noise after it."""

    def shape_noise(self, z: Tensor, std: float, params: Any) -> Tensor:
        """The fresh noise of a step from unit noise z (B, ny, nx)."""
        return std * z

    def correct_next(self, x: Tensor, sigma: float, sigma_next: float, params: Any) -> Tensor:
        """The noisy image after a step from sigma to sigma_next."""
        return x

    def estimate(
        self, denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, params: Any
    ) -> tuple[Tensor, Tensor]:
        """(D(x; sigma), the corrected estimate)."""
        d = denoise(x, sigma)
        return d, self.correct_estimate(d, x, sigma, params)


def like(correction: Tensor, x: Tensor) -> Tensor:
    """A complex correction in the space of x: its real part if x is real."""
    return correction if x.is_complex() else correction.real


def per_channel(noise_std: Level) -> Level:
    """Variance of k-space noise in each real channel, sigma_y^2, from E|n|^2 = noise_std^2; see ``per_image``."""
    return noise_std**2 / 2
