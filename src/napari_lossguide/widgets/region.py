"""A region of the image that a person drew: the pixels to fill, or those whose data weigh more."""

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_lossguide.data.kdata import KData
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.layers import show_mask
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import Panel
from napari_lossguide.widgets.placement import Place, finest
from napari_lossguide.widgets.views import role_of

NAME = "region"


class RegionChoice(QWidget):
    """Labels layers of the image's size, and a button that puts the brush for one into the person's hand.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer.
    kdata : gives the chosen input, or None.

    Attributes
    ----------
    failed : signal ``(sentence)`` when nothing can be drawn.
    """

    failed = Signal(str)

    def __init__(self, panel: Panel, viewer: Any, kdata: Callable[[], KData | None]) -> None:
        super().__init__()
        self._viewer, self._kdata = viewer, kdata
        self.combo = OptionalLayerCombo(panel, viewer, self._fits, "none")
        self.combo.setAccessibleName("Region")
        self.combo.setAccessibleDescription("Pixels to fill, or whose data weigh more: a Labels layer.")
        self.combo.setToolTip(self.combo.accessibleDescription())
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Take napari's brush and paint the region; without one a layer is added.")
        self.draw.setAccessibleName("Draw the region")
        self.draw.clicked.connect(lambda _: self.start_drawing())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo, 1)
        layout.addWidget(self.draw)

    def recipe(self) -> MaskRecipe | None:
        """The chosen region, point by point; None without one.

        Raises
        ------
        InvalidInput
            If it is empty, of another size than the image, or differs from slice to slice.
        """
        layer, kdata = self.combo.layer, self._kdata()
        return None if layer is None or kdata is None else MaskRecipe.drawn(points_of(layer, kdata.image_shape))

    def show_points(self, points: np.ndarray, name: str = NAME) -> Labels:
        """Choose a layer of these points, bool (ny, nx), which is added if it is not there."""
        kdata = self._kdata()
        assert kdata is not None, "the points have the size of an input"
        kept = {"simulated": kdata.simulated}
        layer = show_mask(self._viewer, points, name=name, place=Place.of(kdata), metadata=kept, role="region")
        self.combo.refresh()
        self.combo.layer = layer
        return layer

    def start_drawing(self) -> None:
        """Put the brush into the person's hand, on the chosen layer or a new one."""
        kdata = self._kdata()
        if kdata is None:
            self.failed.emit("There is no k-space yet, so the size of the image is not known.")
            return
        layer = self.combo.layer or self.show_points(np.zeros(kdata.image_shape, bool))
        self._viewer.layers.selection.active = layer
        layer.visible = True
        layer.selected_label = 1
        layer.mode = "paint"

    def _fits(self, layer: Layer) -> bool:
        kdata = self._kdata()
        fits = kdata is not None and layer.data.shape[-2:] == kdata.image_shape if isinstance(layer, Labels) else False
        return fits and role_of(layer) != "mask"


def points_of(layer: Layer, shape: tuple[int, int]) -> np.ndarray:
    """Region in a Labels layer, bool (ny, nx): every label but 0.

    Raises
    ------
    InvalidInput
        If it is empty, of another size, or differs from slice to slice.
    """
    points = np.asarray(finest(layer)) != 0
    if points.shape[-2:] != shape:
        raise InvalidInput(f"The region {layer.name!r} has shape {points.shape}, but the image has {shape}.")
    first = points.reshape(-1, *shape)[0]
    if not (points == first).all():
        raise InvalidInput(f"The region {layer.name!r} differs from slice to slice; one for all slices is accepted.")
    if not first.any():
        raise InvalidInput(f"The region {layer.name!r} is empty; paint the pixels that belong to it.")
    return first
