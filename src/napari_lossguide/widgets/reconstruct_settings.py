"""What to reconstruct and how: the upper part of the Reconstruct dock, which reads as a recipe."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.catalogue import part_names
from napari_lossguide.recon.knobs import LOSSES, same_but_weights
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.methods import METHODS, PARTS, Method, method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.variables import OF_COILS
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.beside_method import BesideMethod
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.combine import COMBINE, Combine, MethodCombo, about
from napari_lossguide.widgets.fold import Fold
from napari_lossguide.widgets.forms import ParamsForm, form_layout
from napari_lossguide.widgets.method_form import MethodForm
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import LayerCombo, Panel
from napari_lossguide.widgets.placement import finest
from napari_lossguide.widgets.prior_choice import PriorChoice
from napari_lossguide.widgets.run_on import RunOn
from napari_lossguide.widgets.settings import read_settings
from napari_lossguide.widgets.values_row import ValuesRow
from napari_lossguide.widgets.views import kdata_of, mask_of, mask_recipe_of, role_of

DEVICES = {"auto": "auto (GPU if there is one)", "cpu": "CPU", "cuda": "NVIDIA GPU (cuda)", "mps": "Apple GPU (mps)"}
SIMULATION = '<b style="color:#d98a1f">SIMULATION</b>'


class ReconstructSettings(QWidget):
    """Input, mask, method, prior and parameters.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer.

    Attributes
    ----------
    live_changed : signal ``(full name, value)`` of a live knob.
    fixed_changed : signal, when something has changed that a run cannot follow.
    """

    live_changed = Signal(str, float)
    fixed_changed = Signal()

    def __init__(self, panel: Panel, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.input = LayerCombo(panel, viewer, self._is_input, "no k-space yet")
        self.mask = OptionalLayerCombo(panel, viewer, _is_mask, "as acquired")
        self.method, self.combine = MethodCombo(), Combine()
        self.beside = BesideMethod(panel, viewer, self._kdata, lambda: self._more.button.setChecked(True))
        self.device, self.run_on = _combo(DEVICES), RunOn()
        self.prior, self.values = PriorChoice(), ValuesRow(panel.attempt)
        self.sampling = ParamsForm(Recipe, only=["samples", "seed"])
        self.advanced = ParamsForm(Recipe, only=["image", "noise_std", *OF_COILS, "batch", "slices"])
        self.phase, self.replay = QCheckBox("Phase as a layer too"), QCheckBox()
        self.parts = QCheckBox("What the data say, what was filled in")
        self._facts = QLabel()
        self._changes: tuple[Change, ...] = ()
        self._build()
        self.input.layer_changed.connect(self.show_facts)
        self.input.layer_changed.connect(self.beside.region.combo.refresh)
        self.mask.layer_changed.connect(self.show_facts)
        panel.listen(viewer.layers.events.inserted, self._layer_added)
        self.method.currentIndexChanged.connect(lambda _: self._method_chosen())
        self.combine.changed.connect(self._part_chosen)
        self._tell_of_changes()
        self._show_method()
        for layer in reversed(viewer.layers):  # the uppermost first
            self._take_if_meant(layer)
        self.show_facts()

    def kdata(self) -> KData:
        """The chosen input.

        Raises
        ------
        InvalidInput
            If there is none.
        """
        kdata = self._kdata()
        if kdata is None:
            raise InvalidInput(
                "There is no k-space to reconstruct; open a k-space file or sample data, or make it from an image in "
                "the K-space dock."
            )
        return kdata

    def points(self) -> np.ndarray:
        """Return the chosen mask, bool (ny, nx), all True when there is none; raises what `recipe` raises."""
        if self.mask.layer is None:
            return np.ones(self.kdata().image_shape, bool)
        _check_shape(self.mask.layer, self.kdata())
        return mask_of(self.mask.layer)

    def recipe(self) -> Recipe:
        """Everything as a recipe.

        Raises
        ------
        InvalidInput
            If something is missing or does not fit.
        """
        chosen = self.chosen()
        fields: dict[str, Any] = {**self.advanced.values(), **self.beside.fields()}
        if chosen.needs_prior:
            fields |= {"prior": self.prior.value(), **self.sampling.values()}
        if self.mask.layer is not None:
            _check_shape(self.mask.layer, self.kdata())
            fields["mask"] = mask_recipe_of(self.mask.layer)
        if self.replay.isChecked():
            fields["changes"] = self._changes
        return Recipe.for_method(chosen.name, settings=self.form.values(), **fields)

    def chosen(self) -> Method:
        """The method that is chosen, a preset or a combination."""
        name = self.method.currentData()
        return method(self.combine.name() if name == COMBINE else name)

    def turns(self, name: str, recipe: Recipe) -> bool:
        """Whether a live knob of this form is one of a run of a recipe: of the same method, and of the same losses.

        Raises
        ------
        InvalidInput
            If it is a loss's, and the losses do not fit.
        """
        if name.startswith(LOSSES) and not same_but_weights(self.beside.losses.values(), recipe.losses):
            return False
        return self.chosen().name == recipe.method

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe, all but its mask and its region, which have to be layers.

        Raises
        ------
        InvalidInput
            If it is one of samples, or its prior or its program is not here.
        """
        chosen = method(recipe.method).ready()
        if not chosen.needs_data:
            raise InvalidInput(
                f"The recipe's method is '{recipe.method}', which draws samples; load it in “Sample the prior”."
            )
        if chosen.needs_prior:
            self.prior.select(recipe.prior)
        for box in (self.method, self.combine):
            box.blockSignals(True)
        self.method.choose(recipe.method)
        if recipe.method not in METHODS:
            self.combine.choose(*recipe.method.split("+"))
        for box in (self.method, self.combine):
            box.blockSignals(False)
        self._show_method({part: getattr(recipe, part) for part in chosen.models})
        self.beside.set_recipe(recipe)
        for form in (self.sampling, self.advanced):
            form.set_values({name: getattr(recipe, name) for name in form.values()})
        count = len(recipe.changes)
        self._changes = recipe.changes
        self.replay.setText(f"Replay {count} knob change{'s' * (count != 1)} of the recipe")
        self.replay.setVisible(bool(count))
        self.replay.setChecked(bool(count))

    def show_facts(self) -> None:
        """Say what the input and the mask amount to."""
        kdata = self._kdata()
        for name in OF_COILS:
            self.advanced.show_row(name, kdata is not None and kdata.n_coils > 1)
        self._facts.setText(
            "Open a file or sample data; Plugins > napari-lossguide > Getting started shows the way."
            if kdata is None
            else facts(kdata, self.mask.layer)
        )

    def _kdata(self) -> KData | None:
        return None if self.input.layer is None else kdata_of(self.input.layer)

    def _is_input(self, layer: Layer) -> bool:
        """K-space is offered once, however many layers show it."""
        kdata = kdata_of(layer)
        return kdata is not None and next(x for x in self._viewer.layers if kdata_of(x) is kdata) is layer

    def _layer_added(self, event: Any) -> None:
        self._take_if_meant(event.value)

    def _take_if_meant(self, layer: Layer) -> None:
        """A mask made for fully sampled data is meant to be used; so is a region where one is due."""
        kdata = self._kdata()
        if kdata is None or not isinstance(layer, Labels) or layer.data.shape[-2:] != kdata.image_shape:
            return
        region = self.beside.region.combo
        if self.beside.needs_region and role_of(layer) != "mask":
            if region.layer is None:
                region.refresh()  # it may not have heard of the layer yet
                region.layer = layer
        elif kdata.fully_sampled and self.mask.layer is None and _is_mask(layer):
            self.mask.refresh()
            self.mask.layer = layer

    def _tell_of_changes(self) -> None:
        signals = (
            self.input.layer_changed,
            self.mask.layer_changed,
            self.method.currentIndexChanged,
            self.combine.changed,
            self.prior.changed,
            self.sampling.changed,
            self.advanced.changed,
            self.beside.changed,
            self.device.currentIndexChanged,
            self.replay.toggled,
        )
        for signal in signals:
            signal.connect(lambda *_: self.fixed_changed.emit())
        self.beside.losses.live_changed.connect(self.live_changed)

    def _build(self) -> None:
        rows = form_layout()
        names: dict[str, QWidget] = {"Input": self.input, "Mask": self.mask, "Method": self.method, "Prior": self.prior}
        for name, widget in {**names, "Values": self.values}.items():
            widget.setAccessibleName(name)
            rows.addRow(name, widget)
        rows.insertRow(3, self.combine)  # below the method
        rows.insertRow(1, self._facts)
        self._facts.setWordWrap(True)
        self._facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._rows = rows
        self.input.setToolTip("The k-space that is reconstructed.")
        self.mask.setToolTip("Use only these points of k-space; 'as acquired' uses all that were measured.")
        self.phase.setToolTip("Adds the phase of the image as a second layer, hidden at first.")
        self.parts.setToolTip(
            "Splits the image into what its measured k-space decides and what the prior filled in: two more layers, "
            "hidden at first, that add up to the image."
        )
        self.replay.hide()
        self._slot, self._folded = QVBoxLayout(), QVBoxLayout()
        parts = (
            _holder(self._folded),
            self.beside,
            self.advanced,
            self._device_row(),
            self.run_on,
            self.phase,
            self.parts,
        )
        self._more = Fold("More settings", *parts)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(rows)
        layout.addLayout(self._slot)
        for widget in (self.sampling, self.replay, self._more):
            layout.addWidget(widget)

    def _device_row(self) -> QWidget:
        row = QWidget()
        self.device.setCurrentIndex(self.device.findData(read_settings().device))
        self.device.setAccessibleName("Device")
        self.device.setToolTip("Where the network runs; checked when the run starts.")
        form_layout(row).addRow("Device", self.device)
        return row

    def _method_chosen(self) -> None:
        """Show another method; "Combine…" begins with the parts and the values of the method before."""
        values = None
        if self.method.currentData() is None:
            return  # a heading, which no person can choose
        if self.method.currentData() == COMBINE:
            parts = part_names(self.form.method)
            values = self.form.nested() if len(parts) == len(PARTS) else None
            self.combine.blockSignals(True)
            if values is not None:
                self.combine.choose(**parts)
            self.combine.blockSignals(False)
        self._show_method(values)

    def _part_chosen(self) -> None:
        """Show another combination; the parts that stay keep their values."""
        if self.method.currentData() == COMBINE:
            before, after = self.form.method.models, self.chosen().models
            kept = {part: own for part, own in self.form.nested().items() if before[part] is after.get(part)}
            self._show_method(kept)

    def _show_method(self, values: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        chosen = self.chosen()
        for layout in (self._slot, self._folded):
            _clear(layout)
        self.form = MethodForm(chosen, values)
        self.form.live_changed.connect(self.live_changed)
        self.form.fixed_changed.connect(self.fixed_changed)
        self.values.show_form(self.form)
        self._slot.addWidget(self.form)
        if self.form.folded is not None:
            self._folded.addWidget(self.form.folded)
        self.method.setToolTip(about(chosen))
        self._rows.setRowVisible(self.combine, self.method.currentData() == COMBINE)
        self._rows.setRowVisible(self.prior, chosen.needs_prior)
        self.sampling.setVisible(chosen.needs_prior)
        self.beside.fit(chosen)


def _is_mask(layer: Layer) -> bool:
    return isinstance(layer, Labels) and role_of(layer) != "region"


def facts(kdata: KData, mask: Layer | None) -> str:
    """What the input and the mask amount to, as rich text."""
    ny, nx = kdata.image_shape
    acquired = kdata.acquired
    if mask is not None and mask.data.shape == acquired.shape:
        acquired = acquired & (np.asarray(finest(mask)) != 0)
    share = acquired.mean()
    parts = [f"{kdata.n_coils} coil{'s' * (kdata.n_coils != 1)}", f"{ny} × {nx}"]
    if kdata.n_slices > 1:
        parts.append(f"{kdata.n_slices} slices")
    parts.append("fully sampled" if share == 1 else f"{share:.1%} acquired" + (f" ({1 / share:.1f}×)" if share else ""))
    if kdata.calibration is not None:
        cy, cx = kdata.calibration.shape[2:]
        parts.append(f"coil maps from {cy} × {cx} calibration points")
    text = " · ".join(parts)
    return f"{text}<br>{SIMULATION}" if kdata.simulated else text


def _check_shape(mask: Layer, kdata: KData) -> None:
    if mask.data.shape[-2:] != kdata.image_shape:
        raise InvalidInput(
            f"The mask '{mask.name}' has shape {mask.data.shape}, but the k-space of {kdata.name} has "
            f"{kdata.image_shape}; they must be the same."
        )


def _combo(titles: dict[str, str]) -> ComboBox:
    box = ComboBox()
    for key, title in titles.items():
        box.addItem(title, key)
    return box


def _holder(layout: QVBoxLayout) -> QWidget:
    layout.setContentsMargins(0, 0, 0, 0)
    widget = QWidget()
    widget.setLayout(layout)
    return widget


def _clear(layout: QVBoxLayout) -> None:
    while (item := layout.takeAt(0)) is not None:
        if item.widget() is not None:
            item.widget().hide()
            item.widget().deleteLater()
