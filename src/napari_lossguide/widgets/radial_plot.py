"""Energy of k-space against its radius, before and after a mask, as a part of the K-space dock."""

from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_lossguide.data.radial import EnergyProfile, energy_profile
from napari_lossguide.widgets.kspace_view import KSpaceView
from napari_lossguide.widgets.mask_previews import shown_slice
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import Panel, Sentence
from napari_lossguide.widgets.views import role_of

REDRAW_MS = 150
BEFORE, AFTER, GREY = "#5aa9e6", "#f2a541", "#8a8a8a"


class RadialPlot(QWidget):
    """Plot of the coil and slice shown; nothing is computed while it is folded away.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer, or a viewer model.
    view : which acquisition and coil are shown.

    Attributes
    ----------
    mask : the mask layer of the second curve.
    profile : what is plotted, or None.
    """

    def __init__(self, panel: Panel, viewer: Any, view: KSpaceView) -> None:
        super().__init__()
        self._panel, self._viewer, self._view = panel, viewer, view
        self._watched: Layer | None = None
        self._plot: Any = None
        self.profile: EnergyProfile | None = None
        self.mask = OptionalLayerCombo(panel, viewer, _is_mask, "as acquired")
        self.mask.setAccessibleName("Mask of the profile")
        self.mask.setToolTip("Show the profile of the points of this mask too, beside that of all acquired points.")
        self.note = Sentence("Radial profile")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.mask)
        layout.addWidget(self.note)
        self._timer = panel.after(REDRAW_MS, self._redraw)
        self.mask.layer_changed.connect(self._mask_chosen)
        view.shown.connect(self._redraw_soon)
        panel.listen(viewer.dims.events.current_step, self._redraw_soon)
        if hasattr(viewer, "theme"):
            panel.listen(viewer.events.theme, self._follow_theme)

    def sizeHint(self) -> QSize:
        """Prefer a flat plot."""
        return QSize(300, 220)

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what has changed meanwhile."""
        super().showEvent(event)
        self._redraw_soon()

    def _redraw_soon(self, event: Any = None) -> None:
        if self.isVisible():
            self._timer.start()

    def _mask_chosen(self, layer: Layer | None) -> None:
        for old, connect in ((self._watched, self._panel.unlisten), (layer, self._panel.listen)):
            if old is not None:
                for emitter in (old.events.set_data, old.events.labels_update, old.events.paint):
                    connect(emitter, self._redraw_soon)
        self._watched = layer
        self._redraw_soon()

    def _redraw(self) -> None:
        kdata, chosen = self._view.kdata, self.mask.layer
        if kdata is None or not self.isVisible():
            return
        mask = None if chosen is None else np.asarray(chosen.data) != 0
        if mask is not None and mask.shape != kdata.image_shape:
            self.note.show_text(
                f"The mask has shape {mask.shape}, but the k-space {kdata.image_shape}: its curve is left out.",
                colour="warning",
            )
            mask = None
        else:
            index, coil = shown_slice(self._viewer, kdata), self._view.chosen_coil
            coils = f"coil {coil + 1}" if coil is not None else f"sum of {kdata.n_coils} coils"
            self.note.show_text(
                f"Mean |k|² of rings, slice {index + 1}, {coils if kdata.n_coils > 1 else '1 coil'}. Blue: the "
                "acquired points; orange: with the mask, skipped points count as 0; dashed: noise level, if known."
            )
        kspace = kdata.kspace[shown_slice(self._viewer, kdata)]
        kspace = kspace if self._view.chosen_coil is None else kspace[[self._view.chosen_coil]]
        self.profile = energy_profile(kspace, kdata.acquired, kdata.spacing, mask, kdata.noise_std)
        self._draw(self.profile)

    def _draw(self, profile: EnergyProfile) -> None:
        if self._plot is None:
            self._build()
        self._before.setData(profile.radii, profile.before)
        self._after.setData(profile.radii, profile.after)
        self._noise.setVisible(bool(np.isfinite(profile.noise)))
        if np.isfinite(profile.noise):
            self._noise.setPos(profile.noise)

    def _build(self) -> None:
        import pyqtgraph  # here, so that a dock without the plot does not pay for it

        self._plot = pyqtgraph.PlotWidget(background=None)
        self._plot.setCacheMode(self._plot.CacheModeFlag.CacheNone)  # the ground would keep the colour of another theme
        self._after = self._plot.plot([], [], pen=pyqtgraph.mkPen(AFTER, width=2), connect="finite")
        self._before = self._plot.plot([], [], pen=pyqtgraph.mkPen(BEFORE, width=2), connect="finite")
        self._noise = pyqtgraph.InfiniteLine(0.0, angle=0, pen=pyqtgraph.mkPen(GREY, style=Qt.PenStyle.DashLine))
        self._plot.addItem(self._noise, ignoreBounds=True)
        self._plot.setFixedHeight(200)
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.setAccessibleName("Energy against the radius of k-space")
        self._plot.getAxis("bottom").enableAutoSIPrefix(False)
        self._plot.setLabel("bottom", "radius (1/mm)")
        self._plot.setLabel("left", "mean |k|² (dB)")
        self._follow_theme()
        self.layout().addWidget(self._plot, 1)

    def _follow_theme(self, event: Any = None) -> None:
        if self._plot is not None:
            colour = get_theme(getattr(self._viewer, "theme", "dark")).text.as_hex()
            for side in ("left", "bottom"):
                axis = self._plot.getAxis(side)
                axis.setPen(colour)
                axis.setTextPen(colour)


def _is_mask(layer: Layer) -> bool:
    return isinstance(layer, Labels) and role_of(layer) == "mask"
