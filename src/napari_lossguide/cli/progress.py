"""A run in a shell: to its end, with a progress bar."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Protocol, TypeVar


class Counted(Protocol):
    """Progress that says how far the run is."""

    @property
    def step(self) -> int:
        """Steps done, from 1."""
        ...

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        ...


P = TypeVar("P", bound=Counted)
R = TypeVar("R")


def run_to_the_end(begin: Callable[[], Generator[P, None, R]], reading: str, title: Callable[[P], str]) -> R:
    """Run to the end, with a progress bar on a terminal.

    Parameters
    ----------
    begin : starts the run; torch is loaded by then.
    reading : what happens before the first step.
    title : of the bar at a step.
    """
    from tqdm import tqdm

    with tqdm(disable=not sys.stderr.isatty(), desc="loading PyTorch", unit="step", leave=False) as bar:
        from napari_lossguide.recon.drive import last_of

        def show(progress: P) -> None:
            bar.total = progress.total
            bar.set_description(title(progress), refresh=False)
            bar.update(progress.step - bar.n)

        bar.set_description(reading)
        with contextlib.closing(begin()) as run:
            return last_of(run, show)
