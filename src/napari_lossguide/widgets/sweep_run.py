"""The thread's part of a sweep: starting the engine, and what is left of its progress."""

import math
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_lossguide.recon.cells import Cell, Gathering, Sweep
from napari_lossguide.recon.live import Live
from napari_lossguide.widgets.smooth import load_torch
from napari_lossguide.widgets.worker import Point, Preview

if TYPE_CHECKING:
    from napari_lossguide.recon.sweep import SweepProgress


def start_sweep(
    gathering: Gathering, known: Sequence[Cell], device: str, live: Live, say: Callable[[str], None]
) -> "Generator[SweepProgress, None, Sweep]":
    """Start the engine; called in the worker thread, which is where torch is loaded."""
    if "torch" not in sys.modules:
        say("Loading PyTorch…")
    load_torch()
    from napari_lossguide.recon.sweep import sweeping

    say("Checking every cell…")
    return sweeping(gathering.kdata, gathering.grid, maps=gathering.maps, device=device, live=live, known=known)


@dataclass(frozen=True)
class CellPoint(Point):
    """The scalars of a step of a sweep; `step` and `total` count over all cells.

    Attributes
    ----------
    cell, cells : which cell, from 0, of how many.
    row, column : of the cell, from 0.
    part : how much of the cell is done, from 0 to 1.
    finished : the cell, when the point is its end.
    """

    cell: int
    cells: int
    row: int
    column: int
    part: float
    finished: Cell | None

    @classmethod
    def of(cls, progress: "SweepProgress") -> "CellPoint":  # type: ignore[override]
        """Copy the scalars; a finished cell holds arrays, but no tensors."""
        p, run = progress, progress.run
        at = (p.cell, p.cells, p.row, p.column)
        if run is None:
            nan = math.nan
            return cls(p.step, p.total, 0, 1, nan, nan, nan, 0, "", {}, {}, *at, 1.0, p.finished)
        own = run.slice, run.slices, run.sigma, run.residual, run.loss, run.nfe, run.stage, dict(run.params), run.failed
        return cls(p.step, p.total, *own, *at, run.step / run.total, None)


@dataclass(frozen=True)
class CellPreview(Preview):
    """The estimate of the cell that runs."""

    row: int
    column: int

    @classmethod
    def of(cls, progress: "SweepProgress") -> "CellPreview | None":  # type: ignore[override]
        """Compute the picture; there is none of a cell's end, which brings its image itself."""
        p, run = progress, progress.run
        return None if run is None else cls(run.slice, run.step, run.image(), p.row, p.column)
