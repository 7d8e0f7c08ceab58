"""Commands of the palette and keys of the docks."""

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from tiny import tiny_scan
from widgets.fake_engine import FakeEngine

from napari_lossguide.widgets import commands, layers, reconstruct_dock
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

RETURN, CTRL, SHIFT = Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class Window:
    """As much of napari's window as the commands ask for."""

    def __init__(self):
        self.dock_widgets = {}


class Viewer:
    """A viewer with a window."""

    def __init__(self):
        self.window = Window()


@pytest.fixture
def engine(monkeypatch):
    engine = FakeEngine(steps=400, wait=0.01)
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", engine)
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    return engine


@pytest.fixture
def dock(qtbot, engine):
    model = ViewerModel()
    layers.add_kspace(model, tiny_scan(slices=1))
    dock = ReconstructDock(model)
    qtbot.addWidget(dock)
    dock.resize(320, 900)
    dock.show()
    dock.activateWindow()
    qtbot.waitUntil(dock.isActiveWindow, timeout=5000)
    return dock


@pytest.fixture
def window(monkeypatch):
    viewer = Viewer()
    monkeypatch.setattr(commands, "current_viewer", lambda: viewer)
    return viewer.window


@pytest.fixture
def said(monkeypatch):
    told = []
    monkeypatch.setattr(commands, "show_info", told.append)
    return told


def end(qtbot, dock):
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=10_000)


def test_without_the_dock_each_command_says_what_to_open(window, said):
    for command in (commands.run, commands.branch, commands.load_recipe):
        command()
    assert said == [commands.CLOSED] * 3
    commands.pause()
    commands.cancel()
    assert said[3:] == [commands.IDLE] * 2


def test_a_run_is_started_paused_branched_and_cancelled_by_commands(qtbot, dock, engine, window, said):
    window.dock_widgets["Reconstruct"] = dock
    commands.branch()
    assert said.pop() == "There is no recorded run to branch from yet."
    commands.run()
    qtbot.waitUntil(lambda: dock.timeline.step > 3, timeout=10_000)
    commands.branch()
    assert said.pop().startswith("Pause the run")
    commands.run()
    assert said.pop() == "A reconstruction is running already."
    commands.pause()
    assert dock.panel.pause.isChecked()
    commands.branch()
    qtbot.waitUntil(lambda: len(engine.calls) == 2 and dock.running, timeout=10_000)
    commands.cancel()
    qtbot.waitUntil(lambda: not dock.running, timeout=10_000)
    assert said == []


def test_a_recipe_is_asked_for(dock, window, monkeypatch, said, tmp_path):
    window.dock_widgets["Reconstruct"] = dock
    path = tmp_path / "r.json"
    path.write_text(dock.settings.recipe().model_copy(update={"seed": 77}).to_json(), encoding="utf-8")
    monkeypatch.setattr("napari_lossguide.widgets.recipe_row.QFileDialog.getOpenFileName", lambda *a: (str(path), ""))
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.select", lambda self, name: None)
    commands.load_recipe()
    assert dock.settings.sampling.values()["seed"] == 77 and said == []


def test_keys_run_pause_and_cancel_while_the_keyboard_is_in_the_dock(qtbot, dock):
    focus = dock.settings.method
    focus.setFocus()
    qtbot.keyClick(focus, Qt.Key.Key_Period, CTRL)
    assert not dock.running, "it only cancels"
    qtbot.keyClick(focus, RETURN, CTRL)
    qtbot.waitUntil(lambda: dock.timeline.step > 3, timeout=10_000)
    qtbot.keyClick(dock, RETURN, CTRL)
    assert dock.panel.state == "running", "it only runs"
    qtbot.keyClick(dock, RETURN, CTRL | SHIFT)
    assert dock.panel.pause.isChecked()
    qtbot.keyClick(dock, Qt.Key.Key_Period, CTRL)
    qtbot.waitUntil(lambda: not dock.running, timeout=10_000)
    for tip, keys in ((dock.panel.button, "[Ctrl+Return] [Ctrl+.]"), (dock.timeline.button, "[Ctrl+B]")):
        assert tip.toolTip().endswith(keys)


def test_a_number_that_is_being_typed_counts(qtbot, dock, engine):
    seed = dock.settings.sampling.editor("seed")
    seed.setFocus()
    seed.selectAll()
    qtbot.keyClicks(seed, "41")
    qtbot.keyClick(seed, RETURN, CTRL)
    qtbot.waitUntil(lambda: bool(engine.calls), timeout=10_000)
    assert engine.calls[0][1].seed == 41
    end(qtbot, dock)


def test_space_on_the_timeline_changes_what_it_shows(qtbot, dock):
    qtbot.keyClick(dock, RETURN, CTRL)
    qtbot.waitUntil(lambda: dock.timeline.step > 3, timeout=10_000)
    slider = dock.timeline.slider
    slider.setFocus()
    for shown in ("state", "estimate"):
        qtbot.keyClick(slider, Qt.Key.Key_Space)
        assert dock.timeline.what.currentData() == shown
    end(qtbot, dock)
