"""How the canvas looked before something else was shown on it, and the way back."""

from collections.abc import Callable, Sequence
from typing import Any

from napari.layers import Image, Layer, Shapes

LINKED = ("contrast_limits", "gamma", "colormap")
GRID = ("enabled", "shape", "stride", "spacing")
NAME_SIZES = 5.0, 9.0  # points, least and most


class Arrangement:
    """What is shown of a viewer's layers for a while; it can be undone.

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

    def begin(self) -> None:
        """Remember how everything looks, unless that is remembered already."""
        if not self._undo:
            self._remember()

    def restore(self) -> None:
        """Undo everything; what was removed meanwhile stays away, what was added stays."""
        self.link([])
        undo, self._undo = self._undo, []
        for step in undo:
            step()

    def only(self, shown: Sequence[Layer], *, on_top: bool = True) -> None:
        """Show these layers, with their names, and no others; but shapes that are drawn on top stay, unless not."""
        for layer in list(self._viewer.layers):
            drawn = on_top and isinstance(layer, Shapes) and layer.visible
            layer.visible = layer in shown or drawn
            layer.name_overlay.visible = layer in shown
        self.fit_names(shown)

    def link(self, images: Sequence[Image]) -> None:
        """Give images the contrast of the last one, and let them share it from now on; those linked before no longer.

        None: only the latter.
        """
        still = [layer for layer in self._linked if layer in self._viewer.layers]
        if len(still) > 1:
            self._viewer.layers.unlink_layers(still, LINKED)
        self._linked = list(images)
        if not images:
            return
        lead = images[-1]
        for image in images[:-1]:
            image.contrast_limits, image.gamma, image.colormap = lead.contrast_limits, lead.gamma, lead.colormap
        if len(images) > 1:
            self._viewer.layers.link_layers(self._linked, LINKED)

    def one_place(self) -> None:
        """Layers lie on top of each other, not in the grid."""
        if self._viewer.canvas.grid.enabled:
            self._viewer.canvas.grid.enabled = False
            self._viewer.reset_view()

    def fit_names(self, shown: Sequence[Layer]) -> None:
        """Make the names as large as the longest one allows: a point of size takes a pixel of width per letter."""
        grid = self._viewer.canvas.grid
        columns = grid.actual_shape(self._viewer.layers)[1] if grid.enabled else 1
        longest = max((len(layer.name) for layer in shown), default=1)
        least, most = NAME_SIZES
        size = min(max(self._viewer.canvas.size[1] / columns / (longest + 1), least), most)
        for layer in shown:
            layer.name_overlay.font_size = size

    def _remember(self) -> None:
        viewer = self._viewer
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        settings = {name: getattr(grid, name) for name in GRID}
        center, zoom, angles = camera.center, camera.zoom, camera.angles
        order, active = list(viewer.layers), viewer.layers.selection.active
        looks = {layer: _look(layer) for layer in order}

        def restore_layers() -> None:
            for place, layer in enumerate([x for x in order if x in viewer.layers]):
                viewer.layers.move(viewer.layers.index(layer), place)
            for layer in viewer.layers:
                looks[layer]() if layer in looks else _hide_name(layer)
            if active in viewer.layers:
                viewer.layers.selection.active = active

        def restore_canvas() -> None:
            for name, value in settings.items():
                setattr(grid, name, value)
            camera.center, camera.zoom, camera.angles = center, zoom, angles

        self._undo = [restore_layers, restore_canvas]


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
