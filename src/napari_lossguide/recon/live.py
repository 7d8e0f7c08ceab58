"""Knobs that a person turns while the sampler runs: read once a step, logged, replayed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from napari_lossguide.types import Cancelled, InvalidInput


class Change(BaseModel):
    """A knob took a new value from this step on (counted over the whole run, from 0)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    step: int
    name: str
    value: float


class Live:
    """Shared between the sampler's thread and the one that turns the knobs.

    Parameters
    ----------
    changes : changes of an earlier run to replay; each takes effect at its step.
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._lock = threading.Lock()
        self._running = threading.Event()
        self._running.set()
        self._cancelled = threading.Event()
        self._replay = list(changes)
        self._pending: dict[str, float] = {}
        self._values: dict[str, float] = {}
        self._start: Mapping[str, float] = {}
        self._changes: list[Change] = []
        self._limits: Mapping[str, tuple[float, float]] | None = None

    def declare(self, limits: Mapping[str, tuple[float, float]], start: Mapping[str, float] | None = None) -> None:
        """The engine says which knobs this run has.

        Parameters
        ----------
        limits : their least and greatest values.
        start : the values that they begin with, as far as known; to set one of these is no change.

        Raises
        ------
        InvalidInput
            If a knob that was set before, or one to be replayed, is not among them or is out of its range.
        """
        with self._lock:
            self._limits, self._start = dict(limits), dict(start or {})
            for name, value in [*self._pending.items(), *((c.name, c.value) for c in self._replay)]:
                self._check(name, value)

    def _check(self, name: str, value: float) -> None:
        if self._limits is None:
            return
        if name not in self._limits:
            raise InvalidInput(f"'{name}' is not a live knob of this run; it has {', '.join(self._limits) or 'none'}.")
        low, high = self._limits[name]
        if not low <= value <= high:
            accepted = f"{low:g} ... {high:g}" if high < sys.float_info.max else f"of finite numbers from {low:g} on"
            raise InvalidInput(f"{name} = {value} is out of its range {accepted}.")

    def update(self, values: Mapping[str, float]) -> None:
        """Set knobs, by their full names ("guidance.gamma"); they take effect together at the next step.

        Raises
        ------
        InvalidInput
            If a name or a value is not one of this run's (once the run has begun).
        """
        with self._lock:
            for name, value in values.items():
                self._check(name, value)
            self._pending = {**self._pending, **{k: float(v) for k, v in values.items()}}

    def read(self, step: int) -> Mapping[str, float]:
        """Values that were changed so far; called by the engine once a step."""
        with self._lock:
            fresh = {c.name: c.value for c in self._replay if c.step == step} | self._pending
            self._pending = {}
            for name, value in fresh.items():
                if self._values.get(name, self._start.get(name)) != value:
                    self._changes.append(Change(step=step, name=name, value=value))
            self._values = {**self._values, **fresh}
            return dict(self._values)

    @property
    def replay(self) -> tuple[Change, ...]:
        """The changes of an earlier run."""
        return tuple(self._replay)

    def take(self) -> dict[str, float]:
        """What was set since the last call, for a run in another process, which reads it in the place of this one."""
        with self._lock:
            taken, self._pending = self._pending, {}
            return taken

    def follow(self, changes: Iterable[Change]) -> None:
        """These changes took effect in another process."""
        with self._lock:
            self._changes = list(changes)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change that took effect, in order."""
        with self._lock:
            return tuple(self._changes)

    def cancel(self) -> None:
        """End the run at the next checkpoint, also when it is paused."""
        self._cancelled.set()
        self._running.set()

    def pause(self) -> None:
        """Hold the run at the next checkpoint."""
        self._running.clear()

    def resume(self) -> None:
        """Let a paused run go on."""
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether the run is held."""
        return not self._running.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether the run was asked to stop."""
        return self._cancelled.is_set()

    def checkpoint(self) -> None:
        """Wait while paused; raise ``Cancelled`` after ``cancel``. Called between steps and inside long inner loops."""
        self._running.wait()
        if self._cancelled.is_set():
            raise Cancelled
