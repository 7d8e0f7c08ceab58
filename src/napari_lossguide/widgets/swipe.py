"""Two images in one place, parted by a line that a person moves."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QObject, Signal

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.arrangement import LINKED, Arrangement
from napari_lossguide.widgets.difference_maps import as_magnitude
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.lazy import is_lazy, read
from napari_lossguide.widgets.placement import Place, finest, place_like, to_world
from napari_lossguide.widgets.views import KEY, held, role_of, unstacked
from napari_lossguide.widgets.worker import Errand

ROLE, LINE = "swipe", "swipe line"
REACH = 8  # screen pixels on either side of the line where a drag takes it
COLOUR = "#f2a541"


class Swipe(QObject):
    """One layer, drawn from two arrays; only the columns that the line passes are copied.

    Parameters
    ----------
    viewer : napari's viewer, or a viewer model.
    arrangement : of the same viewer; it undoes what is done to other layers.

    Attributes
    ----------
    dragged : signal ``(fraction)``, when the line was moved on the canvas.
    reading : signal ``(sentence)``, while data are read that are not in memory; empty at the end.
    arrived : signal, when they are there, or cannot be read: call `show` again.
    """

    dragged = Signal(float)
    reading = Signal(str)
    arrived = Signal()

    def __init__(self, viewer: Any, arrangement: Arrangement, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._arrangement = viewer, arrangement
        self._sides: tuple[np.ndarray, np.ndarray] | None = None  # what is left and right of the line
        self._pair: tuple[Image, Image] | None = None
        self._column = 0
        self._wanted: tuple[Image, Image] | None = None  # that is being read
        self._arrived: list[np.ndarray] | Failure | None = None  # of what was wanted
        self._errand = Errand(self)
        self._errand.ended.connect(self._read)

    @property
    def layer(self) -> Image | None:
        """The composed image, while it is shown."""
        return next((x for x in self._viewer.layers if role_of(x) == ROLE), None)

    def show(self, left: Image, right: Image, fraction: float, lead: Image) -> None:
        """Show two images, parted at a fraction of the width, with the contrast of a third.

        Images that are not in memory are read first, in a thread; until then the canvas stays as it is.

        Raises
        ------
        InvalidInput
            If their sizes differ, or one cannot be read.
        """
        shapes = [_shape(x) for x in (left, right)]
        if shapes[0] != shapes[1]:
            self.stop()
            raise InvalidInput(
                f"'{left.name}' has shape {shapes[0]}, but '{right.name}' has {shapes[1]}; "
                "a swipe needs two images of one shape."
            )
        sides = self._sides_of(left, right)
        if sides is not None:
            self._compose(left, right, sides, fraction, lead)

    def _sides_of(self, left: Image, right: Image) -> tuple[np.ndarray, np.ndarray] | None:
        """The magnitudes of the two; None while they are read."""
        data = [(x.name, finest(x)) for x in (left, right)]
        found, self._arrived = self._arrived, None
        if not any(is_lazy(each) for _, each in data):
            found = _magnitudes(data)
        elif found is None or self._wanted != (left, right):
            self._wanted = left, right
            self.reading.emit(f"Reading '{left.name}' and '{right.name}'…")
            self._errand.start(partial(_magnitudes, data), "Images of a swipe")
            return None
        self._stop_reading()
        if isinstance(found, Failure):
            raise InvalidInput(found.sentence)
        return found[0], found[1]

    def _read(self, outcome: list[np.ndarray] | Failure) -> None:
        if self._wanted is not None:  # else the swipe has ended meanwhile
            self._arrived = outcome
            self.arrived.emit()

    def _stop_reading(self) -> None:
        self._wanted = self._arrived = None
        self.reading.emit("")

    def _compose(
        self, left: Image, right: Image, sides: tuple[np.ndarray, np.ndarray], fraction: float, lead: Image
    ) -> None:
        fresh, self._pair, self._sides = self._pair != (left, right), (left, right), sides
        self._column = self._at(fraction)
        layer = layers.show_image(
            self._viewer,
            np.concatenate([sides[0][..., : self._column], sides[1][..., self._column :]], axis=-1),
            name="Swipe",
            role=ROLE,
            place=Place.like(left),
            metadata={"simulated": any(held(x).get("simulated") for x in (left, right))},
        )
        place_like(layer, left)
        layer.name = f"{left.name} | {right.name}"
        if fresh:
            layer.contrast_limits_range = lead.contrast_limits_range
            for name in LINKED:
                setattr(layer, name, getattr(lead, name))
        self._arrangement.one_place()
        self._arrangement.link([])
        line = self._show_line(layer)
        self._arrangement.only([layer, line])
        line.name_overlay.visible = False
        self._viewer.layers.selection.active = layer
        if self._drag not in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.append(self._drag)

    def move(self, fraction: float) -> None:
        """Move the line to a fraction of the width."""
        layer = self.layer
        if layer is None or self._sides is None:
            return
        column = self._at(fraction)
        passed = slice(*sorted((self._column, column)))
        layer.data[..., passed] = self._sides[0 if column > self._column else 1][..., passed]
        self._column = column
        layer.refresh(thumbnail=False, highlight=False, extent=False)
        self._show_line(layer)

    def stop(self) -> None:
        """Take the layers away."""
        self._stop_reading()
        if self._drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._drag)
        self._sides = self._pair = None
        for layer in [x for x in self._viewer.layers if role_of(x) in (ROLE, LINE)]:
            self._viewer.layers.remove(layer)

    def _at(self, fraction: float) -> int:
        assert self._sides is not None
        return round(min(max(fraction, 0.0), 1.0) * self._sides[0].shape[-1])

    def _show_line(self, layer: Image) -> Layer:
        """A stroke between the column on the left of the line and that on its right."""
        x = self._column - 0.5
        start, end = to_world(layer, np.array([(-0.5, x), (layer.data.shape[-2] - 0.5, x)]))
        stroke = np.array([[start, end - start]])
        line = next((x for x in self._viewer.layers if role_of(x) == LINE), None)
        if line is not None:
            line.data = stroke
            return line
        width = 0.004 * float(np.abs(end - start).max())
        return self._viewer.add_vectors(
            stroke,
            name="Swipe line",
            metadata={KEY: {"role": LINE, "name": LINE}},
            edge_color=COLOUR,
            edge_width=width,
            vector_style="line",
            units=layer.units[-2:],
            axis_labels=layer.axis_labels[-2:],
        )

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """napari calls this when a mouse button goes down on the canvas, and goes on with each move."""
        layer, camera = self.layer, viewer.scene.camera
        if layer is None or self._sides is None:
            return
        width = self._sides[0].shape[-1]

        def column() -> float:
            return float(layer.world_to_data(event.position)[-1]) + 0.5

        if abs(column() - self._column) * layer.scale[-1] * camera.zoom > REACH:
            return
        pans, camera.mouse_pan = camera.mouse_pan, False
        yield
        while event.type == "mouse_move":
            self.dragged.emit(min(max(column() / width, 0.0), 1.0))
            yield
        camera.mouse_pan = pans


def _magnitudes(data: Sequence[tuple[str, Any]]) -> list[np.ndarray]:
    return [unstacked(as_magnitude(read(name, each))) for name, each in data]


def _shape(layer: Image) -> tuple[int, ...]:
    shape = tuple(int(n) for n in finest(layer).shape)
    return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
