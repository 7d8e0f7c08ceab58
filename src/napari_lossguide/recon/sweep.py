"""Sweeps: one scan, reconstructed with every pair of values of two parameters. Shell and Python both drive it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.axes import NO_AXIS, Axis, Grid, grid
from napari_lossguide.recon.cells import Cell, Gathering, Sweep, placed, scores
from napari_lossguide.recon.diffusion import open_prior
from napari_lossguide.recon.drive import cancellable, last_of
from napari_lossguide.recon.live import Change, Live
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.problem import coil_maps
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.run import Run, choose_device
from napari_lossguide.types import Cancelled, Denoiser, InvalidInput


@dataclass(frozen=True)
class SweepProgress:
    """One step of a sweep.

    Attributes
    ----------
    cell, cells : which cell, from 0, row by row; how many.
    row, column : of the cell, from 0.
    values : of the parameters that vary, by name.
    step, total : over all cells that have to run; a cell that ends early leaves a jump.
    run : the step of the cell's own reconstruction; None when the progress only delivers a cell.
    finished : the cell, once it is done, has diverged or has failed.
    """

    cell: int
    cells: int
    row: int
    column: int
    values: Mapping[str, Any]
    step: int
    total: int
    run: Progress | None
    finished: Cell | None = None


class CellLive(Live):
    """The knobs of one cell; pausing and cancelling are the sweep's."""

    def __init__(self, sweep: Live, changes: tuple[Change, ...]) -> None:
        super().__init__(changes)
        self.sweep = sweep

    def checkpoint(self) -> None:
        """Wait or stop with the sweep."""
        self.sweep.checkpoint()


class EstimatedMaps:
    """Coil maps, estimated once for all cells that have the same points: it takes longer than many a cell."""

    MOST = 2**30
    """Bytes that are kept."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, int, str, bytes], NDArray[np.complex64]] = {}

    def __call__(
        self, kdata: KData, index: int, calibration: int, estimator: Literal["espirit", "walsh"] = "espirit"
    ) -> NDArray[np.complex64]:
        """As ``problem.coil_maps``; of one scan only."""
        key = index, calibration, estimator, kdata.acquired.tobytes()
        if key not in self.kept:
            self.kept[key] = coil_maps(kdata, index, calibration, estimator)
            while sum(maps.nbytes for maps in self.kept.values()) > self.MOST and len(self.kept) > 1:
                self.kept.pop(next(iter(self.kept)))
        return self.kept[key]


class Sweeping:
    """State of a sweep; ``steps`` is the generator, ``result`` what it leaves."""

    def __init__(
        self,
        kdata: KData,
        cells: Grid,
        maps: ArrayLike | None,
        device: str,
        live: Live,
        denoiser: Denoiser | None,
        known: Iterable[Cell] = (),
    ) -> None:
        self.gathering = Gathering(kdata, cells, maps)
        self.kdata, self.grid, self.maps, self.device, self.live = kdata, cells, maps, device, live
        self.priors: dict[str, Denoiser] = {}
        self.denoiser = denoiser
        self.reference = None if kdata.reference is None else np.asarray(kdata.reference)
        if self.reference is not None:
            scores(self.reference, self.reference)  # whether it can be compared with at all, before hours of work
        self.cells: dict[tuple[int, int], Cell] = {}
        self.totals: dict[tuple[int, int], int] = {}
        taken = placed(known, cells)
        for place in np.ndindex(cells.shape):
            total, sha = self.check(cells.recipes[place[0]][place[1]])
            if place in taken and taken[place].recipe.prior_sha256 == sha:
                self.cells[place] = taken[place]  # made by the very prior that is here now
            self.totals[place] = 0 if place in self.cells else total
        self.shared_maps: np.ndarray | None = None
        self.estimated = EstimatedMaps()

    def check(self, recipe: Recipe) -> tuple[int, str]:
        """Steps that a cell will have, and its prior's checksum; whatever can be known to be wrong is said here."""
        if not method(recipe.method).needs_data:
            raise InvalidInput(f"The method '{recipe.method}' ignores the data; a sweep compares reconstructions.")
        live = CellLive(self.live, recipe.changes)
        run = Run(self.kdata, recipe, self.maps, self.device, live, self.prior(recipe), ())
        return run.total(), run.recipe.prior_sha256

    def prior(self, recipe: Recipe) -> Denoiser | None:
        """The recipe's prior, read once however many cells have it; None for a classical method."""
        if self.denoiser is not None or not method(recipe.method).needs_prior:
            return self.denoiser
        key = f"{recipe.prior} {recipe.prior_sha256}"
        if key not in self.priors:
            self.priors[key] = open_prior(recipe, choose_device(self.device))
        return self.priors[key]

    def steps(self) -> Iterator[SweepProgress]:
        """All cells, row by row; each ends with a progress that delivers it."""
        for row, column in np.ndindex(self.grid.shape):
            self.live.checkpoint()
            cell = self.cells.get((row, column))
            if cell is None:
                cell = yield from self.run(row, column)
                self.cells[row, column] = cell.slim()
            if cell.status == "cancelled":  # an image half made says nothing of its parameters
                raise Cancelled
            yield self.progress(row, column, self.totals[row, column], finished=cell)

    def progress(
        self, row: int, column: int, done: int, run: Progress | None = None, finished: Cell | None = None
    ) -> SweepProgress:
        """What is told when so many steps of a cell are done."""
        before = sum(n for place, n in self.totals.items() if place < (row, column))
        return SweepProgress(
            cell=row * self.grid.shape[1] + column,
            cells=len(self.totals),
            row=row,
            column=column,
            values=self.grid.settings(row, column),
            step=before + done,
            total=sum(self.totals.values()),
            run=run,
            finished=finished,
        )

    def run(self, row: int, column: int) -> Generator[SweepProgress, None, Cell]:
        """One reconstruction, to whatever end."""
        recipe, began = self.grid.recipes[row][column], time.perf_counter()
        try:
            result = yield from self.reconstruct(row, column, recipe)
        except (ArithmeticError, InvalidInput, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            # The other cells are worth having all the same.
            status: Literal["diverged", "failed"] = "diverged" if isinstance(error, ArithmeticError) else "failed"
            note = " ".join(str(error).split()) or "Out of memory."
            return Cell(row, column, status, recipe, recipe, {}, note=note)
        if result.status != "done":
            return Cell(row, column, "cancelled", recipe, recipe, {})
        if result.failed:  # a volume with holes is not compared with whole ones
            index, why = next(iter(result.failed.items()))
            note = f"{len(result.failed)} of {self.kdata.n_slices} slices failed; slice {index}: {why}"
            return Cell(row, column, "failed", recipe, recipe, {}, note=note)
        result = self.sharing_maps(result)
        numbers = self.numbers(result, time.perf_counter() - began)
        images = result.image, result.zero_filled
        return Cell(row, column, "done", recipe, result.recipe, numbers, *images, result=result)

    def reconstruct(self, row: int, column: int, recipe: Recipe) -> Generator[SweepProgress, None, Result]:
        """The steps of a cell, and its result."""
        live, prior = CellLive(self.live, recipe.changes), self.prior(recipe)
        run = Run(self.kdata, recipe, self.maps, self.device, live, prior, (), maps_of=self.estimated)
        steps = cancellable(run)
        with contextlib.closing(steps):
            while True:
                try:
                    step = next(steps)
                except StopIteration as stop:
                    finished: Result = stop.value
                    return finished
                yield self.progress(row, column, step.step, run=step)

    def sharing_maps(self, result: Result) -> Result:
        """The same result; coil maps that are those of the cell before are not kept twice."""
        if self.shared_maps is None or not np.array_equal(self.shared_maps, result.maps):
            self.shared_maps = result.maps
        return replace(result, maps=self.shared_maps)

    def numbers(self, result: Result, seconds: float) -> dict[str, float]:
        """The figures of a cell, and its scores if the true image is known."""
        facts = {
            "acceleration": result.mask.size / float(result.mask.sum()),
            "residual": result.residual,
            "nfe": float(result.nfe),
            "seconds": seconds,
        }
        return facts if self.reference is None else facts | scores(self.reference, result.image)

    def result(self, status: str) -> Sweep:
        """What is there, finished or not."""
        return self.gathering.sweep(self.cells.values())


def sweeping(
    kdata: KData,
    cells: Grid,
    *,
    maps: ArrayLike | None = None,
    device: str = "auto",
    live: Live | None = None,
    denoiser: Denoiser | None = None,
    known: Iterable[Cell] = (),
) -> Generator[SweepProgress, None, Sweep]:
    """Run a grid of recipes step by step.

    Parameters
    ----------
    kdata : k-space; a recipe's mask undersamples it further.
    cells : the recipes; see ``axes.grid``.
    maps, device, denoiser : as ``engine.reconstruction``, for all cells.
    live : pauses and cancels; knobs are not turned during a sweep.
    known : cells of an earlier sweep of the same scan; those that are done with a recipe of this one, and the same
        prior, are taken over instead of being run.

    Yields
    ------
    SweepProgress after every step, and one more after every cell.

    Returns
    -------
    Sweep; when ``live`` was cancelled, the cells that were done, the others NaN and named in ``status``. A cell that
    diverges or fails does not end the sweep.

    Raises
    ------
    InvalidInput
        Before the first step, if the data, the maps, a recipe, a prior or the device do not fit.
    """
    return (yield from cancellable(Sweeping(kdata, cells, maps, device, live or Live(), denoiser, known)))


def sweep(
    kdata: KData,
    base: Recipe,
    rows: Axis,
    columns: Axis = NO_AXIS,
    *,
    device: str = "auto",
    callback: Callable[[SweepProgress], None] | None = None,
) -> Sweep:
    """Reconstruct with every pair of values; see ``sweeping`` and ``axes.grid``."""
    return last_of(sweeping(kdata, grid(base, rows, columns), device=device), callback)
