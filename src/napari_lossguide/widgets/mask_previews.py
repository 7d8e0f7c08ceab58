"""Layers that show what a mask does: the zero-filled image and the point-spread function."""

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_lossguide.data.display import view
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.zero_filled import ZeroFilled
from napari_lossguide.masks import point_spread
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.panel import GridBox, Panel, heading
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.views import picture_name

if TYPE_CHECKING:
    from napari.components import ViewerModel

PSF_LIMITS = (-60.0, 0.0)  # dB
TELL_MS = 200  # of rest, until others hear of new values
PREVIEW, PSF = "mask preview", "psf"  # roles
TITLES = {PREVIEW: "zero-filled", PSF: "point spread"}
LABELS = {
    PREVIEW: ("Zero-filled image", "Magnitude of the inverse transform of the masked k-space; coils combined."),
    PSF: ("Point-spread function", "What the mask makes of a single point, in dB: the aliasing to expect."),
}


class MaskPreviews(QWidget):
    """Check boxes of the previews, and the layers behind them.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer, or a viewer model.
    """

    def __init__(self, panel: Panel, viewer: "ViewerModel") -> None:
        super().__init__()
        self._panel, self._viewer = panel, viewer
        self._kdata: KData | None = None
        self._mask: np.ndarray | None = None
        self._slice = 0
        self._images: tuple[KData, int, ZeroFilled] | None = None
        self.boxes = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("Previews"))
        for role, (label, tip) in LABELS.items():
            self.boxes[role] = QCheckBox(label)
            self.boxes[role].setChecked(True)
            self.boxes[role].setToolTip(tip)
            self.boxes[role].toggled.connect(lambda checked, role=role: self._toggled(role, checked))
            layout.addWidget(self.boxes[role])
        self.grid = GridBox(panel, viewer)
        layout.addWidget(self.grid)
        self._tell_timer = panel.after(TELL_MS, self._tell)
        panel.listen(viewer.layers.events.removed, self._removed)
        panel.listen(viewer.dims.events.current_step, self._slice_changed)

    def show_mask(self, kdata: KData, mask: np.ndarray) -> None:
        """Bring the previews up to date. Only the slice on the canvas is computed."""
        if self._kdata is not None and self._name(PSF, self._kdata) != self._name(PSF, kdata):
            self.clear()
        self._kdata, self._mask = kdata, mask
        before, active = len(self._viewer.layers), self._viewer.layers.selection.active
        for role, box in self.boxes.items():
            if box.isChecked():
                self._show(role)
        self.grid.suggest()
        if len(self._viewer.layers) > before:
            self._viewer.layers.selection.active = active  # the mask, ready to be drawn on
            self._viewer.reset_view()

    def clear(self) -> None:
        """Remove the layers."""
        kdata, self._kdata, self._mask = self._kdata, None, None
        self._images = None
        if kdata is not None:
            for role in TITLES:
                layers.remove_layer(self._viewer, role, self._name(role, kdata))

    def _show(self, role: str) -> None:
        kdata, mask = self._kdata, self._mask
        if kdata is None or mask is None:
            return
        place, name = Place.of(kdata), self._name(role, kdata)
        own: dict[str, Any] = {"name": name, "role": role, "metadata": {"simulated": kdata.simulated}}
        if role == PSF:
            image, limits = view(point_spread(mask), "log-magnitude"), PSF_LIMITS
        else:
            image, limits = self._zero_filled(kdata).magnitude(mask), None
        layer = layers.find_layer(self._viewer, role, name)
        if layer is not None and layer.data.shape == image.shape and place.has(layer):
            layers.refill(layer, image)
            self._tell_timer.start()
        else:
            layers.show_image(self._viewer, image, place=place, contrast_limits=limits, **own)

    def _tell(self) -> None:
        """Now that the values stay, tell those who compute something of them."""
        if self._kdata is not None:
            for role in TITLES:
                layer = layers.find_layer(self._viewer, role, self._name(role, self._kdata))
                if layer is not None:
                    layer.events.data(value=layer.data)

    def _zero_filled(self, kdata: KData) -> ZeroFilled:
        """What the images of the slice on the canvas are made with, kept as long as it is shown."""
        self._slice = shown_slice(self._viewer, kdata)
        if self._images is None or self._images[:2] != (kdata, self._slice):
            self._images = kdata, self._slice, ZeroFilled(kdata.kspace[self._slice])
        return self._images[2]

    def _name(self, role: str, kdata: KData) -> str:
        return picture_name(kdata, TITLES[role])

    def _toggled(self, role: str, checked: bool) -> None:
        with self._panel.attempt():
            if checked:
                self._show(role)
            elif self._kdata is not None:
                layers.remove_layer(self._viewer, role, self._name(role, self._kdata))

    def _slice_changed(self, event: Any = None) -> None:
        kdata, wanted = self._kdata, self.boxes[PREVIEW].isChecked()
        if kdata is not None and wanted and shown_slice(self._viewer, kdata) != self._slice:
            self._show(PREVIEW)

    def _removed(self, event: Any) -> None:
        """A preview that a person removes stays away until its box is checked."""
        for role, box in self.boxes.items():
            if self._kdata is not None and layers.find_layer(self._viewer, role, self._name(role, self._kdata)) is None:
                with QSignalBlocker(box):
                    box.setChecked(False)


def shown_slice(viewer: Any, kdata: KData) -> int:
    """Slice of the data at the viewer's slider."""
    if viewer.dims.ndim < 3:
        return 0
    return int(np.clip(Place.of(kdata).slice_at(viewer.dims.point[-3]), 0, kdata.n_slices - 1))
