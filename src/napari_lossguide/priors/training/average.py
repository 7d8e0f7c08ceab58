"""Averages of the weights over the last steps, with several half-lives at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


class Averages:
    """Exponential moving averages of a model's state (Karras et al. 2022, appendix F.2).

    Parameters
    ----------
    model : where they start.
    halflives : in steps, one for each average.

    Attributes
    ----------
    states : state dict of each average, by its half-life.
    """

    def __init__(self, model: nn.Module, halflives: Sequence[float]) -> None:
        self.states: dict[float, State] = {
            h: {k: v.detach().clone() for k, v in model.state_dict().items()} for h in halflives
        }

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` steps; the half-life grows with the run until it is the asked one."""
        now = model.state_dict()
        for halflife, state in self.states.items():
            beta = 0.5 ** (1 / max(min(halflife, 0.05 * step), 1e-8))
            for name, value in now.items():
                state[name].lerp_(value, 1 - beta) if value.is_floating_point() else state[name].copy_(value)

    def longest(self) -> float:
        """Half-life of the smoothest average."""
        return max(self.states)
