"""Sweeps: one scan, reconstructed with every pair of values of two parameters. Shell and Python both drive it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.writers import write_npz
from napari_lossguide.recon.axes import NO_AXIS, Axis, Grid, grid
from napari_lossguide.recon.diffusion import open_prior
from napari_lossguide.recon.drive import cancellable, last_of
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.live import Change, Live
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.metrics import evaluate
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.run import Run, choose_device
from napari_lossguide.types import Cancelled, Denoiser, InvalidInput

SCORES = ("psnr", "ssim", "nmse", "mse")
FIGURES = ("acceleration", "residual", "nfe", "seconds")


@dataclass(frozen=True)
class SweepProgress:
    """One step of a sweep.

    Attributes
    ----------
    cell, cells : which cell, from 0, row by row; how many.
    row, column : of the cell, from 0.
    values : of the parameters that vary, by name.
    step, total : over all cells; a cell that ends early leaves a jump.
    run : the step of the cell's own reconstruction.
    """

    cell: int
    cells: int
    row: int
    column: int
    values: Mapping[str, Any]
    step: int
    total: int
    run: Progress


@dataclass(frozen=True)
class Sweep:
    """A finished, or cancelled, sweep; arrays begin with (row, column), images are on the input's scale.

    Attributes
    ----------
    rows, columns : what varies, and its values.
    recipes : what each cell ran, with the prior's checksum if it was done; the first is the base of all.
    image, zero_filled : complex64 (row, column, slice, ny, nx); NaN in the cells that are not done.
    reference : (slice, ny, nx) if the true image is known, else None.
    scores : psnr (dB), ssim, nmse and mse of the volume, float64 (row, column), NaN in the cells that are not done;
        None without a reference.
    figures : acceleration (achieved), residual, nfe and seconds, float64 (row, column), NaN likewise.
    status : done, diverged, failed, cancelled (while it ran) or not reached, (row, column).
    notes : why a cell diverged or failed, in words, (row, column).
    """

    rows: Axis
    columns: Axis
    recipes: tuple[tuple[Recipe, ...], ...]
    image: NDArray[np.complex64]
    zero_filled: NDArray[np.complex64]
    reference: NDArray[Any] | None
    scores: Mapping[str, NDArray[np.float64]] | None
    figures: Mapping[str, NDArray[np.float64]]
    status: NDArray[np.str_]
    notes: NDArray[np.str_]

    def cells(self) -> list[dict[str, Any]]:
        """One row of a table for each cell: parameters, status, figures, scores if there is a reference, note."""
        table = []
        for row, column in np.ndindex(self.status.shape):
            numbers = {**(self.scores or {}), **self.figures}
            table.append(
                {
                    **self.rows.settings(row),
                    **self.columns.settings(column),
                    "status": str(self.status[row, column]),
                    **{name: float(values[row, column]) for name, values in numbers.items()},
                    "note": str(self.notes[row, column]),
                }
            )
        return table

    def arrays(self) -> dict[str, NDArray[Any] | str]:
        """Contents of the output file, ready for ``write_npz``; ``rows``, ``columns`` and the recipes are JSON."""
        out: dict[str, NDArray[Any] | str] = {
            "image": self.image,
            "zero_filled": self.zero_filled,
            "rows": self.rows.to_json(),
            "columns": self.columns.to_json(),
            "recipe": self.recipes[0][0].to_json(),
            "recipes": np.array([[r.to_json() for r in row] for row in self.recipes]),
            "status": self.status,
            "notes": self.notes,
            **self.figures,
            **(self.scores or {}),
        }
        return out if self.reference is None else out | {"reference": self.reference}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``arrays()`` as ``.npz``, atomically."""
        write_npz(path, self.arrays())


def scores(reference: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """PSNR, SSIM and NMSE as ``metrics.evaluate``, and the mean squared error of the magnitudes."""
    error = np.abs(reference).astype(np.float64) - np.abs(image)
    return {**evaluate(reference, image), "mse": float((error**2).mean())}


class CellLive(Live):
    """The knobs of one cell; pausing and cancelling are the sweep's."""

    def __init__(self, sweep: Live, changes: tuple[Change, ...]) -> None:
        super().__init__(changes)
        self.sweep = sweep

    def checkpoint(self) -> None:
        """Wait or stop with the sweep."""
        self.sweep.checkpoint()


class Sweeping:
    """State of a sweep; ``steps`` is the generator, ``result`` what it leaves."""

    def __init__(
        self, kdata: KData, cells: Grid, maps: ArrayLike | None, device: str, live: Live, denoiser: Denoiser | None
    ) -> None:
        self.kdata, self.grid, self.maps, self.device, self.live = kdata, cells, maps, device, live
        self.priors: dict[str, Denoiser] = {}
        self.denoiser = denoiser
        if kdata.reference is not None:
            scores(kdata.reference, kdata.reference)  # whether it can be compared with at all, before hours of work
        self.recipes = [list(row) for row in cells.recipes]
        self.totals = [self.check(recipe) for row in cells.recipes for recipe in row]
        shape = cells.shape
        self.image = np.full((*shape, kdata.n_slices, *kdata.image_shape), np.nan, np.complex64)
        self.zero_filled = self.image.copy()
        self.numbers = {name: np.full(shape, np.nan) for name in (*SCORES, *FIGURES)}
        self.status = np.full(shape, "not reached", object)
        self.notes = np.full(shape, "", object)

    def check(self, recipe: Recipe) -> int:
        """Steps that a cell will have; whatever can be known to be wrong with it is said here."""
        if not method(recipe.method).needs_data:
            raise InvalidInput(f"The method '{recipe.method}' ignores the data; a sweep compares reconstructions.")
        live = CellLive(self.live, recipe.changes)
        return Run(self.kdata, recipe, self.maps, self.device, live, self.prior(recipe), ()).total()

    def prior(self, recipe: Recipe) -> Denoiser | None:
        """The recipe's prior, read once however many cells have it; None for a classical method."""
        if self.denoiser is not None or not method(recipe.method).needs_prior:
            return self.denoiser
        key = f"{recipe.prior} {recipe.prior_sha256}"
        if key not in self.priors:
            self.priors[key] = open_prior(recipe, choose_device(self.device))
        return self.priors[key]

    def steps(self) -> Iterator[SweepProgress]:
        """All cells, row by row."""
        for row, column in np.ndindex(self.grid.shape):
            self.live.checkpoint()
            try:
                yield from self.cell(row, column)
            except (ArithmeticError, InvalidInput, MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and "memory" not in str(error):
                    raise
                # The other cells are worth having all the same.
                self.status[row, column] = "diverged" if isinstance(error, ArithmeticError) else "failed"
                self.notes[row, column] = " ".join(str(error).split()) or "Out of memory."

    def cell(self, row: int, column: int) -> Iterator[SweepProgress]:
        """One reconstruction, kept if it comes to its end."""
        cell = row * self.grid.shape[1] + column
        before, values = sum(self.totals[:cell]), self.grid.settings(row, column)
        recipe = self.grid.recipes[row][column]
        live = CellLive(self.live, recipe.changes)
        began = time.perf_counter()
        run = reconstruction(
            self.kdata, recipe, maps=self.maps, device=self.device, live=live, denoiser=self.prior(recipe)
        )
        with contextlib.closing(run):
            while True:
                try:
                    step = next(run)
                except StopIteration as stop:
                    result = stop.value
                    break
                done = before + step.step
                yield SweepProgress(cell, len(self.totals), row, column, values, done, sum(self.totals), step)
        self.keep(row, column, result, time.perf_counter() - began)

    def keep(self, row: int, column: int, result: Result, seconds: float) -> None:
        """The images and figures of a cell.

        Raises
        ------
        Cancelled
            If it was cut short: an image half made says nothing of its parameters.
        """
        place = row, column
        if result.status != "done":
            self.status[place] = "cancelled"
            raise Cancelled
        self.status[place] = "done"
        self.recipes[row][column] = result.recipe
        self.image[place], self.zero_filled[place] = result.image, result.zero_filled
        facts = {
            "acceleration": result.mask.size / result.mask.sum(),
            "residual": result.residual,
            "nfe": result.nfe,
            "seconds": seconds,
        }
        if self.kdata.reference is not None:
            facts |= scores(self.kdata.reference, result.image)
        for name, value in facts.items():
            self.numbers[name][place] = value

    def result(self, status: str) -> Sweep:
        """What is there, finished or not."""
        known = self.kdata.reference is not None
        return Sweep(
            rows=self.grid.rows,
            columns=self.grid.columns,
            recipes=tuple(tuple(row) for row in self.recipes),
            image=self.image,
            zero_filled=self.zero_filled,
            reference=self.kdata.reference,
            scores={name: self.numbers[name] for name in SCORES} if known else None,
            figures={name: self.numbers[name] for name in FIGURES},
            status=self.status.astype(str),
            notes=self.notes.astype(str),
        )


def sweeping(
    kdata: KData,
    cells: Grid,
    *,
    maps: ArrayLike | None = None,
    device: str = "auto",
    live: Live | None = None,
    denoiser: Denoiser | None = None,
) -> Generator[SweepProgress, None, Sweep]:
    """Run a grid of recipes step by step.

    Parameters
    ----------
    kdata : k-space; a recipe's mask undersamples it further.
    cells : the recipes; see ``axes.grid``.
    maps, device, denoiser : as ``engine.reconstruction``, for all cells.
    live : pauses and cancels; knobs are not turned during a sweep.

    Yields
    ------
    SweepProgress after every step.

    Returns
    -------
    Sweep; when ``live`` was cancelled, the cells that were done, the others NaN and named in ``status``. A cell that
    diverges or fails does not end the sweep.

    Raises
    ------
    InvalidInput
        Before the first step, if the data, the maps, a recipe, a prior or the device do not fit.
    """
    return (yield from cancellable(Sweeping(kdata, cells, maps, device, live or Live(), denoiser)))


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
