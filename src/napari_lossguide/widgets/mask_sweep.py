"""A table of one kind of mask over accelerations, as a part of the Mask dock; computed in a thread."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_lossguide.data.kdata import KData
from napari_lossguide.masks import MASKS
from napari_lossguide.masks.sweep import ACCELERATIONS, Row, at_acceleration, sweep
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.panel import Panel, Sentence
from napari_lossguide.widgets.worker import Errand

COLUMNS = {
    "asked": ("Asked", "Acceleration that was asked for."),
    "achieved": ("Achieved", "All points divided by the acquired points."),
    "sidelobe": ("Sidelobe", "Largest sidelobe of the point spread outside its main lobe, in dB: the aliasing."),
    "psnr": ("PSNR", "Zero-filled image against the full scan, in dB, of the slice on the canvas; larger is better."),
}


class MaskSweep(QWidget):
    """Button, table, and a sentence of what was swept.

    Parameters
    ----------
    panel : the dock it lives in.
    choice : gives kind, parameters, k-space (or None) and slice.
    """

    def __init__(self, panel: Panel, choice: Callable[[], tuple[str, dict[str, Any], KData | None, int]]) -> None:
        super().__init__()
        self._panel, self._choice = panel, choice
        self.button, self.note = QPushButton("Compute the table"), Sentence("What was swept")
        self.button.setToolTip(
            f"Masks of this kind at accelerations {ACCELERATIONS[0]} to {ACCELERATIONS[-1]}, all else as set."
        )
        self.table = QTableWidget(0, len(COLUMNS))
        self._errand = Errand(self)
        self._errand.ended.connect(self._show)
        self.button.clicked.connect(self._start)
        self._build()

    def _start(self) -> None:
        with self._panel.attempt():
            kind, params, kdata, index = self._choice()
            if kdata is None:
                raise InvalidInput("There is no k-space yet; its size decides what a mask can be.")
            at_acceleration(kind, params, ACCELERATIONS[0])  # says so if there is nothing to sweep
            self.button.setEnabled(False)
            self.note.show_text(f"Computing for slice {index + 1} of {kdata.name}…")
            self._title = f"“{MASKS[kind].title}”, slice {index + 1} of {kdata.name}" + (
                "." if kdata.fully_sampled else "; no PSNR, for it is not fully sampled."
            )
            self._errand.start(lambda: _rows(kind, params, kdata, index), "sweep over accelerations")

    def _show(self, rows: Sequence[Row] | Failure) -> None:
        self.button.setEnabled(True)
        if isinstance(rows, Failure):
            self.note.show_text("")
            self._panel.status.show_text(f"The sweep failed: {rows.sentence}", colour="error")
            return
        self.note.show_text(self._title)
        self.table.setRowCount(len(rows))
        for y, row in enumerate(rows):
            for x, key in enumerate(COLUMNS):
                cell = QTableWidgetItem(_text(key, getattr(row, key)))
                cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                cell.setToolTip(row.note or COLUMNS[key][1])
                self.table.setItem(y, x, cell)
        height = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(height + sum(self.table.rowHeight(y) for y in range(len(rows))) + 4)

    def _build(self) -> None:
        self.table.setAccessibleName("Masks over accelerations")
        self.table.setToolTip("What this kind of mask does at each acceleration, with the parameters as they are.")
        self.table.setHorizontalHeaderLabels([title for title, _ in COLUMNS.values()])
        for x, (_, tip) in enumerate(COLUMNS.values()):
            self.table.horizontalHeaderItem(x).setToolTip(tip)
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setMinimumSectionSize(40)
        self.table.setFixedHeight(60)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self.note, self.table):
            layout.addWidget(widget)


def _rows(kind: str, params: dict[str, Any], kdata: KData, index: int) -> list[Row]:
    from napari_lossguide.recon.mask_quality import zero_filled_psnr

    quality = zero_filled_psnr(kdata.kspace[index]) if kdata.fully_sampled else None
    return sweep(kind, params, kdata.image_shape, psnr=quality)


def _text(key: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:g}" if key == "asked" else f"{value:.2f}"
