"""Langevin steps preconditioned by the data term.

"Annealed preconditioned Langevin for MRI", arXiv 2512.05791. With M = (A^H A / tau^2 + sigma^-2)^-1 and step gamma,

    x <- x + gamma M ( (D - x)/sigma^2 + A^H (y - A x)/tau^2 ) + sqrt(2 gamma) M^(1/2) z,

where M^(1/2) z is drawn as M (A^H n2 / tau + n1 / sigma), whose covariance is M. One linear system gives both terms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.base import Guidance, like, per_channel
from napari_lossguide.operators.conjugate_gradient import conjugate_gradient

if TYPE_CHECKING:
    from torch import Tensor


class PreconditionedParams(BaseModel):
    """Knobs of the data term."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tau: float = Field(
        0.01,
        gt=0,
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
    iterations: int = Field(
        20, ge=1, le=500, title="CG iterations", description="Conjugate-gradient iterations per step, at most."
    )
    tolerance: float = Field(
        1e-4, gt=0, le=0.1, title="CG tolerance", description="The iterations stop at this relative residual."
    )


class PreconditionedLangevin(Guidance):
    """Makes the sampler's step itself."""

    Params = PreconditionedParams
    corrects = frozenset({"langevin"})

    def langevin(self, x: Tensor, d: Tensor, sigma: float, step: float, params: PreconditionedParams) -> Tensor:
        """The next state at the same level, from d = D(x; sigma)."""
        A, y = self.problem.A, self.problem.y
        tau = max(params.tau, math.sqrt(per_channel(self.problem.noise_std))) / math.sqrt(params.gamma)
        # Everything times tau^2, so that the matrix stays of size one.
        prior = (tau / sigma) ** 2
        data_noise = tau * self.noise.of_data(y.shape[1])
        drift = prior * (d - x) + like(A.adjoint(y - A.forward(x)), x)
        noise = tau**2 / sigma * self.noise() + like(A.adjoint(data_noise), x)
        right = step * drift + math.sqrt(2 * step) * noise
        return x + conjugate_gradient(
            lambda v: prior * v + A.normal(v), right, right * 0, max_iter=params.iterations, tolerance=params.tolerance
        )
