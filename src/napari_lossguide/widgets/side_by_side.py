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
    arrangement : of the same viewer; it undoes what is done here.
    """

    def __init__(self, viewer: Any, arrangement: Arrangement) -> None:
        self._viewer, self._arrangement = viewer, arrangement

    def show(self, top: Sequence[Image], bottom: Sequence[Image] = (), others: Sequence[Layer] = ()) -> None:
        """Show these layers only.

        Parameters
        ----------
        top : one row of images, all with the contrast of the last one.
        bottom : the row under it.
        others : after these.
        """
        layers, shown = self._viewer.layers, [*top, *bottom, *others]
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

    def stop(self) -> None:
        """Nothing goes on by itself, and no layer was added."""
