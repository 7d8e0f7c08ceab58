"""What the docks autosave and what they offer of a napari that crashed, by their buttons."""

import errno
import os
import shutil

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool
from widgets.fake_engine import FakeEngine

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.recon.autosave import Keeping, Session
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.restore import restore
from napari_lossguide.recon.samples import Samples, sample_recipe
from napari_lossguide.recon.session_folder import RUNNING
from napari_lossguide.recon.sessions_left import sessions_left
from napari_lossguide.recon.tape import Tape
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers, reconstruct_dock, views
from napari_lossguide.widgets.recipe_row import RecipeRow
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.run_facts import recipe_of
from napari_lossguide.widgets.sample_dock import SampleDock

KEEPING = "napari_lossguide.widgets.recovery.keeping"


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def kdata():
    return simulate(shepp_logan(32), spacing=(5.0, 2.0, 1.0), name="head")


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", fake)
    yield fake
    assert QThreadPool.globalInstance().waitForDone(5000)


@pytest.fixture
def make_dock(qtbot, viewer, kdata, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    layers.add_kspace(viewer, kdata)

    def make(kind=ReconstructDock):
        widget = kind(viewer)
        qtbot.addWidget(widget)
        return widget

    return make


def result_of(kdata, **fields):
    steps = FakeEngine(steps=1, wait=0)(
        kdata, Recipe.for_method("prox-mean", prior="brain", **fields), "cpu", Live(), Tape(), print
    )
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def crashed(autosave_folder, tmp_path, kdata):
    """Makes what a crash leaves: a session that nobody holds, without the mark of an end."""

    def make(results=(), unfinished=(), name="20260101-crash"):
        session = Session(Keeping(folder=tmp_path / "alive", days=7))
        for title, result in results:
            session.keep(session.number(), title, result, kdata.spacing)
        for title, recipe in unfinished:
            session.begin(session.number(), title, recipe)
        (path,) = (tmp_path / "alive").iterdir()
        shutil.copytree(path, autosave_folder / name)
        session.close()
        shutil.rmtree(tmp_path / "alive", ignore_errors=True)
        return autosave_folder / name

    return make


def offered(dock):
    """Titles of the buttons that a person sees above the dock."""
    save = dock.autosave
    return [b.text() for b in (save.recover, save.load, save.discard) if b.isVisibleTo(dock)]


def choose(dock, title):
    menu = dock.findChild(RecipeRow).button.menu()
    next(action for action in menu.actions() if action.text() == title).trigger()


def run(qtbot, dock):
    with qtbot.waitSignal(dock.done, timeout=20_000) as ended:
        dock.panel.button.click()
    return ended.args[0]


def all_is_written(qtbot):
    """Threads start some milliseconds after they were asked for."""
    qtbot.wait(200)
    assert QThreadPool.globalInstance().waitForDone(5000)


def results(viewer):
    return [layer for layer in viewer.layers if views.role_of(layer) == "result"]


def test_results_of_a_crash_come_back_as_layers_and_a_recipe_into_the_form(qtbot, make_dock, crashed, viewer, kdata):
    first, second = (result_of(kdata, seed=seed) for seed in (4, 5))
    waiting = Recipe.for_method("dds", steps=17, seed=9, prior="brain")
    crashed([("first", first), ("second", second)], [("DDS of head", waiting)])
    dock = make_dock()
    assert offered(dock) == []
    qtbot.waitUntil(lambda: offered(dock) == ["Recover", "Load recipe", "Discard"], timeout=5000)
    assert "2 results" in dock.autosave.text.sentence and "1 recipe of what was running" in dock.autosave.text.sentence
    dock.autosave.recover.click()
    qtbot.waitUntil(lambda: dock.status.sentence == "Recovered 2 results.", timeout=5000)
    for layer, result in zip(results(viewer), (first, second), strict=True):
        np.testing.assert_array_equal(layer.data, np.abs(result.image[0]))
        assert recipe_of(layer) == result.recipe
        assert tuple(layer.scale) == kdata.spacing[1:]
    assert [layer.name for layer in results(viewer)] == ["first", "second"]
    assert offered(dock) == ["Load recipe", "Discard"] and dock.autosave.recover.isEnabled()
    dock.autosave.load.click()
    assert dock.settings.recipe() == waiting
    assert "“DDS of head”" in dock.status.sentence and "Run" in dock.status.sentence
    assert offered(dock) == [] and not dock.autosave.isVisibleTo(dock)


def test_a_recipe_is_loaded_before_the_results_are_recovered(qtbot, make_dock, crashed, viewer, kdata):
    crashed([("first", result_of(kdata))], [("DDS of head", Recipe.for_method("dds", seed=9, prior="brain"))])
    dock = make_dock()
    qtbot.waitUntil(lambda: "Load recipe" in offered(dock), timeout=5000)
    dock.autosave.load.click()
    assert dock.settings.recipe().seed == 9
    assert offered(dock) == ["Recover", "Discard"], "the result is not thrown away with it"
    dock.autosave.recover.click()
    qtbot.waitUntil(lambda: len(results(viewer)) == 1, timeout=5000)


def test_a_recipe_that_was_loaded_is_not_offered_again(qtbot, make_dock, crashed, viewer, kdata):
    older, newer = (Recipe.for_method("dds", seed=seed, prior="brain") for seed in (1, 2))
    path = crashed([("first", result_of(kdata))], [("older", older), ("newer", newer)])
    for age, file in enumerate(sorted(path.glob(f"*{RUNNING}"), reverse=True)):
        os.utime(file, (1e9 - age, 1e9 - age))
    dock = make_dock()
    qtbot.waitUntil(lambda: "Load recipe" in offered(dock), timeout=5000)
    dock.autosave.load.click()
    assert dock.settings.recipe() == newer
    dock.autosave.recover.click()
    qtbot.waitUntil(lambda: len(results(viewer)) == 1, timeout=5000)
    assert offered(dock) == ["Load recipe", "Discard"] and "1 recipe of" in dock.autosave.text.sentence
    dock.autosave.load.click()
    assert dock.settings.recipe() == older
    assert offered(dock) == [] and not dock.autosave.isVisibleTo(dock)


def test_a_folder_that_cannot_be_written_cannot_be_discarded_and_is_read(
    qtbot, make_dock, crashed, viewer, kdata, monkeypatch
):
    path = crashed([("first", result_of(kdata))])

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    dock, other = make_dock(), make_dock()
    qtbot.waitUntil(lambda: offered(dock) == offered(other) == ["Recover", "Discard"], timeout=5000)
    dock.autosave.discard.click()
    assert dock.status.sentence.startswith(f"{path} cannot be written (Permission denied)")
    assert offered(dock) == []
    (path / "ended").write_text("")
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    other.autosave.recover.click()
    qtbot.waitUntil(lambda: len(results(viewer)) == 1, timeout=5000)


def test_results_that_nobody_can_claim_are_told_and_not_offered(qtbot, make_dock, crashed, kdata, monkeypatch):
    path = crashed([("first", result_of(kdata))])
    monkeypatch.setattr("filelock.FileLock.acquire", no_locks)
    dock = make_dock()
    text = dock.autosave.text
    qtbot.waitUntil(lambda: "cannot be locked (No locks available)" in text.sentence, timeout=5000)
    assert str(path.parent) in text.sentence and text.isVisibleTo(dock)
    assert offered(dock) == []
    choose(dock, "Recover results…")
    all_is_written(qtbot)
    assert not dock.status.sentence, "it is not true that there are none"


def no_locks(*args, **kwargs):
    """As a network folder refuses, whose server has no locks."""
    raise OSError(errno.ENOLCK, "No locks available")


def test_what_one_dock_took_another_does_not_offer(qtbot, make_dock, crashed, viewer, kdata):
    crashed([("first", result_of(kdata))])
    dock = make_dock()
    qtbot.waitUntil(lambda: "Recover" in offered(dock), timeout=5000)
    other = make_dock(SampleDock)
    qtbot.waitUntil(lambda: "Recover" in offered(other), timeout=5000)
    dock.autosave.recover.click()
    qtbot.waitUntil(lambda: len(results(viewer)) == 1, timeout=5000)
    other.autosave.recover.click()
    qtbot.waitUntil(lambda: "Another napari has taken" in other.status.sentence, timeout=5000)
    assert len(results(viewer)) == 1
    third = make_dock()
    choose(third, "Recover results…")
    qtbot.waitUntil(lambda: "no autosaved results" in third.status.sentence, timeout=5000)


def test_samples_come_back_too(qtbot, make_dock, crashed, viewer):
    images = np.random.default_rng(0).random((2, 8, 8), np.float32)
    recipe = sample_recipe(prior="brain", shape=(8, 8), count=2)
    crashed([("two heads", Samples(images, recipe, ({"step": 1.0},), "done", 1.0, 3, {"device": "cpu"}))])
    dock = make_dock(SampleDock)
    qtbot.waitUntil(lambda: "Recover" in offered(dock), timeout=5000)
    dock.autosave.recover.click()
    qtbot.waitUntil(lambda: "two heads" in viewer.layers, timeout=5000)
    np.testing.assert_array_equal(viewer.layers["two heads"].data, images)
    assert recipe_of(viewer.layers["two heads"]) == recipe


def test_a_damaged_result_is_told_and_the_others_come(qtbot, make_dock, crashed, viewer, kdata):
    path = crashed([("first", result_of(kdata)), ("second", result_of(kdata))])
    (damaged,) = path.glob("001*.npz")
    damaged.write_bytes(damaged.read_bytes()[:500])
    dock = make_dock()
    qtbot.waitUntil(lambda: "Recover" in offered(dock), timeout=5000)
    dock.autosave.recover.click()
    qtbot.waitUntil(lambda: dock.status.sentence.startswith("Recovered 1 result."), timeout=5000)
    assert damaged.name in dock.status.sentence and "damaged" in dock.status.sentence
    assert [layer.name for layer in results(viewer)] == ["second"]


@pytest.mark.parametrize("how", ["damaged", "gone"])
def test_a_recipe_that_cannot_be_read_is_one_sentence(qtbot, make_dock, crashed, how):
    path = crashed(unfinished=[("a", Recipe.for_method("dds"))])
    dock = make_dock()
    qtbot.waitUntil(lambda: offered(dock) == ["Load recipe", "Discard"], timeout=5000)
    before = dock.settings.recipe()
    (file,) = path.glob(f"*{RUNNING}")
    file.write_text("{") if how == "damaged" else file.unlink()
    dock.autosave.load.click()
    assert "cannot be read" in dock.status.sentence and file.name in dock.status.sentence
    assert dock.settings.recipe() == before
    assert "Discard" in offered(dock)


def test_what_was_discarded_is_found_by_the_menu_alone(qtbot, make_dock, crashed, autosave_folder, kdata, monkeypatch):
    monkeypatch.setattr(KEEPING, lambda: Keeping(folder=autosave_folder, days=7))
    crashed([("first", result_of(kdata))])
    dock = make_dock()
    qtbot.waitUntil(lambda: offered(dock) == ["Recover", "Discard"], timeout=5000)
    dock.autosave.discard.click()
    assert offered(dock) == [] and not dock.autosave.isVisibleTo(dock)
    assert sessions_left(autosave_folder) == []
    next_dock = make_dock()
    qtbot.wait(900)  # it has looked by then
    assert offered(next_dock) == []
    choose(next_dock, "Recover results…")
    qtbot.waitUntil(lambda: offered(next_dock) == ["Recover", "Discard"], timeout=5000)
    assert "did not end cleanly" not in next_dock.autosave.text.sentence


def test_a_finished_run_is_on_disk_with_the_name_of_its_layer(qtbot, make_dock, engine, viewer, kdata, autosave_folder):
    dock = make_dock()
    assert run(qtbot, dock) == ""
    qtbot.waitUntil(lambda: len(list(autosave_folder.glob("*/*.npz"))) == 1, timeout=5000)
    (path,) = autosave_folder.glob("*/*.npz")
    again, (layer,) = restore(path), results(viewer)
    assert (again.name, again.spacing) == (layer.name, kdata.spacing)
    np.testing.assert_array_equal(again.result.image, views.result_of(layer).image)
    assert again.result.recipe == recipe_of(layer)
    qtbot.waitUntil(lambda: not list(autosave_folder.glob(f"*/*{RUNNING}")), timeout=5000)
    assert not dock.autosave.note.sentence


def test_a_cancelled_run_is_not_autosaved_and_its_recipe_only_while_it_goes(qtbot, make_dock, engine, autosave_folder):
    dock = make_dock()
    engine.steps, engine.wait = 1000, 0.02
    dock.panel.button.click()
    qtbot.waitUntil(lambda: bool(list(autosave_folder.glob(f"*/*{RUNNING}"))), timeout=5000)
    qtbot.waitUntil(lambda: len(engine.used) > 1, timeout=5000)
    with qtbot.waitSignal(dock.done, timeout=5000) as ended:
        dock.panel.button.click()
    assert "Cancelled" in ended.args[0]
    qtbot.waitUntil(lambda: not list(autosave_folder.glob(f"*/*{RUNNING}")), timeout=5000)
    all_is_written(qtbot)
    assert not list(autosave_folder.glob("*/*.npz"))


def test_a_failed_run_is_not_autosaved(qtbot, make_dock, engine, autosave_folder):
    dock = make_dock()
    engine.wait, engine.error = 0.05, RuntimeError("broken")
    assert "broken" in run(qtbot, dock)
    qtbot.waitUntil(lambda: not list(autosave_folder.glob(f"*/*{RUNNING}")), timeout=5000)
    all_is_written(qtbot)
    assert not list(autosave_folder.glob("*/*.npz"))


def test_a_folder_that_cannot_be_written_stops_no_run(qtbot, make_dock, engine, viewer, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr(KEEPING, lambda: Keeping(folder=tmp_path / "taken"))
    dock = make_dock()
    assert run(qtbot, dock) == ""
    assert len(results(viewer)) == 1 and "Done" in dock.status.sentence
    note = dock.autosave.note
    qtbot.waitUntil(lambda: "cannot be written" in note.sentence, timeout=5000)
    assert note.sentence.startswith("Not autosaved: ") and "taken" in note.sentence
    assert note.isVisibleTo(dock)
    assert offered(dock) == []
    monkeypatch.setattr(KEEPING, lambda: Keeping(folder=tmp_path / "free"))
    assert run(qtbot, dock) == ""
    qtbot.waitUntil(lambda: not note.sentence and not note.isVisibleTo(dock), timeout=5000)
    qtbot.waitUntil(lambda: len(list(tmp_path.glob("free/*/*.npz"))) == 1, timeout=5000)


def test_preferences_that_cannot_be_used_are_told_and_stop_no_run(qtbot, make_dock, engine, viewer, monkeypatch):
    def refuse():
        raise InvalidInput("The folder “/nowhere” cannot be used.")

    monkeypatch.setattr(KEEPING, refuse)
    dock = make_dock()
    note = dock.autosave.note
    qtbot.waitUntil(lambda: "could not be looked for" in note.sentence, timeout=5000)
    assert "/nowhere" in note.sentence and note.isVisibleTo(dock)
    assert run(qtbot, dock) == ""
    qtbot.waitUntil(lambda: note.sentence.startswith("Not autosaved: "), timeout=5000)
    assert len(results(viewer)) == 1


def test_nothing_is_written_when_autosave_is_off(qtbot, make_dock, engine, viewer, autosave_folder, monkeypatch):
    monkeypatch.setattr(KEEPING, lambda: Keeping(enabled=False, folder=autosave_folder))
    dock = make_dock()
    assert run(qtbot, dock) == ""
    all_is_written(qtbot)
    assert len(results(viewer)) == 1
    assert list(autosave_folder.iterdir()) == [] and not dock.autosave.note.sentence
