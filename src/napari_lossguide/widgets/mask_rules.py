"""Rules that change the mask that is there, as a part of the Mask dock."""

from collections.abc import Callable

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_lossguide.masks.rules import RULES, apply_rule
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.mask_layer import MaskLayer


class MaskRules(QWidget):
    """Choice of a rule, its parameters, and a button that applies it; napari's undo takes it back.

    Parameters
    ----------
    layer : the mask's layer.
    parameters_mask : gives the mask of the dock's parameters, bool (ny, nx), for union and intersection.

    Attributes
    ----------
    rule, form, button : the controls.
    pressed : signal; the dock answers with `apply`, within its `attempt`.
    """

    pressed = Signal()

    def __init__(self, layer: MaskLayer, parameters_mask: Callable[[], np.ndarray | None]) -> None:
        super().__init__()
        self._layer, self._parameters_mask = layer, parameters_mask
        self.rule, self.button = ComboBox(), QPushButton("Apply to the mask")
        for name, rule in RULES.items():
            self.rule.addItem(rule.title, name)
        self.rule.setAccessibleName("Rule")
        self.rule.setToolTip("How the mask that is there is changed, drawn by hand or not.")
        self.button.setToolTip("Change the mask by this rule. It then counts as drawn; undo is napari's, Ctrl+Z.")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.form = ParamsForm(RULES[self.rule.currentData()].params)
        for widget in (self.rule, self.form, self.button):
            self._layout.addWidget(widget)
        self.rule.currentIndexChanged.connect(self._show_form)
        self.button.clicked.connect(lambda _: self.pressed.emit())

    def apply(self) -> None:
        """Apply the rule.

        Raises
        ------
        InvalidInput
            If there is no mask, or as `apply_rule`.
        """
        mask = self._layer.mask
        if mask is None:
            raise InvalidInput("There is no mask to change; choose k-space first.")
        name = self.rule.currentData()
        other = self._parameters_mask() if RULES[name].combines else None
        self._layer.change(apply_rule(name, mask, RULES[name].params(**self.form.values()), other))

    def _show_form(self, *_: object) -> None:
        old = self.form
        self.form = ParamsForm(RULES[self.rule.currentData()].params)
        self._layout.replaceWidget(old, self.form)
        old.hide()
        old.deleteLater()
