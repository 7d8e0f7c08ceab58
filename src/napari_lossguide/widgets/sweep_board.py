"""The results of a sweep as they come: table, metric, slice; what was clicked and what to save it says by signals."""

from functools import partial

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.display import display_limits
from napari_lossguide.recon.cells import NOT_REACHED, Cell, Gathering
from napari_lossguide.widgets.boxes import ComboBox, IntBox
from napari_lossguide.widgets.panel import Sentence
from napari_lossguide.widgets.result_layers import run_limits
from napari_lossguide.widgets.sweep_metrics import METRICS, all_figures, best_place, figure_text, grey, offered
from napari_lossguide.widgets.sweep_run import CellPoint, CellPreview
from napari_lossguide.widgets.sweep_table import SweepTable

Place = tuple[int, int]


class SweepBoard(QWidget):
    """Everything below the progress bar; hidden until a sweep begins.

    Attributes
    ----------
    cells : the cells that have come to an end, by (row, column).
    gathering : scan and grid of the sweep that is shown; None before the first.
    opened : signal ``(row, column)``.
    copy, save : signals.
    """

    opened = Signal(int, int)
    copy, save = Signal(), Signal()

    def __init__(self) -> None:
        super().__init__()
        self.gathering: Gathering | None = None
        self.cells: dict[Place, Cell] = {}
        self.table, self.metric, self.slice = SweepTable(), ComboBox(), IntBox()
        self.axes, self.note = Sentence("Axes"), Sentence("Best cell")
        self._slice_label = QLabel("Slice")
        self.buttons = {"copy": QPushButton("Copy table"), "save": QPushButton("Save…")}
        self._running: tuple[Place, float] | None = None
        self._limits = (0.0, 1.0)
        self._build()
        self.hide()

    def begin(self, gathering: Gathering) -> None:
        """Show the empty table of a sweep."""
        kdata, grid = gathering.kdata, gathering.grid
        self.gathering, self.cells, self._running = gathering, {}, None
        mask = grid.recipes[0][0].mask
        points = np.ones(kdata.image_shape, bool) if mask is None else mask.make(kdata.image_shape)
        self._limits = run_limits(kdata, points & kdata.acquired)
        ny, nx = kdata.image_shape
        self.table.begin(grid.rows, grid.columns, ny * kdata.spacing[1] / (nx * kdata.spacing[2]))
        sides = ((grid.rows, "Rows"), (grid.columns, "Columns"))
        self.axes.show_text(" · ".join(f"{side}: {', '.join(axis.names)}" for axis, side in sides if axis.names))
        self._offer_metrics(kdata.reference is not None)
        self._offer_slices(kdata.n_slices)
        self._write_all()
        self.show()

    def advance(self, point: CellPoint) -> None:
        """Show how far the cell is that runs, or that it has ended."""
        place = point.row, point.column
        if point.finished is None:
            self._running = place, point.part
            self._write(place)
        else:
            self._running = None
            self.take(point.finished)

    def take(self, cell: Cell) -> None:
        """Show a cell that has come to its end."""
        first = cell.status == "done" and not any(c.status == "done" for c in self.cells.values())
        self.cells[cell.place] = cell
        if first and cell.image is not None and self.gathering is not None and self.gathering.kdata.reference is None:
            self._limits = display_limits(cell.image, "magnitude")  # the zero-filled image's were a guess
        self._draw(cell.place)
        self._write_all()  # another one may be the best now

    def show_live(self, preview: CellPreview) -> None:
        """Draw the estimate of the cell that runs."""
        if (preview.row, preview.column) not in self.cells:
            self.table.draw(preview.row, preview.column, grey(preview.image, self._limits))

    def end(self, status: np.ndarray | None = None) -> None:
        """The sweep is over; `status` (row, column) says what became of the cells that are not done."""
        place, self._running = self._running, None
        if place is not None and place[0] not in self.cells:
            self.table.draw(*place[0], None)  # half an image says nothing of its parameters
        self._write_all(status)
        self.setVisible(bool(self.cells) or status is not None)

    def done(self) -> int:
        """How many cells are done."""
        return sum(cell.status == "done" for cell in self.cells.values())

    def _offer_metrics(self, has_reference: bool) -> None:
        before, names = self.metric.currentData(), offered(has_reference)
        self.metric.blockSignals(True)
        self.metric.clear()
        for index, name in enumerate(names):
            self.metric.addItem(METRICS[name][0], name)
            self.metric.setItemData(index, METRICS[name][3], 3)  # Qt.ToolTipRole
        self.metric.setCurrentIndex(names.index(before) if before in names else 0)
        self.metric.blockSignals(False)
        self._explain()

    def _offer_slices(self, count: int) -> None:
        self.slice.blockSignals(True)
        self.slice.setRange(0, count - 1)
        self.slice.setValue(count // 2)
        self.slice.blockSignals(False)
        for widget in (self._slice_label, self.slice):
            widget.setVisible(count > 1)

    def _explain(self) -> None:
        name = self.metric.currentData()
        known = (
            ""
            if "psnr" in [self.metric.itemData(i) for i in range(self.metric.count())]
            else ("\nThe true image of this scan is not known, so PSNR, SSIM and NMSE are not offered.")
        )
        self.metric.setToolTip(f"The figure under each picture. {METRICS[name][3] if name else ''}{known}")

    def _metric_chosen(self) -> None:
        self._explain()
        self._write_all()

    def _redraw(self) -> None:
        for place in self.cells:
            self._draw(place)

    def _draw(self, place: Place) -> None:
        image = self.cells[place].image
        self.table.draw(*place, None if image is None else grey(image[self.slice.value()], self._limits))

    def _write_all(self, status: np.ndarray | None = None) -> None:
        if self.gathering is None:
            return
        best = best_place(self.cells.values(), self.metric.currentData())
        for place in np.ndindex(self.gathering.grid.shape):
            self._write(place, best, "" if status is None else str(status[place]))
        self.note.show_text(self._best_text(best))
        for button in self.buttons.values():
            button.setEnabled(bool(self.cells))

    def _write(self, place: Place, best: Place | None = None, status: str = "") -> None:
        cell = self.cells.get(place)
        part = self._running[1] if self._running and self._running[0] == place else None
        if part is not None:
            self.table.write(*place, f"{part:.0%}", "This cell runs.", part=part)
        elif cell is None:
            waiting = "" if status in ("", NOT_REACHED) else status
            self.table.write(*place, waiting or "…", f"This cell was {status}." if status else "This cell waits.")
        elif cell.status == "done":
            text = figure_text(cell, self.metric.currentData())
            tip = f"{all_figures(cell)}\nClick, or press Enter, to get it as a layer."
            self.table.write(*place, text, tip, best=place == best)
        else:
            self.table.write(*place, cell.status, f"{cell.status.capitalize()}: {cell.note}")

    def _best_text(self, best: Place | None) -> str:
        if best is None or self.gathering is None:
            return ""
        figure = figure_text(self.cells[best], self.metric.currentData())
        values = ", ".join(f"{n} = {v:.6g}" if isinstance(v, float) else f"{n} = {v}" for n, v in self._settings(best))
        return f"Best so far: {figure} at {values}." if self._unfinished() else f"Best: {figure} at {values}."

    def _settings(self, place: Place) -> list[tuple[str, object]]:
        assert self.gathering is not None
        return list(self.gathering.grid.settings(*place).items())

    def _unfinished(self) -> bool:
        assert self.gathering is not None
        return len(self.cells) < int(np.prod(self.gathering.grid.shape))

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(6)
        self.metric.setAccessibleName("Metric")
        self.slice.setAccessibleName("Slice")
        head.addWidget(self.metric, 1)
        head.addWidget(self._slice_label)
        head.addWidget(self.slice)
        self.metric.setMinimumContentsLength(4)
        self.slice.setMaximumWidth(84)
        self.slice.setToolTip("Slice (from 0) that the pictures show; the figures are those of all slices.")
        self.table.setToolTip("Arrow keys move; Enter or a click gets a cell that is done as a layer.")
        tips = {
            "copy": "Copy the table of all cells, with all their figures, as comma-separated values.",
            "save": "Save the cells that are done: .npz holds images, figures and recipes, as `lossguide sweep` writes "
            "them; .png is a figure with captions; .csv a table.",
        }
        row = QHBoxLayout()
        for name, button in self.buttons.items():
            button.setToolTip(tips[name])
            button.clicked.connect(partial(self._press, name))
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self.axes)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.note)
        layout.addLayout(row)
        self.table.opened.connect(self.opened)
        self.metric.currentIndexChanged.connect(self._metric_chosen)
        self.slice.valueChanged.connect(self._redraw)

    def _press(self, name: str, *_: object) -> None:
        (self.copy if name == "copy" else self.save).emit()
