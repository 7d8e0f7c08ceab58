"""Pseudoinverse guidance: the likelihood of the data given the noisy image, through the network's Jacobian.

Song, Vahdat, Mardani & Kautz 2023, "Pseudoinverse-Guided Diffusion Models for Inverse Problems" (PiGDM), ICLR. With
p(y | x) ~ N(A D, r^2 A A^H + sigma_y^2) (eq. 7) and J = dD/dx, let

    g = J^H p,    p = r^2 A^H (r^2 A A^H + sigma_y^2)^-1 (y - A D).

Bayes' rule and Tweedie's formula say x0_hat = D + (sigma^2 / r^2) g, exact if the prior is a Gaussian of variance
s^2 per pixel, r^2 = sigma^2 s^2/(sigma^2 + s^2). Images are not: their low frequencies vary far more than a pixel, and
the step diverges. So algorithm 1 leaves sigma^2 / r^2 out ("adaptive weights") and adds sqrt(abar) g to the state after
the step, u' <- u' + sqrt(abar) dD/du^H p, that is

    x' <- x' + sqrt(1 + sigma'^2) g.

For r^2 the paper takes sigma^2 / (1 + sigma^2), of data with unit variance; here the prior's own s. The system is
solved by conjugate gradients in the space of images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from napari_lossguide.guidance.proximal import ProximalGuidance, ProximalParams

if TYPE_CHECKING:
    from torch import Tensor


class PseudoinverseParams(ProximalParams):
    """Knobs of pseudoinverse guidance."""

    step: Literal["adaptive", "bayes"] = Field(
        "adaptive",
        title="Step",
        description="'adaptive' is the paper's algorithm; 'bayes' its equation, exact for a Gaussian prior and "
        "unstable for images.",
    )
    scale: float = Field(
        1.0,
        ge=0,
        le=10,
        title="Guidance scale",
        description="Of the whole correction, no unit; 1 is the paper's.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.0, 2.0]},
    )


class PseudoinverseGuidance(ProximalGuidance):
    """Corrects the state after the step by the gradient that ``estimate`` left, or the estimate itself."""

    Params = PseudoinverseParams
    corrects = frozenset({"next", "gradient"})
    gradient: Tensor

    @classmethod
    def hooks(cls, params: Any) -> frozenset[str]:
        """The state after the step, or the estimate."""
        return frozenset({"next" if params.step == "adaptive" else "gradient"})

    @classmethod
    def suited(cls, places: frozenset[str]) -> dict[str, Any]:
        """Bayes' step for samplers whose steps nobody corrects."""
        return {} if "next" in places else {"step": "bayes"}

    def estimate(
        self, denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, params: PseudoinverseParams
    ) -> tuple[Tensor, Tensor]:
        """D, and the estimate, guided if Bayes' step is asked for."""
        import torch

        with torch.enable_grad():
            x = x.detach().requires_grad_()
            d = denoise(x, sigma)
            pull = self.correct_estimate(d.detach(), x.detach(), sigma, params) - d.detach()
            (self.gradient,) = torch.autograd.grad(d, x, pull)
        d = d.detach()
        if params.step == "adaptive":
            return d, d
        r2 = sigma**2 * self.sigma_data**2 / (sigma**2 + self.sigma_data**2)
        return d, d + params.scale * sigma**2 / r2 * self.gradient

    def correct_next(self, x: Tensor, sigma: float, sigma_next: float, params: PseudoinverseParams) -> Tensor:
        """The adaptive step."""
        if params.step == "bayes":
            return x
        return x + params.scale * math.sqrt(1 + sigma_next**2) * self.gradient
