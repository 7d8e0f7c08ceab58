"""The Sweep dock: one scan with every pair of values of two parameters, watched as a table that fills."""

import math
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QCheckBox, QFileDialog, QSplitter, QVBoxLayout, QWidget

from napari_lossguide.cli.sweep import csv_text
from napari_lossguide.cli.sweep_figure import figure
from napari_lossguide.data.file_names import with_ending
from napari_lossguide.data.montage import write_png
from napari_lossguide.data.writers import write_text
from napari_lossguide.recon.axes import Grid, grid
from napari_lossguide.recon.cells import Cell, Gathering, Sweep
from napari_lossguide.recon.cost import pace
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.variables import variables
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.fold import Fold
from napari_lossguide.widgets.forms import form_layout
from napari_lossguide.widgets.panel import Sentence, heading
from napari_lossguide.widgets.reconstruct_settings import DEVICES
from napari_lossguide.widgets.result_layers import show_result
from napari_lossguide.widgets.run_dock import RunDock
from napari_lossguide.widgets.run_panel import RunPanel
from napari_lossguide.widgets.sweep_axis import AxisChoice
from napari_lossguide.widgets.sweep_base import SweepBase
from napari_lossguide.widgets.sweep_board import SweepBoard
from napari_lossguide.widgets.sweep_metrics import cost_text, settings_text
from napari_lossguide.widgets.sweep_run import CellPoint, CellPreview, start_sweep

FILTERS = {".npz": "Sweep (*.npz)", ".png": "Figure (*.png)", ".csv": "Table (*.csv)"}
MOST_CELLS = 400
FORM = 0.3  # of the height at least, while there is a table
SENTENCES = 110  # pixels for what will be said below the table
SOON = 150  # milliseconds of rest before the cost is counted


class SweepDock(RunDock):
    """Dock widget; one sweep at a time.

    Parameters
    ----------
    napari_viewer : napari hands it over.

    Attributes
    ----------
    base, rows, columns : what is asked for.
    cost : how much it is.
    board : the table.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, RunPanel())
        self.base, self.rows, self.columns = SweepBase(self, napari_viewer), AxisChoice("Rows"), AxisChoice("Columns")
        self.cost, self.board = Sentence("Cost"), SweepBoard()
        self._splitter, self._below = QSplitter(Qt.Orientation.Vertical), QWidget()
        self.keep, self.device = QCheckBox("Keep the cells that are done"), ComboBox()
        self._coming: Gathering | None = None  # has started, but not got through its checks
        self._layers: dict[tuple[int, int], Any] = {}
        self._count = self.after(SOON, self._show_cost)
        self._build()
        self._offer()
        self.columns.choose(next(iter(variables(Recipe()))))
        self._show_cost()

    def start(self) -> None:
        """Run what the form says."""
        if not self.running:
            with self.attempt():
                self._begin(Gathering(self.base.kdata(), self.grid()))

    def grid(self) -> Grid:
        """The recipes of all cells.

        Raises
        ------
        InvalidInput
            If something is missing, does not fit or is far too much.
        """
        rows, columns = self.rows.axis(), self.columns.axis()
        if not rows.names and not columns.names:
            raise InvalidInput("Nothing varies; choose a parameter for the columns, and one for the rows if you like.")
        if len(rows) * len(columns) > MOST_CELLS:
            raise InvalidInput(f"{len(rows)} × {len(columns)} cells are too many; at most {MOST_CELLS} are accepted.")
        return grid(self.base.recipe(), rows, columns)

    def result(self) -> Sweep:
        """What there is of the sweep that is shown.

        Raises
        ------
        InvalidInput
            If no cell is done.
        """
        if self.board.gathering is None or not self.board.done():
            raise InvalidInput("No cell is done yet; there is nothing to copy or save.")
        return self.board.gathering.sweep(self.board.cells.values())

    def save_as(self, path: Path) -> None:
        """Write images and recipes (.npz), a figure (.png) or a table (.csv).

        Raises
        ------
        InvalidInput
            On another suffix, if no cell is done, or if the file cannot be written.
        """
        result = self.result()
        if path.suffix.lower() == ".npz":
            result.save(path)
        elif path.suffix.lower() == ".png":
            write_png(path, figure(result), (0, 255))
        elif path.suffix.lower() == ".csv":
            write_text(path, csv_text(result.cells()))
        else:
            raise InvalidInput(f"{path.name} must end in {', '.join(FILTERS)}.")

    def open_cell(self, row: int, column: int) -> None:
        """Get a cell that is done as a layer; the second time only select that layer."""
        cell, gathering = self.board.cells.get((row, column)), self.board.gathering
        if cell is None or cell.result is None or gathering is None:
            return
        with self.attempt():
            layer = self._layers.get(cell.place)
            if layer is None or layer not in self._viewer.layers:
                label = settings_text(gathering.grid.settings(row, column))
                layer = show_result(self._viewer, cell.result, gathering.kdata, label=label)
                self._layers[cell.place] = layer
            self._viewer.layers.selection.active = layer
            layer.visible = True

    def _begin(self, gathering: Gathering) -> None:
        known, live, device = self._known(gathering), Live(), self.device.currentData()
        self._coming = gathering
        start = partial(start_sweep, gathering, known, device, live)
        cells = len(gathering.grid.rows) * len(gathering.grid.columns)
        title = f"Sweep of {gathering.kdata.name}, {cells} cells"
        job = self._launch(start, live, title, device, point=CellPoint.of, picture=CellPreview.of)
        self._set_running(True)
        if not self.board.cells:
            self._open_board()
        self.panel.curve.hide()  # each cell has its own
        job.start()

    def _known(self, gathering: Gathering) -> list[Cell]:
        """Cells of the sweep before that this one need not run again."""
        before = self.board.gathering
        same = before is not None and before.kdata is gathering.kdata
        return list(self.board.cells.values()) if same and self.keep.isChecked() else []

    def _open_board(self) -> None:
        """Give the table to the new sweep; until it has passed its checks, the one before is still worth having."""
        if self._coming is not None:
            first = self.board.isHidden()
            self.board.begin(self._coming)
            if first:
                self.once(50, self._share)  # the table knows its size by then
            self._coming, self._layers = None, {}

    def _show_preview(self, preview: CellPreview) -> None:
        if self._coming is None:
            self.board.show_live(preview)

    def _show_points(self, points: list[CellPoint]) -> None:
        self._open_board()
        for point in points:
            if point.finished is not None or point is points[-1]:
                self.board.advance(point)
        last = points[-1]
        self.panel.advance(last.step, max(last.total, 1), f"Cell {last.cell + 1} of {last.cells}")

    def _show_end(self, outcome: Sweep | Failure, live: Live) -> None:
        began, self._coming = self._coming is None, None
        self._set_running(False)
        with self.attempt():
            if isinstance(outcome, Failure):
                self.board.end()
                self._show_failure(outcome)
            elif began:
                self.board.end(outcome.status)
                self._show_sweep(outcome)
            else:
                self.panel.where.setText("Cancelled")
        self._show_cost(tell=False)
        self._tell_end(isinstance(outcome, Sweep) and bool((outcome.status == "done").all()))

    def _show_sweep(self, outcome: Sweep) -> None:
        counts = {word: int((outcome.status == word).sum()) for word in ("done", "diverged", "failed")}
        total, ended = outcome.status.size, sum(counts.values())
        self.panel.where.setText("Done" if ended == total else "Cancelled")
        bad = ", ".join(f"{counts[word]} {word}" for word in ("diverged", "failed") if counts[word])
        text = f"{counts['done']} of {total} cells done" + (f", {bad} (point at them to see why)" if bad else "")
        rest = " Press Run to go on with the others." if ended < total and self.keep.isChecked() else ""
        self.status.setToolTip("")
        self.status.show_text(f"{text}.{rest}", colour="warning" if bad else "")

    def _changed(self) -> None:
        self._offer()
        self._count.start()

    def _offer(self) -> None:
        """Offer what can vary in the recipe of now."""
        try:
            offered = variables(self.base.recipe(), self.base.n_coils())
        except InvalidInput:
            return  # the facts line says what is wrong
        for axis in (self.rows, self.columns):
            axis.offer(offered)

    def _show_cost(self, *, tell: bool = True) -> None:
        """Count cells and evaluations, guess the time; or say what is wrong."""
        self.base.show_facts()
        try:
            cells, kdata = self.grid(), self.base.kdata()
        except InvalidInput as error:
            self.cost.show_text(str(error), colour="error" if tell and self.base.input.layer is not None else "")
            return
        self.cost.show_text(cost_text(cells, kdata, self._pace()))

    def _pace(self) -> float:
        """Seconds for a pixel in the network, from the cells that were run; nan if there are none."""
        gathering = self.board.gathering
        if gathering is None:
            return math.nan
        done = [cell for cell in self.board.cells.values() if cell.status == "done"]
        return pace((cell.asked, gathering.kdata, cell.numbers["seconds"]) for cell in done)

    def _set_running(self, running: bool) -> None:
        for widget in (self.base, self.rows, self.columns, self._more):
            widget.setEnabled(not running)
        self.cost.setVisible(not running and bool(self.cost.sentence))

    def _copy(self) -> None:
        with self.attempt():
            QApplication.clipboard().setText(csv_text(self.result().cells()))
            self.status.show_text("Copied the table.")

    def _ask_and_save(self) -> None:
        with self.attempt():
            self.result()
            name, chosen = QFileDialog.getSaveFileName(self, "Save sweep", "sweep.npz", ";;".join(FILTERS.values()))
            if not name:
                return
            ending = next((s for s, title in FILTERS.items() if title == chosen), ".npz")
            path = with_ending(name, ending, *FILTERS)
            with self.busy():
                self.save_as(path)
            self.status.show_text(f"Saved {path}.")

    def _build(self) -> None:
        axes = form_layout()
        for name, axis in (("Rows", self.rows), ("Columns", self.columns)):
            axes.addRow(name, axis)
        self.cost.setToolTip(
            "What Run will cost. The time is that of the network alone: at the pace of the cells that have run here; "
            "before the first, a guess for a CPU, from which a machine may differ by far. Coil maps come on top."
        )
        self.keep.setChecked(True)
        self.keep.setToolTip(
            "A new sweep of the same scan takes over the cells of this one that have the same recipe, and runs only "
            "the others: values can be added, and a cancelled sweep goes on."
        )
        for key, title in DEVICES.items():
            self.device.addItem(title, key)
        self.device.setAccessibleName("Device")
        self.device.setToolTip("Where the network runs; checked when the sweep starts.")
        device = QWidget()
        form_layout(device).addRow("Device", self.device)
        self._more = Fold("More settings", self.keep, device)
        self.body.addWidget(self.base)
        self.body.addWidget(heading("What varies"))
        self.body.addLayout(axes)
        self.body.addWidget(self._more)
        self.body.addStretch(1)
        self._split()
        self.panel.button.setToolTip("Reconstruct every cell; during a sweep: stop it, and keep what is done.")
        self.panel.preview.setToolTip("Show the estimate of the running cell in the table; off is a little faster.")
        self.panel.pause.setToolTip("Hold the sweep after this step.")
        self._connect()

    def _split(self) -> None:
        """Form above, run and table below; a person moves the border, or folds the form away."""
        below, layout = self._below, QVBoxLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        above = QVBoxLayout()
        above.setContentsMargins(8, 0, 8, 0)
        above.addWidget(self.cost)
        layout.addLayout(above)
        layout.addWidget(self.panel)
        layout.addWidget(self.board, 1)
        below.setLayout(layout)
        self._splitter.addWidget(self.layout().takeAt(0).widget())
        self._splitter.addWidget(below)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setCollapsible(1, False)
        self.layout().insertWidget(0, self._splitter, 1)

    def _share(self) -> None:
        """The table as high as it needs to be, as long as something is left of the form."""
        height = self._splitter.height()
        form = max(round(FORM * height), height - self._below.sizeHint().height() - SENTENCES)
        self._splitter.setSizes([form, height - form])

    def _connect(self) -> None:
        self.base.changed.connect(self._changed)
        self.base.prior.refused.connect(partial(self.status.show_text, colour="error"))
        for axis in (self.rows, self.columns):
            axis.changed.connect(self._count.start)
        self.board.opened.connect(self.open_cell)
        self.board.copy.connect(self._copy)
        self.board.save.connect(self._ask_and_save)
