"""Forms built from pydantic models, driven by their controls."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, model_validator
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QSlider, QSpinBox

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.editors import Travel
from napari_lossguide.widgets.forms import ParamsForm


class Example(BaseModel):
    acceleration: float = Field(4.0, title="Acceleration", description="How many times fewer lines.", ge=1, le=32)
    lines: Annotated[int, Field(ge=3)] = Field(7, title="Lines")
    gamma: float = Field(1.0, title="Strength", ge=0, le=100, json_schema_extra={"live": True})
    rate: float = Field(0.1, gt=0, le=1, json_schema_extra={"live": True, "unit": "mm"})
    axis: Literal["x", "y"] = Field("x", title="Axis", json_schema_extra={"titles": {"x": "along x"}})
    smooth: bool = Field(True, title="Smooth")
    noise: float | None = Field(None, title="Noise", ge=0)
    name: str = "brain"
    tolerance: float = Field(1e-6, title="Tolerance", gt=0, json_schema_extra={"advanced": True})

    @model_validator(mode="after")
    def _even(self) -> "Example":
        if self.lines % 2 == 0:
            raise ValueError("lines must be odd")
        return self


@pytest.fixture
def form(qtbot):
    widget = ParamsForm(Example)
    qtbot.addWidget(widget)
    return widget


def test_defaults_come_from_the_model(form):
    assert form.values() == Example().model_dump()


def test_starting_values_and_selection(qtbot):
    form = ParamsForm(Example, {"lines": 9}, only=["axis", "lines"])
    qtbot.addWidget(form)
    assert form.values() == {"axis": "x", "lines": 9}


def test_every_kind_of_editor_reports_name_and_value(form):
    seen = []
    form.changed.connect(lambda name, value: seen.append((name, value)))
    form.editor("acceleration").setValue(8.5)
    form.editor("lines").setValue(11)
    form.editor("axis").setCurrentIndex(1)
    form.editor("smooth").click()
    form.editor("noise").findChild(QCheckBox).click()
    assert seen == [("acceleration", 8.5), ("lines", 11), ("axis", "y"), ("smooth", False), ("noise", 0.0)]


def test_typed_numbers_are_read_once_finished(form, qtbot):
    box, seen = form.editor("tolerance"), []
    form.changed.connect(lambda name, value: seen.append((name, value)))
    box.selectAll()
    qtbot.keyClicks(box, "2e-05")
    assert not seen
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert seen == [("tolerance", 2e-05)]
    assert box.text() == "2e-05"


def test_set_values_reports_only_what_differs(form):
    seen = []
    form.changed.connect(lambda name, value: seen.append((name, value)))
    form.set_values({"acceleration": 4.0, "noise": 0.25, "name": "head"})
    assert {("noise", 0.25), ("name", "head")} <= set(seen)
    assert all(name != "acceleration" for name, _ in seen)
    assert form.values()["noise"] == 0.25
    form.set_values({"noise": None})
    assert form.values()["noise"] is None


def test_limits_hold(form):
    form.editor("acceleration").setValue(1000)
    form.editor("lines").setValue(-5)
    assert form.values()["acceleration"] == 32
    assert form.values()["lines"] == 3


def test_open_limit_keeps_the_bound_itself_out(form):
    form.set_values({"rate": 0.0})
    assert form.values()["rate"] > 0
    form.validated()


def test_slider_and_box_move_together(form):
    row = form.editor("gamma")
    slider = row.findChild(QSlider)
    slider.setValue(slider.maximum())
    assert form.values()["gamma"] == 100
    form.set_values({"gamma": 0.0})
    assert slider.value() == 0


@pytest.mark.parametrize("travel", [Travel(-2, 3), Travel(0, 100), Travel(1e-4, 10, logarithmic=True)])
def test_travel_covers_the_range_and_inverts(travel):
    assert travel.value(0.0) == pytest.approx(travel.low)
    assert travel.value(1.0) == pytest.approx(travel.high)
    for part in (0.1, 0.5, 0.9):
        assert travel.part(travel.value(part)) == pytest.approx(part)


def test_slider_hints(qtbot):
    class Hinted(BaseModel):
        rate: float = Field(1.0, gt=0, json_schema_extra={"live": True, "slider": [0.01, 100], "scale": "log"})

    form = ParamsForm(Hinted)
    qtbot.addWidget(form)
    slider = form.editor("rate").findChild(QSlider)
    assert slider.value() == slider.maximum() // 2  # 1 is half way between 0.01 and 100 in ratios
    slider.setValue(slider.maximum())
    assert form.values()["rate"] == 100
    form.set_values({"rate": 500.0})  # the box reaches beyond the slider
    assert form.values()["rate"] == 500
    assert slider.value() == slider.maximum()


def test_labels_tooltips_and_spoken_names(form):
    box = form.editor("acceleration")
    assert box.accessibleName() == "Acceleration"
    assert box.toolTip() == "How many times fewer lines. Range: 1 to 32. (acceleration)"
    label = next(x for x in form.findChildren(QLabel) if x.text() == "Acceleration")
    assert label.buddy() is box
    assert label.toolTip() == box.toolTip()
    assert all(x.accessibleName() for x in form.findChildren(QSlider))
    assert form.editor("axis").itemText(0) == "along x"


def test_refused_combination_is_one_sentence(form):
    form.editor("lines").setValue(8)
    with pytest.raises(InvalidInput, match="lines must be odd"):
        form.validated()


def test_scrolling_over_a_box_changes_nothing(form, qtbot):
    from qtpy.QtCore import QPoint, QPointF
    from qtpy.QtGui import QWheelEvent

    box = form.findChild(QSpinBox, "lines")
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    box.wheelEvent(event)
    assert box.value() == 7
    assert not event.isAccepted()


def test_unknown_type_is_a_programming_error(qtbot):
    class Odd(BaseModel):
        parts: list[int] = []

    with pytest.raises(TypeError, match="no editor"):
        ParamsForm(Odd)
