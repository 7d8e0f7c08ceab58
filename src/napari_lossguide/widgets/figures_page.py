"""Figures of merit: the table, and the table as comma-separated values."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.file_names import with_ending
from napari_lossguide.data.writers import write_text
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.difference_maps import deviation_of
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.metrics_table import Compared, MetricsTable, Row, as_csv, measure
from napari_lossguide.widgets.placement import finest
from napari_lossguide.widgets.roi import pixels_in
from napari_lossguide.widgets.views import held, result_of
from napari_lossguide.widgets.worker import Errand

FILTER = "Comma-separated values (*.csv)"
SIMULATION = '<b style="color:#d98a1f">SIMULATION</b>: figures from simulated k-space flatter every method.'


class FiguresPage(QWidget):
    """Table and buttons.

    Parameters
    ----------
    viewer : napari's viewer.
    attempt : context that shows what goes wrong inside.

    Attributes
    ----------
    said : signal ``(sentence, colour)``.
    table : the figures.
    note : says what to think of them.
    copy, save : buttons.
    """

    said = Signal(str, str)

    def __init__(self, viewer: Any, attempt: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self._viewer, self._attempt = viewer, attempt
        self._names = "", ""  # of reference and region
        self._asked = self._names
        self.table, self.note = MetricsTable(), QLabel()
        self.copy, self.save = QPushButton("Copy CSV"), QPushButton("Save CSV…")
        self._errand = Errand(self)
        self._errand.ended.connect(self._show)
        self._build()

    def measure(self, reference: Image | None, images: list[Image], region: Layer | None) -> None:
        """Have the figures computed in a thread.

        Raises
        ------
        InvalidInput
            If the region has no pixel of the reference, or of an image with several samples.
        """
        spreads = {image: _deviation(self._viewer, image) for image in images}
        needed = [image for image in images if spreads[image] is not None]
        inside = regions_of(region, [*([reference] if reference is not None else []), *needed])
        listed = [
            Compared(
                image.name,
                finest(image),
                float(held(image).get("residual", np.nan)),
                spreads[image],
                inside.get(_plane_shape(image)),
            )
            for image in images
        ]
        self._asked = "" if reference is None else reference.name, "" if region is None else region.name
        job = partial(measure, None if reference is None else finest(reference), listed)
        self._errand.start(job, "Figures of merit")
        shown = [x for x in (reference, *images) if x is not None]
        simulated = any(held(layer).get("simulated") for layer in shown)
        self.note.setText(SIMULATION if simulated else "")
        self.note.setVisible(simulated)

    def csv(self) -> str:
        """The table as comma-separated values, with the names of the reference and of the region."""
        return as_csv(self.table.shown(), *self._names)

    def ask_and_save(self) -> None:
        """Ask for a file and write the table to it."""
        with self._attempt():
            if not self.table.rows:
                raise InvalidInput("The table is empty; tick an image to compare.")
            path, _ = QFileDialog.getSaveFileName(self, "Save the table", "comparison.csv", FILTER)
            if path:
                target = with_ending(path, ".csv")
                write_text(target, self.csv())
                self.said.emit(f"Saved {target.name}.", "")

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.csv())
        self.said.emit("Copied the table as CSV.", "")

    def _show(self, rows: list[Row] | Failure) -> None:
        if isinstance(rows, Failure):
            self.said.emit(rows.sentence, "error")
            return
        self._names = self._asked
        self.table.show_rows(rows, referred=bool(self._names[0]))
        notes = list(dict.fromkeys(row.note for row in rows if row.note))
        if notes:
            self.said.emit(notes[0], "warning")

    def _build(self) -> None:
        self.note.setWordWrap(True)
        self.note.hide()
        self.copy.setToolTip("Copy the table, with the names of the reference and the region, to the clipboard.")
        self.save.setToolTip("Write the table, with the names of the reference and the region, to a file.")
        self.copy.clicked.connect(lambda _: self._copy())
        self.save.clicked.connect(lambda _: self.ask_and_save())
        row = QHBoxLayout()
        row.addWidget(self.copy)
        row.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        for widget in (self.table, self.note):
            layout.addWidget(widget)
        layout.addLayout(row)
        layout.addStretch(1)


def regions_of(region: Layer | None, images: list[Image]) -> dict[tuple[int, ...], np.ndarray]:
    """The region's pixels by the shape of a plane; the first image of a shape says where its pixels are.

    Raises
    ------
    InvalidInput
        As `pixels_in`.
    """
    found: dict[tuple[int, ...], np.ndarray] = {}
    if region is not None:
        for image in images:
            if _plane_shape(image) not in found:
                found[_plane_shape(image)] = pixels_in(region, image)
    return found


def _plane_shape(image: Image) -> tuple[int, ...]:
    return tuple(int(n) for n in finest(image).shape[-2:])


def _deviation(viewer: Any, image: Image) -> Any:
    """Standard deviation of the samples of a layer's result, from the result or from the layer that shows it."""
    std = getattr(result_of(image), "std", None)
    if std is not None:
        return std
    layer = deviation_of(viewer, image)
    return None if layer is None else finest(layer)
