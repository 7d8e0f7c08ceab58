"""Values of the images along a line that a person draws, as a plot that follows it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.recon.profile import values_at, walk
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.line_plot import COLOURS, Line, LinePlot
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import Panel, Sentence
from napari_lossguide.widgets.placement import finest, pixel_size, shown_plane, to_data, to_world, unit_of
from napari_lossguide.widgets.result_layers import SIMULATION
from napari_lossguide.widgets.roi import LINE as ROLE
from napari_lossguide.widgets.views import role_of

LINES = {"line", "path"}
NAME = "Profile"
UNDRAWN = "Choose a Shapes layer with a line or a path, or draw a line."


class ProfilePage(QWidget):
    """Choice of the line, and the plot.

    Parameters
    ----------
    panel : the dock it lives in, which ends the listening.
    viewer : napari's viewer.

    Attributes
    ----------
    changed : signal, when the line has moved, or the sliders of the viewer.
    drawing : signal, when a person wants to draw a line: it needs an image under it.
    line : choice of the Shapes layer.
    draw : button that puts the tool for a line into the person's hand.
    plot, said : curves, and why there are none.
    """

    changed = Signal()
    drawing = Signal()

    def __init__(self, panel: Panel, viewer: Any) -> None:
        super().__init__()
        self._viewer, self._panel = viewer, panel
        self.line, self.draw = OptionalLayerCombo(panel, viewer, _is_shapes, "none"), QPushButton("Draw a line")
        self.plot, self.said = LinePlot("Profiles along the line"), Sentence("Profile")
        self._watched: Layer | None = None
        self._planes: dict[tuple[Image, int], np.ndarray] = {}  # of lazy data, so that each is read once
        self._build()

    def start_drawing(self) -> None:
        """Put napari's line tool into the person's hand, on the chosen layer or a new one."""
        self.drawing.emit()
        layer = self.line.layer
        if layer is None:
            layer = layers.add_shapes(self._viewer, NAME, ROLE)
            self.line.refresh()
            self.line.layer = layer
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "add_line"

    def forget(self) -> None:
        """The data may have changed."""
        self._planes = {}

    def show_profiles(self, reference: Image | None, images: Sequence[Image]) -> None:
        """Draw the profiles of these images, in the planes that the viewer shows."""
        shown = [x for x in (reference, *images) if x is not None and x in self._viewer.layers]
        lines, unit, sentence = [], "mm", ""
        try:
            corners = line_of(self.line.layer)
            if not shown:
                raise InvalidInput("Tick an image, or choose a reference.")
            unit = unit_of(shown[0])
            distance, points = walk(corners, min(min(pixel_size(x)) for x in shown) / 2)
            colours = ["", *COLOURS] if reference is not None else list(COLOURS)
            for index, image in enumerate(shown):
                values = values_at(self._plane(image), to_data(image, points))
                colour = colours[index] if index < len(colours) else COLOURS[index % len(COLOURS)]
                lines.append(Line(image.name.removesuffix(SIMULATION), distance, values, colour))
            if all(np.isnan(line.y).all() for line in lines):
                raise InvalidInput("The line lies outside the images.")
        except InvalidInput as error:
            lines, sentence = [], str(error)
        self.plot.show_lines(lines, f"distance ({unit})", "value")
        self.said.show_text(sentence)

    def _plane(self, image: Image) -> np.ndarray:
        data, index = finest(image), shown_plane(image, self._viewer.dims)
        plane = data[index] if image.ndim == 3 else data
        if isinstance(plane, np.ndarray):
            return plane
        if (image, index) not in self._planes:
            self._planes = {key: kept for key, kept in self._planes.items() if key[0] is not image}
            self._planes[image, index] = _read(image, plane)
        return self._planes[image, index]

    def _line_changed(self, layer: Layer | None) -> None:
        """Follow each move: `set_data` is emitted while the mouse drags, `data` only at its end."""
        if self._watched is not None:
            self._panel.unlisten(self._watched.events.set_data, self._moved)
            self._panel.unlisten(self._watched.selected_data.events.items_changed, self._moved)
        self._watched = layer
        if layer is not None:
            self._panel.listen(layer.events.set_data, self._moved)
            self._panel.listen(layer.selected_data.events.items_changed, self._moved)
        self.changed.emit()

    def _moved(self, event: Any = None) -> None:
        self.changed.emit()

    def _build(self) -> None:
        self.line.setAccessibleName("Line of the profile")
        self.line.setAccessibleDescription(
            "A Shapes layer with a line or a path. Of several the selected one counts, else the last."
        )
        self.draw.setToolTip("Take napari's line tool; without a layer for it one is added. Drag a line on the image.")
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(self.draw)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.said)
        self.draw.clicked.connect(lambda _: self.start_drawing())
        self.line.layer_changed.connect(self._line_changed)
        self._panel.listen(self._viewer.dims.events.current_step, self._moved)


def line_of(layer: Layer | None) -> np.ndarray:
    """Corners of the line or path of a Shapes layer in the world, (n, 2): the selected one, else the last.

    Raises
    ------
    InvalidInput
        If there is none.
    """
    if not isinstance(layer, Shapes):
        raise InvalidInput(UNDRAWN)
    lines = [i for i, kind in enumerate(layer.shape_type) if kind in LINES]
    if not lines:
        raise InvalidInput(f"The layer '{layer.name}' has no line and no path; draw one.")
    chosen = next((i for i in lines if i in layer.selected_data), lines[-1])
    return to_world(layer, np.asarray(layer.data[chosen], float)[:, -2:])


def _read(image: Image, lazy: Any) -> np.ndarray:
    try:
        return np.asarray(lazy)
    except Exception as error:  # whatever the file's library raises
        raise InvalidInput(f"'{image.name}' could not be read: {error}") from error


def _is_shapes(layer: Layer) -> bool:
    return isinstance(layer, Shapes) and role_of(layer) in ("", ROLE)
