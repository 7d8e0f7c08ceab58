"""Image inpainting: pixels outside a region are known, those inside are drawn.

Lugmayr et al. 2022, "RePaint: Inpainting using Denoising Diffusion Probabilistic Models", arXiv 2201.09865, eq. 8: the
known pixels of the state are the known image with the noise of the level,

    x <- m (x_known + sigma z) + (1 - m) x.

What is known is the zero-filled image of the k-space: that of fully sampled data is the image itself.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from napari_lossguide.guidance.base import Guidance, NoParams, like
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor


class Inpainting(Guidance):
    """Corrects the state, and at the end the image."""

    corrects = frozenset({"state"})

    @cached_property
    def region(self) -> Tensor:
        """Where pixels are drawn, bool (ny, nx)."""
        if self.problem.region is None:
            raise InvalidInput("Inpainting needs a region: the pixels to fill, as a mask of the image's size.")
        return self.problem.region

    def known(self, x: Tensor) -> Tensor:
        """The known image, of the kind of x."""
        return like(self.problem.A.adjoint(self.problem.y), x)

    def correct_state(self, x: Tensor, sigma: float, params: NoParams) -> Tensor:
        """The state with noised known pixels around the region."""
        return x.where(self.region, self.known(x) + sigma * self.noise())

    def correct_next(self, x: Tensor, sigma: float, sigma_next: float, params: NoParams) -> Tensor:
        """At the end, the known pixels themselves."""
        return x if sigma_next > 0 else x.where(self.region, self.known(x))
