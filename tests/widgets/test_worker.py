"""The thread behind the docks: every kind of end, through the real napari worker."""

import gc
import itertools
import sys
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool

from napari_lossguide.recon.live import Live
from napari_lossguide.types import Diverged, InvalidInput
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.worker import Errand, Job


@dataclass(frozen=True)
class FakeProgress:
    """As the engine's: scalars, and a picture that is computed when asked for."""

    step: int
    total: int = 10
    slice: int = 0
    slices: int = 1
    sigma: float = 1.0
    residual: float = 1.0
    loss: float = 1.0
    nfe: int = 1
    stage: str = "sampling"
    params: dict = field(default_factory=dict)
    pictures: list = field(default_factory=list)
    ends_slice: bool = False
    failed: dict = field(default_factory=dict)

    def image(self):
        assert threading.current_thread() is not threading.main_thread()
        self.pictures.append(self.step)
        return np.full((4, 4), self.step, np.float32)


def steps(live, total=10, wait=0.0, error=None, log=None, pictures=None):
    """A generator that follows the engine's contract; `log` gets 'closed' when it is closed, and by which thread."""
    try:
        for step in range(1, total + 1):
            live.checkpoint()
            live.read(step)
            time.sleep(wait)
            if error is not None and step == 3:
                raise error
            yield FakeProgress(step, total, pictures=[] if pictures is None else pictures)
        return f"result after {total}"
    finally:
        if log is not None:
            log.append(threading.current_thread())


@pytest.fixture
def idle():
    """No worker thread is left, neither in the pool nor in Python."""
    yield
    pool = QThreadPool.globalInstance()
    assert pool.waitForDone(5000)
    assert pool.activeThreadCount() == 0


def run(qtbot, start, live, **options):
    """Run a job to its end; returns (outcome, points, previews)."""
    job = Job(start, live, **options)
    points, previews, ends = [], [], []
    job.progressed.connect(points.extend)
    job.previewed.connect(previews.append)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: bool(ends), timeout=20_000)
    qtbot.wait(50)
    assert len(ends) == 1
    return ends[0], points, previews


def out_of_memory():
    torch = pytest.importorskip("torch")
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 1 GiB")


def test_result_and_every_point_arrive(qtbot, idle):
    live = Live()
    outcome, points, previews = run(qtbot, lambda say: steps(live, wait=0.02), live)
    assert outcome == "result after 10"
    assert [p.step for p in points] == list(range(1, 11))
    assert previews and previews[0].image.shape == (4, 4)


def test_slow_drawing_takes_a_twentieth_of_the_time(qtbot, idle):
    live, drawn = Live(), []
    job = Job(lambda say: steps(live, total=10**6, wait=0.005), live)

    def draw(preview):
        begun = time.monotonic()
        time.sleep(0.05)
        drawn.append((begun, time.monotonic()))

    job.previewed.connect(draw)
    job.start()
    qtbot.waitUntil(lambda: len(drawn) > 2, timeout=20_000)
    assert job.stop()
    for (begun, ended), (later, _) in itertools.pairwise(drawn):
        assert later - ended >= 18 * (ended - begun)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "RuntimeError: mat1 and mat2"),
        (out_of_memory, "Out of memory on the GPU: 2.50 GiB"),
        (lambda: Diverged(3, 0.5), "diverged"),
        (lambda: InvalidInput("the mask is 3 x 3, the k-space 4 x 4"), "the mask is 3 x 3, the k-space 4 x 4"),
        (MemoryError, "Out of memory"),
        (lambda: KeyError("weights"), "KeyError"),
        (lambda: SystemExit(1), "SystemExit"),
        (lambda: StopIteration("inside"), "RuntimeError"),
    ],
)
def test_every_error_is_an_outcome(qtbot, idle, make, words):
    live, log = Live(), []
    outcome, points, _ = run(qtbot, lambda say: steps(live, error=make(), log=log), live)
    assert isinstance(outcome, Failure)
    assert words in outcome.sentence and "\n" not in outcome.sentence
    assert len(points) == 2
    assert log and log[0] is not threading.main_thread()


def test_error_before_the_first_step(qtbot, idle):
    def start(say):
        raise RuntimeError("no PyTorch")

    outcome, points, _ = run(qtbot, start, Live())
    assert "no PyTorch" in outcome.sentence and outcome.detail and not points


def test_a_note_arrives_before_the_first_step(qtbot, idle):
    live, notes, ends = Live(), [], []

    def start(say):
        say("Loading PyTorch…")
        time.sleep(0.2)
        return steps(live)

    job = Job(start, live)
    job.noted.connect(notes.append)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: bool(ends), timeout=5000)
    assert notes == ["Loading PyTorch…"]


def test_diverged_brings_its_last_good_image(qtbot, idle):
    live, image = Live(), np.ones((4, 4), np.float32)
    outcome, _, _ = run(qtbot, lambda say: steps(live, error=Diverged(3, 0.5, image)), live)
    assert outcome.image is image


def test_failure_keeps_nothing_alive(qtbot, idle):
    """A tensor in a frame of the failed sampler would keep the GPU's memory taken."""
    freed = []

    class Tensor:
        def __del__(self):
            freed.append(True)

    def start(say):
        tensor = Tensor()
        yield FakeProgress(1)
        raise RuntimeError(f"boom {type(tensor)}")

    outcome, _, _ = run(qtbot, start, Live())
    gc.collect()
    assert isinstance(outcome, Failure) and freed


def test_cancel_ends_within_one_step(qtbot, idle):
    live, log, seen = Live(), [], []
    job = Job(lambda say: steps(live, total=1000, wait=0.03, log=log), live)
    ends = []
    job.progressed.connect(seen.extend)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: len(seen) >= 3, timeout=5000)
    live.cancel()
    at_cancel = len(seen) + len(job._run.points)
    qtbot.waitUntil(lambda: bool(ends), timeout=5000)
    assert len(seen) <= at_cancel + 1
    assert ends[0].cancelled
    assert log[0] is not threading.main_thread(), "the generator must be closed by the thread that ran it"


def test_cancel_before_the_start_runs_nothing(qtbot, idle):
    live, called = Live(), []
    live.cancel()
    outcome, _, _ = run(qtbot, lambda say: called.append(1), live)
    assert outcome.cancelled and not called


def test_task_manager_cancels_a_paused_run(qtbot, idle):
    """napari calls `quit` when its window closes; a paused sampler sits in a lock then."""
    live, ends, seen = Live(), [], []
    job = Job(lambda say: steps(live, total=1000, wait=0.01), live)
    job.ended.connect(ends.append)
    job.progressed.connect(seen.extend)
    job.start()
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    live.pause()
    job._worker.quit()
    qtbot.waitUntil(lambda: bool(ends), timeout=5000)
    assert ends[0].cancelled


def test_stop_waits_for_the_thread(qtbot, idle):
    live, log, seen = Live(), [], []
    job = Job(lambda say: steps(live, total=1000, wait=0.05, log=log), live)
    job.progressed.connect(seen.extend)
    job.start()
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    stop = job.stopper
    job.deleteLater()
    del job
    assert stop()
    assert log, "the generator is closed when stop returns"


def test_stop_right_after_start_does_not_hang(qtbot, idle):
    live = Live()
    job = Job(lambda say: steps(live, total=1000, wait=0.05), live)
    job.start()
    assert job.stop()
    qtbot.waitUntil(job._run.ended.is_set, timeout=5000)


def test_a_flood_does_not_queue_slots(qtbot, idle):
    """2000 steps as fast as Python goes: few signals, few pictures, no point lost."""
    live, pictures, batches, previews, ends = Live(), [], [], [], []
    job = Job(lambda say: steps(live, total=2000, pictures=pictures), live)
    job.progressed.connect(batches.append)
    job.previewed.connect(previews.append)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: bool(ends), timeout=20_000)
    assert sum(map(len, batches)) == 2000
    assert len(batches) < 100
    assert len(pictures) <= len(batches) + 1 and len(previews) <= len(batches)


def test_no_picture_is_computed_when_nobody_looks(qtbot, idle):
    live, pictures = Live(), []
    _, points, previews = run(qtbot, lambda say: steps(live, wait=0.02, pictures=pictures), live, preview=False)
    assert len(points) == 10 and not previews and not pictures


def test_preview_can_be_switched_off_and_on(qtbot, idle):
    live, pictures, previews, ends = Live(), [], [], []
    job = Job(lambda say: steps(live, total=100, wait=0.02, pictures=pictures), live, preview=False)
    job.previewed.connect(previews.append)
    job.ended.connect(ends.append)
    job.start()
    qtbot.wait(200)
    assert not pictures
    job.set_preview(True)
    qtbot.waitUntil(lambda: bool(previews), timeout=5000)
    live.cancel()
    qtbot.waitUntil(lambda: bool(ends), timeout=5000)


def test_a_paused_run_shows_its_newest_estimate(qtbot, idle):
    live, previews, points, ends = Live(), [], [], []
    job = Job(lambda say: steps(live, total=1000, wait=0.005), live)
    job.previewed.connect(previews.append)
    job.progressed.connect(points.extend)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: len(points) > 5, timeout=5000)
    live.pause()
    qtbot.wait(300)
    assert previews[-1].step == points[-1].step
    live.cancel()
    qtbot.waitUntil(lambda: bool(ends), timeout=5000)


def test_napari_knows_the_task(qtbot, make_napari_viewer, idle):
    viewer = make_napari_viewer()
    live, seen, ends = Live(), [], []
    job = Job(lambda say: steps(live, total=1000, wait=0.01), live, title="MRI reconstruction of a phantom")
    job.progressed.connect(seen.extend)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    tasks = viewer.window._task_status_manager
    assert "MRI reconstruction of a phantom" in tasks.get_status()[0]
    live.cancel()
    qtbot.waitUntil(lambda: bool(ends), timeout=5000)
    assert not tasks.is_busy()


def test_an_errand_brings_its_value(qtbot, idle):
    errand, got = Errand(), []
    errand.ended.connect(lambda value: got.append((value, threading.current_thread())))
    errand.start(lambda: time.sleep(0.2) or "old", "old")
    errand.start(lambda: "new", "new")
    qtbot.waitUntil(lambda: bool(got), timeout=5000)
    qtbot.wait(400)
    assert got == [("new", threading.main_thread())]


def test_an_errand_brings_its_error(qtbot, idle):
    def fail():
        raise RuntimeError("no luck")

    errand, got = Errand(), []
    errand.ended.connect(got.append)
    errand.start(fail, "fails")
    qtbot.waitUntil(lambda: bool(got), timeout=5000)
    assert "no luck" in got[0].sentence


def test_python_is_as_before_after_a_run(qtbot, idle):
    """During a run only young objects are looked at: a full collection would stop the window."""
    before, during = (gc.get_threshold(), sys.getswitchinterval()), []

    def start(say):
        during.append((gc.get_threshold(), sys.getswitchinterval()))
        raise RuntimeError("whatever comes")
        yield

    run(qtbot, start, Live())
    assert during[0][0][2] > 10**6 and during[0][1] < before[1]
    assert (gc.get_threshold(), sys.getswitchinterval()) == before


@pytest.mark.parametrize("preview", [True, False])
def test_the_slices_of_a_stack_are_shown_when_they_are_done_whether_one_looks_or_not(qtbot, idle, preview):
    def stack(say):
        for step in range(1, 31):
            yield FakeProgress(step, 30, slice=(step - 1) // 5, slices=6, ends_slice=step % 5 == 0)
        return "done"

    outcome, points, previews = run(qtbot, stack, Live(), preview=preview)
    assert outcome == "done" and len(points) == 30
    done = [p for p in previews if p.step % 5 == 0]
    assert [(p.slice, p.step) for p in done] == [(i, 5 * i + 5) for i in range(6)]
    assert preview or previews == done
    for index in range(6):
        assert [p.step for p in previews if p.slice == index][-1] == 5 * index + 5, "an estimate came after the result"


def test_an_errand_that_fails_says_which_task_it_was(qtbot, idle):
    errand, ends = Errand(), []
    errand.ended.connect(ends.append)
    errand.start(lambda: {}["missing"], "Search for spikes")
    qtbot.waitUntil(lambda: bool(ends), timeout=5000)
    assert ends[0].sentence == "The task “Search for spikes” failed with KeyError: 'missing'"
