"""What the network said in a run, so that a branch can go on from any of its steps.

A sampler remembers: momentum, paired noise, an optimiser's moments, its generators. None of that is saved. A branch
walks the same path again from its start and is told what the network said there, which is nearly all of the time that
a step takes; from the step where it branches it asks the network itself. So every sampler can be resumed, and a branch
is the run that its recipe describes, bit by bit: the parent's recipe with other changes of knobs from that step on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from napari_lossguide.types import Denoiser

MEMORY = 256 * 2**20
"""Bytes that a tape keeps in memory; what comes later goes to a file that ends with the tape."""


class Store:
    """Arrays by number: the first ones in memory, the later ones in a temporary file.

    Parameters
    ----------
    memory : bytes in memory.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self.left = memory
        self.kept: list[NDArray[Any] | tuple[int, tuple[int, ...], np.dtype[Any]]] = []
        self.file: Any = None

    def put(self, array: NDArray[Any]) -> int:
        """Keep an array; its number.

        Raises
        ------
        OSError
            If the disk is full.
        """
        array = np.require(array, requirements="C")
        if array.nbytes <= self.left:
            self.left -= array.nbytes
            self.kept.append(array)
        else:
            if self.file is None:
                self.file = tempfile.TemporaryFile(prefix="lossguide-tape-")  # noqa: SIM115 (it ends with the store)
            place = self.file.seek(0, 2)
            self.file.write(array.data)
            self.kept.append((place, array.shape, array.dtype))
        return len(self.kept) - 1

    def get(self, number: int) -> NDArray[Any]:
        """The array of a number."""
        kept = self.kept[number]
        if isinstance(kept, np.ndarray):
            return kept
        place, shape, dtype = kept
        self.file.seek(place)
        count = int(np.prod(shape))
        return np.frombuffer(self.file.read(count * dtype.itemsize), dtype, count).reshape(shape)


@dataclass(frozen=True)
class Frame:
    """A step as it can be looked at again.

    Attributes
    ----------
    step : from 1, over the whole run.
    slice : from 0.
    sigma : noise level.
    answers : what the network had been asked by then, times.
    state, estimate : numbers in the store of float32 magnitudes (ny, nx) of the first sample, on the input's scale.
    """

    step: int
    slice: int
    sigma: float
    answers: int
    state: int
    estimate: int


@dataclass(frozen=True)
class Answer:
    """What the network said once: its estimate and, if it was asked for, the gradient through it."""

    estimate: int
    gradients: list[int]


class Tape:
    """The answers and the steps of one run.

    Parameters
    ----------
    memory : bytes in memory, of a tape that begins anew.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self.store = Store(memory)
        self.answers: list[Answer] = []
        self.frames: list[Frame] = []
        self.position = self.known = 0
        self.split = False  # a batch was too large for the memory, and was asked again in parts

    def branch(self, step: int) -> Tape:
        """A tape that plays what was said up to a step (from 1; 0 is the start) and records what comes then.

        Raises
        ------
        InvalidInput
            If there is no such step, or the run's batches were split on their way.
        """
        if self.split:
            raise InvalidInput(
                "This run cannot be gone back to: a batch was too large for the memory and was split. Run it again "
                "with a smaller batch."
            )
        if not 0 <= step <= len(self.frames):
            raise InvalidInput(f"step = {step} cannot be gone back to; the run has the steps 0 ... {len(self.frames)}.")
        out = Tape()
        out.store = self.store
        out.known = self.frames[step - 1].answers if step else 0
        out.answers = self.answers[: out.known]
        return out

    def listen(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser, with its answers recorded, or played while they are known."""
        return _Listening(denoiser, self)

    def mark(self, step: int, index: int, sigma: float, state: NDArray[Any], estimate: NDArray[Any]) -> None:
        """A step is done."""
        images = (self.store.put(state), self.store.put(estimate))
        self.frames.append(Frame(step, index, sigma, self.position, *images))

    def image(self, step: int, *, state: bool) -> NDArray[np.float32]:
        """The noisy state or the estimate after a step (from 1), magnitude float32 (ny, nx)."""
        frame = self.frames[step - 1]
        return self.store.get(frame.state if state else frame.estimate)


class _Listening:
    """A denoiser with a tape."""

    def __init__(self, denoiser: Denoiser, tape: Tape) -> None:
        self.denoiser, self.tape, self.info = denoiser, tape, denoiser.info

    def __getattr__(self, name: str) -> Any:
        return getattr(self.denoiser, name)

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        tape = self.tape
        if tape.position < tape.known:
            tape.position += 1
            return self.played(x, tape.answers[tape.position - 1])
        gradients: list[int] = []
        wanted = torch.is_grad_enabled() and x.requires_grad
        if wanted:
            x = x.view_as(x)  # a gradient that arrives here came through the network
            x.register_hook(lambda g: gradients.append(tape.store.put(g.cpu().numpy())))
        d = self.denoiser(x, sigma)
        tape.answers.append(Answer(tape.store.put(d.detach().cpu().numpy()), gradients))
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
