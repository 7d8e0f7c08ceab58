"""The mask's Labels layer as the Mask dock sees it: written, drawn on, renamed, removed."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_lossguide.data.kdata import KData
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.panel import Panel
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.sampling import complete_lines
from napari_lossguide.widgets.soon import Soon
from napari_lossguide.widgets.views import held, mask_of, mask_recipe_of, role_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

NAME = "mask"
REST = 1.0  # after a look the window has its turn for this many times as long as the look took


class MaskLayer:
    """Writes one mask layer and notices when a person draws on it, undoes that, or removes the layer.

    Parameters
    ----------
    panel : the dock it belongs to.
    viewer : napari's viewer, or a viewer model.
    drawn : called when the points have changed by hand.
    removed : called when the layer was removed.
    brought : called with the recipe of a mask that another dock put into the layer.

    Attributes
    ----------
    mask : bool (ny, nx), the points as they are now; None without a layer.
    lines : ``"x"`` or ``"y"`` if a stroke fills whole columns or rows, None if it stays as it is.
    """

    def __init__(
        self,
        panel: Panel,
        viewer: "ViewerModel",
        drawn: Callable[[], None],
        removed: Callable[[], None],
        brought: Callable[[MaskRecipe], None],
    ) -> None:
        self._panel, self._viewer = panel, viewer
        self._drawn, self._removed, self._brought = drawn, removed, brought
        self._known: Any = None  # the recipe in the layer when it was last written or looked at
        self.layer: Labels | None = None
        self.mask: np.ndarray | None = None
        self.lines: str | None = None
        self._before_stroke: np.ndarray | None = None
        self._name = NAME
        self._looked, self._took = 0.0, 0.0  # when the last look ended, how long it took, in seconds
        self._soon = Soon(panel, self._look_now)
        self._look_timer = panel.after(0, self._look_now)
        self._stroke_timer = Soon(panel, self._stroke_ended)
        panel.listen(viewer.layers.events.removed, self._layer_removed)

    def write(self, mask: np.ndarray, kdata: KData, recipe: MaskRecipe | None) -> None:
        """Show a mask; without a recipe it counts as drawn."""
        self.mask = self._before_stroke = mask.copy()
        kept = {"simulated": kdata.simulated}
        layer = layers.show_mask(
            self._viewer, mask, name=self._name, place=Place.of(kdata), recipe=recipe, metadata=kept
        )
        if layer is not self.layer:
            self._attach(layer, mask)
        self._known = held(layer).get("mask")

    def adopt(self, layer: Any, shape: tuple[int, int]) -> MaskRecipe | None:
        """Go on with a layer that another dock made by a recipe, if its mask has this shape (ny, nx); its recipe."""
        kept = held(layer)
        own = kept.get("name") == self._name
        if role_of(layer) != "mask" or "mask" not in kept or own or layer.data.shape != shape:
            return None
        recipe = mask_recipe_of(layer)
        self._attach(layer, mask_of(layer))
        self._name = str(kept["name"])
        return recipe

    def pick_up(self) -> MaskRecipe | None:
        """Go on with the layer that an earlier dock left, or that a recipe brought, if it can be used; its recipe."""
        layer = layers.find_layer(self._viewer, "mask", NAME)
        if layer is None:
            made = [x for x in self._viewer.layers if role_of(x) == "mask" and "mask" in held(x)]
            layer = made[-1] if made else None
        if layer is None:
            return None
        try:
            recipe = mask_recipe_of(layer)
        except InvalidInput:
            return None
        self._attach(layer, mask_of(layer))
        self._name = str(held(layer).get("name", NAME))
        return recipe

    def change(self, mask: np.ndarray) -> None:
        """Make these the points, bool (ny, nx), as if a person had drawn them: one step of napari's undo."""
        if self.layer is not None:
            self._set_points(self.layer, mask)
            self._before_stroke = mask.copy()
            self._look_soon()

    def release(self) -> None:
        """Leave the layer as it is; the next `write` adds another one."""
        if self.layer is not None:
            for event, listener in self._events(self.layer):
                self._panel.unlisten(event, listener)
        self.layer = self.mask = self._before_stroke = None

    def start_another(self) -> None:
        """Release the layer and choose a new name."""
        self.release()
        number = 2
        while layers.find_layer(self._viewer, "mask", f"{NAME} {number}") is not None:
            number += 1
        self._name = f"{NAME} {number}"

    def start_drawing(self) -> None:
        """Put napari's brush into the person's hand."""
        if self.layer is not None:
            self._viewer.layers.selection.active = self.layer
            self.layer.selected_label = 1
            self.layer.mode = "paint"

    def _attach(self, layer: Labels, mask: np.ndarray) -> None:
        self.release()
        self.layer = layer
        self.mask = self._before_stroke = mask.copy()
        self._known = held(layer).get("mask")
        for event, listener in self._events(layer):
            self._panel.listen(event, listener)

    def _events(self, layer: Labels) -> list[tuple[Any, Callable[..., None]]]:
        return [
            (layer.events.paint, self._stroke_soon),
            (layer.events.labels_update, self._look_soon),  # during a stroke
            (layer.events.set_data, self._data_set),  # undo, redo, a script
        ]

    def _stroke_soon(self, event: Any = None) -> None:
        self._stroke_timer.start()  # napari may announce a stroke before it has written it

    def _stroke_ended(self) -> None:
        layer, before = self.layer, self._before_stroke
        if layer is None or before is None:
            return
        after = np.asarray(layer.data) != 0
        if self.lines is not None and after.shape == before.shape:
            wanted = complete_lines(before, after, self.lines)
            self._set_points(layer, wanted)
            after = wanted
        self._before_stroke = after
        self._look()

    @staticmethod
    def _set_points(layer: Labels, wanted: np.ndarray) -> None:
        """Through the layer's own history, so that napari's undo knows it, as one step."""
        points = wanted != (np.asarray(layer.data) != 0)
        if points.any():
            layer.data_setitem(np.nonzero(points), wanted[points].astype(layer.data.dtype))

    def _data_set(self, event: Any = None) -> None:
        if self.layer is not None and not self._stroke_timer.isActive():
            self._before_stroke = np.asarray(self.layer.data) != 0
        self._look_soon()

    def _look_soon(self, event: Any = None) -> None:
        """Before the canvas is drawn; but later if the last look has only just ended, or a brush would stutter."""
        rest = self._looked + REST * self._took - time.perf_counter()
        if self._look_timer.isActive():
            return
        if rest > 0:
            self._look_timer.start(round(1000 * rest))
        else:
            self._soon.start()

    def _look_now(self) -> None:
        if not self._stroke_timer.isActive():  # the end of a stroke looks itself
            self._look()

    def _look(self) -> None:
        if self.layer is None or self.mask is None:
            return
        start = time.perf_counter()
        points = np.asarray(self.layer.data) != 0
        if not np.array_equal(points, self.mask):
            self.mask, before, self._known = points, self._known, held(self.layer).get("mask")
            if self._known is not None and self._known != before:
                self._brought(MaskRecipe(**self._known))  # a stroke leaves the recipe as it is, another dock does not
            else:
                layers.mark_drawn(self.layer)
                self._known = None
                self._drawn()
            self._looked = time.perf_counter()
            self._took = self._looked - start

    def _layer_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.release()
            self._removed()
