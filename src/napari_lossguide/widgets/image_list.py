"""The images that can be compared, with check boxes."""

from collections.abc import Callable
from typing import Any

from napari.layers import Image, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_lossguide.widgets.difference_maps import DEVIATION, ROLE
from napari_lossguide.widgets.panel import Panel
from napari_lossguide.widgets.swipe import ROLE as SWIPE
from napari_lossguide.widgets.views import held, role_of

MAPS = {"quantile", DEVIATION, "calibrated standard deviation"}
NOT_COMPARED = {ROLE, SWIPE, "kspace", "psf", "phase", "preview", "timeline", "measured part", "filled-in part", *MAPS}
WANTED = {"result"}  # ticked from the start
ROWS = 2, 6  # least and most that are in sight


class ImageList(QListWidget):
    """Check boxes that stay with their layers, whatever is added, moved or renamed.

    Parameters
    ----------
    panel : the dock it lives in, which ends the listening.
    viewer : napari's viewer.

    Attributes
    ----------
    changed : signal, when other images are ticked, or the data of one have changed.
    images : all of them, in the order of the layer list.
    """

    changed = Signal()

    def __init__(self, panel: Panel, viewer: Any) -> None:
        super().__init__()
        self._panel, self._viewer = panel, viewer
        self.images: list[Image] = []
        self._ticked: dict[Layer, bool] = {}
        self.setAccessibleName("Images to compare")
        self.setToolTip("Tick the images to compare.")
        self.itemChanged.connect(self._ticks_changed)

    def ticked(self) -> list[Image]:
        """The ticked layers, in the order of the layer list."""
        return [layer for layer in self.images if self._ticked[layer]]

    def tick(self, layer: Layer, ticked: bool = True) -> None:
        """Tick or untick an image."""
        state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
        self.item(self.images.index(layer)).setCheckState(state)

    def read(self, reference: Layer | None, data_changed: Callable[..., None]) -> None:
        """Read the images from the viewer again, without the reference.

        Parameters
        ----------
        reference : the layer that the others are compared with.
        data_changed : method of the panel, called when the data of one changes.
        """
        self.images = [x for x in self._viewer.layers if is_comparable(x) and x is not reference]
        old, self._ticked = self._ticked, {}
        self.blockSignals(True)
        self.clear()
        for layer in self.images:
            self._ticked[layer] = old.get(layer, role_of(layer) in WANTED)
            item = QListWidgetItem(layer.name, self)
            item.setToolTip(layer.name)
            item.setCheckState(Qt.CheckState.Checked if self._ticked[layer] else Qt.CheckState.Unchecked)
            if layer not in old:
                self._panel.listen(layer.events.data, data_changed)
        for gone in old.keys() - self._ticked.keys():
            self._panel.unlisten(gone.events.data, data_changed)
        self.blockSignals(False)
        least, most = ROWS
        row = max(self.sizeHintForRow(0), self.fontMetrics().height())  # an empty list has no rows to ask
        self.setFixedHeight(min(max(least, len(self.images)), most) * (row + 2) + 6)

    def _ticks_changed(self, item: QListWidgetItem) -> None:
        self._ticked[self.images[self.row(item)]] = item.checkState() == Qt.CheckState.Checked
        self.changed.emit()


def is_comparable(layer: Layer) -> bool:
    """Is the layer the magnitude of an image?"""
    return _is_magnitude(layer) and not why_not(layer)


def left_out(viewer: Any) -> str:
    """A sentence on the images that cannot be compared, empty if there is none."""
    reasons = [f"'{x.name}' ({why_not(x)})" for x in viewer.layers if _is_magnitude(x) and why_not(x)]
    if not reasons:
        return ""
    return f"Not listed: {', '.join(reasons)}. Gray images with 2 or 3 axes can be compared."


def why_not(layer: Image) -> str:
    """What keeps an image from being compared; empty if nothing."""
    if layer.rgb:
        return "colours"
    return "" if layer.ndim in (2, 3) else f"{layer.ndim} axes"


def _is_magnitude(layer: Layer) -> bool:
    if not isinstance(layer, Image) or role_of(layer) in NOT_COMPARED:
        return False
    return held(layer).get("view", "magnitude") == "magnitude"
