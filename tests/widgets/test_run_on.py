"""The Reconstruct dock with its runs on Dask workers, on the loopback interface, driven by its controls."""

import numpy as np
import pytest
from dask_cluster import free_port, kill
from napari.components import ViewerModel
from tiny import tiny_scan

from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.remote import workers_in_words
from napari_lossguide.widgets import layers, views
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

pytest.importorskip("distributed", reason="without dask.distributed, runs on workers are not tested")
pytestmark = [pytest.mark.gui, pytest.mark.slow]
KDATA = tiny_scan()


@pytest.fixture
def dock(qtbot, monkeypatch, tiny_prior):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: str(tiny_prior))
    viewer = ViewerModel()
    layers.add_kspace(viewer, KDATA)
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    widget.show()
    widget.settings.device.setCurrentIndex(widget.settings.device.findData("cpu"))
    return widget


def send_to(qtbot, dock, address):
    row = dock.settings.run_on
    row.address.setText(address)
    row.place.setCurrentIndex(row.place.findData("dask"))
    qtbot.waitUntil(lambda: row.facts.sentence and not row.facts.sentence.startswith("Asking"), timeout=60_000)
    return row.facts.sentence


def set_steps(dock, steps):
    recipe = dock.settings.recipe()
    dock.settings.set_recipe(recipe.model_copy(update={"schedule": {**recipe.schedule, "steps": steps}}))


def results(dock):
    return [layer for layer in dock._viewer.layers if views.role_of(layer) == "result"]


def finish(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.running, timeout=90_000)


def settled(qtbot, dock):
    """The steps that are shown, once there are no more under way."""
    before = -1
    while len(dock.panel.curve._points) != before:
        before = len(dock.panel.curve._points)
        qtbot.wait(1000)
    return before


def test_preview_knobs_pause_timeline_and_result(qtbot, dock, lasting_cluster):
    import torch

    assert send_to(qtbot, dock, lasting_cluster.address) == "2 workers with 2 threads and no GPU, 2 of them free"
    set_steps(dock, 400)
    shown = []
    dock.panel.button.click()
    dock._job.previewed.connect(lambda preview: shown.append(preview.image))
    qtbot.waitUntil(lambda: len(dock.panel.curve._points) > 3, timeout=60_000)
    dock.panel.pause.click()
    held = settled(qtbot, dock)
    assert held < 400 and dock.running
    assert dock.panel.machine.text().startswith("CPU, 1 thread")  # of the worker
    dock.settings.live_changed.emit("guidance.gamma", 0.25)
    dock.panel.pause.click()
    finish(qtbot, dock)
    (layer,) = results(dock)
    recipe = Recipe.from_json(layer.metadata["lossguide"]["recipe"])
    assert [(c.name, c.value) for c in recipe.changes] == [("guidance.gamma", 0.25)]
    assert recipe.changes[0].step >= held and shown and shown[-1].shape == KDATA.image_shape
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = reconstruct(KDATA, recipe=recipe, device="cpu")
    torch.set_num_threads(before)
    np.testing.assert_array_equal(layer.data, np.abs(expected.image[0]))
    frames = dock._history.tape.frames
    assert len(frames) == 400
    np.testing.assert_array_equal(dock._history.tape.image(400, state=False), np.abs(expected.image[0]))


def test_cancel(qtbot, dock, lasting_cluster):
    send_to(qtbot, dock, lasting_cluster.address)
    set_steps(dock, 5000)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(dock.panel.curve._points) > 3, timeout=60_000)
    dock.panel.button.click()
    finish(qtbot, dock)
    assert dock.panel.where.text() == "Cancelled" and results(dock) == []
    assert dock.status.sentence.startswith("Cancelled after step")


def test_a_worker_that_dies_is_said_and_the_dock_stays_usable(qtbot, dock, cluster):
    send_to(qtbot, dock, cluster.address)
    set_steps(dock, 5000)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(dock.panel.curve._points) > 3, timeout=60_000)
    for worker in cluster.workers:
        kill(worker)
    finish(qtbot, dock)
    assert "and the run is lost with it" in dock.status.sentence
    row = dock.settings.run_on
    row.place.setCurrentIndex(row.place.findData("here"))
    set_steps(dock, 2)
    dock.panel.button.click()
    finish(qtbot, dock)
    assert len(results(dock)) == 1 and row.facts.sentence == ""


def test_nobody_answers(qtbot, dock):
    address = f"tcp://127.0.0.1:{free_port()}"
    assert send_to(qtbot, dock, address).startswith(f"No Dask scheduler answers at '{address}'")
    dock.panel.button.click()
    finish(qtbot, dock)
    assert dock.status.sentence.startswith(f"No Dask scheduler answers at '{address}'")
    dock.settings.run_on.address.setText("")
    dock.panel.button.click()
    finish(qtbot, dock)
    assert "scheduler is empty" in dock.status.sentence


def test_without_distributed_it_says_how_to_install_it(qtbot, dock, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    assert 'pip install "napari-lossguide[cluster]"' in send_to(qtbot, dock, "tcp://127.0.0.1:8786")


def test_words():
    assert workers_in_words(1, 4, 1, 0) == "1 worker with 4 threads and 1 GPU, busy"
    assert workers_in_words(3, 3, 2, 1) == "3 workers with 3 threads and 2 GPUs, 1 of them free"
