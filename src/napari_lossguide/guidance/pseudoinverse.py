"""Pseudoinverse guidance: the exact likelihood of data given the noisy image, if the prior were a Gaussian.

Song, Vahdat, Mardani & Kautz 2023, "Pseudoinverse-Guided Diffusion Models for Inverse Problems" (PiGDM), ICLR, eq. 7:
p(y | x) ~ N(A D, r^2 A A^H + sigma_y^2) gives, with Tweedie's formula,

    x0_hat = D + sigma^2 J^H A^H (r^2 A A^H + sigma_y^2)^-1 (y - A D),    J = dD/dx.

For r^2 the paper takes sigma^2 / (1 + sigma^2), of data with unit variance; here sigma^2 s^2 / (sigma^2 + s^2) with the
prior's own s. The system is solved by conjugate gradients in the space of images, A^H (r^2 A A^H + sigma_y^2)^-1 =
(r^2 A^H A + sigma_y^2)^-1 A^H; the gradient goes through the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from napari_lossguide.guidance.proximal import ProximalGuidance, ProximalParams

if TYPE_CHECKING:
    from torch import Tensor


class PseudoinverseParams(ProximalParams):
    """Knobs of pseudoinverse guidance."""

    scale: float = Field(
        1.0,
        ge=0,
        le=10,
        title="Guidance scale",
        description="Of the whole correction, no unit; 1 is exact for a Gaussian prior.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.0, 2.0]},
    )


class PseudoinverseGuidance(ProximalGuidance):
    """Corrects the estimate through the network's Jacobian."""

    Params = PseudoinverseParams
    corrects = frozenset({"gradient"})

    def estimate(
        self, denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, params: PseudoinverseParams
    ) -> tuple[Tensor, Tensor]:
        """D and the guided estimate."""
        import torch

        with torch.enable_grad():
            x = x.detach().requires_grad_()
            d = denoise(x, sigma)
            pull = self.correct_estimate(d.detach(), x.detach(), sigma, params) - d.detach()
            # The proximal correction is r^2 times what the Jacobian is applied to, r^2 = sigma^2 s^2/(sigma^2 + s^2).
            (moved,) = torch.autograd.grad(d, x, pull)
        r2 = sigma**2 * self.sigma_data**2 / (sigma**2 + self.sigma_data**2)
        return d.detach(), d.detach() + params.scale * sigma**2 / r2 * moved
