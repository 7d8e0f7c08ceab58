"""Runs walked to their end: what reconstructing and sampling, Python and the shell have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Protocol, TypeVar

from napari_lossguide.types import Cancelled, InvalidInput

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Steppable(Protocol[P_co, R_co]):
    """A run: its steps, and what it leaves."""

    def steps(self) -> Iterator[P_co]:
        """Progress after every step."""
        ...

    def result(self, status: str) -> R_co:
        """What there is; ``status`` is done or cancelled."""
        ...


def cancellable(run: Steppable[P, R]) -> Generator[P, None, R]:
    """The steps of a run; its result, "cancelled" when it was cancelled. A closed generator closes the run's."""
    status = "done"
    steps = run.steps()
    try:
        yield from steps
    except Cancelled:
        status = "cancelled"
    finally:
        steps.close()  # type: ignore[attr-defined]
    return run.result(status)


def bearable(error: Exception) -> str:
    """Why one slice of a stack has no image, in a sentence; empty if the error is no reason to go on with the others.

    Data that do not fit, a divergence and a lack of memory belong to their slice. Anything else is a fault.
    """
    memory = isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error))
    if not memory and not isinstance(error, ArithmeticError | InvalidInput):
        return ""
    return " ".join(str(error).split()) or "Out of memory."


def last_of(run: Generator[P, None, R], callback: Callable[[P], object] | None = None) -> R:
    """Walk a run to its end, telling ``callback`` each step; its result."""
    while True:
        try:
            progress = next(run)
        except StopIteration as stop:
            result: R = stop.value
            return result
        if callback is not None:
            callback(progress)
