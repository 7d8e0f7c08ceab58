"""The recipe that all cells of a sweep begin with, and the scan that they reconstruct."""

from pathlib import Path
from typing import Any

from napari.layers import Labels, Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.kdata import KData
from napari_lossguide.masks.recipe import DRAWN
from napari_lossguide.recon.methods import METHODS, method
from napari_lossguide.recon.recipe import Recipe, steps_setting
from napari_lossguide.recon.recipe_file import read_recipe
from napari_lossguide.recon.variation import varied
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.boxes import IntBox
from napari_lossguide.widgets.combine import COMBINE, MethodCombo, about
from napari_lossguide.widgets.forms import form_layout
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import LayerCombo, Panel, Sentence
from napari_lossguide.widgets.prior_choice import PriorChoice
from napari_lossguide.widgets.recipe_row import LOADED
from napari_lossguide.widgets.recipe_source import offered_recipe, recipe_source
from napari_lossguide.widgets.views import kdata_of, mask_recipe_of, role_of


class SweepBase(QWidget):
    """Scan, mask, method, prior, steps; whatever else a recipe says comes from a file or from the Reconstruct dock.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer.

    Attributes
    ----------
    changed : signal.
    """

    changed = Signal()

    def __init__(self, panel: Panel, viewer: Any) -> None:
        super().__init__()
        self._panel, self._viewer, self._base = panel, viewer, Recipe()
        self.input = LayerCombo(panel, viewer, self._is_input, "no k-space yet")
        self.mask = OptionalLayerCombo(panel, viewer, _is_mask, "as the recipe says")
        self.method, self.prior, self.steps = MethodCombo(), PriorChoice(), IntBox()
        self.take, self.load = QPushButton("From Reconstruct"), QPushButton("From file…")
        self.facts = Sentence("Recipe of all cells")
        self._build()
        for box in (self.input, self.mask):
            box.layer_changed.connect(self.changed)
        panel.listen(viewer.layers.events.inserted, self._take_fitting_mask)
        panel.listen(viewer.layers.events.renamed, self._renamed)
        self.method.currentIndexChanged.connect(self._choose_method)
        self.prior.changed.connect(self.changed)
        self.steps.valueChanged.connect(self.changed)
        self.take.clicked.connect(self.take_from_reconstruct)
        self.load.clicked.connect(self.ask_and_load)
        self._show()
        self._take_newest_mask()

    def kdata(self) -> KData:
        """The chosen scan.

        Raises
        ------
        InvalidInput
            If there is none.
        """
        found = self._kdata()
        if found is None:
            raise InvalidInput(
                "There is no k-space to sweep; open a k-space file or sample data, or make it from an image in the "
                "K-space dock."
            )
        return found

    def n_coils(self) -> int | None:
        """Of the chosen scan; None if there is none."""
        kdata = self._kdata()
        return None if kdata is None else kdata.n_coils

    def recipe(self) -> Recipe:
        """What all cells begin with.

        Raises
        ------
        InvalidInput
            If something is missing or does not fit.
        """
        base = self._base
        settings: dict[str, Any] = {}
        if method(base.method).needs_prior and self.prior.value() != base.prior:
            settings["prior"] = self.prior.value()
        if self.mask.layer is not None:
            kdata = self._kdata()
            if kdata is not None and self.mask.layer.data.shape[-2:] != kdata.image_shape:
                raise InvalidInput(
                    f"The mask '{self.mask.layer.name}' has shape {self.mask.layer.data.shape}, but the k-space of "
                    f"{kdata.name} has {kdata.image_shape}; they must be the same."
                )
            base = base.model_copy(update={"mask": mask_recipe_of(self.mask.layer)})
        return varied(base, settings, steps=self.steps.value() if self.steps.isVisibleTo(self) else None)

    def set_recipe(self, recipe: Recipe) -> None:
        """Begin with another recipe; its mask is used unless a layer is chosen later.

        Raises
        ------
        InvalidInput
            If it is not one of a reconstruction, or its prior or its program is not here.
        """
        chosen = method(recipe.method).ready()
        if not chosen.needs_data:
            raise InvalidInput(
                f"The recipe's method '{recipe.method}' ignores the data; a sweep needs a reconstruction."
            )
        if chosen.needs_prior:
            self.prior.select(recipe.prior)
        self._base = recipe
        self.mask.layer = None
        self._show()
        self.changed.emit()

    def take_from_reconstruct(self) -> None:
        """Begin with what the Reconstruct dock of this window says."""
        with self._panel.attempt():
            source = recipe_source(self)
            if source is None:
                raise InvalidInput("The Reconstruct dock is not open; open it, or load a recipe from a file.")
            self.set_recipe(offered_recipe(source))
            self._panel.status.show_text("Taken from the Reconstruct dock.")

    def ask_and_load(self) -> None:
        """Ask for a file and begin with its recipe."""
        with self._panel.attempt():
            path, _ = QFileDialog.getOpenFileName(self, "Load recipe", "", LOADED)
            if path:
                self.set_recipe(read_recipe(Path(path)))
                self._panel.status.show_text(f"Loaded {path}.")

    def show_facts(self) -> None:
        """Say what the boxes above do not show of the recipe."""
        try:
            kdata = self._kdata()
            simulated = " SIMULATION: this k-space was never measured." if kdata is not None and kdata.simulated else ""
            self.facts.show_text(describe(self.recipe()) + simulated)
        except InvalidInput as error:
            self.facts.show_text(str(error), colour="error")

    def _kdata(self) -> KData | None:
        return None if self.input.layer is None else kdata_of(self.input.layer)

    def _is_input(self, layer: Layer) -> bool:
        """K-space is offered once, however many layers show it."""
        kdata = kdata_of(layer)
        return kdata is not None and next(x for x in self._viewer.layers if kdata_of(x) is kdata) is layer

    def _take_fitting_mask(self, event: Any) -> None:
        """A mask just made for fully sampled data is meant to be used."""
        self._take_mask(event.value)

    def _take_newest_mask(self) -> None:
        for layer in reversed(self._viewer.layers):
            self._take_mask(layer)

    def _take_mask(self, layer: Layer) -> None:
        kdata = self._kdata()
        fits = isinstance(layer, Labels) and role_of(layer) == "mask"
        if kdata is None or not fits or layer.data.shape[-2:] != kdata.image_shape or self._base.mask is not None:
            return
        if kdata.fully_sampled and self.mask.layer is None:
            self.mask.refresh()
            self.mask.layer = layer

    def _renamed(self, event: Any = None) -> None:
        self.changed.emit()

    def _choose_method(self) -> None:
        """Another method, with its own defaults; prior, seed, mask and the like stay."""
        name = self.method.currentData()
        if name is not None and name != self._base.method:
            with self._panel.attempt():
                self._base = varied(self._base, {}, method=name)
            self._show()
            self.changed.emit()

    def _show(self) -> None:
        """Show the recipe in the boxes."""
        chosen, base = method(self._base.method), self._base
        steps = [name for name in steps_setting(chosen, 1) if name in chosen.params()]
        for box in (self.method, self.steps):
            box.blockSignals(True)
        if self.method.findData(base.method) < 0:
            self.method.addItem(chosen.title, base.method)  # a combination of one's own
        self.method.setCurrentIndex(self.method.findData(base.method))
        if steps:
            part, _, own = steps[0].partition(".")
            limits = chosen.models[part].model_json_schema()["properties"][own]
            self.steps.setRange(limits.get("minimum", 1), limits.get("maximum", 10_000))
            self.steps.setValue(getattr(base, part)[own])
        for box in (self.method, self.steps):
            box.blockSignals(False)
        self.method.setToolTip(about(chosen))
        self._rows.setRowVisible(self.prior, chosen.needs_prior)
        self._rows.setRowVisible(self.steps, bool(steps))

    def _build(self) -> None:
        self.method.removeItem(self.method.findData(COMBINE))  # a combination comes as a recipe
        for name in [m.name for m in METHODS.values() if not m.needs_data]:
            self.method.removeItem(self.method.findData(name))
        self._rows: QFormLayout = form_layout()
        names: dict[str, QWidget] = {
            "Scan": self.input,
            "Mask": self.mask,
            "Method": self.method,
            "Prior": self.prior,
            "Steps": self.steps,
        }
        for name, widget in names.items():
            widget.setAccessibleName(name)
            self._rows.addRow(name, widget)
        self.input.setToolTip("The k-space that every cell reconstructs.")
        self.mask.setToolTip(
            "Use only these points of k-space, in every cell; else those of the recipe's mask, if any."
        )
        self.steps.setToolTip(
            "Noise levels of each cell (most methods evaluate the network once at each), or iterations of a classical "
            "method: time and quality of every cell grow with it."
        )
        self.take.setToolTip("Begin with all settings of the Reconstruct dock, its mask and seed among them.")
        self.load.setToolTip("Begin with a recipe from a file, as Reconstruct and `lossguide recon` save it.")
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.take, 3)
        row.addWidget(self.load, 2)
        label = QLabel("Recipe")
        label.setBuddy(self.take)
        self._rows.addRow(label, row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._rows)
        layout.addWidget(self.facts)


def _is_mask(layer: Layer) -> bool:
    return isinstance(layer, Labels) and role_of(layer) != "region"


def describe(recipe: Recipe) -> str:
    """What a recipe says beside method, prior and steps, in a line: seed, samples, mask, what was changed."""
    said = []
    if method(recipe.method).needs_prior:
        said.append(f"seed {recipe.seed}")
        said += [f"{recipe.samples} samples"] * (recipe.samples > 1) + [f"start {recipe.start}"] * (
            recipe.start != "noise"
        )
    said += [f"coil maps {recipe.coil_maps}"] * (recipe.coil_maps != "espirit")
    if recipe.mask is None:
        said.append("all acquired points")
    elif recipe.mask.kind == DRAWN:
        said.append("mask drawn by hand")
    else:
        rate = recipe.mask.params.get("acceleration")
        said.append(f"mask {recipe.mask.kind}" + (f" {rate:g}×" if rate is not None else ""))
    defaults = method(recipe.method).settings()
    changed = [
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
        for part, values in defaults.items()
        for name, value in getattr(recipe, part).items()
        if value != values[name] and name not in ("steps", "iterations")
    ]
    return f"All cells: {', '.join([*said, *changed])}."
