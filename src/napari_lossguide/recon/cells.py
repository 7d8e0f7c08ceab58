"""The cells of a sweep and what they amount to together; needs no PyTorch, so that a window can hold them."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.data.writers import write_npz
from napari_lossguide.recon.axes import Axis, Grid
from napari_lossguide.recon.metrics import evaluate
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Result
from napari_lossguide.types import InvalidInput

SCORES = ("psnr", "ssim", "nmse", "mse")
FIGURES = ("acceleration", "residual", "nfe", "seconds")
NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Cell:
    """One cell that has come to an end, whichever.

    Attributes
    ----------
    row, column : from 0.
    status : done; diverged or failed, and ``note`` says why; cancelled while it ran.
    asked : the recipe as it was given.
    recipe : as it ran, with the prior's checksum and the kind of the image filled in.
    numbers : acceleration (achieved), residual, nfe, seconds; psnr, ssim, nmse and mse if the true image is known.
        Empty unless done.
    image, zero_filled : complex64 (slice, ny, nx) on the input's scale; None unless done.
    note : why it diverged or failed.
    result : the whole reconstruction; None unless done, and of a cell that was read from a file.
    """

    row: int
    column: int
    status: Literal["done", "diverged", "failed", "cancelled"]
    asked: Recipe
    recipe: Recipe
    numbers: Mapping[str, float]
    image: NDArray[np.complex64] | None = None
    zero_filled: NDArray[np.complex64] | None = None
    note: str = ""
    result: Result | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Row and column."""
        return self.row, self.column

    def slim(self) -> Cell:
        """Without the coil maps and the samples, which nothing in the sweep's file needs."""
        return replace(self, result=None)


def scores(reference: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """PSNR, SSIM and NMSE as ``metrics.evaluate``, and the mean squared error of the magnitudes."""
    error = np.abs(reference).astype(np.float64) - np.abs(image)
    return {**evaluate(reference, image), "mse": float((error**2).mean())}


def fingerprint(kdata: KData, maps: ArrayLike | None = None) -> str:
    """SHA-256 of all that a cell's image and scores depend on beside its recipe and its prior."""
    content = hashlib.sha256()
    for array in (kdata.kspace, kdata.acquired, kdata.reference, maps):
        held = np.zeros(0) if array is None else array if isinstance(array, SliceWise) else np.asarray(array)
        content.update(f"{held.shape} {held.dtype.str}".encode())
        for part in held:  # one slice of it in memory at a time
            content.update(part.tobytes())
    content.update(str(kdata.real).encode())
    if kdata.calibration is not None:
        content.update(f"{kdata.calibration.shape}".encode() + np.ascontiguousarray(kdata.calibration).tobytes())
    return content.hexdigest()


@dataclass(frozen=True)
class Sweep:
    """A sweep, finished or not; arrays begin with (row, column), images are on the input's scale.

    Attributes
    ----------
    rows, columns : what varies, and its values.
    recipes : what each cell ran, with the prior's checksum if it was done; the first is the base of all.
    asked : the recipes as they were given.
    image, zero_filled : complex64 (row, column, slice, ny, nx); NaN in the cells that are not done.
    reference : (slice, ny, nx) if the true image is known, else None.
    scores : psnr (dB), ssim, nmse and mse of the volume, float64 (row, column), NaN in the cells that are not done;
        None without a reference.
    figures : acceleration (achieved), residual, nfe and seconds, float64 (row, column), NaN likewise.
    status : done, diverged, failed, cancelled (while it ran) or not reached, (row, column).
    notes : why a cell diverged or failed, in words, (row, column).
    scan : the scan's ``fingerprint``.
    """

    rows: Axis
    columns: Axis
    recipes: tuple[tuple[Recipe, ...], ...]
    asked: tuple[tuple[Recipe, ...], ...]
    image: NDArray[np.complex64]
    zero_filled: NDArray[np.complex64]
    reference: NDArray[Any] | None
    scores: Mapping[str, NDArray[np.float64]] | None
    figures: Mapping[str, NDArray[np.float64]]
    status: NDArray[np.str_]
    notes: NDArray[np.str_]
    scan: str

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
            "asked": np.array([[r.to_json() for r in row] for row in self.asked]),
            "status": self.status,
            "notes": self.notes,
            "scan": self.scan,
            **self.figures,
            **(self.scores or {}),
        }
        return out if self.reference is None else out | {"reference": self.reference}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``arrays()`` as ``.npz``, atomically."""
        write_npz(path, self.arrays())


@dataclass(frozen=True)
class Gathering:
    """What is there of a sweep at any moment: a scan, its grid, and cells as they come."""

    kdata: KData
    grid: Grid
    maps: ArrayLike | None = None

    @cached_property
    def scan(self) -> str:
        """The scan's fingerprint, computed once."""
        return fingerprint(self.kdata, self.maps)

    def sweep(self, cells: Iterable[Cell]) -> Sweep:
        """All that is known now; places without a cell are not reached."""
        shape = self.grid.shape
        image = np.full((*shape, self.kdata.n_slices, *self.kdata.image_shape), np.nan, np.complex64)
        zero_filled, numbers = image.copy(), {name: np.full(shape, np.nan) for name in (*SCORES, *FIGURES)}
        status, notes = np.full(shape, NOT_REACHED, object), np.full(shape, "", object)
        recipes = [list(row) for row in self.grid.recipes]
        for cell in cells:
            status[cell.place], notes[cell.place] = cell.status, cell.note
            recipes[cell.row][cell.column] = cell.recipe
            for name, value in cell.numbers.items():
                numbers[name][cell.place] = value
            if cell.image is not None and cell.zero_filled is not None:
                image[cell.place], zero_filled[cell.place] = cell.image, cell.zero_filled
        reference = self.kdata.reference
        return Sweep(
            rows=self.grid.rows,
            columns=self.grid.columns,
            recipes=tuple(map(tuple, recipes)),
            asked=self.grid.recipes,
            image=image,
            zero_filled=zero_filled,
            reference=None if reference is None else np.asarray(reference),
            scores=None if reference is None else {name: numbers[name] for name in SCORES},
            figures={name: numbers[name] for name in FIGURES},
            status=status.astype(str),
            notes=notes.astype(str),
            scan=self.scan,
        )


def placed(known: Iterable[Cell], grid: Grid) -> dict[tuple[int, int], Cell]:
    """The cells that are done and that a grid asks for, at their places in it; the grid may be another one."""
    done = [cell for cell in known if cell.status == "done"]
    found = {}
    for row, column in np.ndindex(grid.shape):
        cell = next((cell for cell in done if cell.asked == grid.recipes[row][column]), None)
        if cell is not None:
            found[row, column] = replace(cell, row=row, column=column)
    return found


# What NumPy, zipfile and the parsers raise on damaged files.
DAMAGED = (OSError, ValueError, EOFError, KeyError, IndexError, zipfile.BadZipFile, zlib.error)


def read_cells(path: str | os.PathLike[str], scan: str) -> list[Cell]:
    """The cells that are done in the file of a sweep of the same scan.

    Parameters
    ----------
    path : written by ``Sweep.save``.
    scan : fingerprint of the scan that they must be of.

    Raises
    ------
    InvalidInput
        If the file cannot be read, is not one of a sweep, or is of another scan.
    """
    try:
        with np.load(Path(path).expanduser(), allow_pickle=False) as file:
            missing = {"asked", "recipes", "status", "scan", "image", "zero_filled"} - set(file.files)
            if missing:
                raise InvalidInput(f"{path} is no sweep that can be resumed: it has no {', '.join(sorted(missing))}.")
            if str(file["scan"]) != scan:
                raise InvalidInput(f"{path} is a sweep of another scan (or slice, or coil maps); give another output.")
            arrays = {name: file[name] for name in file.files}
        return [
            cell_of(arrays, *place) for place in np.ndindex(arrays["status"].shape) if arrays["status"][place] == "done"
        ]
    except DAMAGED as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{path} cannot be read as a sweep: {error}.") from error


def cell_of(arrays: Mapping[str, np.ndarray], row: int, column: int) -> Cell:
    """A done cell out of the arrays of a file."""
    place = row, column
    return Cell(
        row,
        column,
        "done",
        asked=Recipe.from_json(str(arrays["asked"][place])),
        recipe=Recipe.from_json(str(arrays["recipes"][place])),
        numbers={name: float(arrays[name][place]) for name in (*FIGURES, *SCORES) if name in arrays},
        image=arrays["image"][place],
        zero_filled=arrays["zero_filled"][place],
    )
