"""Diffusion posterior sampling: after each step, down the gradient of the residual of the estimate.

Chung et al. 2023, "Diffusion Posterior Sampling for General Noisy Inverse Problems" (DPS), arXiv 2209.14687, algorithm
1, with the step size of its appendix C.2: u' <- u' - zeta grad_u |y - A D| on the DDPM state, u = x / sqrt(1 +
sigma^2), so

    x' <- x' - zeta sqrt(1 + sigma^2) sqrt(1 + sigma'^2) grad_x |y - A D(x; sigma)|.

The gradient goes through the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.base import Guidance

if TYPE_CHECKING:
    from torch import Tensor


class DPSParams(BaseModel):
    """Knobs of the gradient step."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    zeta: float = Field(
        5.0,  # the best of 1, 3, 5 and 10 on two validation slices; 0.3 ... 1 in the paper, on photographs in [-1, 1]
        ge=0,
        le=100,
        title="Step ζ",
        description="Along the gradient of the residual's norm, no unit: larger follows the data more and "
        "ends unstable.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.05, 20.0]},
    )


class PosteriorSampling(Guidance):
    """Corrects the state after the step, by the gradient that ``estimate`` left."""

    Params = DPSParams
    corrects = frozenset({"next"})
    gradient: Tensor

    def estimate(
        self, denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, params: DPSParams
    ) -> tuple[Tensor, Tensor]:
        """D as it is, and its gradient kept for ``correct_next``."""
        import torch

        with torch.enable_grad():
            x = x.detach().requires_grad_()
            d = denoise(x, sigma)
            r = (self.problem.y - self.problem.A.forward(d)).flatten(1)
            # Each image's norm is its own, so the gradient of their sum is that of each.
            (self.gradient,) = torch.autograd.grad(torch.linalg.vector_norm(r, dim=1).sum(), x)
        return d.detach(), d.detach()

    def correct_next(self, x: Tensor, sigma: float, sigma_next: float, params: DPSParams) -> Tensor:
        """One step down the gradient."""
        scale = math.sqrt((1 + sigma**2) * (1 + sigma_next**2))
        return x - params.zeta * scale * self.gradient
