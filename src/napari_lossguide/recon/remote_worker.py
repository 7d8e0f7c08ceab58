"""A run on a Dask worker, as the worker has it: it obeys the main machine, and tells what it is asked for.

The task itself computes in the worker's thread. The functions below answer the main machine from the worker's event
loop (`Client.run`), by way of the scheduler; they load no torch, so that they answer at once.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from napari_lossguide import __version__
from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.live import Change, Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.tape_parts import Scene, Spoken, playing, scenes
from napari_lossguide.types import Cancelled, Diverged, InvalidInput

PATIENCE = 60.0  # seconds without a word from the main machine after which a run is given up
AHEAD = 64  # steps that a run may be ahead of what the main machine has fetched
WAIT = 0.02  # seconds between two looks of a run that is held
RUNS = "lossguide_runs"
PICTURES = ("image", "state")
SCALARS = tuple(f.name for f in fields(Progress) if f.name not in PICTURES)


@dataclass(frozen=True)
class Parcel:
    """What a run needs; `known` is what a tape that is a branch plays, `together` how many slices shared batches."""

    kdata: KData
    recipe: str
    changes: tuple[Change, ...]
    device: str = "auto"
    maps: np.ndarray | None = None
    recorded: bool = False
    known: tuple[Spoken, ...] = ()
    together: int = 0


@dataclass(frozen=True)
class Order:
    """How the knobs stand on the main machine, and how many steps have arrived there."""

    seen: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    paused: bool = False
    cancelled: bool = False


@dataclass(frozen=True)
class News:
    """What has happened since the last time.

    Attributes
    ----------
    doing : before the first step, in words.
    steps : scalars of each `Progress`.
    changes : all changes of knobs that took effect so far.
    frames, together, split : of the tape so far.
    machine : what the run computes with.
    ended : there is an outcome.
    """

    doing: str
    steps: tuple[dict[str, Any], ...]
    changes: tuple[Change, ...]
    frames: int
    together: int
    split: bool
    machine: str
    ended: bool


@dataclass(frozen=True)
class Fault:
    """Why there is no result. Errors themselves do not travel: not every one can be pickled."""

    kind: str
    text: str
    step: int = 0
    sigma: float = 0.0
    image: np.ndarray | None = None

    @classmethod
    def of(cls, error: Exception) -> Fault:
        """What is left of an error."""
        text = " ".join(str(error).split())
        if isinstance(error, Diverged):
            return cls("diverged", text, error.step, error.sigma, error.image)
        if isinstance(error, InvalidInput):
            return cls("invalid", text)
        detail = "".join(traceback.format_exception(error))
        return cls("fault", f"{type(error).__name__}: {text or 'no message'}\n{detail}")


class Leashed(Live):
    """Knobs that are turned on another machine. A run waits for its first order, and lets go when none comes."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        super().__init__(changes)
        self.heard, self.ahead, self.forsaken = time.monotonic(), 0, False
        self.pause()

    def obey(self, order: Order) -> None:
        """Do what the main machine says."""
        self.heard = time.monotonic()
        self.update(order.values)
        (self.pause if order.paused else self.resume)()
        if order.cancelled:
            self.cancel()

    def hold(self) -> None:
        """Wait while paused, or too far ahead."""
        while not self.cancelled:
            if time.monotonic() - self.heard > PATIENCE:
                self.forsaken = True
                self.cancel()
            elif self.paused or self.ahead >= AHEAD:
                time.sleep(WAIT)
            else:
                return

    def checkpoint(self) -> None:
        """As `Live.checkpoint`."""
        self.hold()
        if self.cancelled:
            raise Cancelled


class Hosted:
    """A run on this worker, between the thread that computes it and the one that answers for it."""

    def __init__(self, parcel: Parcel) -> None:
        self.parcel, self.live = parcel, Leashed(parcel.changes)
        self.tape = playing(parcel.known, parcel.together) if parcel.recorded else None
        self.doing = self.machine = ""
        self.outcome: Result | Fault | None = None
        self._lock = threading.Lock()
        self._steps: list[dict[str, Any]] = []  # not fetched yet
        self._count = 0
        self._pictures: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # by number, until the step after it is asked for

    def add(self, progress: Progress) -> None:
        """Keep the scalars and the pictures of a step; its tensors are let go."""
        scalars = {name: getattr(progress, name) for name in SCALARS}
        scalars |= {"params": dict(progress.params), "failed": dict(progress.failed)}
        pictures = progress.image(), progress.state()
        with self._lock:
            self._steps.append(scalars)
            self._pictures[self._count] = pictures
            self._count += 1
            self.live.ahead = len(self._pictures)

    def news(self, order: Order) -> News:
        """Obey, and tell."""
        ended = self.outcome is not None  # asked first: what came before the end is in the rest
        self.live.obey(order)
        with self._lock:
            steps, self._steps = tuple(self._steps), []
            self._pictures = {number: p for number, p in self._pictures.items() if number >= order.seen}
            self.live.ahead = len(self._pictures)
        frames, together, split = 0, 0, False
        if self.tape is not None:
            frames, together, split = len(self.tape.frames), self.tape.slices, self.tape.split
        return News(self.doing, steps, self.live.changes, frames, together, split, self.machine, ended)

    def picture(self, number: int, what: str) -> np.ndarray | None:
        """The estimate or the noisy state of a step; None if it is no longer kept."""
        with self._lock:
            pictures = self._pictures.get(number)
        return None if pictures is None else pictures[PICTURES.index(what)]

    def walk(self) -> Result | Fault:
        """Run to the end, whatever end."""
        try:
            self.live.hold()
            result = self._walk()
        except Exception as error:  # noqa: BLE001 (it is raised on the main machine)
            return Fault.of(error)
        if self.live.forsaken:
            return Fault("invalid", f"The worker heard nothing from here for {PATIENCE:.0f} s and gave the run up.")
        return result

    def _walk(self) -> Result:
        self.doing = "Preparing on the worker…" if "torch" in sys.modules else "Loading PyTorch on the worker…"
        from napari_lossguide.recon.cluster import kept_prior
        from napari_lossguide.recon.engine import reconstruction
        from napari_lossguide.recon.machine import machine

        parcel = self.parcel
        recipe = Recipe.from_json(parcel.recipe)
        denoiser = kept_prior(recipe, parcel.device)
        self.machine, self.doing = machine(parcel.device), "Preparing on the worker…"
        options: dict[str, Any] = {"device": parcel.device, "live": self.live, "denoiser": denoiser}
        steps = reconstruction(parcel.kdata, recipe, maps=parcel.maps, tape=self.tape, **options)
        looked = time.monotonic()
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            self.add(progress)
            del progress  # its tensors are not needed during the next step
            if time.monotonic() - looked > 1:
                self.machine, looked = machine(parcel.device), time.monotonic()


# The task, and what the main machine calls ----------------------------------------------------------------------------


def work(ident: str, parcel: Parcel) -> None:
    """The task: a run, whose outcome stays here until it is fetched or nobody has asked for a while."""
    from distributed import get_worker

    runs = _runs(get_worker())
    for old, run in list(runs.items()):  # of machines that went away
        if run.outcome is not None and time.monotonic() - run.live.heard > PATIENCE:
            runs.pop(old, None)
    run = runs[ident] = Hosted(parcel)
    run.outcome = run.walk()


def _runs(worker: Any) -> dict[str, Hosted]:
    if not hasattr(worker, RUNS):
        setattr(worker, RUNS, {})
        logging.getLogger("distributed.worker").addFilter(_quiet)  # it would log every question
    runs: dict[str, Hosted] = getattr(worker, RUNS)
    return runs


def _quiet(record: logging.LogRecord) -> bool:
    asked = str(record.msg).startswith("Run out-of-band function")
    return not (asked and isinstance(record.args, tuple) and record.args[0] in QUIET)


def has(ident: str, dask_worker: Any) -> bool:
    """Whether a run has begun here."""
    return ident in _runs(dask_worker)


def exchange(ident: str, order: Order, dask_worker: Any) -> News | None:
    """Orders for news; None if there is no such run (yet)."""
    run = _runs(dask_worker).get(ident)
    return None if run is None else run.news(order)


def picture(ident: str, number: int, what: str, dask_worker: Any) -> np.ndarray | None:
    """See `Hosted.picture`."""
    run = _runs(dask_worker).get(ident)
    return None if run is None else run.picture(number, what)


def recording(ident: str, first: int, room: int, dask_worker: Any) -> list[Scene]:
    """See `scenes`."""
    run = _runs(dask_worker).get(ident)
    return [] if run is None or run.tape is None else scenes(run.tape, first, room)


def outcome(ident: str, dask_worker: Any) -> Result | Fault | None:
    """What a run has left."""
    run = _runs(dask_worker).get(ident)
    return None if run is None else run.outcome


def forget(ident: str, dask_worker: Any) -> None:
    """Stop a run, if it goes on, and let go of what it has left."""
    run = _runs(dask_worker).pop(ident, None)
    if run is not None:
        run.live.cancel()


def version() -> str:
    """Of this package on a worker."""
    return __version__


def gpus() -> int:
    """How many a worker has; loads torch."""
    import torch

    return torch.cuda.device_count()


QUIET = {f.__name__ for f in (has, exchange, picture, recording, outcome, forget, version, gpus)}
