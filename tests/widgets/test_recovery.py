"""What a crash has left is offered, and comes back; what cannot be autosaved stops no run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool
from widgets.fake_engine import FakeEngine

import napari_lossguide
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.recon.autosave import Keeping, sessions_left
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers, reconstruct_dock, recovery, views
from napari_lossguide.widgets.io import write_result
from napari_lossguide.widgets.recipe_row import RecipeRow
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.sample_dock import SampleDock

TESTS = Path(__file__).resolve().parents[1]
CRASH = """
import os, signal, sys
from pathlib import Path
from recon.test_autosave import make_result
from napari_lossguide.recon.autosave import Keeping, Session
session = Session(Keeping(folder=Path(sys.argv[1])))
for seed in range(2):
    session.keep(session.number(), f"Proximal mean, seed {seed}", make_result(seed), (3.0, 2.0, 1.0))
session.begin(session.number(), "Proximal mean of head", make_result(7).recipe, "head")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", fake)
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    yield fake
    assert QThreadPool.globalInstance().waitForDone(5000)


@pytest.fixture
def crashed(autosave_folder):
    """A program that died with two results and a run on its way."""
    paths = os.pathsep.join([str(Path(napari_lossguide.__file__).parents[1]), str(TESTS)])
    command = [sys.executable, "-c", CRASH, str(autosave_folder)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    return autosave_folder


def open_dock(qtbot, viewer, kind=ReconstructDock):
    dock = kind(viewer)
    qtbot.addWidget(dock)
    dock.show()
    return dock


def offered(qtbot, dock):
    qtbot.waitUntil(dock.autosave.isVisible, timeout=10_000)
    return dock.autosave


def menu(dock, title):
    row = dock.findChildren(RecipeRow)[0]
    return next(action for action in row.button.menu().actions() if action.text().startswith(title))


def results(viewer):
    return [layer for layer in viewer.layers if views.role_of(layer) == "result"]


def test_results_of_a_crash_come_back_as_layers_that_can_be_saved(qtbot, viewer, crashed, tmp_path):
    from recon.test_autosave import make_result

    dock = open_dock(qtbot, viewer)
    offer = offered(qtbot, dock)
    assert "2 results" in offer.text.sentence and "1 recipe" in offer.text.sentence
    assert "did not end cleanly" in offer.text.sentence
    offer.recover.click()
    qtbot.waitUntil(lambda: len(results(viewer)) == 2, timeout=10_000)
    for seed, layer in enumerate(results(viewer)):
        made = make_result(seed)
        assert layer.name == f"Proximal mean, seed {seed}" and tuple(layer.scale) == (3.0, 2.0, 1.0)
        np.testing.assert_array_equal(views.result_of(layer).image, made.image)
        np.testing.assert_array_equal(layer.data, np.abs(made.image))
        assert Recipe.from_json(views.held(layer)["recipe"]) == made.recipe
        write_result(str(tmp_path / "again.npz"), layer.data, {"metadata": layer.metadata})
        with np.load(tmp_path / "again.npz") as file:
            np.testing.assert_array_equal(file["samples"], made.samples)
    assert [views.role_of(x) for x in viewer.layers].count("standard deviation") == 2
    assert dock.status.sentence == "Recovered 2 results."
    assert offer.load.isVisible() and not offer.recover.isVisible(), "the recipe is still to be had"
    assert sessions_left(crashed) == []


def test_a_second_dock_offers_nothing_that_the_first_has_taken(qtbot, viewer, crashed):
    offer = offered(qtbot, open_dock(qtbot, viewer))
    offer.recover.click()
    qtbot.waitUntil(lambda: len(results(viewer)) == 2, timeout=10_000)
    other = open_dock(qtbot, ViewerModel(), SampleDock)
    with qtbot.waitSignal(other.autosave._looking.ended, timeout=10_000):
        menu(other, "Recover results").trigger()
    assert not other.autosave.isVisible() and "no autosaved results" in other.status.sentence


def test_the_recipe_of_the_run_that_had_not_ended(qtbot, viewer, crashed, engine):
    from recon.test_autosave import make_result

    layers.add_kspace(viewer, simulate(shepp_logan(32), n_coils=2, name="head"))
    dock = open_dock(qtbot, viewer)
    dock.settings.prior._box.addItem("brain", "brain")
    offer = offered(qtbot, dock)
    offer.load.click()
    assert "Proximal mean of head" in dock.status.sentence
    assert dock.settings.recipe() == make_result(7).recipe
    assert not offer.load.isVisible() and offer.recover.isVisible(), "the results are still to be had"


def test_discarded_results_are_not_offered_again_but_can_be_asked_for(qtbot, viewer, crashed, monkeypatch):
    monkeypatch.setattr(recovery, "keeping", lambda: Keeping(folder=crashed, days=3))
    dock = open_dock(qtbot, viewer)
    offer = offered(qtbot, dock)
    offer.discard.click()
    assert not offer.isVisible()
    with qtbot.waitSignal(offer._looking.ended, timeout=10_000):
        offer.look()
    assert not offer.isVisible()
    menu(dock, "Recover results").trigger()
    offered(qtbot, dock)
    assert offer.text.sentence.startswith("A napari left 2 results")
    offer.recover.click()
    qtbot.waitUntil(lambda: len(results(viewer)) == 2, timeout=10_000)
    offer._session.close()  # as at the end of this program, which had no run of its own
    assert len(sessions_left(crashed, crashed=False)) == 1, "the preferences keep them for days"


def test_a_finished_run_is_on_disk_and_a_cancelled_one_leaves_nothing(qtbot, viewer, engine, autosave_folder):
    layers.add_kspace(viewer, simulate(shepp_logan(32), n_coils=2, name="head"))
    dock = open_dock(qtbot, viewer)
    engine.steps = 200
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(list(autosave_folder.glob("*/001-*.running.json"))) == 1, timeout=10_000)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not list(autosave_folder.glob("*/00*")), timeout=10_000)
    qtbot.waitUntil(lambda: not dock.running, timeout=10_000)
    engine.steps = 3
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(list(autosave_folder.glob("*/002-*.npz"))) == 1, timeout=10_000)
    qtbot.waitUntil(lambda: not list(autosave_folder.glob("*/*.running.json")), timeout=10_000)
    assert not dock.autosave.isVisible()


@pytest.mark.parametrize("what", ["the folder is a file", "the preferences are wrong"])
def test_what_cannot_be_autosaved_stops_no_run(qtbot, viewer, engine, tmp_path, monkeypatch, what):
    (tmp_path / "file").write_text("")

    def wrong():
        if what == "the folder is a file":
            return Keeping(folder=tmp_path / "file")
        raise InvalidInput("The folder of the preferences cannot be used.")

    monkeypatch.setattr(recovery, "keeping", wrong)
    layers.add_kspace(viewer, simulate(shepp_logan(32), n_coils=2, name="head"))
    dock = open_dock(qtbot, viewer)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=10_000)
    qtbot.waitUntil(lambda: dock.autosave.note.sentence.startswith("Not autosaved"), timeout=10_000)
    assert len(results(viewer)) == 1 and "Done" in dock.status.sentence
