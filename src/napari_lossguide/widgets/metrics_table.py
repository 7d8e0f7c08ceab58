"""Figures of merit of several images against a reference: computing them, showing them, copying them."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.difference_maps import NO_REFERENCE, as_magnitude
from napari_lossguide.widgets.result_layers import SIMULATION

# column -> (heading, format, larger is better; None: neither)
COLUMNS: dict[str, tuple[str, str, bool | None]] = {
    "psnr": ("PSNR", "{:.2f}", True),
    "ssim": ("SSIM", "{:.3f}", True),
    "nmse": ("NMSE", "{:.3g}", False),
    "residual": ("Resid.", "{:.2f}", None),
    "std": ("Std", "{:.3g}", None),
}
STD = 1 + list(COLUMNS).index("std")
NEED_REFERENCE = ("psnr", "ssim", "nmse")
HELP = {
    "psnr": "Peak signal-to-noise ratio in dB over the volume, peak = maximum of the reference (as fastMRI).",
    "ssim": "Structural similarity, mean over slices (as fastMRI).",
    "nmse": "Squared error relative to the reference (as fastMRI).",
    "residual": "‖Ax − y‖ / (σ√m): 1 explains the measured data up to their noise. Needs no reference.",
    "std": "Mean standard deviation of the samples, in units of the image. Needs no reference.",
}


@dataclass(frozen=True)
class Compared:
    """One image and what is known of it.

    Attributes
    ----------
    name : of its layer.
    data : (ny, nx) or (slice, ny, nx), of any number type; lazy data are read by `measure`.
    residual : of the measured data; nan if unknown.
    std : standard deviation of its samples, (slice, ny, nx) or (ny, nx); None for one sample.
    region : bool (ny, nx), its pixels that count; None: all.
    """

    name: str
    data: Any
    residual: float = math.nan
    std: Any = None
    region: np.ndarray | None = None


@dataclass(frozen=True)
class Row:
    """Figures of one image; a missing one is not a number. `note` says why."""

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    note: str = ""


def measure(reference: Any, images: Sequence[Compared]) -> list[Row]:
    """Compute the rows; takes a second for large volumes, so not in the main thread.

    Parameters
    ----------
    reference : data as those of the images, or None: then only what needs none.
    images : what is compared. The residual is of the whole image always.
    """
    from napari_lossguide.recon.metrics import evaluate

    truth = None if reference is None else as_magnitude(reference)
    rows = []
    for image in images:
        figures, note = {"residual": image.residual}, ""
        if image.std is not None:
            figures["std"] = mean_deviation(image.std, image.region)
        if truth is not None:
            try:
                figures |= evaluate(truth, as_magnitude(image.data), image.region)
            except InvalidInput as error:
                note = str(error)
        rows.append(Row(image.name, figures, note))
    return rows


def mean_deviation(std: Any, region: np.ndarray | None = None) -> float:
    """Mean of a map of standard deviations, of all pixels or a region's; slices without an image are left out."""
    deviation = np.asarray(std, np.float64)
    chosen = deviation if region is None or region.shape != deviation.shape[-2:] else deviation[..., region]
    known = chosen[np.isfinite(chosen)]
    return float(known.mean()) if known.size else math.nan


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
        self._referred = True
        self.setAccessibleName("Metrics")
        self.setToolTip("The best figure of each column is bold; a click on a heading sorts.")
        self.setHorizontalHeaderLabels(["Image", *(heading for heading, _, _ in COLUMNS.values())])
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
        self.show_rows([])

    def sizeHint(self) -> QSize:
        """As high as its rows."""
        rows = sum(self.rowHeight(i) for i in range(self.rowCount()))
        bar = self.horizontalScrollBar().sizeHint().height() if self._scrolls() else 0
        return QSize(300, self.horizontalHeader().sizeHint().height() + max(rows, 30) + 4 + bar)

    def show_rows(self, rows: Sequence[Row], *, referred: bool = True) -> None:
        """Show other rows; `referred`: there is a reference that they were compared with."""
        self.rows, self._referred = list(rows), referred
        for column, key in enumerate(COLUMNS, start=1):
            self.horizontalHeaderItem(column).setToolTip(self._help(key))
        self.setColumnHidden(STD, not any("std" in row.figures for row in rows))
        policies = Qt.ScrollBarPolicy
        self.setHorizontalScrollBarPolicy(
            policies.ScrollBarAsNeeded if self._scrolls() else policies.ScrollBarAlwaysOff
        )
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
        self.show_rows(self.rows, referred=self._referred)

    def _scrolls(self) -> bool:
        """With all columns a narrow dock has no room for the last one."""
        return not self.isColumnHidden(STD)

    def _help(self, key: str) -> str:
        return NO_REFERENCE if key in NEED_REFERENCE and not self._referred else HELP[key]

    def _cell(self, row: Row, key: str) -> QTableWidgetItem:
        _, form, larger = COLUMNS[key]
        value = row.figures.get(key, math.nan)
        cell = QTableWidgetItem("–" if math.isnan(value) else form.format(value))
        cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        cell.setToolTip(row.note or self._help(key))
        if key in NEED_REFERENCE and not self._referred:
            cell.setFlags(Qt.ItemFlag.NoItemFlags)
        known = [v for r in self.rows if not math.isnan(v := r.figures.get(key, math.nan))]
        if larger is not None and len(known) > 1 and value == (max(known) if larger else min(known)):
            font = cell.font()
            font.setBold(True)
            cell.setFont(font)
        return cell
