"""DDNM+: noisy data enter what they measured and no more, and bring their own noise with them.

Wang, Yu & Zhang 2023, "Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model", arXiv 2212.00490,
eq. 17-19 and appendix I. With f the standard deviation of the fresh noise of a step, in a direction that A measures
with the singular value s, and data noise of sigma_y per channel,

    x0_hat = D + lambda A^+ (y - A D),    lambda = min(1, f s / sigma_y),
    fresh noise of variance f^2 - (lambda sigma_y / s)^2 in the place of f^2,

so that the noise of the data and the fresh noise together are f^2. Without noise this is DDNM; the last step (f = 0)
takes the network's estimate as it is. One coil without maps has the directions in closed form: s^2 are the eigenvalues
of A^H A, a half where one side alone of a real image's k-space is measured. For several coils s = 1 is taken where
anything is measured, the paper's simplified form (its eq. 19).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.base import cg_iterations, cg_tolerance, per_channel
from napari_lossguide.guidance.proximal import ProximalGuidance
from napari_lossguide.operators.normal_equations import filtered
from napari_lossguide.operators.per_image import per_image

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Noise, Problem


class NullSpaceParams(BaseModel):
    """Knobs of DDNM+."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    gamma: float = Field(
        1.0,
        ge=1e-6,
        le=1000,
        title="Guidance strength γ",
        description="Weight of the measured data, no unit: 1 trusts the measured noise level, larger takes the data "
        "for less noisy. Without effect on data without noise.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.01, 100]},
    )
    iterations: int = cg_iterations(30)
    tolerance: float = cg_tolerance()


class NullSpaceGuidance(ProximalGuidance):
    """Corrects the estimate and shapes the fresh noise that follows it."""

    Params: type[BaseModel] = NullSpaceParams
    corrects = frozenset({"noise"})
    fresh = math.inf

    def __init__(self, problem: Problem, sigma_data: float, noise: Noise | None = None) -> None:
        super().__init__(problem, sigma_data, noise)
        eigenvalues = problem.A.eigenvalues(real=problem.real)
        self.noiseless = isinstance(problem.noise_std, float | int) and problem.noise_std == 0
        self.eigenvalues = None if eigenvalues is None else eigenvalues.clamp(min=1e-6)

    def expect_fresh(self, std: float) -> None:
        """Keep f for the estimate that follows."""
        self.fresh = std

    def variance(self, params: NullSpaceParams) -> Tensor | float:
        """(sigma_y / s)^2 of every direction."""
        variance = per_channel(self.problem.noise_std) / params.gamma
        return variance if self.eigenvalues is None else per_image(variance, self.problem.y[:, 0]) / self.eigenvalues

    def trust(self, params: NullSpaceParams) -> Tensor | float:
        """lambda^2 (sigma_y / s)^2 = min((sigma_y / s)^2, f^2), the variance that the data bring."""
        variance = self.variance(params)
        return min(variance, self.fresh**2) if isinstance(variance, float) else variance.clamp(max=self.fresh**2)

    def share(self, params: NullSpaceParams) -> Tensor | float:
        """lambda s of every direction; 1 for data without noise."""
        trust, variance = self.trust(params), self.variance(params)
        if isinstance(variance, float) or isinstance(trust, float):
            return (trust / variance) ** 0.5
        return ((trust / variance) ** 0.5).where(variance > 0, variance * 0 + 1)

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: Any) -> Tensor:
        """D + lambda A^+ (y - A D)."""
        met = self.solve(d, self.problem.y, 0.0, params)
        if self.noiseless:
            return met
        return d + scaled(met - d, self.share(params))

    def shape_noise(self, z: Tensor, std: float, params: Any) -> Tensor:
        """Unit noise z with the variance f^2 where nothing was measured, and what the data left of it elsewhere."""
        if self.noiseless:
            return std * z
        z_measured = self.solve(z * 0, self.problem.A.forward(z), 0.0, params)
        left = (std**2 - self.trust(params)) ** 0.5
        return std * z + scaled(z_measured, left - std)


def scaled(x: Tensor, gain: Tensor | float) -> Tensor:
    """x with every frequency multiplied by its gain (..., ny, nx), or by one for all."""
    every = isinstance(gain, float) or gain.shape[-1] == 1
    return per_image(gain, x) * x if every else filtered(x, gain)
