"""Any differentiable loss of the estimate beside the data term.

With exp(-L) as a further factor of the prior, Tweedie's formula moves the estimate by sigma^2 times the gradient of the
log-factor at the noisy image. Taking D for a Gaussian's denoiser, dD/dx = s^2/(sigma^2 + s^2), gives, without a
gradient through the network,

    x0_hat <- x0_hat - r^2 grad L(x0_hat),    r^2 = sigma^2 s^2 / (sigma^2 + s^2),

one gradient step on L(v) + |v - x0_hat|^2 / (2 r^2) from v = x0_hat. A heavy loss would overshoot: the step of an image
is halved until it brings that sum down (Armijo 1966).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from napari_lossguide.guidance.base import Guidance
from napari_lossguide.operators.conjugate_gradient import inner
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.guidance.loss_terms import Loss

HALVINGS = 40
ROUNDING = 1e-5  # of a loss, relative to it


class WithLosses(Guidance):
    """A guidance, and then the losses.

    Parameters
    ----------
    guide : how the data speak.
    losses : functions of the estimate.
    weights : of the losses; 1 where absent.

    Attributes
    ----------
    weights : as given; they may be set anew between steps. A loss of weight 0 is not asked.
    """

    def __init__(self, guide: Guidance, losses: Sequence[Loss], weights: Sequence[float] | None = None) -> None:
        super().__init__(guide.problem, guide.sigma_data)
        self.guide, self.losses = guide, losses
        self.weights: Sequence[float] = [1.0] * len(losses) if weights is None else weights

    def correct_state(self, x: Tensor, sigma: float, params: Any) -> Tensor:
        """As the guidance does."""
        return self.guide.correct_state(x, sigma, params)

    def expect_fresh(self, std: float) -> None:
        """As the guidance does."""
        self.guide.expect_fresh(std)

    def shape_noise(self, z: Tensor, std: float, params: Any) -> Tensor:
        """As the guidance does."""
        return self.guide.shape_noise(z, std, params)

    def correct_next(self, x: Tensor, sigma: float, sigma_next: float, params: Any) -> Tensor:
        """As the guidance does."""
        return self.guide.correct_next(x, sigma, sigma_next, params)

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: Any) -> Tensor:
        """The guidance's estimate, moved down the losses."""
        return self.moved(self.guide.correct_estimate(d, x, sigma, params), sigma)

    def estimate(
        self, denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, params: Any
    ) -> tuple[Tensor, Tensor]:
        """D, and the guidance's estimate moved down the losses."""
        d, x0 = self.guide.estimate(denoise, x, sigma, params)
        return d, self.moved(x0, sigma)

    def moved(self, x0: Tensor, sigma: float) -> Tensor:
        """x0 - a r^2 grad L(x0), of each image by itself: a is 1, or less for a heavy loss."""
        import torch

        if not any(self.weights):
            return x0
        r2 = sigma**2 * self.sigma_data**2 / (sigma**2 + self.sigma_data**2)
        with torch.enable_grad():
            x = x0.detach().requires_grad_()
            values = self.total(x)
            (gradient,) = torch.autograd.grad(values.sum(), x)
            values = values.detach()
        step = torch.ones_like(values).reshape(-1, 1, 1)
        slope = inner(gradient, gradient).flatten()
        for _ in range(HALVINGS):
            moved: Tensor = x0 - step * r2 * gradient
            a = step.flatten()
            with torch.enable_grad():  # a loss of the user's may need it
                now = self.total(moved.requires_grad_()).detach()
            moved = moved.detach()
            heavy = now + a**2 * r2 * slope / 2 > values + ROUNDING * values.abs()
            if not bool(heavy.any()):
                return moved
            step = torch.where(heavy.reshape(-1, 1, 1), step / 2, step)
        return moved

    def total(self, x: Tensor) -> Tensor:
        """L of images x, (B,)."""
        import torch

        weighed = zip(self.weights, self.losses, strict=True)
        return torch.stack([weight * checked(loss(x), x) for weight, loss in weighed if weight]).sum(0)


def checked(values: Any, x: Tensor) -> Tensor:
    """The losses of images x, (B,): one for both together would make each depend on the other.

    Raises
    ------
    InvalidInput
        If they are not.
    """
    shape, graph = getattr(values, "shape", ()), getattr(values, "requires_grad", False)
    if tuple(shape) != x.shape[:1] or not graph:
        raise InvalidInput(
            "A loss must be a differentiable function of images (B, ny, nx) with a value for each, (B,); for "
            f"B = {len(x)} it gave {tuple(shape) if graph else 'what has no gradient'}."
        )
    out: Tensor = values
    return out
