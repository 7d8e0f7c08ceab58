"""``lossguide sweep``: one scan, every pair of values of two parameters; images, a figure and a table."""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import io
import math
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.cli.files import output_file, read_maps
from napari_lossguide.cli.progress import run_to_the_end
from napari_lossguide.cli.reading import reading
from napari_lossguide.cli.recon import read_recipe, recon_recipe
from napari_lossguide.data.writers import write_text
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from napari_lossguide.recon.axes import Axis
    from napari_lossguide.recon.cells import Cell, Gathering, Sweep
    from napari_lossguide.recon.live import Live
    from napari_lossguide.recon.recipe import Recipe
    from napari_lossguide.recon.sweep import SweepProgress


def sweep(args: argparse.Namespace) -> None:
    """Reconstruct every cell, write what was asked for and print a summary."""
    from napari_lossguide.data.readers import open_scan
    from napari_lossguide.recon.axes import grid
    from napari_lossguide.recon.cells import Gathering

    inputs = (args.input, args.mask, args.maps, args.recipe, args.region, args.noise_scan)
    output = output_file(args.output, ".npz", *inputs)
    png = output_file(args.png, ".png", *inputs) if args.png else None
    table = output_file(args.csv, ".csv", *inputs) if args.csv else None
    kdata = open_scan(args.input, **reading(args)).read_sparingly()
    cells = grid(lambda values: cell_recipe(args, kdata.image_shape, values), *axes(args.vary))
    if args.maps:
        kdata = dataclasses.replace(kdata, maps=read_maps(args.maps))
    if args.slice is not None:
        kdata = kdata.select(args.slice)
    gathering = Gathering(kdata, cells, kdata.maps if args.maps else None)
    known = resumed(output, gathering) if args.resume else []
    result, interrupted = run_grid(gathering, known, output, args.device)
    if (result.status == "done").any():
        write_sweep(result, output, png, table)
    if interrupted:
        raise KeyboardInterrupt
    complain_if_nothing(result)


def axes(vary: list[tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]]) -> tuple[Axis, Axis]:
    """Rows and columns; a single parameter goes along the columns."""
    from napari_lossguide.recon.axes import NO_AXIS, Axis

    if len(vary) > 2:
        raise InvalidInput(
            f"--vary was given {len(vary)} times; a sweep has rows and columns. Parameters that change together "
            "are one: --vary mask.acceleration,mask.center_fraction=4:0.10,8:0.07"
        )
    given = [Axis(names, values) for names, values in vary]
    return (given[0], given[1]) if len(given) == 2 else (NO_AXIS, given[0])


def cell_recipe(args: argparse.Namespace, shape: tuple[int, int], values: Mapping[str, Any]) -> Recipe:
    """The recipe that ``recon`` would run with a cell's values in the place of its options."""
    from napari_lossguide.recon.methods import method
    from napari_lossguide.recon.recipe import Recipe, steps_setting

    given = argparse.Namespace(**vars(args))
    if "method" in values:
        given.method = str(values["method"])
    given.settings = [*args.settings, *((name, value) for name, value in values.items() if name != "method")]
    name = given.method or (read_recipe(args.recipe) if args.recipe else Recipe()).method
    if args.steps is not None and steps_setting(method(name), args.steps).keys() & values.keys():
        given.steps = None
    return recon_recipe(given, shape)


def resumed(output: Path, gathering: Gathering) -> list[Cell]:
    """The cells that are done in the output of an earlier sweep, none if there is no such file yet.

    Raises
    ------
    InvalidInput
        If the file is not one of a sweep of this scan, or holds a cell that this sweep would not have: writing would
        lose it.
    """
    from napari_lossguide.recon.cells import placed, read_cells

    if not output.exists():
        return []
    known = read_cells(output, gathering.scan)
    wanted = placed(known, gathering.grid)
    kept = {cell.asked.to_json() for cell in wanted.values()}
    lost = sum(cell.asked.to_json() not in kept for cell in known)
    if lost:
        raise InvalidInput(
            f"{output} holds {lost} cell{'s' * (lost != 1)} whose recipe is not one of this sweep's, and would lose "
            "them; give another output, or the options and values that it was made with."
        )
    return known


class Growing:
    """The output file while the sweep runs: whole after every cell, so that a kill loses only the one that runs.

    Parameters
    ----------
    gathering : the sweep.
    known : cells that the file had before; they stay in it until the sweep comes to them.
    output : the file.
    """

    def __init__(self, gathering: Gathering, known: list[Cell], output: Path) -> None:
        from napari_lossguide.recon.cells import placed

        self.gathering, self.output = gathering, output
        self.cells = placed(known, gathering.grid)

    def keep(self, cell: Cell) -> None:
        """Take a cell in; write if it is new and done."""
        self.cells[cell.place] = cell.slim()
        if cell.result is not None:
            self.gathering.sweep(self.cells.values()).save(self.output)


def run_grid(gathering: Gathering, known: list[Cell], output: Path, device: str) -> tuple[Sweep, bool]:
    """Run to the end, or to the first Ctrl-C, with a progress bar on a terminal; whether it was interrupted."""
    from napari_lossguide.recon.knobs import short_name
    from napari_lossguide.recon.live import Live

    live, file = Live(), Growing(gathering, known, output)

    def begin() -> Generator[SweepProgress, None, Sweep]:
        from napari_lossguide.recon.sweep import sweeping

        kdata, grid, maps = gathering.kdata, gathering.grid, gathering.maps
        return sweeping(kdata, grid, maps=maps, device=device, live=live, known=known)

    def title(p: SweepProgress) -> str:
        values = ", ".join(f"{short_name(name)} {value}" for name, value in p.values.items())
        residual = "" if p.run is None else f", residual {p.run.residual:.3g}"
        return f"cell {p.cell + 1}/{p.cells} ({values}){residual}"

    with first_interrupt_cancels(live) as look:

        def looking(p: SweepProgress) -> str:
            look()
            if p.finished is not None:
                file.keep(p.finished)
            return title(p)

        result = run_to_the_end(begin, "reading the prior, coil maps", looking)
    return result, live.cancelled


@contextlib.contextmanager
def first_interrupt_cancels(live: Live) -> Iterator[Callable[[], None]]:
    """Ctrl-C ends the run at its next step, so that what is done can be written; a second one ends it at once.

    The handler only sets a flag: ``live.cancel`` takes a lock, which the interrupted code may hold. What is given is
    to be called between steps, and cancels.
    """
    before, asked = signal.getsignal(signal.SIGINT), []

    def ask(*_: object) -> None:
        asked.append(True)
        signal.signal(signal.SIGINT, before)

    def look() -> None:
        if asked:
            live.cancel()

    signal.signal(signal.SIGINT, ask)
    try:
        yield look
    finally:
        signal.signal(signal.SIGINT, before)


def write_sweep(result: Sweep, output: Path, png: Path | None, table: Path | None) -> None:
    """The files that were asked for, and a line for each thing that a person wants to know."""
    from napari_lossguide.cli.sweep_figure import figure
    from napari_lossguide.data.montage import write_png

    result.save(output)
    if png:
        write_png(png, figure(result), (0, 255))
    if table:
        write_text(table, csv_text(result.cells()))
    print_sweep(result, [str(path) for path in (output, png, table) if path])


def csv_text(cells: list[dict[str, Any]]) -> str:
    """One line a cell; NaN and infinity are left empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(cells[0]), lineterminator="\n")
    writer.writeheader()
    for cell in cells:
        writer.writerow({name: csv_value(value) for name, value in cell.items()})
    return out.getvalue()


def csv_value(value: Any) -> Any:
    """Six digits."""
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return value


def print_sweep(result: Sweep, written: list[str]) -> None:
    """How many cells are done, the best of them if there is a reference, the others by name."""
    cells = result.cells()
    done = [cell for cell in cells if cell["status"] == "done"]
    print(f"{'cells':<13}{len(done)} of {len(cells)} done")
    if result.scores is not None:
        best = max(done, key=lambda cell: cell["psnr"])
        print(f"{'best':<13}{best['psnr']:.2f} dB, SSIM {best['ssim']:.3f}: {in_words(result, best)}")
    for cell in cells:
        if cell["status"] != "done":
            why = f": {cell['note']}" if cell["note"] else ""
            print(f"{cell['status']:<13}{in_words(result, cell)}{why}")
    print(f"{'output':<13}{', '.join(written)}")


def in_words(result: Sweep, cell: Mapping[str, Any]) -> str:
    """The values of a cell by name."""
    return ", ".join(f"{name} = {cell[name]}" for name in (*result.rows.names, *result.columns.names))


def complain_if_nothing(result: Sweep) -> None:
    """A sweep without any image is an error: the first cell's.

    Raises
    ------
    InvalidInput, FloatingPointError
        If every cell failed; if the first of them diverged.
    """
    if not (result.status == "done").any():
        note = f"No cell came to its end; the first: {result.notes[0, 0]}"
        raise FloatingPointError(note) if result.status[0, 0] == "diverged" else InvalidInput(note)
