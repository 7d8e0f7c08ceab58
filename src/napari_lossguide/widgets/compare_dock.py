"""The Compare dock: images side by side with linked contrast, their differences from a reference, figures of merit."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Shapes
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
)

from napari_lossguide.widgets.difference_maps import ROLE, DifferenceMaps, magnitude
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.forms import form_layout
from napari_lossguide.widgets.keys import MAIN, give_key
from napari_lossguide.widgets.metrics_table import MetricsTable, Row, as_csv, measure
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import Panel, heading
from napari_lossguide.widgets.result_layers import show_reference
from napari_lossguide.widgets.roi import is_region, pixels_in
from napari_lossguide.widgets.side_by_side import SideBySide
from napari_lossguide.widgets.views import held, kdata_of, role_of
from napari_lossguide.widgets.worker import Errand

MAPS = {"quantile", "standard deviation", "calibrated standard deviation"}
NOT_COMPARED = {ROLE, "kspace", "psf", "phase", "preview", "measured part", "filled-in part", *MAPS}
WANTED = {"result"}  # ticked from the start


class CompareDock(Panel):
    """Dock widget.

    Parameters
    ----------
    napari_viewer : napari hands it over.

    Attributes
    ----------
    reference : choice of the reference layer.
    region : choice of the Shapes or Labels layer in which figures are taken.
    list : the candidates, with check boxes.
    toggle : button that shows them side by side.
    differences : difference maps.
    table : figures of merit.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._candidates: list[Image] = []
        self._ticked: dict[Layer, bool] = {}
        self._arranging = False
        self._side = SideBySide(napari_viewer)
        self._errand = Errand(self)
        self._errand.ended.connect(self._show_figures)
        self.reference = OptionalLayerCombo(self, napari_viewer, is_comparable, "none")
        self.region = OptionalLayerCombo(self, napari_viewer, is_region, "whole image")
        self._watched: Layer | None = None  # the region whose drawing is followed
        self.truth, self.toggle = QPushButton("True image"), QPushButton("Show side by side")
        self.list, self.table, self.note = QListWidget(), MetricsTable(), QLabel()
        self.differences = DifferenceMaps(napari_viewer)
        self._soon = self.after(80, self._update)
        self._build()
        self._refresh()
        for name in ("inserted", "removed", "reordered", "renamed"):
            self.listen(getattr(napari_viewer.layers.events, name), self._layers_changed)

    def event(self, event: QEvent) -> bool:
        """Leave the canvas as it was when napari takes the widget out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.toggle.setChecked(False)
        return super().event(event)

    def candidates(self) -> list[Image]:
        """Return the ticked layers, in the order of the layer list."""
        return [layer for layer in self._candidates if self._ticked[layer]]

    def tick(self, layer: Layer, ticked: bool = True) -> None:
        """Tick or untick a candidate."""
        state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
        self.list.item(self._candidates.index(layer)).setCheckState(state)

    def add_reference(self) -> None:
        """Show the true image, or that of the full scan, and take it as the reference."""
        with self.attempt():
            kdata = next((k for layer in self._viewer.layers if (k := _with_truth(layer)) is not None), None)
            shown = None if kdata is None else show_reference(self._viewer, kdata)
            if shown is not None:
                self.reference.layer = shown

    def csv(self) -> str:
        """Return the table as comma-separated values."""
        reference = self.reference.layer
        region = self.region.layer
        return as_csv(self.table.shown(), *("" if x is None else x.name for x in (reference, region)))

    def _layers_changed(self, event: Any = None) -> None:
        if not self._arranging:
            self.reference.refresh()  # it may not have heard of the change yet
            self._refresh()

    def _refresh(self) -> None:
        """Read the candidates from the viewer again; ticks stay with their layers."""
        reference = self.reference.layer
        self._candidates = [x for x in self._viewer.layers if is_comparable(x) and x is not reference]
        old, self._ticked = self._ticked, {}
        self.list.blockSignals(True)
        self.list.clear()
        for layer in self._candidates:
            self._ticked[layer] = old.get(layer, role_of(layer) in WANTED)
            item = QListWidgetItem(layer.name, self.list)
            item.setToolTip(layer.name)
            item.setCheckState(Qt.CheckState.Checked if self._ticked[layer] else Qt.CheckState.Unchecked)
            if layer not in old:
                self.listen(layer.events.data, self._data_changed)
        for gone in old.keys() - self._ticked.keys():
            self.unlisten(gone.events.data, self._data_changed)
        self.list.blockSignals(False)
        self.list.setFixedHeight(min(max(2, len(self._candidates)), 6) * (self.list.sizeHintForRow(0) + 2) + 6)
        self.truth.setEnabled(any(_with_truth(layer) is not None for layer in self._viewer.layers))
        self._soon.start()

    def _data_changed(self, event: Any = None) -> None:
        self._soon.start()

    def _ticks_changed(self, item: QListWidgetItem) -> None:
        self._ticked[self._candidates[self.list.row(item)]] = item.checkState() == Qt.CheckState.Checked
        self._soon.start()

    def _reference_changed(self, layer: Layer | None) -> None:
        self.differences.setEnabled(layer is not None)
        self._refresh()

    def _region_changed(self, layer: Layer | None) -> None:
        """Follow what is drawn: shapes tell of their data, labels of each stroke."""
        for watched, connect in ((self._watched, self.unlisten), (layer, self.listen)):
            if watched is not None:
                connect(
                    watched.events.data if isinstance(watched, Shapes) else watched.events.paint, self._data_changed
                )
        self._watched = layer
        self._soon.start()

    def _update(self) -> None:
        """Bring canvas and table up to date."""
        with self.attempt():
            self._arrange()
            reference, images = self.reference.layer, self.candidates()
            truth = None if reference is None else magnitude(reference)
            listed = [(x.name, magnitude(x), float(held(x).get("residual", np.nan))) for x in images]
            region = None
            if reference is not None and self.region.layer is not None:
                region = pixels_in(self.region.layer, reference)
            self._errand.start(partial(measure, truth, listed, region), "Figures of merit")
            self.note.setText(_note([x for x in (reference, *images) if x is not None]))

    def _show_figures(self, rows: list[Row] | Failure) -> None:
        if isinstance(rows, Failure):
            self.status.show_text(rows.sentence, colour="error")
            return
        self.table.show_rows(rows)
        notes = list(dict.fromkeys(row.note for row in rows if row.note))
        self.status.show_text(notes[0] if notes else "", colour="warning" if notes else "")

    @contextmanager
    def _own_changes(self) -> Iterator[None]:
        """What the dock does to the layers itself is no reason to do it again."""
        self._arranging = True
        try:
            yield
        finally:
            self._arranging = False

    def _arrange(self) -> None:
        if not self.toggle.isChecked():
            return
        reference, images = self.reference.layer, self.candidates()
        running = [x for x in self._viewer.layers if role_of(x) == "preview"]
        with self._own_changes():
            maps = self.differences.show_maps(reference, images)
            self._side.show([*images, *([reference] if reference is not None else [])], maps, running)

    def _toggled(self, shown: bool) -> None:
        self.toggle.setText("Back to the layers as they were" if shown else "Show side by side")
        with self.attempt():
            if shown:
                self._arrange()
                return
            with self._own_changes():
                self.differences.show_maps(None, [])
                self._side.restore()

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.csv())
        self.status.show_text("Copied the table as CSV.")

    def _build(self) -> None:
        self.toggle.setCheckable(True)
        self.toggle.setToolTip("Show the ticked images and the reference in a grid, with linked views and contrast.")
        give_key(self, self.toggle, MAIN)
        self.truth.setToolTip("Show the true image of a simulation, or that of the full scan, and compare with it.")
        self.reference.setAccessibleName("Reference")
        self.reference.setToolTip("The image that differences and figures of merit are taken against.")
        self.list.setAccessibleName("Images to compare")
        self.list.setToolTip("Tick the images to compare.")
        self.note.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.reference, 1)
        row.addWidget(self.truth)
        rows = form_layout()
        label = QLabel("Reference")
        label.setBuddy(self.reference)
        rows.addRow(label, row)
        rows.addRow("Region", self.region)
        self.region.setAccessibleName("Region of interest")
        self.region.setToolTip(
            "Take the figures of merit inside a Shapes layer (rectangles, ellipses, polygons) or a Labels layer, as it "
            "is drawn; the residual stays that of the whole image."
        )
        copy = QPushButton("Copy table as CSV")
        copy.setToolTip("Put the figures on the clipboard, in full precision, for a spreadsheet.")
        copy.clicked.connect(self._copy)
        self.body.addLayout(rows)
        self.body.addWidget(heading("Images"))
        for widget in (self.list, self.toggle, self.differences, heading("Figures of merit")):
            self.body.addWidget(widget)
        for widget in (self.table, self.note, copy):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        self._connect()

    def _connect(self) -> None:
        self.truth.clicked.connect(self.add_reference)
        self.toggle.toggled.connect(self._toggled)
        self.list.itemChanged.connect(self._ticks_changed)
        self.differences.changed.connect(self._soon.start)
        self.reference.layer_changed.connect(self._reference_changed)
        self.region.layer_changed.connect(self._region_changed)
        self._reference_changed(None)


def is_comparable(layer: Layer) -> bool:
    """Is the layer the magnitude of an image?"""
    if not isinstance(layer, Image) or layer.rgb or layer.multiscale or layer.ndim not in (2, 3):
        return False
    return role_of(layer) not in NOT_COMPARED and held(layer).get("view", "magnitude") == "magnitude"


def _with_truth(layer: Layer) -> Any:
    kdata = kdata_of(layer)
    return kdata if kdata is not None and (kdata.reference is not None or kdata.fully_sampled) else None


def _note(shown: list[Layer]) -> str:
    if not any(held(layer).get("simulated") for layer in shown):
        return ""
    return '<b style="color:#d98a1f">SIMULATION</b>: figures from simulated k-space flatter every method.'
