"""The Mask dock: an undersampling mask from parameters or by hand, and what it does to the image."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.file_names import with_ending
from napari_lossguide.data.image_readers import read_mask
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.writers import write_npy
from napari_lossguide.masks import MASKS, MaskRecipe
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.fold import Fold
from napari_lossguide.widgets.forms import ParamsForm, form_layout
from napari_lossguide.widgets.keys import MAIN, give_key
from napari_lossguide.widgets.mask_layer import MaskLayer
from napari_lossguide.widgets.mask_previews import MaskPreviews, shown_slice
from napari_lossguide.widgets.mask_rules import MaskRules
from napari_lossguide.widgets.mask_sweep import MaskSweep
from napari_lossguide.widgets.panel import LayerCombo, Panel, Sentence, heading
from napari_lossguide.widgets.sampling import describe_sampling
from napari_lossguide.widgets.views import kdata_of, mask_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

UPDATE_MS, SLOWEST_MS = 30, 250
FILES = "mask (*.npy);;all files (*)"
SLIDERS = {
    "acceleration": {"live": True, "slider": (1, 32), "scale": "log"},
    "center_fraction": {"live": True, "slider": (0, 0.5)},
    "width": {"live": True, "slider": (0.02, 1), "scale": "log"},
    "falloff": {"live": True, "slider": (0, 5)},
}
BUTTONS = {
    "seed": ("Next seed", "Another mask with the same parameters."),
    "reset": ("Reset to parameters", "Give up what was drawn or loaded."),
    "draw": ("Draw by hand", "Take napari's brush: label 1 acquires, the eraser skips."),
    "another": ("New mask layer", "Leave this mask as it is and go on with another layer."),
    "load": ("Load…", "A mask of the k-space's size: .npy, or `mask` of an .npz or .h5 file."),
    "save": ("Save…", "Write the mask as it is to an .npy file."),
}


class MaskDock(Panel):
    """Dock that makes a mask for the chosen k-space and keeps its previews up to date.

    Parameters
    ----------
    napari_viewer : napari's viewer, or a viewer model.

    Attributes
    ----------
    data, kind, form : which k-space, which pattern, and its parameters.
    layer : the mask's layer; ``layer.mask`` is the mask.
    hand_made : where a mask that did not come from the parameters came from, else empty.
    """

    def __init__(self, napari_viewer: "ViewerModel") -> None:
        super().__init__(napari_viewer)
        self.viewer = napari_viewer
        self.hand_made = ""
        self._kdata: KData | None = None
        self._watched: Layer | None = None
        self.data = LayerCombo(self, napari_viewer, self._is_first_of_its_data, "no k-space yet")
        self.kind = ComboBox()
        for mask_kind in MASKS.values():
            self.kind.addItem(mask_kind.title, mask_kind.name)
        self.facts, self.badge = Sentence("Achieved acceleration"), Sentence("Origin of the mask")
        self.lines = QCheckBox("A stroke fills its whole line")
        self.lines.setChecked(True)
        self.buttons = {name: QPushButton(title) for name, (title, _) in BUTTONS.items()}
        self.previews = MaskPreviews(self, napari_viewer)
        self.layer = MaskLayer(self, napari_viewer, self._drawn_on, self._layer_removed, self._show_recipe)
        self.rules = MaskRules(self.layer, self._parameters_mask)
        self.sweep = MaskSweep(self, self._sweep_choice)
        self._update_timer = self.after(UPDATE_MS, self._update)
        self._clear_timer = self.after(0, self.previews.clear)
        self._build()
        self._show_form()
        self._connect()
        self._set_hand_made("")
        self._pick_up()
        self._data_chosen(self.data.layer)

    def recipe(self) -> MaskRecipe:
        """The recipe of the parameters."""
        return MaskRecipe.of(self.kind.currentData(), **self.form.values())

    def _parameters_mask(self) -> np.ndarray | None:
        return None if self._kdata is None else self.recipe().make(self._kdata.image_shape)

    def _sweep_choice(self) -> tuple[str, dict[str, Any], KData | None, int]:
        index = shown_slice(self.viewer, self._kdata) if self._kdata is not None else 0
        return self.kind.currentData(), self.form.values(), self._kdata, index

    def _apply_rule(self) -> None:
        with self.attempt():
            self.rules.apply()

    def reset(self) -> None:
        """Back to the mask of the parameters."""
        self._set_hand_made("")
        self._update()

    def next_seed(self) -> None:
        """Another mask with the same parameters."""
        self.form.set_values({"seed": self.form.values()["seed"] + 1})

    def start_another(self) -> None:
        """Leave this mask as it is and go on with a new layer."""
        self.layer.start_another()
        self.reset()

    def save(self) -> None:
        """Ask for a file and write the mask."""
        path, _ = QFileDialog.getSaveFileName(self, "Save the mask", "mask.npy", FILES)
        if path:
            with self.attempt():
                if self.layer.layer is None:
                    raise InvalidInput("There is no mask to save; choose k-space first.")
                target = with_ending(path, ".npy")
                write_npy(target, mask_of(self.layer.layer))
                self.status.show_text(f"Saved {target.name}.")

    def load(self) -> None:
        """Ask for a file and show its mask."""
        path, _ = QFileDialog.getOpenFileName(self, "Open a mask", "", "mask (*.npy *.npz *.h5);;all files (*)")
        if path:
            with self.attempt():
                if self._kdata is None:
                    raise InvalidInput("There is no k-space yet; a mask is loaded for the k-space it belongs to.")
                mask = read_mask(path, self._kdata.image_shape)
                self.layer.write(mask, self._kdata, None)
                self._set_hand_made(f"from the file {Path(path).name}")
                self._show_effects()

    def _pick_up(self) -> None:
        recipe = self.layer.pick_up()
        if recipe is not None:
            self._show_recipe(recipe)

    def _update(self) -> None:
        """Make the mask of the parameters, unless a person's own is shown."""
        kdata, start = self._kdata, time.perf_counter()
        if kdata is not None:
            with self.attempt():
                if not self.hand_made:
                    recipe = self.recipe()
                    self.layer.write(recipe.make(kdata.image_shape), kdata, recipe)
                self._show_effects()
            # A slow pattern must not keep the window busy all the time while a slider moves.
            milliseconds = round(1000 * (time.perf_counter() - start))
            self._update_timer.setInterval(min(max(milliseconds, UPDATE_MS), SLOWEST_MS))

    def _show_effects(self) -> None:
        mask, kdata, layer = self.layer.mask, self._kdata, self.layer.layer
        if mask is not None and kdata is not None and layer is not None:
            mask_of(layer)  # says so if nothing is left
            self.facts.show_text(describe_sampling(mask, kdata))
            self.previews.show_mask(kdata, mask)

    def _update_soon(self, *_: object) -> None:
        if not self._update_timer.isActive():
            self._update_timer.start()

    def _drawn_on(self) -> None:
        with self.attempt():
            self._set_hand_made("drawn by hand")
            self._show_effects()

    def _layer_removed(self) -> None:
        self._set_hand_made("")
        self.buttons["reset"].setEnabled(True)
        self.facts.show_text("The mask layer was removed; change a parameter, or reset, to make it again.")
        self._clear_timer.start()  # later: the viewer may be in the middle of removing several layers

    def _set_hand_made(self, origin: str) -> None:
        """Keep a mask of one's own safe from the parameters until it is given up."""
        self.hand_made = origin
        for widget in (self.kind, self.form, self.buttons["seed"]):
            widget.setEnabled(not origin)
        self.buttons["reset"].setEnabled(bool(origin))
        self.badge.show_text(
            f"This mask is {origin}: reset it to use the parameters." if origin else "", colour="warning"
        )
        self._set_lines()

    def _data_chosen(self, layer: Layer | None) -> None:
        if self._watched is not None:
            self.unlisten(self._watched.events.data, self._data_changed)
        self._watched = layer
        if layer is not None:
            self.listen(layer.events.data, self._data_changed)
        self._data_changed()

    def _data_changed(self, event: Any = None) -> None:
        """Other k-space is chosen, or the chosen one was simulated again."""
        kdata = kdata_of(self._watched) if self._watched is not None else None
        if kdata is self._kdata:
            return
        if kdata is not None and self.layer.mask is not None and self.layer.mask.shape != kdata.image_shape:
            self._set_hand_made("")
        self._kdata = kdata
        if kdata is None:
            self.facts.show_text("Open k-space, or make it from an image in the K-space dock, to sample it.")
        self._update_soon()

    def _is_first_of_its_data(self, layer: Layer) -> bool:
        """One entry for k-space that several layers show."""
        kdata = kdata_of(layer) if isinstance(layer, Image) else None
        return kdata is not None and next(x for x in self.viewer.layers if kdata_of(x) is kdata) is layer

    def _show_form(self, *_: object) -> None:
        """The parameters of the kind; what was changed by hand is kept where the new kind has it too."""
        old = getattr(self, "form", None)
        self.kind.setToolTip(self.kind.currentText())
        model, kept = MASKS[self.kind.currentData()].params, {}
        if old is not None:
            kept = {
                name: value
                for name, value in old.values().items()
                if _changed(old, name) and name in model.model_fields
            }
            self._form_place.removeWidget(old)
            old.hide()  # it is deleted only when Qt comes to it
            old.deleteLater()
        self.form = ParamsForm(model, kept, hints=SLIDERS)
        self.form.changed.connect(self._update_soon)
        self.form.changed.connect(self._set_lines)
        self._form_place.addWidget(self.form)
        self.buttons["seed"].setEnabled("seed" in model.model_fields)
        self._set_lines()
        self._update_soon()

    def _set_lines(self, *_: object) -> None:
        axis = self.form.values().get("axis")
        self.lines.setEnabled(axis is not None)
        self.layer.lines = axis if self.lines.isChecked() else None

    def _connect(self) -> None:
        self.data.layer_changed.connect(self._data_chosen)
        self.listen(self.viewer.layers.events.inserted, self._adopt)
        self.kind.currentIndexChanged.connect(self._show_form)
        self.lines.toggled.connect(self._set_lines)
        self.rules.pressed.connect(self._apply_rule)
        actions = {
            "seed": self.next_seed,
            "reset": self.reset,
            "draw": self.layer.start_drawing,
            "another": self.start_another,
            "load": self.load,
            "save": self.save,
        }
        for name, action in actions.items():
            self.buttons[name].clicked.connect(action)

    def _build(self) -> None:
        top = form_layout()
        top.addRow("k-space", self.data)
        top.addRow("Kind", self.kind)
        self.data.setAccessibleName("k-space to sample")
        self.data.setToolTip("The k-space that the mask is made for, and that its previews show.")
        self.kind.setAccessibleName("Kind of mask")
        place, grid = QWidget(), QGridLayout()
        self._form_place = QVBoxLayout(place)
        self._form_place.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for index, (name, (_, tip)) in enumerate(BUTTONS.items()):
            self.buttons[name].setToolTip(tip)
            grid.addWidget(self.buttons[name], index // 2, index % 2)
        give_key(self, self.buttons["seed"], MAIN)
        self.lines.setToolTip("Drawing on the mask acquires or skips whole lines along the readout, as a scanner does.")
        self.body.addWidget(heading("Mask"))
        self.body.addLayout(top)
        for widget in (place, self.facts, self.badge):
            self.body.addWidget(widget)
        self.body.addLayout(grid)
        self.body.addWidget(self.lines)
        self.body.addWidget(Fold("Change by a rule", self.rules, tip="Change the mask as it is now by one rule."))
        self.body.addWidget(self.previews)
        self.body.addWidget(Fold("Sweep over acceleration", self.sweep, tip="What this kind of mask costs at 2 to 12."))
        self.body.addStretch(1)

    def _adopt(self, event: Any) -> None:
        """Go on with a mask that another dock has made by a recipe, as loading a recipe does."""
        recipe = None if self._kdata is None else self.layer.adopt(event.value, self._kdata.image_shape)
        if recipe is not None:
            self._show_recipe(recipe)
            if not self.hand_made:
                self.badge.show_text(f"From “{event.value.name}”; the mask before it stays a layer of its own.")

    def _show_recipe(self, recipe: MaskRecipe) -> None:
        """Show the kind and the parameters of the mask that is in the layer now."""
        if recipe.kind in MASKS:
            self._set_hand_made("")
            self.kind.setCurrentIndex(self.kind.findData(recipe.kind))
            self.form.set_values(recipe.params)
        else:
            self._set_hand_made("drawn by hand")
        self._show_effects()


def _changed(form: ParamsForm, name: str) -> bool:
    return form.values()[name] != form.model.model_fields[name].default
