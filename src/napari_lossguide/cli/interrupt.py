"""A run in a shell: a progress bar, and Ctrl-C between two steps."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from napari_lossguide.recon.live import Live
    from napari_lossguide.recon.result import Progress

R = TypeVar("R")


@contextlib.contextmanager
def cancel_on_interrupt(live: Live) -> Iterator[None]:
    """The first Ctrl-C ends the run at its next step, the second one at once.

    A ``KeyboardInterrupt`` may be raised while an object is deleted, where Python drops it, and the run would go on.
    Where Ctrl-C is ignored from the start, as in a shell's background, it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield
        return

    def cancel(*_: object) -> None:
        live.cancel()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run_to_the_end(
    begin: Callable[[Live], Generator[Progress, None, R]], reading: str, title: Callable[[Progress], str]
) -> R:
    """Run to the end, with a progress bar on a terminal.

    Parameters
    ----------
    begin : starts the run; torch is loaded by then.
    reading : what happens before the first step.
    title : of the bar at a step.

    Raises
    ------
    KeyboardInterrupt
        If the run was interrupted.
    """
    from tqdm import tqdm

    with tqdm(disable=not sys.stderr.isatty(), desc="loading PyTorch", unit="step", leave=False) as bar:
        from napari_lossguide.recon.live import Live

        live = Live()
        bar.set_description(reading)
        with cancel_on_interrupt(live), contextlib.closing(begin(live)) as steps:
            result = last_of(steps, bar, title)
        if live.cancelled:
            raise KeyboardInterrupt
    return result


def last_of(steps: Generator[Progress, None, R], bar: Any, title: Callable[[Progress], str]) -> R:
    """Walk the steps, moving the bar; their result."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            result: R = stop.value
            return result
        bar.total = progress.total
        bar.set_description(title(progress), refresh=False)
        bar.update(progress.step - bar.n)
