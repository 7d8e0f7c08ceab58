"""Sets of values: the defaults, those that a person keeps, and the way back."""

from contextlib import nullcontext

import pytest
from qtpy.QtWidgets import QInputDialog

from napari_lossguide.recon.methods import method
from napari_lossguide.widgets.method_form import MethodForm
from napari_lossguide.widgets.values_row import ValuesRow


@pytest.fixture
def row(qtbot, tmp_path):
    widget = ValuesRow(nullcontext, tmp_path / "values.json")
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def form(qtbot, row):
    made = MethodForm(method("prox-ddim"))
    qtbot.addWidget(made)
    row.show_form(made)
    return made


def keep(row, monkeypatch, name):
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: (name, True))
    row.more.menu().actions()[0].trigger()


def test_reset_goes_back_to_the_defaults(row, form):
    assert row.box.currentText() == "Defaults" and not row.reset.isEnabled()
    before = form.values()
    form.set_value("guidance.gamma", 5.0)
    form.set_value("schedule.steps", 9)
    assert row.box.currentText() == "Defaults (changed)" and row.reset.isEnabled()
    row.reset.click()
    assert form.values() == before and row.box.currentText() == "Defaults" and not row.reset.isEnabled()


def test_a_set_is_kept_chosen_and_forgotten(row, form, monkeypatch):
    form.set_value("guidance.gamma", 5.0)
    keep(row, monkeypatch, "strong")
    assert row.box.currentText() == "strong" and not row.reset.isEnabled()
    form.set_value("guidance.gamma", 0.5)
    assert row.box.currentText() == "strong (changed)"
    row.reset.click()
    assert form.values()["guidance.gamma"] == 5.0
    row.box.setCurrentIndex(0)
    assert form.values()["guidance.gamma"] == 1.0
    row.box.setCurrentIndex(1)
    assert form.values()["guidance.gamma"] == 5.0
    row.more.menu().actions()[1].trigger()
    assert row.box.count() == 1 and form.values()["guidance.gamma"] == 5.0, "the form stays as it is"


def test_another_method_has_its_own_sets(qtbot, row, form, monkeypatch):
    keep(row, monkeypatch, "strong")
    other = MethodForm(method("dps"))
    qtbot.addWidget(other)
    row.show_form(other)
    assert [row.box.itemText(i) for i in range(row.box.count())] == ["Defaults"]


def test_a_recipe_that_is_shown_counts_as_changed(qtbot, row):
    made = MethodForm(method("prox-ddim"), {"guidance": {"gamma": 4.0}})
    qtbot.addWidget(made)
    row.show_form(made)
    assert row.box.currentText() == "Defaults (changed)"
