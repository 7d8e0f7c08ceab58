"""The network as a tape hears it: asked, or played from what it said before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from napari_lossguide.recon.tape import Answer, Tape
from napari_lossguide.types import Denoiser


class Listening:
    """A denoiser whose answers go to a tape, or come from it while it knows them."""

    def __init__(self, denoiser: Denoiser, tape: Tape) -> None:
        self.denoiser, self.tape, self.info = denoiser, tape, denoiser.info

    def __getattr__(self, name: str) -> Any:
        return getattr(self.denoiser, name)

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """D(x; sigma)."""
        tape = self.tape
        if tape.position < tape.known:
            tape.position += 1
            return self.played(x, tape.answers[tape.position - 1])
        gradients: list[int] = []
        wanted = torch.is_grad_enabled() and x.requires_grad
        if wanted:
            x = x.view_as(x)  # a gradient that arrives here came through the network
            x.register_hook(lambda g: gradients.append(tape.keep(g.cpu().numpy())))
        d = self.denoiser(x, sigma)
        answer = tape.keep(d.detach().cpu().numpy())
        if not tape.stopped:
            tape.answers.append(Answer(answer, gradients))
            tape.position += 1
        return d

    def played(self, x: Tensor, answer: Answer) -> Tensor:
        """What was said before, with its gradient if that is asked for."""

        def again(number: int) -> Tensor:
            return torch.from_numpy(self.tape.store.get(number).copy()).to(x.device)

        d = again(answer.estimate)
        if d.shape != x.shape:
            raise RuntimeError("A tape was played to another run than its own.")
        if torch.is_grad_enabled() and x.requires_grad:
            played: Tensor = _Played.apply(x, d, lambda: again(answer.gradients[0]))
            return played
        return d


class _Played(torch.autograd.Function):
    """d as a function of x whose gradient is known."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, d: Tensor, gradient: Callable[[], Tensor]) -> Tensor:
        ctx.gradient = gradient
        return d

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> Any:
        return ctx.gradient(), None, None
