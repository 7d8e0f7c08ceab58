"""One editor for one parameter: what a pydantic field becomes on screen."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QHBoxLayout, QLineEdit, QSpinBox, QWidget

from napari_lossguide.widgets.boxes import ComboBox, FloatBox, IntBox, Slider

INT_MAX = 2**31 - 1  # what a QSpinBox holds
SLIDER_STEPS = 1000
BOX_WIDTH = 92
OPEN = 1e-12  # an open limit is moved in by this


class _Notifier(QObject):
    changed = Signal()


@dataclass(frozen=True)
class Editor:
    """A widget that edits one value; `changed` has no argument, `get` and `set` speak the field's own type."""

    widget: QWidget
    get: Callable[[], Any]
    set: Callable[[Any], None]
    notifier: QObject

    @property
    def changed(self) -> Any:
        """Signal emitted after the value has changed, by hand or by `set`."""
        return self.notifier.changed  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Limits:
    """Range of a number as the editor keeps it; an open bound is moved in by a step too small to see."""

    low: float | None
    high: float | None

    @classmethod
    def of(cls, metadata: Iterable[Any]) -> "Limits":
        """Read ``ge``, ``gt``, ``le`` and ``lt`` from the metadata of a pydantic field."""
        low: float | None = None
        high: float | None = None
        for bound in metadata:
            if isinstance(bound, Ge):
                low = float(bound.ge)  # type: ignore[arg-type]
            elif isinstance(bound, Gt):
                low = float(bound.gt) + OPEN  # type: ignore[arg-type]
            elif isinstance(bound, Le):
                high = float(bound.le)  # type: ignore[arg-type]
            elif isinstance(bound, Lt):
                high = float(bound.lt) - OPEN  # type: ignore[arg-type]
        return cls(low, high)

    def text(self) -> str:
        """Range in words, empty when there is none."""
        if self.low is not None and self.high is not None:
            return f"Range: {_short(self.low)} to {_short(self.high)}."
        if self.low is not None:
            return f"At least {_short(self.low)}."
        return "" if self.high is None else f"At most {_short(self.high)}."


@dataclass(frozen=True)
class Travel:
    """How the position of a slider, 0 to 1, maps to a value: in differences, or in ratios (`low` > 0)."""

    low: float
    high: float
    logarithmic: bool = False

    @classmethod
    def of(cls, limits: Limits, hints: Mapping[str, Any]) -> "Travel | None":
        """Travel of a live parameter from its hints ``slider`` and ``scale``, or its limits; None without any."""
        low, high = hints.get("slider", (limits.low, limits.high))
        if not hints.get("live") or low is None or high is None:
            return None
        logarithmic = hints.get("scale") == "log"
        return cls(max(low, high * 1e-5) if logarithmic else low, high, logarithmic)

    def value(self, part: float) -> float:
        """Value at a position."""
        if self.logarithmic:
            return self.low * (self.high / self.low) ** part
        return self.low + (self.high - self.low) * part

    def part(self, value: float) -> float:
        """Position of a value."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def editor_for(field: FieldInfo, hints: Mapping[str, Any]) -> Editor:
    """Build the editor of a pydantic field.

    ``bool`` is a check box, ``Literal`` a combo box, ``int`` and ``float`` a spin box, ``str`` a line, ``X | None`` an
    editor with a check box that says whether there is a value. A number marked ``json_schema_extra={"live": True}``
    gets a slider too, over ``"slider": [low, high]`` or its limits, in ratios if ``"scale"`` is ``"log"``. `hints` are
    more of these, and go first.

    Raises
    ------
    TypeError
        If the field has another type: a mistake of the programmer, not of the user.
    """
    return _editor(field.annotation, list(field.metadata), {**extra(field), **hints})


def extra(field: FieldInfo) -> dict[str, Any]:
    """Return ``json_schema_extra`` of a field as a dict, empty when there is none."""
    return dict(field.json_schema_extra) if isinstance(field.json_schema_extra, dict) else {}


def _editor(kind: Any, metadata: list[Any], hints: dict[str, Any]) -> Editor:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _choice(arguments, hints.get("titles", {}))
    if origin in (Union, UnionType) and NoneType in arguments and len(arguments) == 2:
        inner = arguments[0] if arguments[1] is NoneType else arguments[1]
        return _optional(_editor(inner, metadata, hints))
    if hasattr(kind, "__metadata__"):
        return _editor(origin, [*metadata, *kind.__metadata__], hints)
    if kind is bool:
        return _check()
    if kind is int or kind is float:
        return _number(kind, Limits.of(metadata), hints)
    if kind is str:
        return _line()
    raise TypeError(f"there is no editor for a parameter of type {kind!r}")


def _choice(values: tuple[Any, ...], titles: dict[Any, str]) -> Editor:
    box, notifier = ComboBox(), _Notifier()
    for value in values:
        box.addItem(titles.get(value, str(value)), value)
    box.currentIndexChanged.connect(notifier.changed)
    return Editor(box, lambda: values[box.currentIndex()], lambda v: box.setCurrentIndex(values.index(v)), notifier)


def _check() -> Editor:
    box, notifier = QCheckBox(), _Notifier()
    box.toggled.connect(notifier.changed)
    return Editor(box, box.isChecked, lambda v: box.setChecked(bool(v)), notifier)


def _line() -> Editor:
    line, notifier = QLineEdit(), _Notifier()
    line.editingFinished.connect(notifier.changed)

    def write(value: str) -> None:
        line.setText(value)
        notifier.changed.emit()

    return Editor(line, line.text, write, notifier)


def _optional(inner: Editor) -> Editor:
    row, box, notifier = QWidget(), QCheckBox(), _Notifier()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(box)
    layout.addWidget(inner.widget, 1)
    row.setFocusProxy(box)
    inner.widget.setEnabled(False)
    box.setToolTip("Unchecked: chosen automatically.")
    box.setAccessibleName("set by hand")
    box.toggled.connect(inner.widget.setEnabled)
    box.toggled.connect(notifier.changed)
    inner.changed.connect(notifier.changed)

    def write(value: Any) -> None:
        if value is not None:
            inner.set(value)
        box.setChecked(value is not None)

    return Editor(row, lambda: inner.get() if box.isChecked() else None, write, notifier)


def _number(kind: type, limits: Limits, hints: dict[str, Any]) -> Editor:
    box: Any = IntBox() if kind is int else FloatBox()
    low = -INT_MAX if limits.low is None else limits.low
    high = INT_MAX if limits.high is None else limits.high
    if kind is int:
        low, high = math.ceil(max(low, -INT_MAX)), math.floor(min(high, INT_MAX))
    box.setRange(low, high)
    _set_step(box, limits, hints)
    if "unit" in hints:
        box.setSuffix(f" {hints['unit']}")
    notifier = _Notifier()
    box.valueChanged.connect(notifier.changed)
    travel = Travel.of(limits, hints)
    widget = box if travel is None else _with_slider(box, travel)
    exact = Exact()
    return Editor(widget, lambda: kind(exact.read(box.value())), lambda v: exact.write(box, v), notifier)


class Exact:
    """Remembers a number that was set, of which a box keeps fifteen decimals: 1/7 comes back as it was."""

    def __init__(self) -> None:
        self._given = self._kept = math.nan

    def write(self, box: Any, value: float) -> None:
        """Set the box."""
        self._given = value
        box.setValue(value)
        near = math.isclose(box.value(), value, rel_tol=1e-9, abs_tol=OPEN / 100)  # else the limits moved it
        self._kept = box.value() if near else math.nan

    def read(self, value: float) -> float:
        """The value of the box, or what was set if the box still shows it."""
        return self._given if value == self._kept else value


def _set_step(box: Any, limits: Limits, hints: dict[str, Any]) -> None:
    if "step" in hints:
        box.setSingleStep(hints["step"])
    elif isinstance(box, FloatBox) and limits.low is not None and limits.high is not None:
        step = 10.0 ** math.floor(math.log10((limits.high - limits.low) / 20))
        box.setSingleStep(step)
    elif isinstance(box, FloatBox):
        box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)


def _with_slider(box: Any, travel: Travel) -> QWidget:
    row, slider = QWidget(), Slider(Qt.Orientation.Horizontal)
    slider.setRange(0, SLIDER_STEPS)
    slider.setMinimumWidth(48)
    box.setFixedWidth(BOX_WIDTH)  # the room is for the slider
    whole = isinstance(box, QSpinBox)

    def lead(position: int) -> None:
        value = float(f"{travel.value(position / SLIDER_STEPS):.4g}")  # four digits keep the number readable
        box.setValue(round(value) if whole else value)

    def follow(value: float) -> None:
        slider.blockSignals(True)
        slider.setValue(round(travel.part(value) * SLIDER_STEPS))
        slider.blockSignals(False)

    follow(box.value())
    slider.valueChanged.connect(lead)
    box.valueChanged.connect(follow)
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(slider, 1)
    layout.addWidget(box)
    row.setFocusProxy(box)
    return row


def _short(value: float) -> str:
    return f"{round(value, 9):.6g}"
