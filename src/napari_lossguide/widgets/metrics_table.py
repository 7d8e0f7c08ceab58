"""Figures of merit of several images against a reference: computing them, showing them, copying them."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.result_layers import SIMULATION

# column -> (heading, format, larger is better; None: neither)
COLUMNS: dict[str, tuple[str, str, bool | None]] = {
    "psnr": ("PSNR", "{:.2f}", True),
    "ssim": ("SSIM", "{:.3f}", True),
    "nmse": ("NMSE", "{:.3g}", False),
    "residual": ("Resid.", "{:.2f}", None),
}
HELP = {
    "psnr": "Peak signal-to-noise ratio in dB over the volume, peak = maximum of the reference (as fastMRI).",
    "ssim": "Structural similarity, mean over slices (as fastMRI).",
    "nmse": "Squared error relative to the reference (as fastMRI).",
    "residual": "‖Ax − y‖ / (σ√m): 1 explains the measured data up to their noise. Needs no reference.",
}


@dataclass(frozen=True)
class Row:
    """Figures of one image; a missing one is not a number. `note` says why."""

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    note: str = ""


def measure(
    reference: np.ndarray | None,
    images: Sequence[tuple[str, np.ndarray, float]],
    region: np.ndarray | None = None,
) -> list[Row]:
    """Compute the rows; takes a second for large volumes, so not in the main thread.

    Parameters
    ----------
    reference : magnitude (slice, ny, nx), or None: then only what needs none.
    images : name, magnitude (slice, ny, nx) and data residual (nan if unknown) of each.
    region : bool (ny, nx), the pixels that count; None: all. The residual is of the whole image always.
    """
    from napari_lossguide.recon.metrics import evaluate

    rows = []
    for name, image, residual in images:
        figures, note = {"residual": residual}, ""
        if reference is not None:
            try:
                figures |= evaluate(reference, image, region)
            except InvalidInput as error:
                note = str(error)
        rows.append(Row(name, figures, note))
    return rows


def as_csv(rows: Sequence[Row], reference: str, region: str = "") -> str:
    """Rows as comma-separated values with a heading; empty where there is no figure, and for a region of everything."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *COLUMNS, "reference", "region"])
    for row in rows:
        values = [row.figures.get(key, math.nan) for key in COLUMNS]
        writer.writerow([row.name, *(f"{v:.6g}" if not math.isnan(v) else "" for v in values), reference, region])
    return text.getvalue()


class MetricsTable(QTableWidget):
    """The rows on screen; the best figure of each column is bold. A click on a heading sorts, the next the other way.

    Attributes
    ----------
    rows : as they were given.
    """

    def __init__(self) -> None:
        super().__init__(0, 1 + len(COLUMNS))
        self.rows: list[Row] = []
        self._sorted: tuple[int, bool] | None = None  # column, and whether it falls
        self.setAccessibleName("Metrics")
        self.setToolTip("The best figure of each column is bold; a click on a heading sorts.")
        self.setHorizontalHeaderLabels(["Image", *(heading for heading, _, _ in COLUMNS.values())])
        for column, key in enumerate(COLUMNS, start=1):
            self.horizontalHeaderItem(column).setToolTip(HELP[key])
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)  # Tab leaves the table; the arrows walk in it
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(40)
        header.setSectionsClickable(True)
        header.setSortIndicatorClearable(True)
        header.sectionClicked.connect(self._sort_by)

    def sizeHint(self) -> QSize:
        """As high as its rows."""
        rows = sum(self.rowHeight(i) for i in range(self.rowCount()))
        return QSize(300, self.horizontalHeader().sizeHint().height() + max(rows, 30) + 4)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows."""
        self.rows = list(rows)
        self.setRowCount(len(rows))
        for index, row in enumerate(self.shown()):
            name = QTableWidgetItem(row.name.removesuffix(SIMULATION))  # the dock says it for all
            name.setToolTip(row.note or row.name)
            self.setItem(index, 0, name)
            for column, key in enumerate(COLUMNS, start=1):
                self.setItem(index, column, self._cell(row, key))
        self.setFixedHeight(self.sizeHint().height())

    def shown(self) -> list[Row]:
        """The rows in the order of the screen; figures that are missing come last."""
        if self._sorted is None:
            return self.rows
        column, falls = self._sorted
        if column == 0:
            return sorted(self.rows, key=lambda row: row.name.lower(), reverse=falls)
        key = list(COLUMNS)[column - 1]

        def place(row: Row) -> tuple[bool, float]:
            value = row.figures.get(key, math.nan)
            return (True, 0.0) if math.isnan(value) else (False, -value if falls else value)

        return sorted(self.rows, key=place)

    def _sort_by(self, column: int) -> None:
        """Best first, then worst first, then as the layers stand."""
        key = None if column == 0 else list(COLUMNS)[column - 1]
        first = key is not None and bool(COLUMNS[key][2])
        again = self._sorted is not None and self._sorted[0] == column
        self._sorted = ((column, not first) if self._sorted == (column, first) else None) if again else (column, first)
        header, order = self.horizontalHeader(), Qt.SortOrder
        header.setSortIndicatorShown(self._sorted is not None)
        if self._sorted is not None:
            header.setSortIndicator(column, order.DescendingOrder if self._sorted[1] else order.AscendingOrder)
        self.show_rows(self.rows)

    def _cell(self, row: Row, key: str) -> QTableWidgetItem:
        _, form, larger = COLUMNS[key]
        value = row.figures.get(key, math.nan)
        cell = QTableWidgetItem("–" if math.isnan(value) else form.format(value))
        cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        cell.setToolTip(row.note or HELP[key])
        known = [v for r in self.rows if not math.isnan(v := r.figures.get(key, math.nan))]
        if larger is not None and len(known) > 1 and value == (max(known) if larger else min(known)):
            font = cell.font()
            font.setBold(True)
            cell.setFont(font)
        return cell
