"""What a recipe says beside the method: the start, further losses, a region."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.methods import METHODS, Method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.forms import ParamsForm, form_layout
from napari_lossguide.widgets.losses import FurtherLosses
from napari_lossguide.widgets.panel import Panel
from napari_lossguide.widgets.region import RegionChoice

STARTS = {"noise": "Noise alone", **{m.name: m.title for m in METHODS.values() if not m.needs_prior}}
NO_LOSSES = "This sampler lets nothing but its own step correct the estimate."


class BesideMethod(QWidget):
    """Start, losses and region; only what the method and the losses can use is shown.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer.
    kdata : gives the chosen input, or None.
    region_needed : called when a region has become necessary and was not before.

    Attributes
    ----------
    changed : signal.
    """

    changed = Signal()

    def __init__(
        self, panel: Panel, viewer: Any, kdata: Callable[[], KData | None], region_needed: Callable[[], None]
    ) -> None:
        super().__init__()
        self.start = ParamsForm(Recipe, only=["start"], hints={"start": {"titles": STARTS}})
        self.losses = FurtherLosses()
        self.region = RegionChoice(panel, viewer, kdata)
        self._region_needed, self._method = region_needed, next(iter(METHODS.values()))
        self._row = QWidget()
        self._rows: QFormLayout = form_layout(self._row)
        self._rows.addRow("Region", self.region)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.start, self.losses, self._row):
            layout.addWidget(widget)
        self.losses.changed.connect(self._show_region)
        for signal in (self.start.changed, self.losses.changed, self.region.combo.layer_changed):
            signal.connect(lambda *_: self.changed.emit())
        self._row.hide()

    @property
    def needs_region(self) -> bool:
        """Whether the method or a loss needs a region."""
        return self._method.needs_region or (self._method.needs_prior and "region" in self.losses.kinds())

    def fit(self, method: Method) -> None:
        """Show what this method can use."""
        self._method = method
        self.start.setVisible(method.needs_prior)
        self.losses.setVisible(method.needs_prior)
        self.losses.allow("" if method.takes_losses else NO_LOSSES)
        self._show_region()

    def fields(self) -> dict[str, Any]:
        """Fields of the recipe; none for a classical method.

        Raises
        ------
        InvalidInput
            If a region is needed and there is none, or something does not fit.
        """
        if not self._method.needs_prior:
            return {}
        region = self.region.recipe() if self.needs_region else None
        if self.needs_region and region is None:
            raise InvalidInput("There is no region; choose or draw one under More settings.")
        return {**self.start.values(), "losses": self.losses.values(), "region": region}

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe's start and losses; its region has to be a layer."""
        self.start.set_values({"start": recipe.start})
        self.losses.set_values(recipe.losses)

    def _show_region(self) -> None:
        if self.needs_region and self._row.isHidden():
            self._region_needed()
        self._row.setVisible(self.needs_region)
