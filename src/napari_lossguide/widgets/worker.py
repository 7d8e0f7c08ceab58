"""One reconstruction in a thread: the only file that knows threads.

The thread never touches a layer or a widget. It leaves scalars in a list and at most one picture in a mailbox; a timer
of the main thread empties both about 15 times a second, however fast the sampler steps. Whatever is raised in the
thread ends up as a `Failure`, because napari's own worker loses every RuntimeError, and most errors of torch are such.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.qt.threading import FunctionWorker, create_worker
from qtpy.QtCore import QObject, QTimer, Signal

from napari_lossguide.widgets.failure import Failure, failure, free_gpu_cache
from napari_lossguide.widgets.smooth import WindowFirst, give_memory_back

if TYPE_CHECKING:
    from napari_lossguide.recon.cells import Sweep
    from napari_lossguide.recon.live import Live
    from napari_lossguide.recon.result import Progress, Result
    from napari_lossguide.recon.samples import Samples

    Say = Callable[[str], None]
    Outcome = Result | Samples | Sweep
    Watch = Callable[[], str]
    Start = Callable[[Say], Generator[Any, None, Outcome]]

LOG = logging.getLogger(__name__)
RATE = 15.0  # per second
PAINTED = 25  # ms after which the canvas has begun to paint what it was given
SHARE = 0.05  # of the main thread's time for pictures: where drawing is slow, there are fewer of them
WATCH = 1.0  # seconds between two looks at the machine
PATIENCE = 60.0  # seconds to wait for a step to end when a dock closes; loading torch takes 5


@dataclass(frozen=True)
class Point:
    """The scalars of one step: what is left of a Progress once its tensors are let go."""

    step: int
    total: int
    slice: int
    slices: int
    sigma: float
    residual: float
    loss: float
    nfe: int
    stage: str
    params: dict[str, float]
    failed: Mapping[int, str]

    @classmethod
    def of(cls, progress: Progress) -> Point:
        """Copy the scalars of a Progress."""
        p = progress
        scalars = (p.step, p.total, p.slice, p.slices, p.sigma, p.residual, p.loss, p.nfe, p.stage)
        return cls(*scalars, dict(p.params), p.failed)


@dataclass(frozen=True)
class Preview:
    """A picture on its way to the canvas: float32 magnitude (ny, nx) of the given slice (from 0) at the given step.

    Of samples: (B, ny, nx) of a batch that begins with the given sample.
    """

    slice: int
    step: int
    image: np.ndarray

    @classmethod
    def of(cls, progress: Progress) -> Preview | None:
        """Compute the picture of a Progress."""
        return cls(progress.slice, progress.step, progress.image())


class Mailbox:
    """Room for one picture. Nothing is computed while the last one has not been fetched, or when nobody looks.

    The slices of a stack that are done are first results: they are kept until fetched, whether somebody looks or not.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._slot: deque[Preview] = deque(maxlen=1)  # append and pop are atomic
        self._done: deque[Preview] = deque()

    @property
    def wanted(self) -> bool:
        """Whether a new picture would be seen."""
        return self.enabled and not self._slot

    def put(self, picture: Preview) -> None:
        """Leave a picture, in the place of an older one."""
        self._slot.append(picture)

    def put_done(self, picture: Preview) -> None:
        """Leave the result of a slice; an estimate that waits is older."""
        self._slot.clear()
        self._done.append(picture)

    def take(self) -> Preview | None:
        """Fetch a picture, if there is one."""
        if self._done:
            return self._done.popleft()
        try:
            picture = self._slot.pop()
        except IndexError:  # looking first is of no use: the thread may clear it meanwhile
            return None
        return picture if self.enabled else None


class Run:
    """What the thread executes: walks the generator and keeps what comes out. Raises nothing, ever."""

    def __init__(
        self,
        start: Start,
        live: Live,
        title: str,
        preview: bool,
        point: Callable[[Any], Point] = Point.of,
        picture: Callable[[Any], Preview | None] = Preview.of,
        watch: Watch | None = None,
    ) -> None:
        self.start, self.live, self.title, self.watch = start, live, title, watch
        self.point, self.picture = point, picture
        self.watched, self.watched_at = "", -math.inf  # the last thing that `watch` said, and when
        self.mailbox = Mailbox(preview)
        self.points: deque[Point] = deque()
        self.note = ""  # what the thread is doing before the first step
        self.outcome: Outcome | Failure | None = None
        self.begun, self.ended = threading.Event(), threading.Event()

    def __repr__(self) -> str:
        return self.title  # napari shows it when a person closes a busy window

    def __call__(self) -> None:
        """Run to the end, whatever end."""
        try:
            with WindowFirst():
                self.outcome = self._walk()
        except BaseException as error:  # noqa: BLE001 (nobody else could catch it)
            self.outcome = failure(error)
            traceback.clear_frames(error.__traceback__)  # they hold the tensors
        if isinstance(self.outcome, Failure):
            free_gpu_cache()
        give_memory_back()

    def _walk(self) -> Outcome:
        start = self.start
        del self.start  # it holds the data and the recording, and napari keeps what it has run, for its list of tasks
        self.live.checkpoint()
        steps = start(self._say)
        try:
            while True:
                try:
                    progress = next(steps)
                except StopIteration as stop:
                    return stop.value
                self.points.append(self.point(progress))
                ends_slice = getattr(progress, "ends_slice", False) and progress.slices > 1
                if ends_slice or self.mailbox.wanted or (self.mailbox.enabled and self.live.paused):
                    picture = self.picture(progress)
                    if picture is not None:
                        (self.mailbox.put_done if ends_slice else self.mailbox.put)(picture)
                self._watch()
                del progress  # its tensors are not needed during the next step
        finally:
            steps.close()  # here and now: left alone it would be closed late, in the main thread

    def _watch(self) -> None:
        if self.watch is not None and time.monotonic() - self.watched_at > WATCH:
            self.watched, self.watched_at = self.watch(), time.monotonic()

    def _say(self, note: str) -> None:
        self.note = note

    def fetch(self) -> list[Point]:
        """Points since the last call."""
        return [self.points.popleft() for _ in range(len(self.points))]


def _stop(run: Run) -> bool:
    """Cancel and wait. Holds no Qt object, so it works while widgets are being destroyed."""
    run.live.cancel()
    if not run.begun.wait(0.2):
        return True  # still in the queue: it will see at once that it is cancelled
    ended = run.ended.wait(PATIENCE)
    if not ended:
        LOG.warning("%s is still busy after %.0f s", run.title, PATIENCE)
    return ended


class _Worker(FunctionWorker):
    """napari's worker, whose `quit` (the task manager's way to cancel) reaches the sampler, even a paused one."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._lossguide_run = run

    def quit(self) -> None:
        self._lossguide_run.live.cancel()
        super().quit()

    def run(self) -> None:
        self._lossguide_run.begun.set()
        try:
            super().run()
        finally:
            self._lossguide_run.ended.set()


class Job(QObject):
    """A reconstruction in a worker thread, as the main thread sees it.

    Parameters
    ----------
    start : called in the thread, gives the generator of `Progress` that returns a `Result` or `Samples`. Import torch
        in it. Its argument is a function that takes a note for the person who waits ("Loading PyTorch…").
    live : the knobs; `cancel` goes through them.
    title : what napari calls the task.
    preview : fetch pictures; may be changed during the run by `set_preview`.
    rate : of scalars and of pictures, per second.
    point, picture : called in the thread with what the generator yields, if that is no `Progress`: what is kept of it,
        and what there is to see (None: nothing).
    watch : called in the thread after a step, once a second at most; what it says of the machine comes by `watched`.

    Signals (all in the main thread)
    -------
    noted(str) : what the thread is doing before the first step.
    progressed(list[Point]) : the steps since the last tick.
    previewed(Preview) : the newest picture.
    watched(str) : what `watch` said.
    ended(Result | Samples | Sweep | Failure) : exactly once.
    """

    noted = Signal(str)
    progressed = Signal(object)
    previewed = Signal(object)
    watched = Signal(str)
    ended = Signal(object)

    def __init__(
        self,
        start: Start,
        live: Live,
        *,
        title: str = "MRI reconstruction",
        preview: bool = True,
        rate: float = RATE,
        point: Callable[[Any], Point] = Point.of,
        picture: Callable[[Any], Preview | None] = Preview.of,
        watch: Watch | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._run = Run(start, live, title, preview, point, picture, watch)
        self._worker = create_worker(self._run, _worker_class=_Worker, _start_thread=False)
        self._worker.finished.connect(self._finish)
        self._timer = QTimer(self)
        self._timer.setInterval(max(1, round(500 / rate)))
        self._picture_next = False
        self._fetched = self._no_picture_before = 0.0  # seconds, of the monotonic clock
        self._painted = QTimer(self)
        self._painted.setSingleShot(True)
        self._painted.setInterval(PAINTED)
        self._painted.timeout.connect(self._drawn)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Start the thread."""
        self._timer.start()
        self._worker.start()

    def set_preview(self, enabled: bool) -> None:
        """Fetch pictures or not, from now on."""
        self._run.mailbox.enabled = enabled

    @property
    def stopper(self) -> Callable[[], bool]:
        """A function without any Qt object in it that cancels and waits; safe when all widgets are gone."""
        return partial(_stop, self._run)

    def stop(self) -> bool:
        """Cancel and wait for the end of the thread; False if it was still busy after `PATIENCE` seconds."""
        self._timer.stop()
        return self.stopper()

    def _tick(self) -> None:
        """Scalars and pictures by turns: one piece of drawing at a time keeps the window quick."""
        if not self._picture_next:
            self._fetch_points()
        elif time.monotonic() >= self._no_picture_before:
            begun = time.monotonic()
            if self._fetch_picture():
                self._no_picture_before, self._fetched = math.inf, begun
                self._painted.start()
        self._picture_next = not self._picture_next

    def _drawn(self) -> None:
        """How late the event loop comes to this is what the picture has cost, its painting too."""
        now = time.monotonic()
        cost = max(now - self._fetched - PAINTED / 1000, 0.0)
        self._no_picture_before = now + cost * (1 - SHARE) / SHARE

    def _fetch_points(self) -> None:
        note, self._run.note = self._run.note, ""
        if note:
            self.noted.emit(note)
        watched, self._run.watched = self._run.watched, ""
        if watched:
            self.watched.emit(watched)
        points = self._run.fetch()
        if points:
            self.progressed.emit(points)

    def _fetch_picture(self) -> bool:
        picture = self._run.mailbox.take()
        if picture is not None:
            self.previewed.emit(picture)
        return picture is not None

    def _finish(self) -> None:
        self._timer.stop()
        self._fetch_points()
        while self._fetch_picture():
            pass
        outcome, self._run.outcome = self._run.outcome, None
        self.ended.emit(outcome)


class Errand(QObject):
    """A function in a worker thread whose value, or Failure, comes back in the main thread.

    Of several errands started one after another only the last one's value is delivered.

    Signals
    -------
    ended(value or Failure)
    """

    ended = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._latest: list[Any] = []

    def start(self, function: Callable[[], Any], title: str) -> None:
        """Run a function that touches neither layers nor widgets."""
        self._latest = []
        worker = create_worker(_Caught(function, self._latest, title), _start_thread=False)
        worker.finished.connect(self._deliver)
        worker.start()

    def _deliver(self) -> None:
        if self._latest:  # still empty when an older errand ends
            self.ended.emit(self._latest.pop())


def watch_machine(device: str) -> str:
    """What a run on a device (auto, cpu, cuda, mps) computes with; called in its thread. Nothing without torch."""
    if "torch" not in sys.modules:
        return ""
    from napari_lossguide.recon.machine import machine

    return machine(device)


class _Caught:
    def __init__(self, function: Callable[[], Any], box: list[Any], title: str) -> None:
        self._function, self._box, self._title = function, box, title

    def __repr__(self) -> str:
        return self._title

    def __call__(self) -> None:
        function, box = self._function, self._box
        del self._function, self._box  # napari keeps what it has run, for its list of tasks
        try:
            box.append(function())
        except BaseException as error:  # noqa: BLE001 (napari would lose it)
            box.append(failure(error, f"The task “{self._title}”"))
