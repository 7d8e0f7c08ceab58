"""What the network said in a run, so that a branch can go on from any of its steps.

A sampler remembers: momentum, paired noise, an optimiser's moments, its generators. None of that is saved. A branch
walks the same path again from its start and is told what the network said there, which is nearly all of the time that
a step takes; from the step where it branches it asks the network itself. So every sampler can be resumed, and a branch
is the run that its recipe describes, bit by bit: the parent's recipe with other changes of knobs from that step on.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.recon.knobs import knobs_of
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

MEMORY = 256 * 2**20
"""Bytes that a tape keeps in memory; what comes later goes to a file that ends with the tape."""


class Store:
    """Arrays by number: the first ones in memory, the later ones in a temporary file. Safe between threads.

    Parameters
    ----------
    memory : bytes in memory.
    folder : of the file; the system's for temporary files when absent.
    """

    def __init__(self, memory: int = MEMORY, folder: Path | None = None) -> None:
        self.left, self.folder = memory, folder
        self.kept: list[NDArray[Any] | tuple[int, tuple[int, ...], np.dtype[Any]]] = []
        self.file: Any = None
        self.lock = threading.Lock()

    def put(self, array: NDArray[Any]) -> int:
        """Keep an array; its number.

        Raises
        ------
        OSError
            If the disk is full.
        """
        array = np.require(array, requirements="C")
        with self.lock:
            return self._put(array)

    def _put(self, array: NDArray[Any]) -> int:
        if array.nbytes <= self.left:
            self.left -= array.nbytes
            self.kept.append(array)
        else:
            if self.file is None:
                self.file = tempfile.TemporaryFile(prefix="lossguide-tape-", dir=self.folder)  # noqa: SIM115 (it ends with the store)
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
        count = int(np.prod(shape))
        with self.lock:
            self.file.seek(place)
            return np.frombuffer(self.file.read(count * dtype.itemsize), dtype, count).reshape(shape)


@dataclass(frozen=True)
class Frame:
    """A step as it can be looked at again.

    Attributes
    ----------
    step : from 1, over the whole run.
    slice : from 0; of slices that share a batch the first one.
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
    memory, folder : of the store of a tape that begins anew.
    """

    def __init__(self, memory: int = MEMORY, folder: Path | None = None) -> None:
        self.store = Store(memory, folder)
        self.answers: list[Answer] = []
        self.frames: list[Frame] = []
        self.position = self.known = 0
        self.slices = 0  # that share batches; 0 before the run begins
        self.stopped = False  # no room for more
        self.split = False  # a batch was asked again in parts: memory was short, or a slice failed

    def branch(self, step: int) -> Tape:
        """A tape that plays what was said up to a step (from 1; 0 is the start) and records what comes then.

        Raises
        ------
        InvalidInput
            If there is no such step, or the run's batches were split on their way.
        """
        if self.split:
            raise InvalidInput(
                "This run cannot be gone back to: a batch was too large for the memory, or one of its slices failed, "
                "and it was asked again in parts. Run it again with a smaller batch."
            )
        if not 0 <= step <= len(self.frames):
            raise InvalidInput(f"step = {step} cannot be gone back to; the run has the steps 0 ... {len(self.frames)}.")
        out = Tape()
        out.store = self.store
        out.slices = self.slices
        out.known = self.frames[step - 1].answers if step else 0
        out.answers = self.answers[: out.known]
        return out

    def together(self, slices: int) -> int:
        """How many slices share batches: as many as in the run that this branches from, else so many."""
        self.slices = self.slices or slices
        return self.slices

    def mark(self, step: int, index: int, sigma: float, state: NDArray[Any], estimate: NDArray[Any]) -> None:
        """A step is done."""
        images = [self.keep(state), self.keep(estimate)]
        if not self.stopped:
            self.frames.append(Frame(step, index, sigma, self.position, *images))

    def keep(self, array: NDArray[Any]) -> int:
        """Put an array into the store. A full disk ends the recording, not the run."""
        try:
            return self.store.put(array)
        except OSError:
            self.stopped = True
            return -1

    def image(self, step: int, *, state: bool) -> NDArray[np.float32]:
        """The noisy state or the estimate after a step (from 1), magnitude float32 (ny, nx)."""
        frame = self.frames[step - 1]
        return self.store.get(frame.state if state else frame.estimate)


def branched(recipe: Recipe, step: int, knobs: Mapping[str, float]) -> Recipe:
    """The recipe of a branch: a run's own changes up to a step (from 1, 0 is the start), and these knobs from there on.

    Parameters
    ----------
    recipe : of the run, with the changes that took effect.
    step : after which the branch begins.
    knobs : values by full name; those that the run had anyway are no change.
    """
    before = [change for change in recipe.changes if change.step < step]
    now = knobs_of(recipe) | {change.name: change.value for change in before}
    fresh = [Change(step=step, name=name, value=value) for name, value in knobs.items() if now[name] != value]
    return recipe.model_copy(update={"changes": (*before, *fresh)})
