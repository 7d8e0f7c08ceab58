"""The Reconstruct dock on a viewer model, with a generator in the engine's place; the engine itself at the end."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget
from widgets.fake_engine import FakeEngine

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import Diverged, InvalidInput
from napari_lossguide.widgets import layers, reconstruct_dock, views
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def kdata():
    return simulate(shepp_logan(32), n_coils=2, spacing=(5.0, 2.0, 1.0), name="head")


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", fake)
    yield fake
    assert QThreadPool.globalInstance().waitForDone(5000)


@pytest.fixture
def dock(qtbot, viewer, kdata, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    layers.add_kspace(viewer, kdata)
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    return widget


def finish(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)


def run(qtbot, dock):
    dock.panel.button.click()
    finish(qtbot, dock)


def results(viewer):
    return [layer for layer in viewer.layers if views.role_of(layer) == "result"]


def started(dock):
    return bool(dock.panel.curve._points)


def test_run_gives_a_layer_with_its_facts(qtbot, dock, engine, viewer, kdata):
    run(qtbot, dock)
    (layer,) = results(viewer)
    assert layer.name == "Proximal mean, seed 0 (SIMULATION)"
    np.testing.assert_array_equal(layer.data, np.full((32, 32), 6.0))
    assert tuple(layer.scale) == kdata.spacing[1:]
    facts = layer.metadata["lossguide"]
    assert json.loads(facts["recipe"])["method"] == "prox-mean"
    assert facts["seed"] == 0 and facts["device"] == "cpu" and facts["simulated"] and facts["residual"] == 0.9
    assert engine.calls[0][0] is kdata and engine.calls[0][2] == "auto"
    assert not [x for x in viewer.layers if views.role_of(x) == "preview"], "the result takes the preview's place"
    assert "Done" in dock.status.sentence


def test_measured_data_are_not_called_a_simulation(qtbot, dock, engine, viewer, kdata):
    viewer.layers.clear()
    measured = KData(kdata.kspace, kdata.acquired, name="scan")
    layers.add_kspace(viewer, measured)
    assert "SIMULATION" not in dock.settings._facts.text()
    run(qtbot, dock)
    assert results(viewer)[0].name == "Proximal mean, seed 0"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("mat1 and mat2"), "mat1 and mat2"),
        (Diverged(3, 0.5, np.full((32, 32), 7, np.float32)), "diverged"),
        (InvalidInput("The device 'cuda' is not available here."), "The device 'cuda' is not available here."),
        (MemoryError(), "Out of memory"),
    ],
)
def test_an_error_is_shown_and_the_dock_goes_on(qtbot, dock, engine, viewer, error, words):
    run(qtbot, dock)
    before = results(viewer)[0].data.copy()
    engine.error = error
    run(qtbot, dock)
    assert words in dock.status.sentence
    assert dock.panel.button.text() == "Run" and dock.panel.button.isEnabled()
    assert dock.settings.method.isEnabled() and not dock.panel.pause.isEnabled()
    (layer,) = results(viewer)
    np.testing.assert_array_equal(layer.data, before)
    engine.error = None
    run(qtbot, dock)
    assert "Done" in dock.status.sentence


def test_out_of_memory_of_torch(qtbot, dock, engine, viewer):
    torch = pytest.importorskip("torch")
    engine.error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")
    run(qtbot, dock)
    assert dock.status.sentence.startswith("Out of memory on the GPU: 3.00 GiB")
    assert not results(viewer)


def test_one_button_runs_and_cancels(qtbot, dock, engine, viewer):
    run(qtbot, dock)
    engine.steps, engine.wait = 1000, 0.02
    dock.panel.button.click()
    assert dock.panel.button.text() == "Cancel"
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    dock.panel.button.click()
    assert dock.panel.button.text() == "Cancelling…" and not dock.panel.button.isEnabled()
    finish(qtbot, dock)
    assert dock.panel.button.text() == "Run" and dock.panel.button.isEnabled()
    assert len(results(viewer)) == 1, "a cancelled run leaves the earlier result and adds none"
    done = len(engine.used) - 6
    assert f"after step {done}" in dock.status.sentence
    preview = next(layer for layer in viewer.layers if views.role_of(layer) == "preview")
    assert preview.data.max() == done, "the preview ends with the very last estimate"


def test_pause_holds_the_run(qtbot, dock, engine):
    engine.steps, engine.wait = 200, 0.005
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    dock.panel.pause.click()
    assert dock.panel.pause.text() == "Resume"
    qtbot.wait(100)
    held = len(engine.used)
    qtbot.wait(200)
    assert len(engine.used) == held
    dock.panel.pause.click()
    finish(qtbot, dock)
    assert len(engine.used) == 200
    assert dock.panel.pause.text() == "Pause"


def test_a_knob_takes_effect_at_the_next_step_and_is_marked(qtbot, dock, engine, viewer):
    engine.steps, engine.wait = 100, 0.01
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    at = len(engine.used)
    dock.settings.form.set_value("guidance.gamma", 4.0)
    finish(qtbot, dock)
    first = next(i for i, used in enumerate(engine.used) if used.get("guidance.gamma") == 4.0)
    assert at <= first <= at + 1
    assert dock.panel.curve.marks == [(first + 1, "gamma 4")]
    recipe = Recipe.from_json(results(viewer)[0].metadata["lossguide"]["recipe"])
    assert [(c.step, c.value) for c in recipe.changes] == [(first, 4.0)]
    assert recipe.guidance["gamma"] == 1.0


def test_another_run_keeps_the_earlier_result(qtbot, dock, engine, viewer):
    run(qtbot, dock)
    run(qtbot, dock)
    assert [layer.name for layer in results(viewer)] == [
        "Proximal mean, seed 0 (SIMULATION)",
        "Proximal mean, seed 0 (SIMULATION) (2)",
    ]
    dock.settings.sampling.set_values({"seed": 1})
    run(qtbot, dock)
    assert results(viewer)[2].name == "Proximal mean, seed 1 (SIMULATION)"


def test_several_samples_and_phase_are_layers_too(qtbot, dock, engine, viewer):
    dock.settings.sampling.set_values({"samples": 3, "seed": 5})
    dock.settings.phase.setChecked(True)
    run(qtbot, dock)
    names = [layer.name for layer in viewer.layers]
    main = "Proximal mean, seed 5, mean of 3 (SIMULATION)"
    assert main in names
    for other in (f"Standard deviation (says little) of {main}", f"Phase of {main}"):
        assert not viewer.layers[other].visible
    assert viewer.layers.selection.active.name == main


def test_preview_is_one_layer_and_can_be_off(qtbot, dock, engine, viewer):
    engine.steps, engine.wait = 40, 0.02
    dock.panel.button.click()
    qtbot.waitUntil(lambda: any(views.role_of(x) == "preview" for x in viewer.layers), timeout=5000)
    count = len(viewer.layers)
    finish(qtbot, dock)
    assert len(viewer.layers) == count  # the result came, the preview went
    dock.panel.preview.setChecked(False)
    seen = []
    viewer.layers.events.inserted.connect(lambda e: seen.append(views.role_of(e.value)))
    engine.steps = 10
    run(qtbot, dock)
    assert seen == ["result"]


@pytest.mark.parametrize("touched", [False, True])
def test_contrast_is_the_results_own_unless_a_person_set_it(qtbot, dock, engine, viewer, kdata, touched):
    viewer.layers.clear()
    layers.add_kspace(viewer, KData(kdata.kspace, kdata.acquired, name="scan"))
    engine.steps, engine.wait = 20, 0.02
    dock.panel.button.click()
    qtbot.waitUntil(lambda: any(views.role_of(x) == "preview" for x in viewer.layers), timeout=5000)
    (preview,) = [x for x in viewer.layers if views.role_of(x) == "preview"]
    if touched:
        preview.contrast_limits = (0.0, 3.0)
    finish(qtbot, dock)
    (layer,) = results(viewer)
    assert layer is preview
    assert tuple(layer.contrast_limits) == ((0.0, 3.0) if touched else (0.0, 20.0))


def test_slices_are_followed_unless_the_person_looks_elsewhere(qtbot, engine, viewer, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    volume = simulate(np.stack([shepp_logan(32)] * 3), spacing=(5.0, 1.0, 1.0))
    layers.add_kspace(viewer, volume)
    viewer.dims.set_point(0, 0)
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    engine.steps, engine.wait = 10, 0.02
    run(qtbot, dock)
    assert viewer.dims.point[0] == 10.0
    assert results(viewer)[0].data.shape == (3, 32, 32)
    viewer.dims.set_point(0, 0)
    engine.steps = 20
    dock.panel.button.click()
    qtbot.waitUntil(lambda: viewer.dims.point[0] == 5.0, timeout=5000)
    viewer.dims.set_point(0, 0)
    finish(qtbot, dock)
    assert viewer.dims.point[0] == 0


def test_a_mask_layer_undersamples(qtbot, dock, engine, viewer, kdata):
    made = MaskRecipe.of("random", acceleration=2.0, center_fraction=0.2)
    points = made.make((32, 32))
    layer = layers.show_mask(viewer, points, name="mask", place=Place.of(kdata), recipe=made)
    assert dock.settings.mask.layer is layer, "a mask made for a full scan is meant to be used"
    assert f"{points.mean():.1%} acquired" in dock.settings._facts.text()
    run(qtbot, dock)
    assert engine.calls[-1][1].mask == made
    layer.data = np.eye(32, dtype=np.uint8)
    run(qtbot, dock)
    np.testing.assert_array_equal(engine.calls[-1][1].mask.make((32, 32)), np.eye(32, dtype=bool))


@pytest.mark.parametrize(
    ("mask", "words"), [(np.ones((8, 8), np.uint8), "(8, 8)"), (np.zeros((32, 32), np.uint8), "empty")]
)
def test_a_mask_that_does_not_fit_is_one_sentence(qtbot, dock, engine, viewer, mask, words):
    dock.settings.mask.layer = viewer.add_labels(mask, name="bad")
    dock.panel.button.click()
    assert words in dock.status.sentence and "bad" in dock.status.sentence
    assert not dock.running and not engine.calls


def test_no_input_and_no_prior_are_sentences(qtbot, engine, viewer, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.list_priors", list)
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    dock.panel.button.click()
    assert "no k-space" in dock.status.sentence
    layers.add_kspace(viewer, simulate(shepp_logan(16), name="small"))
    dock.panel.button.click()
    assert "No prior" in dock.status.sentence
    assert not engine.calls


def test_input_is_offered_once_for_all_its_layers(dock, viewer, kdata):
    assert len(viewer.layers) == 2
    assert dock.settings.input.count() == 1
    viewer.layers.remove(viewer.layers[0])
    assert dock.settings.kdata() is kdata


def test_method_decides_the_form(dock):
    settings = dock.settings
    for method in ("loss-guidance", "l1-wavelet", "zero-filled", "dds"):
        settings.method.setCurrentIndex(settings.method.findData(method))
        recipe = settings.recipe()
        assert recipe.method == method
        assert recipe == Recipe.for_method(method)
        assert settings.sampling.isVisibleTo(settings) == (method in ("loss-guidance", "dds"))
    assert "Chung" in settings.method.toolTip()


def test_the_kind_of_coil_maps_is_offered_where_there_are_several_coils(qtbot, dock, engine, viewer):
    form = dock.settings.advanced
    box = form.editor("coil_maps")
    assert box.isVisibleTo(form) and form.editor("calibration").isVisibleTo(form)
    assert [box.itemText(i) for i in range(box.count())] == ["ESPIRiT", "Walsh (faster)"]
    assert box.accessibleName() == "Coil maps" and "Walsh" in box.toolTip()
    box.setCurrentIndex(1)
    run(qtbot, dock)
    assert engine.calls[-1][1].coil_maps == "walsh"
    viewer.layers.clear()
    layers.add_kspace(viewer, simulate(shepp_logan(32), name="one coil"))
    assert not box.isVisibleTo(form) and not form.editor("calibration").isVisibleTo(form)


def test_the_facts_say_what_coil_maps_come_from(dock, viewer, kdata):
    assert "calibration" not in dock.settings._facts.text()
    viewer.layers.clear()
    layers.add_kspace(viewer, replace(kdata, calibration=kdata.kspace[:, :, 8:24]))
    assert "coil maps from 16 × 32 calibration points" in dock.settings._facts.text()


def test_recipe_goes_round(qtbot, dock, engine, viewer, kdata, tmp_path, monkeypatch):
    dock.settings.prior._box.addItem("brain", "brain")
    mask = MaskRecipe.of("random", acceleration=3.0, center_fraction=0.2, seed=4)
    change = {"step": 3, "name": "guidance.gamma", "value": 2.5}
    recipe = Recipe.for_method(
        "dds",
        steps=17,
        seed=9,
        samples=2,
        mask=mask,
        image="complex",
        noise_std=0.5,
        changes=[change],
        calibration=32,
        coil_maps="walsh",
    )
    path = tmp_path / "r.json"
    path.write_text(recipe.to_json())
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(path), ""))
    row = dock.body.itemAt(1).widget()
    row.ask_and_load()
    assert dock.settings.recipe() == recipe
    np.testing.assert_array_equal(dock.settings.mask.layer.data != 0, mask.make((32, 32)))
    row.copy()
    assert Recipe.from_json(QApplication.clipboard().text()) == recipe
    target = tmp_path / "saved.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(target), ""))
    row.ask_and_save()
    assert Recipe.from_json(target) == recipe
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(tmp_path / "no" / "r.json"), ""))
    row.ask_and_save()
    assert "could not be written" in dock.status.sentence
    path.write_text("{}}")
    row.ask_and_load()
    assert "not a recipe" in dock.status.sentence
    assert dock.settings.recipe() == recipe


def test_copy_gives_the_last_run_until_the_form_changes(qtbot, dock, engine):
    engine.steps, engine.wait = 60, 0.01
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    dock.settings.form.set_value("guidance.gamma", 2.0)
    finish(qtbot, dock)
    recipe, words = dock.recipe()
    assert len(recipe.changes) == 1 and "1 knob change" in words
    dock.settings.sampling.set_values({"seed": 3})
    assert not dock.recipe()[0].changes
    dock.settings.sampling.set_values({"seed": 0})
    assert dock.recipe()[0].changes
    dock.settings.form.set_value("guidance.gamma", 3.0)
    recipe, _ = dock.recipe()
    assert not recipe.changes and recipe.guidance["gamma"] == 3.0


def test_a_combination_runs_like_any_method(qtbot, dock, engine, viewer):
    settings = dock.settings
    settings.method.setCurrentIndex(settings.method.findData("combine"))
    settings.combine.sampler.setCurrentIndex(settings.combine.sampler.findData("heun"))
    engine.steps, engine.wait = 60, 0.01
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    settings.form.set_value("guidance.gamma", 2.0)
    finish(qtbot, dock)
    assert engine.calls[-1][1].method == "karras+heun+proximal"
    assert results(viewer)[0].name == "karras + heun + proximal, seed 0 (SIMULATION)"
    recipe, words = dock.recipe()
    assert len(recipe.changes) == 1 and "1 knob change" in words


@pytest.mark.parametrize("how", ["dock", "parent"])
def test_destroyed_during_a_run_leaves_no_thread(qtbot, engine, viewer, kdata, monkeypatch, how):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    engine.steps, engine.wait = 1000, 0.02
    layers.add_kspace(viewer, kdata)
    parent = QWidget()
    dock = ReconstructDock(viewer)
    dock.setParent(parent)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    (dock if how == "dock" else parent).deleteLater()
    qtbot.waitUntil(lambda: bool(engine.closed), timeout=5000)
    assert QThreadPool.globalInstance().waitForDone(2000)
    assert engine.closed != [threading.main_thread().name]
    assert len(engine.used) < 900
    qtbot.wait(50)
    viewer.add_image(np.zeros((4, 4)))  # events of the viewer reach nobody who is gone


def test_closing_the_viewer_during_a_run_leaves_no_thread(qtbot, make_napari_viewer, engine, kdata, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    viewer = make_napari_viewer()
    engine.steps, engine.wait = 1000, 0.02
    layers.add_kspace(viewer, kdata)
    dock = ReconstructDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    before = {t for t in threading.enumerate() if not isinstance(t, threading._DummyThread)}
    viewer.close()
    qtbot.waitUntil(lambda: bool(engine.closed), timeout=5000)
    assert QThreadPool.globalInstance().waitForDone(2000)
    after = {t for t in threading.enumerate() if not isinstance(t, threading._DummyThread)}
    assert after <= before
    assert len(engine.used) < 900


def test_taking_the_dock_away_cancels(qtbot, make_napari_viewer, engine, kdata, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    viewer = make_napari_viewer()
    engine.steps, engine.wait = 1000, 0.02
    layers.add_kspace(viewer, kdata)
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    frame = viewer.window.add_dock_widget(dock)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    frame.hide()  # only out of sight
    qtbot.wait(100)
    assert dock.panel.state == "running"
    frame.show()
    frame.destroyOnClose()  # the x of the title bar
    qtbot.waitUntil(lambda: bool(engine.closed), timeout=5000)


def test_building_the_docks_loads_no_torch():
    """In a fresh process, down to a recipe that is ready to run."""
    code = """
import sys
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.widgets import compare_dock, layers, reconstruct_dock
app, viewer = QApplication([]), ViewerModel()
layers.add_kspace(viewer, simulate(shepp_logan(16)))
dock, compare = reconstruct_dock.ReconstructDock(viewer), compare_dock.CompareDock(viewer)
names = [dock.settings.method.itemData(index) for index in range(dock.settings.method.count())]
assert names[-1] == "combine"
for name in filter(None, names):  # the headings have none
    dock.settings.method.setCurrentIndex(names.index(name))
assert dock.settings.recipe().method
print("torch" in sys.modules)
"""
    source = Path(reconstruct_dock.__file__).parents[2]
    paths = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "False"


def test_the_engine_itself(qtbot, viewer):
    """A classical method end to end: no prior is needed, and every part is the real one."""
    image = shepp_logan(48)
    kdata = simulate(image, n_coils=1, name="small")
    layers.add_kspace(viewer, kdata)
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    dock.settings.method.setCurrentIndex(dock.settings.method.findData("cg-sense"))
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=120_000)
    (layer,) = results(viewer)
    assert layer.name == "CG-SENSE (SIMULATION)"
    assert np.abs(layer.data - image).max() < 0.05 * image.max()
    assert "Done" in dock.status.sentence


def offered(dock):
    return not dock._restart.isHidden()


def test_what_is_not_live_offers_to_restart_the_run(qtbot, dock, engine, viewer):
    engine.steps, engine.wait = 400, 0.01
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    dock.settings.form.set_value("guidance.gamma", 2.0)
    qtbot.wait(300)
    assert not offered(dock), "a live knob needs no restart"
    before = dock.settings.form.values()["schedule.steps"]
    dock.settings.form.set_value("schedule.steps", before + 1)
    qtbot.waitUntil(lambda: offered(dock), timeout=5000)
    dock.settings.form.set_value("schedule.steps", before)
    qtbot.waitUntil(lambda: not offered(dock), timeout=5000)
    dock.settings.sampling.set_values({"seed": 7})
    qtbot.waitUntil(lambda: offered(dock), timeout=5000)
    ends = []
    dock.done.connect(ends.append)
    engine.steps = 5
    dock._restart.button.click()
    qtbot.waitUntil(lambda: bool(ends), timeout=20_000)
    assert ends == [""] and not dock.running and not offered(dock)
    assert [call[1].seed for call in engine.calls] == [0, 7]
    assert [layer.name for layer in results(viewer)] == ["Proximal mean, seed 7 (SIMULATION)"]


def test_another_method_chosen_during_a_run_has_no_hold_on_it(qtbot, dock, engine, viewer):
    engine.steps, engine.wait = 100, 0.01
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    dock.settings.method.choose("dps")
    dock.settings.form.set_value(dock.settings.form.method.live_knobs[0], 0.5)
    qtbot.waitUntil(lambda: offered(dock), timeout=5000)
    assert dock.status.sentence == ""
    finish(qtbot, dock)
    assert results(viewer)[0].name == "Proximal mean, seed 0 (SIMULATION)" and not offered(dock)
    assert not Recipe.from_json(results(viewer)[0].metadata["lossguide"]["recipe"]).changes


def test_settings_that_are_not_complete_are_said_when_the_restart_is_pressed(qtbot, dock, engine, viewer):
    engine.steps, engine.wait = 200, 0.01
    dock.panel.button.click()
    qtbot.waitUntil(lambda: started(dock), timeout=5000)
    viewer.layers.clear()  # the data, too
    qtbot.waitUntil(lambda: offered(dock), timeout=5000)
    dock._restart.button.click()
    assert "There is no k-space" in dock.status.sentence and dock.panel.state == "running"
    finish(qtbot, dock)
    assert len(results(viewer)) == 1


def test_a_stack_shows_what_failed_and_why(qtbot, dock, engine, viewer):
    viewer.layers.clear()
    layers.add_kspace(viewer, simulate(np.stack([shepp_logan(32)] * 3), name="stack"))
    whole = engine._result

    def holed(*args):
        result = whole(*args)
        result.image[1] = np.nan
        return replace(result, failed={1: "The reconstruction diverged."})

    engine._result = holed
    run(qtbot, dock)
    assert dock.status.sentence.endswith("1 slice failed and stayed empty.\nSlice 2: The reconstruction diverged.")
    (layer,) = results(viewer)
    assert np.isnan(layer.data[1]).all() and np.isfinite(layer.data[[0, 2]]).all()
    assert np.isfinite(layer.contrast_limits).all()
    assert layer.metadata["lossguide"]["failed"] == {1: "The reconstruction diverged."}


def test_a_mask_that_was_there_before_the_dock_is_used(qtbot, viewer, kdata):
    layers.add_kspace(viewer, kdata)
    recipe = MaskRecipe.of("random", acceleration=4.0)
    layers.show_mask(viewer, recipe.make((16, 16)), name="of another size", place=Place.of(kdata))
    meant = layers.show_mask(viewer, recipe.make(kdata.image_shape), name="mask", place=Place.of(kdata), recipe=recipe)
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    assert widget.settings.mask.layer is meant
