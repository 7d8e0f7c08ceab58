"""The reconstructions that people compare with, as generators of steps like the samplers.

L1-wavelet and total variation are SigPy's, stepped one iteration at a time so that they can be watched and cancelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.types import Problem, Step

if TYPE_CHECKING:
    from napari_lossguide.recon.recipe import Recipe


def project(image: Tensor, real: bool) -> Tensor:
    """An image known to be real has no imaginary part."""
    return image.real if real else image


def zero_filled(problem: Problem) -> Tensor:
    """A^H y, (1, ny, nx)."""
    return project(problem.A.adjoint(problem.y), problem.real)


def cg_sense(problem: Problem, regularization: float, iterations: int) -> Iterator[Tensor]:
    """Estimates of argmin |A x - y|^2 + lambda |x|^2, one per iteration.

    Conjugate gradients on the normal equations; Pruessmann et al. 2001, Magn Reson Med 46:638.
    """
    from napari_lossguide.operators.conjugate_gradient import inner

    x = zero_filled(problem) * 0
    r = zero_filled(problem)
    p, rr = r, inner(r, r)
    first = rr
    for _ in range(iterations):
        ap = problem.A.normal(p) + regularization * p
        alpha = rr / inner(p, ap).clamp(min=1e-30)
        x, r = x + alpha * p, r - alpha * ap
        rr, previous = inner(r, r), rr
        p = r + rr / previous.clamp(min=1e-30) * p
        yield x
        if bool((rr <= 1e-12 * first).all()):
            return


# From |A|^2 <= 1 and |T|^2 <= 8 of finite differences in the plane. SigPy's own come from power iterations that start
# from numpy's global generator: no two runs would be equal.
STEP_SIZES = {"L1WaveletRecon": {"alpha": 1.0}, "TotalVariationRecon": {"tau": 1 / 9, "sigma": 1.0}}


def sparse(problem: Problem, app_name: str, regularization: float, iterations: int) -> Iterator[Tensor]:
    """Estimates of SigPy's ``L1WaveletRecon`` or ``TotalVariationRecon``, one per iteration.

    Both minimise 1/2 |A x - y|^2 + lambda |T x|_1 with T the Daubechies-4 wavelet transform or finite differences.
    """
    import sigpy.mri.app

    A = problem.A
    assert isinstance(A, CartesianSense)
    y = problem.y[0].cpu().numpy()
    weights = A.mask.to(torch.float32).expand(A.data_shape).cpu().numpy()
    app: Any = getattr(sigpy.mri.app, app_name)(
        y,
        A.maps.cpu().numpy(),
        regularization,
        weights=weights,
        max_iter=iterations,
        show_pbar=False,
        **STEP_SIZES[app_name],
    )
    while not app.alg.done():
        app.alg.update()
        image = torch.from_numpy(np.asarray(app.x, dtype=np.complex64))[None].to(problem.y.device)
        yield project(image, problem.real)


def classical_steps(problem: Problem, recipe: Recipe) -> Iterator[Step]:
    """Run the recipe's classical method; ``sigma`` of the steps is nan."""
    p = recipe.guidance
    total = p.get("iterations", 1)
    match recipe.method:
        case "zero-filled":
            images: Iterator[Tensor] = iter([zero_filled(problem)])
        case "cg-sense":
            images = cg_sense(problem, p["regularization"], total)
        case "l1-wavelet":
            images = sparse(problem, "L1WaveletRecon", p["regularization"], total)
        case "tv":
            images = sparse(problem, "TotalVariationRecon", p["regularization"], total)
        case name:
            raise AssertionError(f"{name} is registered as classical but has no algorithm")
    for i, image in enumerate(images):
        yield Step(i, total, float("nan"), image, image, 0, {})
