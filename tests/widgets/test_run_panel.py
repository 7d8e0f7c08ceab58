"""The run panel: what it says of the machine, and the curve that gives way to the settings."""

import re
import threading

import pytest
from napari.components import ViewerModel
from tiny import tiny_scan
from widgets.fake_engine import FakeEngine

from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.tape import Tape
from napari_lossguide.widgets import layers, worker
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.run_panel import RunPanel


@pytest.fixture
def panel(qtbot):
    panel = RunPanel()
    qtbot.addWidget(panel)
    panel.resize(320, 400)
    panel.show()
    return panel


def test_the_machine_is_looked_at_in_the_thread_of_the_run_and_not_at_each_step(qtbot, monkeypatch):
    monkeypatch.setattr(worker, "WATCH", 0.05)
    asked, told, live = [], [], Live(())
    kdata, recipe = tiny_scan(slices=1), Recipe.for_method("cg-sense")

    def watch():
        asked.append(threading.current_thread())
        return f"look {len(asked)}"

    engine = FakeEngine(steps=40, wait=0.01)
    job = worker.Job(lambda say: engine(kdata, recipe, "cpu", live, Tape(), say), live, watch=watch)
    job.watched.connect(told.append)
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
    assert told and set(told) <= {f"look {i + 1}" for i in range(len(asked))}
    assert 1 < len(asked) < 20 and threading.main_thread() not in asked


def test_a_run_says_its_device_and_its_memory(qtbot):
    viewer = ViewerModel()
    layers.add_kspace(viewer, tiny_scan(slices=1))
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    dock.show()
    dock.settings.device.setCurrentIndex(dock.settings.device.findData("cpu"))
    dock.settings.method.choose("cg-sense")
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert re.fullmatch(r"CPU, \d+ threads? · \d+\.\d GB", dock.panel.machine.text())
    assert dock.panel.machine.toolTip() == dock.panel.machine.text()
    dock.panel.begin("Starting…")
    assert dock.panel.machine.text() == "", "that of the last run"


def test_the_curve_gives_way_and_stays_away(panel):
    assert not panel.fold.isVisible() and not panel.curve.isVisible()
    panel.begin("Starting…")
    assert panel.fold.isVisible() and panel.curve.isVisible()
    high = panel.sizeHint().height()
    panel.fold.click()
    assert not panel.curve.isVisible() and panel.sizeHint().height() < high - 80
    panel.finish()
    panel.begin("Starting…")
    assert not panel.curve.isVisible(), "a person had put it away"
    panel.fold.click()
    assert panel.curve.isVisible()


def test_without_data_there_is_no_curve(qtbot):
    panel = RunPanel(plotted=False)
    qtbot.addWidget(panel)
    panel.show()
    panel.begin("Starting…")
    assert not panel.fold.isVisible() and not panel.curve.isVisible()
