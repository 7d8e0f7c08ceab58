"""The reconstructions that people compare with, as generators of steps like the samplers.

L1-wavelet and total variation are SigPy's, stepped one iteration at a time so that they can be watched and cancelled.
BART's are in ``bart_pics``, those of partial Fourier in ``partial_fourier``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_lossguide.data.fourier import mirrored
from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.recon.bart_pics import bart_pics
from napari_lossguide.recon.partial_fourier import homodyne, pocs
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


# From |A|^2 <= 1 and |T|^2 <= 8 of finite differences in the plane: tau sigma (1 + 8) <= 1. SigPy's own come from power
# iterations that start from numpy's global generator: no two runs would be equal. Its sigma = 1 is also far from
# converged after 100 iterations (by 1.8 dB on brain slices); the dual variables are small, so a small sigma is quicker.
DUAL = 0.1
STEP_SIZES = {"L1WaveletRecon": {"alpha": 1.0}, "TotalVariationRecon": {"tau": 1 / (9 * DUAL), "sigma": DUAL}}


def completed(y: NDArray[np.complex64], mask: NDArray[np.bool_]) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """k-space (1, ny, nx) of a real image and its mask (ny, nx), with conj y(-k) where only -k was measured.

    A diffusion method for real images knows this symmetry; so must what it is compared with.
    """
    other = mirrored(mask) & ~mask
    return np.where(other, mirrored(y).conj(), y), mask | other


def sparse(problem: Problem, app_name: str, regularization: float, iterations: int) -> Iterator[Tensor]:
    """Estimates of SigPy's ``L1WaveletRecon`` or ``TotalVariationRecon``, one per iteration.

    Both minimise 1/2 |A x - y|^2 + lambda |T x|_1 with T the Daubechies-4 wavelet transform or finite differences. The
    k-space of a real image and one coil is completed by its symmetry first.
    """
    import sigpy.mri.app

    A = problem.A
    assert isinstance(A, CartesianSense)
    y, mask, maps = problem.y[0].cpu().numpy(), A.mask.cpu().numpy(), A.maps.cpu().numpy()
    if problem.real and len(maps) == 1 and not maps.imag.any():
        y, mask = completed(y, mask)
    app: Any = getattr(sigpy.mri.app, app_name)(
        y,
        maps,
        regularization,
        weights=np.broadcast_to(mask, y.shape).astype(np.float32),
        max_iter=iterations,
        show_pbar=False,
        **STEP_SIZES[app_name],
    )
    while not app.alg.done():
        app.alg.update()
        image = torch.from_numpy(np.asarray(app.x, dtype=np.complex64))[None].to(problem.y.device)
        yield project(image, problem.real)


def go_on() -> None:
    """Nobody can cancel."""


AT_ONCE = ("zero-filled", "homodyne", "bart-pics")
"""Methods that give one image, at the end, however many iterations they make."""


def classical_total(recipe: Recipe) -> int:
    """Steps of a slice, at most."""
    return 1 if recipe.method in AT_ONCE else int(recipe.guidance["iterations"])


def classical_steps(problem: Problem, recipe: Recipe, checkpoint: Callable[[], None] = go_on) -> Iterator[Step]:
    """Run the recipe's classical method; ``sigma`` of the steps is nan.

    Parameters
    ----------
    problem : of one slice.
    recipe : what to do.
    checkpoint : called within long steps; if it raises, they end.
    """
    p = recipe.guidance
    total = classical_total(recipe)
    match recipe.method:
        case "zero-filled":
            images: Iterator[Tensor] = iter([zero_filled(problem)])
        case "cg-sense":
            images = cg_sense(problem, p["regularization"], total)
        case "l1-wavelet":
            images = sparse(problem, "L1WaveletRecon", p["regularization"], total)
        case "tv":
            images = sparse(problem, "TotalVariationRecon", p["regularization"], total)
        case "homodyne":
            images = iter([homodyne(problem)])
        case "pocs":
            images = pocs(problem, total)
        case "bart-pics":
            images = iter([bart_pics(problem, p, checkpoint)])
        case name:
            raise AssertionError(f"{name} is registered as classical but has no algorithm")
    for i, image in enumerate(images):
        yield Step(i, total, float("nan"), image, image, 0, {})
