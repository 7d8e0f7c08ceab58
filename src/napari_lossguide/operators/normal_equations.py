"""The regularised normal equations of a forward model: in closed form where there is one, else by conjugate gradients.

One coil on a Cartesian grid makes A^H A diagonal in the Fourier basis (``CartesianSense.eigenvalues``): what costs
several transforms by iteration is then one division, and exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_lossguide.operators.conjugate_gradient import conjugate_gradient
from napari_lossguide.operators.per_image import per_image

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.operators.per_image import Level
    from napari_lossguide.types import ForwardModel


def solve(
    A: ForwardModel, b: Tensor, damping: Level, *, max_iter: int, tolerance: float, floor: Tensor | float = 0.0
) -> Tensor:
    """(damping + A^H A)^-1 b in the space of b; the pseudoinverse if damping is 0.

    Parameters
    ----------
    b : real or complex images (B, ny, nx).
    damping : see ``per_image``.
    max_iter, tolerance, floor : of the conjugate gradients, without effect on a closed form.
    """
    eigenvalues, weight = A.eigenvalues(real=not b.is_complex()), per_image(damping, b)
    if eigenvalues is not None:
        return filtered(b, inverse(eigenvalues, weight))
    return conjugate_gradient(
        lambda v: weight * v + A.normal(v), b, b * 0, max_iter=max_iter, tolerance=tolerance, floor=floor
    )


def fit(
    A: ForwardModel,
    r: Tensor,
    damping: Level,
    *,
    real: bool,
    max_iter: int,
    tolerance: float,
    floor: Tensor | float = 0.0,
) -> Tensor:
    """(damping + A^H A)^-1 A^H r: the image, real or complex, that fits the data r (B, coil, ny, nx) best."""
    eigenvalues = A.eigenvalues(real=real)
    if eigenvalues is not None:
        x = A.adjoint(inverse(eigenvalues, per_image(damping, r[:, 0]))[..., None, :, :] * r)
        return x.real if real else x
    b = A.adjoint(r)
    return solve(A, b.real if real else b, damping, max_iter=max_iter, tolerance=tolerance, floor=floor)


def inverse(eigenvalues: Tensor, damping: Tensor | float) -> Tensor:
    """1 / (damping + eigenvalue), 0 where that is not defined."""
    total = damping + eigenvalues
    return (1 / total).where(total > 0, total * 0)


def filtered(x: Tensor, gain: Tensor) -> Tensor:
    """Images x (B, ny, nx), real or complex, with every frequency multiplied by its gain, (ny, nx) or (B, ...)."""
    from napari_lossguide.operators.fourier import fft2c, ifft2c  # loads torch, which forms do without

    out = ifft2c(gain * fft2c(x))
    return out if x.is_complex() else out.real
