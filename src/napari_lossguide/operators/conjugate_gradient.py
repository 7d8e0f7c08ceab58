"""Conjugate gradients for Hermitian positive semi-definite systems, every sample of a batch by itself.

Hestenes & Stiefel 1952. Inner products are conj(r) . r, and step sizes are per sample: a sample's result
does not depend on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Re <a, b> of each sample, shaped (B, 1, ..., 1)."""
    product = (a.conj() * b).real if a.is_complex() else a * b
    return product.flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))


def conjugate_gradient(
    apply: Callable[[Tensor], Tensor],
    b: Tensor,
    x: Tensor,
    *,
    max_iter: int,
    tolerance: float = 1e-5,
    floor: Tensor | float = 0.0,
) -> Tensor:
    """Solve apply(x) = b from the given start.

    Parameters
    ----------
    apply : Hermitian positive semi-definite map of (B, ...) tensors that acts on each sample alone.
    b, x : right-hand side and start, real or complex, (B, ...).
    max_iter : iterations at most.
    tolerance : a sample stops moving when |r| <= tolerance |b|; the loop ends when all have stopped.
    floor : |r| below which r is the rounding error of how b was computed, a number or (B, 1, ..., 1). In a singular
        system this error has a part that the map cannot reach, which would otherwise be followed without bound.

    Returns
    -------
    The solution; with a singular consistent system and x = 0, the one of minimum norm.
    """
    r = b - apply(x)
    p = r
    rr, stop = inner(r, r), (tolerance**2 * inner(b, b)).clamp(min=floor**2)
    for _ in range(max_iter):
        active = rr > stop
        if not bool(active.any()):
            break
        ap = apply(p)
        pap = inner(p, ap)
        alpha = (rr / pap.clamp(min=1e-30)) * active
        x = x + alpha * p
        r = r - alpha * ap
        rr, previous = inner(r, r), rr
        p = r + (rr / previous.clamp(min=1e-30)) * p
    return x
