"""Any path of noise levels, down and up: a sampler walks each descent, and between them noise is added.

Resampling (Lugmayr et al. 2022, RePaint, arXiv 2201.09865, algorithm 1; Peer 2023, chapter on long-grained resampling)
and slowed-down sampling are paths. No sampler needs to know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from napari_lossguide.types import Step

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Noise


class Sampler(Protocol):
    """How to go down one level.

    Attributes
    ----------
    Params : pydantic model of its knobs.
    takes : the places (see ``guidance.base``) in which it lets a guidance correct.
    from_state : whether it goes on from the state it is given; else a warm start has no effect.
    """

    Params: Any
    takes: frozenset[str]
    from_state: bool

    @staticmethod
    def evaluations(params: Any, falls: int, ends: int = 1) -> int:
        """Network evaluations of a path with so many steps down, which reaches level 0 so many times."""
        ...

    @staticmethod
    def steps(
        denoise: Callable[[Tensor, float], Tensor],
        guide: Any,
        x: Tensor,
        sigmas: Sequence[float],
        knobs: Callable[[int], tuple[Any, Any]],
        noise: Noise,
    ) -> Iterator[Step]:
        """Yield after every level.

        Parameters
        ----------
        denoise : D(x; sigma).
        guide : a ``guidance.base.Guidance``.
        x : state at ``sigmas[0]``, (B, ny, nx) real or complex.
        sigmas : n + 1 decreasing levels; the last one may be 0.
        knobs : called once a step with its index: the sampler's and the guidance's parameters as they are now.
        noise : unit noise of the state's shape and kind.
        """
        ...


def descents(sigmas: Sequence[float]) -> list[list[float]]:
    """The parts of a path that go down, without the climbs between them."""
    parts = [[sigmas[0]]]
    for sigma in sigmas[1:]:
        if sigma < parts[-1][-1]:
            parts[-1].append(sigma)
        else:
            parts.append([sigma])
    return [part for part in parts if len(part) > 1]


def add_noise(x: Tensor, sigma: float, sigma_next: float, noise: Noise) -> Tensor:
    """From a level to a higher one: x + sqrt(sigma'^2 - sigma^2) z."""
    return x + math.sqrt(sigma_next**2 - sigma**2) * noise()


def relabel(x: Tensor, sigma: float, sigma_next: float, _: Noise) -> Tensor:
    """What the thesis's code does in the place of adding noise: the DDPM state u = x / sqrt(1 + sigma^2) is kept."""
    return x * math.sqrt((1 + sigma_next**2) / (1 + sigma**2))


def walk(
    sampler: type[Sampler],
    denoise: Callable[[Tensor, float], Tensor],
    guide: Any,
    x: Tensor,
    sigmas: Sequence[float],
    knobs: Callable[[int], tuple[Any, Any]],
    noise: Noise,
    climb: Callable[[Tensor, float, float, Noise], Tensor] = add_noise,
) -> Iterator[Step]:
    """Walk a path with a sampler; parameters as in ``Sampler.steps``, but ``sigmas`` may go up.

    Parameters
    ----------
    climb : (x, sigma, higher sigma, noise) -> x at the higher level.
    """
    parts = descents(sigmas)
    total = sum(len(part) - 1 for part in parts)
    done, nfe, low = 0, 0, parts[0][0]
    for part in parts:
        if part[0] > low:
            x = climb(x, low, part[0], noise)

        def own_knobs(step: int, before: int = done) -> tuple[Any, Any]:
            return knobs(before + step)

        for step in sampler.steps(denoise, guide, x, part, own_knobs, noise):
            # At level 0 the state is the image, with what the guidance does after the last step.
            x0 = step.x if part[step.index + 1] == 0 else step.x0
            yield replace(step, index=done + step.index, total=total, nfe=nfe + step.nfe, x0=x0)
        x, low = step.x, part[-1]
        done, nfe = done + step.total, nfe + step.nfe
