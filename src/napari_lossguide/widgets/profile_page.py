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
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.lazy import is_lazy, read
from napari_lossguide.widgets.line_plot import COLOURS, Line, LinePlot
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import Panel, Sentence
from napari_lossguide.widgets.placement import finest, pixel_size, shown_plane, to_data, to_world, unit_of
from napari_lossguide.widgets.result_layers import SIMULATION
from napari_lossguide.widgets.roi import LINE as ROLE
from napari_lossguide.widgets.views import role_of
from napari_lossguide.widgets.worker import Errand

LINES = {"line", "path"}
NAME = "Profile"
Key = tuple[Image, int]  # an image and its plane
Planes = dict[Key, np.ndarray | str]
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
        self._planes: Planes = {}  # of lazy data, so that each is read once; a text says why one is not there
        self._reading: set[Key] = set()
        self._asked: tuple[Image | None, Sequence[Image]] = None, ()
        self._errand = Errand(self)
        self._errand.ended.connect(self._have_read)
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
        self._planes, self._reading = {}, set()

    def show_profiles(self, reference: Image | None, images: Sequence[Image]) -> None:
        """Draw the profiles of these images, in the planes that the viewer shows.

        Planes that are not in memory are read first, in a thread; their profiles come later.
        """
        self._asked = reference, images
        shown = [x for x in (reference, *images) if x is not None and x in self._viewer.layers]
        lines, unit, sentence, missing = [], "mm", "", []
        try:
            corners = line_of(self.line.layer)
            if not shown:
                raise InvalidInput("Tick an image, or choose a reference.")
            unit = unit_of(shown[0])
            distance, points = walk(corners, min(min(pixel_size(x)) for x in shown) / 2)
            colours = ["", *COLOURS] if reference is not None else list(COLOURS)
            for index, image in enumerate(shown):
                plane = self._plane(image)
                if plane is None:
                    missing.append(image)
                    continue
                values = values_at(plane, to_data(image, points))
                colour = colours[index] if index < len(colours) else COLOURS[index % len(COLOURS)]
                lines.append(Line(image.name.removesuffix(SIMULATION), distance, values, colour))
            if not missing and all(np.isnan(line.y).all() for line in lines):
                raise InvalidInput("The line lies outside the images.")
        except InvalidInput as error:
            lines, sentence = [], str(error)
        self.plot.show_lines(lines, f"distance ({unit})", "value")
        self._read(missing)
        names = " and ".join(f"'{image.name}'" for image in missing)
        self.said.show_text(sentence or (f"Reading {names}…" if names else ""))

    def _plane(self, image: Image) -> np.ndarray | None:
        """The plane that is shown; None if it has to be read.

        Raises
        ------
        InvalidInput
            If it could not be read.
        """
        key = self._key(image)
        data = finest(image)
        if not is_lazy(data):
            return data[key[1]] if image.ndim == 3 else data
        found = self._planes.get(key)
        if isinstance(found, str):
            raise InvalidInput(found)
        return found

    def _key(self, image: Image) -> Key:
        return image, shown_plane(image, self._viewer.dims)

    def _read(self, images: Sequence[Image]) -> None:
        """Read planes, unless that is on its way; what was asked for before is not wanted any more."""
        keys = {self._key(image) for image in images}
        if not keys <= self._reading:
            self._reading = keys
            sources = [(image, index, image.name, finest(image), image.ndim) for image, index in keys]
            planes = self._planes

            def job() -> tuple[Planes, Planes]:
                return planes, {key[:2]: _plane_or_problem(*key[1:]) for key in sources}

            self._errand.start(job, "Planes of a profile")

    def _have_read(self, outcome: tuple[Planes, Planes] | Failure) -> None:
        if isinstance(outcome, Failure):
            self._reading = set()
            self.said.show_text(outcome.sentence)
        elif outcome[0] is self._planes:  # else the data have changed since
            new = outcome[1]
            read = {image for image, _ in new}
            for key in [key for key in self._planes if key[0] in read]:
                del self._planes[key]  # one plane of each image is enough
            self._planes.update(new)
            self._reading = set()
            self.show_profiles(*self._asked)

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


def _plane_or_problem(index: int, name: str, data: Any, ndim: int) -> np.ndarray | str:
    """A plane of lazy data, or why it is not there."""
    try:
        return read(name, data, index if ndim == 3 else None)
    except InvalidInput as error:
        return str(error)


def _is_shapes(layer: Layer) -> bool:
    return isinstance(layer, Shapes) and role_of(layer) in ("", ROLE)
