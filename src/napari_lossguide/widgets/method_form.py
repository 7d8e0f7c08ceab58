"""The parameters of one method: live knobs in front, what everybody sets next, the rest folded away."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QGroupBox, QVBoxLayout, QWidget

from napari_lossguide.recon.methods import Method
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.editors import extra
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.panel import Sentence

LIVE_TITLE = "Live: takes effect at the next step"
NOT_LIVE = "Not live: changed during a run, it takes effect when the run is started again."


class MethodForm(QWidget):
    """Form of a method's schedule, sampler and guidance.

    Parameters
    ----------
    method : of the registry.
    values : starting values, part -> name -> value; the method's defaults where absent.

    Attributes
    ----------
    method : as given.
    live_changed : signal ``(full name, value)`` of a live knob.
    fixed_changed : signal, when another parameter has changed.
    changed : signal, when any has.
    evaluations : how often the network is evaluated with these values, or why they do not fit together.
    live : the part that stays usable during a run; None when the method has no live knob.
    """

    live_changed = Signal(str, float)
    fixed_changed = Signal()
    changed = Signal()

    def __init__(self, method: Method, values: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__()
        self.method = method
        self._values = {**method.settings(), **{k: v for k, v in (values or {}).items() if v}}
        self._forms: list[tuple[str, ParamsForm]] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.live = self._live_group()
        self.front = self._section(self._names(front=True))
        self.folded = self._section(self._names(front=False))
        self.evaluations = Sentence("Network evaluations")
        self.evaluations.setToolTip("What a sample costs: the time of a run is that of the network, times this.")
        for widget in (self.live, self.front, self.evaluations):
            if widget is not None:
                layout.addWidget(widget)
        self._follow()

    def values(self) -> dict[str, Any]:
        """Every parameter by its full name ("guidance.gamma")."""
        return {f"{part}.{name}": value for part, form in self._forms for name, value in form.values().items()}

    def set_value(self, name: str, value: Any) -> None:
        """Set one parameter by its full name."""
        part, _, own = name.partition(".")
        next(form for p, form in self._forms if p == part and own in form.values()).set_values({own: value})

    def nested(self) -> dict[str, dict[str, Any]]:
        """Every parameter: part -> name -> value."""
        found: dict[str, dict[str, Any]] = {part: {} for part in self.method.models}
        for part, form in self._forms:
            found[part] |= form.values()
        return found

    def _names(self, *, front: bool) -> list[str]:
        """Full names of the parameters that are not live.

        The steps, what is marked so, and all of a classical method come in front.
        """
        params = self.method.params()
        rest = [name for name in params if name not in self.method.live_knobs]
        marked = [n for n in rest if n == "schedule.steps" or extra(params[n]).get("front")]
        return [n for n in rest if (n in marked or not self.method.needs_prior) == front]

    def _live_group(self) -> QGroupBox | None:
        content = self._section(sorted(self.method.live_knobs))  # guidance before sampler
        if content is None:
            return None
        for form in content.findChildren(QFormLayout):
            form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)  # long sliders
        group = QGroupBox(LIVE_TITLE)
        box = QVBoxLayout(group)
        box.setContentsMargins(8, 4, 8, 8)
        box.addWidget(content)
        return group

    def _section(self, names: list[str]) -> QWidget | None:
        """One form for each part that has some of the names."""
        if not names:
            return None
        section = QWidget()
        layout = QVBoxLayout(section)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in dict.fromkeys(name.partition(".")[0] for name in names):
            only = [name.partition(".")[2] for name in names if name.startswith(f"{part}.")]
            form = ParamsForm(self.method.models[part], self._values[part], only)
            form.changed.connect(partial(self._notify, part))
            for name in only if self.method.needs_prior else ():
                if f"{part}.{name}" not in self.method.live_knobs:
                    form.editor(name).setToolTip(f"{form.editor(name).toolTip()}\n{NOT_LIVE}")
            layout.addWidget(form)
            self._forms.append((part, form))
        return section

    def _follow(self) -> None:
        """Show what the values amount to, and of the resampling what has an effect."""
        values = self.nested()
        if self.method.needs_prior:
            try:
                number = self.method.evaluations(self.method.settings(self.values()))
                self.evaluations.show_text(f"{number} network evaluation{'s' * (number != 1)} for a sample")
            except InvalidInput as error:
                self.evaluations.show_text(str(error), colour="error")
        resample = values.get("schedule", {}).get("resample")
        shown = {"jump": resample != "no", "renoise": resample != "no", "repeats": resample == "short"}
        for part, form in self._forms:
            for name in shown.keys() & form.values().keys() if part == "schedule" else ():
                form.show_row(name, shown[name])

    def _notify(self, part: str, name: str, value: Any) -> None:
        self._follow()
        if f"{part}.{name}" in self.method.live_knobs:
            self.live_changed.emit(f"{part}.{name}", float(value))
        else:
            self.fixed_changed.emit()
        self.changed.emit()
