"""The annealed likelihood of compressed sensing with score models.

Jalal et al. 2021, "Robust Compressed Sensing MRI with Deep Generative Priors", arXiv 2108.01368, eq. 5: the score of
the data at noise level sigma is taken as A^H (y - A x) / (sigma_y^2 + sigma^2), of the *noisy* x. As a correction of
the estimate, score = (x0_hat - x) / sigma^2:

    x0_hat = D + sigma^2 / (sigma_y^2 + sigma^2) A^H (y - A x).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.base import Guidance, like, per_channel
from napari_lossguide.operators.per_image import per_image

if TYPE_CHECKING:
    from torch import Tensor


class LikelihoodParams(BaseModel):
    """Knobs of the likelihood."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weight: float = Field(
        1.0,
        ge=0,
        le=100,
        title="Weight of the data",
        description="Of the measured data against the prior, no unit; 1 is the paper's.",
        json_schema_extra={"live": True, "scale": "log", "slider": [0.01, 10.0]},
    )


class AnnealedLikelihood(Guidance):
    """Corrects the estimate by the residual of the state."""

    Params = LikelihoodParams
    corrects = frozenset({"estimate"})

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: LikelihoodParams) -> Tensor:
        """The estimate that the data move."""
        weight = params.weight * sigma**2 / (per_channel(self.problem.noise_std) + sigma**2)
        return d + per_image(weight, x) * like(self.problem.A.adjoint(self.problem.y - self.problem.A.forward(x)), x)
