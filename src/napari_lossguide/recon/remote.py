"""A reconstruction on a worker of a Dask cluster, in the place of the engine: the same steps, knobs and result.

The main machine asks and the worker answers, some 20 times a second: knobs, pause and cancel go there, scalars come
back. A picture comes when somebody looks at it, the recording as fast as half of the time allows. Everything goes by
way of the scheduler, so that only that one must be reached. A run is never begun anew elsewhere: it ends with its
worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon import remote_worker as there
from napari_lossguide.recon.cluster import connected
from napari_lossguide.recon.knobs import knobs_of, live_limits
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.remote_call import POLL, Call, Lines
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.tape import Tape
from napari_lossguide.recon.tape_parts import append, spoken

CANCELLED = 2.0  # seconds that the rest of the recording of a cancelled run may take


class Remote:
    """A cluster, as the place of one run.

    Parameters
    ----------
    address : of its scheduler ("tcp://127.0.0.1:8786").
    say : takes notes for the person who waits for the first step.

    Attributes
    ----------
    machine : what the run computes with, in words; empty before it is known.
    """

    def __init__(self, address: str, say: Callable[[str], object] = lambda _: None) -> None:
        self.address, self.say, self.machine = address, say, ""

    def reconstruction(
        self,
        kdata: KData,
        recipe: Recipe,
        *,
        maps: ArrayLike | None = None,
        device: str = "auto",
        live: Live | None = None,
        tape: Tape | None = None,
    ) -> Generator[Progress, None, Result]:
        """Run a recipe on a free worker, step by step; see `recon.engine.reconstruction`.

        Pictures of a step can be asked for until the next one is.

        Raises
        ------
        InvalidInput
            Also if there is no scheduler, no worker, or the connection or the worker is lost.
        """
        live = live or Live(recipe.changes)
        live.declare(live_limits(recipe), knobs_of(recipe))
        parcel = _parcel(kdata, recipe, maps, device, live, tape)
        self.say(f"Connecting to {self.address}…")
        with connected(self.address) as client:
            lines = Lines(client, self.address)
            try:
                with lines.run(parcel, live, self.say) as run:
                    return (yield from self._follow(run, live, tape))
            except OSError as error:  # of which closed connections and TimeoutError are some
                lines.lost(error)

    def _follow(self, run: Call, live: Live, tape: Tape | None) -> Generator[Progress, None, Result]:
        seen, doing = 0, ""
        recorder = Recorder(run, tape)
        while True:
            news = run.exchange(live, seen)
            self.machine = news.machine
            if news.doing != doing:
                self.say(doing := news.doing)
            recorder.follow(news)
            for number, scalars in enumerate(news.steps, seen):
                image, state = (partial(run.picture, number, what) for what in there.PICTURES)
                yield Progress(**scalars, image=image, state=state)
            seen += len(news.steps)
            if news.ended:
                recorder.finish(news, live)
                return run.result()
            time.sleep(POLL)


def _parcel(
    kdata: KData, recipe: Recipe, maps: ArrayLike | None, device: str, live: Live, tape: Tape | None
) -> there.Parcel:
    recording: dict[str, Any] = {}
    if tape is not None:
        recording = {"recorded": True, "known": spoken(tape, 0, tape.known), "together": tape.slices}
    given = None if maps is None else np.asarray(maps)
    return there.Parcel(kdata, recipe.to_json(), live.replay, device, given, **recording)


class Recorder:
    """Fetches the recording of a run: at most half of the time, the rest at the end."""

    def __init__(self, run: Call, tape: Tape | None) -> None:
        self.run, self.tape, self._not_before = run, tape, 0.0

    def follow(self, news: there.News) -> None:
        """Fetch a part, if it is time."""
        if self.tape is None:
            return
        self.tape.slices, self.tape.split = news.together, news.split
        begun = time.monotonic()
        if self._lacks(news) and begun >= self._not_before:
            self._fetch()
            now = time.monotonic()
            self._not_before = now + (now - begun)

    def finish(self, news: there.News, live: Live) -> None:
        """Fetch the rest; of a cancelled run what comes soon."""
        end = time.monotonic() + CANCELLED
        while self._lacks(news) and not (live.cancelled and time.monotonic() > end):
            self._fetch()

    def _lacks(self, news: there.News) -> bool:
        return self.tape is not None and not self.tape.stopped and len(self.tape.frames) < news.frames

    def _fetch(self) -> None:
        assert self.tape is not None
        append(self.tape, self.run.recording(len(self.tape.frames)))


def look(address: str) -> str:
    """What a cluster has, in words: "2 workers with 2 threads and no GPU, 1 of them free".

    Raises
    ------
    InvalidInput
        If there is no scheduler, no worker, or one of them cannot run this package.
    """
    with connected(address) as client:
        lines = Lines(client, address)
        try:
            threads = client.nthreads()
            gpus = sum(lines.ask(there.gpus, worker=worker) for worker in threads)
            return workers_in_words(len(threads), sum(threads.values()), gpus, len(lines.free()))
        except OSError as error:
            lines.lost(error)


def workers_in_words(workers: int, threads: int, gpus: int, free: int) -> str:
    """Say "2 workers with 2 threads and no GPU, 1 of them free"."""
    text = f"{workers} worker{'s' * (workers != 1)} with {threads} thread{'s' * (threads != 1)} and "
    text += f"{gpus or 'no'} GPU{'s' * (gpus > 1)}"
    return f"{text}, {free} of them free" if workers > 1 else text + (", free" if free else ", busy")
