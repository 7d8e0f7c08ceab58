"""Langevin steps preconditioned by the data term.

"Annealed preconditioned Langevin for MRI", arXiv 2512.05791. With M = (A^H A / tau^2 + sigma^-2)^-1 and step gamma,

    x <- x + gamma M ( (D - x)/sigma^2 + A^H (y - A x)/tau^2 ) + sqrt(2 gamma) M^(1/2) z,

where M^(1/2) z is drawn as M (A^H n2 / tau + n1 / sigma), whose covariance is M. One linear system gives both terms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_lossguide.guidance.base import Guidance, NoisyDataParams, like
from napari_lossguide.operators.normal_equations import solve
from napari_lossguide.operators.per_image import per_image

if TYPE_CHECKING:
    from torch import Tensor


class PreconditionedLangevin(Guidance):
    """Makes the sampler's step itself."""

    Params = NoisyDataParams
    corrects = frozenset({"langevin"})

    def langevin(self, x: Tensor, d: Tensor, sigma: float, step: float, params: NoisyDataParams) -> Tensor:
        """The next state at the same level, from d = D(x; sigma)."""
        A, y = self.problem.A, self.problem.y
        tau = params.level(self.problem.noise_std)
        # Everything times tau^2, so that the matrix stays of size one.
        prior = (tau / sigma) ** 2
        data_noise = per_image(tau, y) * self.noise.of_data(y.shape[1])
        drift = per_image(prior, x) * (d - x) + like(A.adjoint(y - A.forward(x)), x)
        noise = per_image(tau**2 / sigma, x) * self.noise() + like(A.adjoint(data_noise), x)
        right = step * drift + math.sqrt(2 * step) * noise
        return x + solve(A, right, prior, max_iter=params.iterations, tolerance=params.tolerance)
