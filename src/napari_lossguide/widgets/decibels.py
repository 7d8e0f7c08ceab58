"""The range of decibels in which k-space is shown: two boxes that are the layer's contrast limits."""

from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_lossguide.data.display import FLOOR_DB
from napari_lossguide.widgets.boxes import FloatBox
from napari_lossguide.widgets.panel import Panel
from napari_lossguide.widgets.views import held

LEAST = 1.0  # dB between black and white
STEP = 5.0


class DecibelRange(QWidget):
    """Boxes "from … to … dB" of a layer in the log-magnitude view; hidden for any other view.

    Parameters
    ----------
    panel : the dock it lives in.

    Attributes
    ----------
    low, high : the boxes, in dB relative to the largest magnitude of the slices shown.
    """

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self._panel = panel
        self._layer: Layer | None = None
        self.low, self.high = FloatBox(), FloatBox()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for title, box, what in (("From", self.low, "black"), ("to", self.high, "white")):
            box.setSingleStep(STEP)
            box.setSuffix(" dB")
            box.setAccessibleName(f"Decibels shown as {what}")
            box.setToolTip(
                f"Magnitude shown as {what}, in dB (20 log₁₀) relative to the largest magnitude of the data shown, "
                f"{FLOOR_DB:g} to 0: the layer's contrast limits."
            )
            box.valueChanged.connect(self._write)
            layout.addWidget(QLabel(title))
            layout.addWidget(box, 1)
        self.low.setRange(FLOOR_DB, -LEAST)
        self.high.setRange(FLOOR_DB + LEAST, 0.0)
        self.setVisible(False)

    def follow(self, layer: Layer | None) -> None:
        """Edit this layer from now on."""
        if layer is not self._layer:
            if self._layer is not None:
                self._panel.unlisten(self._layer.events.contrast_limits, self._read)
            self._layer = layer
            if layer is not None:
                self._panel.listen(layer.events.contrast_limits, self._read)
        self._read()

    def _read(self, event: Any = None) -> None:
        layer = self._layer
        shown = layer is not None and held(layer).get("view") == "log-magnitude"
        self.setVisible(shown)
        if layer is not None and shown:
            low, high = layer.contrast_limits
            with QSignalBlocker(self.low), QSignalBlocker(self.high):
                self.low.setValue(low)
                self.high.setValue(high)

    def _write(self, *_: object) -> None:
        if self._layer is None:
            return
        low, high = self.low.value(), self.high.value()
        if high - low < LEAST:  # the one that was moved pushes the other
            if self.sender() is self.low:
                high = low + LEAST
            else:
                low = high - LEAST
        self._layer.contrast_limits = (low, high)
        self._read()
