"""Loss guidance: the gradient of the data-consistency loss pulls the state towards the measured lines.

L. Peer, "Diffusion Models for Linear Inverse Problems", thesis, ETH Zurich 2023; close to classifier guidance
(Dhariwal & Nichol 2021, arXiv 2105.05233, algorithm 1) with -loss in the place of log p(c | x), and to Song et al. 2022
(arXiv 2111.08005).

The thesis steps, on the DDPM state u = x / sqrt(1 + sigma^2),

    u <- u - g grad_u [ mse(M F u, y) / mean(M) ]  =  u + eta_g Re A^H (y - A u),    eta_g = g / (B H W mean(M)),

where mse runs over batch, pixels and the two real channels of k-space. The same g is weaker in a larger batch, eta_g is
not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.base import Guidance, like

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Problem

THESIS_BATCH = 100
STRENGTH = (
    "Step along the gradient of the data loss, no unit: 0 ignores the data, 1 replaces the measured lines, "
    "2 is the limit of stability."
)


class StrengthParams(BaseModel):
    """The step along the gradient."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    strength: float = Field(
        0.5,
        ge=0,
        lt=2,
        title="Guidance strength η_g",
        description=STRENGTH,
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.0, 1.95]},
    )


class ThesisParams(StrengthParams):
    """Knobs of the thesis's update."""

    g: float = Field(
        0.0,
        ge=0,
        title="Guidance factor g",
        description="The thesis's own factor, at its batch of 100 images, in place of the strength: "
        "η_g = g/(100·ny·nx·acquired fraction), 1e3 … 2e5 in the thesis; 0: the strength is used.",
    )


class LossParams(StrengthParams):
    """Knobs of the mended update."""

    target: Literal["state", "estimate"] = Field(
        "estimate",
        title="Pulled towards the data",
        description="'estimate' corrects the denoised image, whose noise-free data are the measured ones; "
        "'state' corrects the noisy image, as the thesis does.",
    )


def thesis_factor(strength: float, *, batch: int, shape: tuple[int, int], coverage: float) -> float:
    """The thesis's guidance factor g for a strength eta_g: g = eta_g B H W mean(M).

    Parameters
    ----------
    strength : eta_g.
    batch : images in the thesis's batch B.
    shape : (H, W).
    coverage : mean(M), acquired fraction of k-space.
    """
    return strength * batch * math.prod(shape) * coverage


def gradient_step(x: Tensor, strength: float, problem: Problem) -> Tensor:
    """x + strength A^H (y - A x), its real part for a real image. Nothing is reduced over the batch."""
    return x + strength * like(problem.A.adjoint(problem.y - problem.A.forward(x)), x)


class ThesisLossGuidance(Guidance):
    """The thesis's update, exactly: on the DDPM state, towards data neither scaled nor noised."""

    Params = ThesisParams
    corrects = frozenset({"state"})

    def correct_state(self, x: Tensor, sigma: float, params: ThesisParams) -> Tensor:
        """x -> u, the gradient step on u, and back."""
        norm = math.sqrt(1 + sigma**2)
        return norm * gradient_step(x / norm, self.eta(params), self.problem)

    def eta(self, params: ThesisParams) -> float:
        """eta_g, from the thesis's g if that is given."""
        if params.g == 0:
            return params.strength
        shape = self.problem.y.shape
        coverage = self.problem.n_measured / math.prod(shape[1:])
        return params.g / thesis_factor(1.0, batch=THESIS_BATCH, shape=(shape[-2], shape[-1]), coverage=coverage)


class LossGuidance(Guidance):
    """The mended update: in variance-exploding units the un-noised y is the right target at every noise level."""

    Params = LossParams
    corrects = frozenset({"state", "estimate"})

    @classmethod
    def hooks(cls, params: LossParams) -> frozenset[str]:
        """The target."""
        return frozenset({params.target})

    def correct_state(self, x: Tensor, sigma: float, params: LossParams) -> Tensor:
        """The gradient step on the noisy state, if that is the target."""
        return gradient_step(x, params.strength, self.problem) if params.target == "state" else x

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: LossParams) -> Tensor:
        """The gradient step on the estimate, if that is the target."""
        return gradient_step(d, params.strength, self.problem) if params.target == "estimate" else d
