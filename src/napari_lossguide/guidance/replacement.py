"""Frequency replacement: at every noise level the measured frequencies of the state are those of noised data.

With y_hat = y + sigma n, noised as the state is,

    x <- x + lambda A^H phi (y_hat - A x),

which for one coil is F^-1 [ (1 - M) F x + M ((1 - lambda) F x + lambda y_hat) ] and in DDPM units puts sqrt(abar) y
plus noise into the state. It is the step of several papers:

* Song, Shen, Xing & Ermon 2022, "Solving Inverse Problems in Medical Imaging with Score-Based Generative Models",
  arXiv 2111.08005, eq. 7-9: n = A z, any lambda, and lambda = 1 in the last step.
* Chung & Ye 2022 (Score-MRI), arXiv 2110.05243, algorithm 2: no noise, lambda = 1.
* Peer 2023 (ETH thesis): noise of an image or of k-space; and a Gaussian filter phi(k) = exp(-k^2 / 2 s^2) that widens
  as the noise falls. Its width over sigma is not published; here s = width (n/2) sqrt(1 + sigma^2) / sigma, that is
  width over the standard deviation of the noise in the DDPM's state.
* Choi et al. 2021 (ILVR), arXiv 2108.02938, eq. 8: phi keeps the low frequencies, up to width n/2 along each axis.

The state keeps its sign or phase; the thesis's code takes its magnitude, which rectifies the noise ("magnitude").
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.base import Guidance, like

if TYPE_CHECKING:
    from torch import Tensor


class ReplacementParams(BaseModel):
    """Knobs of the replacement."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    strength: float = Field(
        1.0,
        ge=0,
        le=1,
        title="Replacement λ",
        description="Share of the measured lines that is replaced, no unit: 1 all, less keeps some of the state's.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.0, 1.0]},
    )
    noise: Literal["image", "k-space", "none"] = Field(
        "image",
        title="Noise on the data",
        description="What makes the data as noisy as the state: 'image', the transform of an image of noise; "
        "'k-space', independent noise at each point, which a real image's k-space does not have; 'none' leaves them "
        "clean.",
    )
    filter: Literal["none", "gaussian", "box"] = Field(
        "none",
        title="Filter",
        description="'gaussian' lets high frequencies in as the noise falls, 'box' only ever replaces low ones (ILVR).",
    )
    width: float = Field(
        1.45,
        gt=0,
        le=10,
        title="Filter width",
        description="In units of half the image's side: standard deviation of the Gaussian where noise is all there "
        "is, or half the side of the box.",
    )
    magnitude: bool = Field(
        False,
        title="Magnitude of the state",
        description="Take the magnitude after each replacement, as the thesis's code does: it rectifies the noise. Off "
        "is right.",
    )
    last: bool = Field(
        True,
        title="Exact at the end",
        description="The result has the measured lines exactly; with noisy data it has their noise, too.",
    )


class FrequencyReplacement(Guidance):
    """Corrects the state, and at the end the image."""

    Params = ReplacementParams
    corrects = frozenset({"state"})

    def correct_state(self, x: Tensor, sigma: float, params: ReplacementParams) -> Tensor:
        """The state with measured frequencies in it."""
        A, y = self.problem.A, self.problem.y
        target = y
        if params.noise == "image":
            target = y + sigma * A.forward(self.noise())
        elif params.noise == "k-space":
            # As strong per point as the transform of an image of noise, whose real kind has half the variance.
            unit = 1 if x.is_complex() else math.sqrt(0.5)
            target = y + sigma * unit * self.noise.of_data(y.shape[1])
        step = target - A.forward(x)
        if params.filter != "none":
            step = self.filter(sigma, params) * step
        x = x + params.strength * like(A.adjoint(step), x)
        return x.abs().to(x.dtype) if params.magnitude else x

    def correct_next(self, x: Tensor, sigma: float, sigma_next: float, params: ReplacementParams) -> Tensor:
        """At the end, the image with the measured lines themselves."""
        if sigma_next > 0 or not params.last or params.filter == "box":
            return x
        return x + like(self.problem.A.adjoint(self.problem.y - self.problem.A.forward(x)), x)

    def filter(self, sigma: float, params: ReplacementParams) -> Tensor:
        """phi(k), float32 (ny, nx)."""
        import torch

        ny, nx = self.problem.y.shape[-2:]
        axes = [(torch.arange(n, device=self.problem.y.device) - n // 2) / (n / 2) for n in (ny, nx)]
        ky, kx = torch.meshgrid(*axes, indexing="ij")
        if params.filter == "box":
            return ((ky.abs() <= params.width) & (kx.abs() <= params.width)).float()
        s = params.width * math.sqrt(1 + sigma**2) / sigma
        return torch.exp(-(ky**2 + kx**2) / (2 * s**2))
