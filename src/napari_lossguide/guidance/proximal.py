"""Proximal guidance: the measured data enter the estimate through one regularised least-squares problem.

    x0_hat = argmin_v  |y - A v|^2 / noise_std^2  +  |v - D|^2 / (2 r^2),

the core of three papers, which differ in the weight of the data term and in what is re-noised afterwards:

* DDNM: Wang, Yu & Zhang 2023, arXiv 2212.00490 (eq. 13-15): the data are met exactly.
* DiffPIR: Zhu et al. 2023, arXiv 2305.08995 (eq. 12-13): r = sigma, weighted by 1/lambda.
* DDS: Chung, Lee & Ye 2024, arXiv 2303.05754 (eq. 20): a constant weight gamma and few CG iterations from D.

The "posterior" weight takes for r^2 what a Gaussian prior would give, var(x0 | x) = sigma^2 s^2 / (sigma^2 + s^2) with
s = sigma_data, as in Pseudoinverse-guided diffusion (Song et al. 2023): it stays finite at high noise, where the system
is ill-conditioned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.base import Guidance, Solver, cg_iterations, cg_tolerance, per_channel
from napari_lossguide.operators.conjugate_gradient import inner
from napari_lossguide.operators.normal_equations import fit

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.operators.per_image import Level
    from napari_lossguide.types import Noise, Problem

ROUNDING = 1e-6
"""Error of A^H (y - A D) relative to |y| in float32, with a margin."""


class ProximalParams(BaseModel):
    """Knobs of the proximal guidance."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    gamma: float = Field(
        1.0,
        ge=1e-6,
        le=1000,
        title="Guidance strength γ",
        description="Weight of the measured data against the prior, no unit. 1 trusts the measured noise level; "
        "larger follows the data, smaller the prior. "
        "Without effect where the data are met exactly.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.01, 100]},
    )
    weight: Literal["posterior", "noise", "constant", "hard"] = Field(
        "posterior",
        title="Data weight",
        description="How the weight follows the noise level: 'posterior' is optimal for a Gaussian prior, "
        "'noise' is DiffPIR's, 'constant' is DDS's, 'hard' meets the data exactly (DDNM).",
    )
    iterations: int = cg_iterations(10)
    tolerance: float = cg_tolerance()


class ProximalGuidance(Guidance):
    """Corrects the estimate D by conjugate gradients; leaves the state alone.

    Parameters
    ----------
    problem : the slice, or several.
    sigma_data : s of the "posterior" weight, the prior's spread per channel.
    """

    Params: type[BaseModel] = ProximalParams
    corrects = frozenset({"estimate"})

    def __init__(self, problem: Problem, sigma_data: float, noise: Noise | None = None) -> None:
        super().__init__(problem, sigma_data, noise)
        self.rounding = ROUNDING * inner(problem.y, problem.y).sqrt()[..., 0]

    def damping(self, sigma: float, params: ProximalParams) -> Level:
        """1/w of (w^-1 I + A^H A) delta = A^H (y - A D). Zero means that the data are met exactly."""
        variance = per_channel(self.problem.noise_std)
        match params.weight:
            case "hard":
                return 0.0
            case "constant":
                return 1 / params.gamma
            case "noise":
                return variance / (params.gamma * sigma**2)
            case "posterior":
                r2 = sigma**2 * self.sigma_data**2 / (sigma**2 + self.sigma_data**2)
                return variance / (params.gamma * r2)

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: ProximalParams) -> Tensor:
        """D + (w^-1 I + A^H A)^-1 A^H (y - A D), on real images within the real ones."""
        return self.solve(d, self.problem.y, self.damping(sigma, params), params)

    def solve(self, d: Tensor, y: Tensor, damping: Level, params: Solver) -> Tensor:
        """argmin_v |y - A v|^2 + damping |v - d|^2, from d."""
        A = self.problem.A
        return d + fit(
            A,
            y - A.forward(d),
            damping,
            real=not d.is_complex(),
            max_iter=params.iterations,
            tolerance=params.tolerance,
            floor=self.rounding,
        )
