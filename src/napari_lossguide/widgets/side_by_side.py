"""Layers next to each other in napari's grid, with linked contrast."""

from collections.abc import Sequence
from typing import Any

from napari.layers import Image, Layer

from napari_lossguide.widgets.arrangement import Arrangement

SPACING = 4  # pixels between the boxes


class SideBySide:
    """napari's grid gives every visible layer a box of its own, in the order of the layer list, with linked cameras.

    Parameters
    ----------
    viewer : napari's viewer, or a viewer model.
    arrangement : of the same viewer, that undoes what is done here; one of its own if None.
    """

    def __init__(self, viewer: Any, arrangement: Arrangement | None = None) -> None:
        self._viewer, self._arrangement = viewer, arrangement or Arrangement(viewer)

    @property
    def active(self) -> bool:
        """Is there something to undo?"""
        return self._arrangement.active

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
        layers, shown = self._viewer.layers, [*top, *bottom, *others]
        self._arrangement.begin()
        self._arrangement.link([])
        grid = self._viewer.canvas.grid
        before = grid.actual_shape(layers) if grid.enabled else None
        for layer in shown:
            layers.move(layers.index(layer), len(layers))
        grid.stride, grid.spacing = 1, SPACING
        grid.shape = (-1, len(top)) if bottom else (-1, -1)
        self._arrangement.only(shown, on_top=False)  # first, for each visible layer gets a box
        grid.enabled = True
        self._arrangement.fit_names(shown)
        self._arrangement.link(top)
        if top:
            layers.selection.active = top[0]  # its contrast is everybody's
        if grid.actual_shape(layers) != before:  # other boxes, which the images have to fit into
            self._viewer.reset_view()

    def restore(self) -> None:
        """Undo everything; what was removed meanwhile stays away, what was added stays."""
        self._arrangement.restore()

    def stop(self) -> None:
        """Nothing goes on by itself, and no layer was added."""
