"""Layers next to each other in napari's grid, with linked contrast, and everything as before afterwards."""

from collections.abc import Callable, Sequence
from typing import Any

from napari.layers import Image, Layer

LINKED = ("contrast_limits", "gamma", "colormap")
GRID = ("enabled", "shape", "stride", "spacing")
SPACING = 4  # pixels between the boxes
NAME_SIZES = 5.0, 9.0  # points, least and most


class SideBySide:
    """An arrangement of layers that can be undone.

    napari's grid gives every visible layer a box of its own, in the order of the layer list, with linked cameras.

    Parameters
    ----------
    viewer : napari's viewer, or a viewer model.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._linked: list[Image] = []
        self._undo: list[Callable[[], None]] = []

    @property
    def active(self) -> bool:
        """Is there something to undo?"""
        return bool(self._undo)

    def show(self, top: Sequence[Image], bottom: Sequence[Image] = (), others: Sequence[Layer] = ()) -> None:
        """Show these layers only.

        Parameters
        ----------
        top : one row of images, all with the contrast of the last one.
        bottom : the row under it.
        others : after these.

        Notes
        -----
        Called again, it keeps the undo of the first call.
        """
        if not self._undo:
            self._remember()
        layers, shown = self._viewer.layers, [*top, *bottom, *others]
        self._unlink()
        for layer in shown:
            layers.move(layers.index(layer), len(layers))
        for layer in list(layers):
            layer.visible = layer in shown
            layer.name_overlay.visible = layer.visible
        self._link(top)
        if top:
            layers.selection.active = top[0]  # its contrast is everybody's
        grid = self._viewer.canvas.grid
        grid.stride, grid.spacing = 1, SPACING
        grid.shape = (-1, len(top)) if bottom else (-1, -1)
        if not grid.enabled:
            grid.enabled = True
            self._viewer.reset_view()
        self._fit_names(shown)

    def _fit_names(self, shown: Sequence[Layer]) -> None:
        """Make the names as large as the longest one allows: a point of size takes a pixel of width per letter."""
        columns = self._viewer.canvas.grid.actual_shape(self._viewer.layers)[1]
        longest = max((len(layer.name) for layer in shown), default=1)
        least, most = NAME_SIZES
        size = min(max(self._viewer.canvas.size[1] / columns / (longest + 1), least), most)
        for layer in shown:
            layer.name_overlay.font_size = size

    def restore(self) -> None:
        """Undo everything; what was removed meanwhile stays away, what was added stays."""
        self._unlink()
        undo, self._undo = self._undo, []
        for step in undo:
            step()

    def _remember(self) -> None:
        viewer = self._viewer
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        settings = {name: getattr(grid, name) for name in GRID}
        center, zoom = camera.center, camera.zoom
        order = list(viewer.layers)
        looks = {layer: _look(layer) for layer in order}

        def restore_layers() -> None:
            for place, layer in enumerate([x for x in order if x in viewer.layers]):
                viewer.layers.move(viewer.layers.index(layer), place)
            for layer in viewer.layers:
                looks[layer]() if layer in looks else _hide_name(layer)

        def restore_canvas() -> None:
            for name, value in settings.items():
                setattr(grid, name, value)
            camera.center, camera.zoom = center, zoom

        self._undo = [restore_layers, restore_canvas]

    def _link(self, images: Sequence[Image]) -> None:
        if not images:
            return
        lead = images[-1]
        for image in images:
            image.contrast_limits, image.gamma, image.colormap = lead.contrast_limits, lead.gamma, lead.colormap
        self._linked = list(images)
        if len(images) > 1:
            self._viewer.layers.link_layers(self._linked, LINKED)

    def _unlink(self) -> None:
        if len(self._linked) > 1:
            self._viewer.layers.unlink_layers(self._linked, LINKED)
        self._linked = []


def _hide_name(layer: Layer) -> None:
    layer.name_overlay.visible = False


def _look(layer: Layer) -> Callable[[], None]:
    """Return a function that gives the layer its present look again."""
    visible, overlay = layer.visible, layer.name_overlay
    named, size = overlay.visible, overlay.font_size
    contrast = {name: getattr(layer, name) for name in LINKED} if isinstance(layer, Image) else {}

    def again() -> None:
        layer.visible, overlay.visible, overlay.font_size = visible, named, size
        for name, value in contrast.items():
            setattr(layer, name, value)

    return again
