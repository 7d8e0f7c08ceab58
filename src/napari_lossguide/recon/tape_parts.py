"""A tape in parts that travel between processes, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from napari_lossguide.recon.tape import Answer, Tape


@dataclass(frozen=True)
class Spoken:
    """What the network said once, with its gradients."""

    estimate: np.ndarray
    gradients: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Scene:
    """A step of a tape with its arrays (see `tape.Frame`), and what the network said since the one before."""

    step: int
    slice: int
    sigma: float
    state: np.ndarray
    estimate: np.ndarray
    spoken: tuple[Spoken, ...]

    @property
    def nbytes(self) -> int:
        """Size of the arrays."""
        said = [array for s in self.spoken for array in (s.estimate, *s.gradients)]
        return sum(array.nbytes for array in (self.state, self.estimate, *said))


def spoken(tape: Tape, first: int, last: int) -> tuple[Spoken, ...]:
    """The answers of a tape from one number up to another, with their arrays."""
    get = tape.store.get
    return tuple(Spoken(get(a.estimate), tuple(get(g) for g in a.gradients)) for a in tape.answers[first:last])


def scenes(tape: Tape, first: int, room: int) -> list[Scene]:
    """Steps of a tape from one on (from 0): until the room, in bytes, is full, and one at least.

    Answers that the tape plays are left out.
    """
    out: list[Scene] = []
    for index, frame in enumerate(tape.frames[first:], first):
        before = max(tape.frames[index - 1].answers if index else 0, tape.known)
        images = tape.store.get(frame.state), tape.store.get(frame.estimate)
        out.append(Scene(frame.step, frame.slice, frame.sigma, *images, spoken(tape, before, frame.answers)))
        room -= out[-1].nbytes
        if room <= 0:
            break
    return out


def playing(known: Iterable[Spoken], together: int) -> Tape:
    """A tape that plays these answers, of a run whose slices shared batches by so many; see `Tape.branch`."""
    tape = Tape()
    _hear(tape, known)
    tape.slices, tape.known = together, len(tape.answers)
    return tape


def append(tape: Tape, parts: Iterable[Scene]) -> None:
    """Go on with a tape by the steps of another one. A full disk ends it."""
    for scene in parts:
        _hear(tape, scene.spoken)
        tape.position = len(tape.answers)
        tape.mark(scene.step, scene.slice, scene.sigma, scene.state, scene.estimate)


def _hear(tape: Tape, said: Iterable[Spoken]) -> None:
    for one in said:
        tape.answers.append(Answer(tape.keep(one.estimate), [tape.keep(g) for g in one.gradients]))
