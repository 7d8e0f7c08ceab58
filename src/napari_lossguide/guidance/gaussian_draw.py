"""The exact draw of a clean image from a Gaussian around the estimate and the data.

Zhang et al. 2024 (DAPS), arXiv 2407.01521, eq. 8, for linear A, where the paper's inner Langevin loop has a closed
form. With x0_hat the end of the probability flow, v ~ p(v | x0_hat, y) ~ N(v; x0_hat, r^2) N(y; A v, tau^2) solves

    (r^-2 + tau^-2 A^H A) v = x0_hat / r^2 + A^H y / tau^2 + n1 / r + A^H n2 / tau

("perturb and optimise", Orieux et al. 2012), that is: fit y + tau n2 from x0_hat + r n1.

With the paper's r = sigma, x' = v + sigma' z holds noise of (sigma^2 + sigma'^2)^(1/2) where nothing was measured, and
the network is told sigma': what it leaves, no later level removes. The paper's own loop of 100 small Langevin steps
ends before it has reached that draw; here ``width`` < 1 makes it narrower.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from napari_lossguide.guidance.base import NoisyDataParams
from napari_lossguide.guidance.proximal import ProximalGuidance
from napari_lossguide.operators.per_image import per_image

if TYPE_CHECKING:
    from torch import Tensor


class DrawParams(NoisyDataParams):
    """Knobs of the draw."""

    spread: Literal["sigma", "posterior"] = Field(
        "sigma",
        title="Spread around the estimate",
        description="Standard deviation r of the clean image given the estimate: 'sigma' is the paper's, the noise "
        "level itself; 'posterior' what it is for a Gaussian prior, smaller at high noise.",
    )
    width: float = Field(
        1.0,
        gt=0,
        le=1,
        title="Part of the spread",
        description="The draw takes this part of r, no unit. Below 1 less noise is left for the network to remove, and "
        "samples differ too little to show uncertainty.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.05, 1.0]},
    )


class GaussianDraw(ProximalGuidance):
    """Corrects the estimate by a draw."""

    Params: type[BaseModel] = DrawParams

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: Any) -> Tensor:
        """A clean image that fits data and estimate."""
        s = self.sigma_data
        r = params.width * (sigma if params.spread == "sigma" else sigma * s / math.sqrt(sigma**2 + s**2))
        tau = params.level(self.problem.noise_std)
        y = self.problem.y
        y = y + per_image(tau, y) * self.noise.of_data(y.shape[1])
        return self.solve(d + r * self.noise(), y, tau**2 / r**2, params)
