"""A run in a shell: to its end, with a progress bar."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from napari_lossguide.recon.live import Live
    from napari_lossguide.recon.result import Progress

R = TypeVar("R")


def run_to_the_end(
    begin: Callable[[Live], Generator[Progress, None, R]], reading: str, title: Callable[[Progress], str]
) -> R:
    """Run to the end, with a progress bar on a terminal.

    Parameters
    ----------
    begin : starts the run; torch is loaded by then.
    reading : what happens before the first step.
    title : of the bar at a step.
    """
    from tqdm import tqdm

    with tqdm(disable=not sys.stderr.isatty(), desc="loading PyTorch", unit="step", leave=False) as bar:
        from napari_lossguide.recon.live import Live

        bar.set_description(reading)
        with contextlib.closing(begin(Live())) as steps:
            return last_of(steps, bar, title)


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
