"""The words every part speaks: errors, small frozen types and protocols.

Conventions, used everywhere:

* An image is ``(B, ny, nx)``. Its dtype says what it is: float32 a *real* image, complex64 a *complex* one.
* k-space is complex64 ``(B, coil, ny, nx)``, centred, zero where nothing was acquired.
* Noise on an image, x = x0 + sigma z, has z ~ N(0, 1) in every real channel: once for a real image, for the real and
  for the imaginary part of a complex one. So the network sees the same sigma in both.
* Noise on k-space, y = A x0 + n, has E|n|^2 = noise_std^2 per point, that is noise_std^2 / 2 per real channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class InvalidInput(ValueError):
    """What the user gave cannot be used; the message is one sentence: the thing, its value, what is accepted."""


class Diverged(ArithmeticError):
    """The sampler met a value that is not finite.

    Attributes
    ----------
    step, sigma : where it happened.
    image : magnitude of the last finite estimate, float32 (ny, nx), or None.
    """

    def __init__(self, step: int, sigma: float, image: np.ndarray | None = None) -> None:
        super().__init__(
            f"The reconstruction diverged (NaN or infinity) at step {step}, sigma = {sigma:.3g}; "
            "lower the guidance strength or check the input's scale."
        )
        self.step, self.sigma, self.image = step, sigma, image


class BatchFailed(Exception):
    """Some of a batch could not be reconstructed; the rest is done."""


class Cancelled(Exception):
    """The person asked the run to stop."""


@dataclass(frozen=True)
class PriorInfo:
    """What a prior says of itself.

    ``range`` is in words; ``sigma_data`` and the sigmas are in units of the scaled image (see ``priors.domain``).
    """

    name: str
    sigma_min: float
    sigma_max: float
    sigma_data: float
    channels: int
    divisible_by: int
    range: str = "reference quantile of the magnitude at 1"
    sha256: str = ""
    licence: str = ""
    trained_on: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)


class Denoiser(Protocol):
    """D(x; sigma), the minimum mean-square-error estimate of x0 from x = x0 + sigma z."""

    info: PriorInfo

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Denoise images (B, ny, nx), real or complex; same shape, dtype and device out."""
        ...


class Noise(Protocol):
    """Unit noise of a batch, each image's from its own generator."""

    def __call__(self) -> Tensor:
        """Of an image: (B, ny, nx), N(0, 1) in each real channel."""
        ...

    def of_data(self, coils: int) -> Tensor:
        """Of k-space: complex (B, coil, ny, nx), N(0, 1) in each real channel."""
        ...


class Classifier(Protocol):
    """log p(c | x, sigma) of what a noisy image shows.

    Attributes
    ----------
    classes : answers of each question, in the order of the log-probabilities.
    """

    classes: Mapping[str, tuple[str, ...]]

    def __call__(self, x: Tensor, sigma: float) -> Mapping[str, Tensor]:
        """Log-probabilities (B, answers) of each question for images (B, ny, nx); each image's depend on it alone."""
        ...


class ForwardModel(Protocol):
    """A linear map from images to data. Immutable; it never remembers a measurement."""

    image_shape: tuple[int, ...]
    data_shape: tuple[int, ...]

    def forward(self, x: Tensor) -> Tensor:
        """A x: images (B, ny, nx), real or complex -> data (B, *data_shape) complex."""
        ...

    def adjoint(self, y: Tensor) -> Tensor:
        """A^H y: data -> complex images."""
        ...

    def normal(self, x: Tensor) -> Tensor:
        """A^H A x, restricted to x's own space: its real part if x is real."""
        ...

    def eigenvalues(self, *, real: bool) -> Tensor | None:
        """Those of ``normal`` in the centred Fourier basis, (ny, nx) or (B, ny, nx); None if that is not its own."""
        ...


@dataclass(frozen=True)
class Problem:
    """What to reconstruct, in the scaled units of the prior: one slice, or several whose images share a batch.

    Everything broadcasts over a batch (B, ny, nx). Of one slice y and the maps of A are there once and the numbers are
    numbers; of several there is one of each for every image of the batch.

    Attributes
    ----------
    y : measured k-space / scale, complex64 (1 or B, coil, ny, nx), zero outside the mask.
    A : the forward model.
    noise_std : noise level of y after scaling; 0 for noiseless. A number, or one for each image: float64 (B, 1, 1) on
        the CPU, which ``operators.per_image`` makes a factor of images.
    scale : multiply an image of this problem by it to get the input's units; likewise.
    real : the image is known to be real.
    n_measured : number of measured complex values of an image (points x coils).
    region : bool (ny, nx) that a person drew, for methods and losses that ask for one.
    """

    y: Tensor
    A: ForwardModel
    noise_std: float | Tensor
    scale: float | Tensor
    real: bool
    n_measured: int
    region: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """What a sampler yields after going down one level.

    Attributes
    ----------
    index, total : of this slice's levels, from 0.
    sigma : the level the step started from.
    x : state after the step (B, ny, nx), at the next level.
    x0 : estimate after the data correction (B, ny, nx).
    nfe : network evaluations so far.
    params : values of the live knobs that were used.
    """

    index: int
    total: int
    sigma: float
    x: Tensor
    x0: Tensor
    nfe: int
    params: Mapping[str, float]
