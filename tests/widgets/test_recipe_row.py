"""The Recipe menu by its entries: what is copied is what the last run did; a script of it gives the same image."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QDialog, QFileDialog
from widgets.fake_engine import FakeEngine

import napari_lossguide
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import read
from napari_lossguide.data.writers import write_npz
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.widgets import layers, reconstruct_dock, views
from napari_lossguide.widgets.io import get_reader, write_result
from napari_lossguide.widgets.provenance import ProvenanceDialog
from napari_lossguide.widgets.recipe_row import RecipeRow
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.sample_dock import SampleDock
from napari_lossguide.widgets.simulation import SimulationParams, simulate_pixels


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def path(tmp_path):
    kdata = simulate(shepp_logan(48), n_coils=2, noise_std=0.01, seed=1)
    return write_npz(tmp_path / "scan.npz", kdata.arrays())


@pytest.fixture
def dock(qtbot, viewer, path):
    layers.add_kspace(viewer, read(path))
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    widget.settings.method.setCurrentIndex(widget.settings.method.findData("cg-sense"))
    return widget


def entry(dock, title):
    """An entry of the menu, by the beginning of its title."""
    row = dock.findChildren(RecipeRow)[0]
    return next(action for action in row.button.menu().actions() if action.text().startswith(title))


def run(qtbot, dock):
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)


def result_layer(viewer):
    return next(layer for layer in viewer.layers if views.role_of(layer) == "result")


def asked(monkeypatch, path, which="getSaveFileName"):
    monkeypatch.setattr(QFileDialog, which, lambda *a, **k: (str(path), ""))


def python(text, folder):
    (folder / "script.py").write_text(text, encoding="utf-8")
    source = Path(napari_lossguide.__file__).parents[1]
    paths = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "script.py", "--check"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_script_of_the_last_run_gives_its_image(qtbot, dock, viewer, tmp_path, monkeypatch):
    mask = MaskRecipe.of("random", acceleration=2.0, center_fraction=0.3)
    layers.show_mask(viewer, mask.make((48, 48)), name="mask", scale=(1.0, 1.0, 1.0), recipe=mask)
    run(qtbot, dock)
    result = views.result_of(result_layer(viewer))
    other, _ = layers.add_kspace(viewer, simulate(shepp_logan(48) * 2, name="another"))
    dock.settings.input.layer = other  # is chosen now, and is not what was run
    asked(monkeypatch, "")
    entry(dock, "Copy as Python").trigger()
    assert dock.status.sentence == "Copied a Python script of the recipe of the last run on scan.npz."
    done = python(QApplication.clipboard().text(), tmp_path)
    assert done.returncode == 0 and "bit for bit" in done.stdout, done.stderr
    with np.load(tmp_path / "cg-sense.npz") as file:
        np.testing.assert_array_equal(file["image"], result.image)


def test_settings_that_were_not_run_have_no_hash_to_compare_with(qtbot, dock):
    run(qtbot, dock)
    dock.settings.form.set_value("guidance.iterations", 7)
    entry(dock, "Copy as Python").trigger()
    text = QApplication.clipboard().text()
    assert "of these settings on scan.npz" in dock.status.sentence
    assert '"iterations": 7' in text and "image_sha256" not in text


def test_kspace_made_from_an_image_is_written_once_for_the_script(qtbot, viewer, tmp_path, monkeypatch):
    pixels = type("P", (), {"data": shepp_logan(48)[None], "spacing": (1.0, 1.0, 1.0)})
    kdata = simulate_pixels(pixels, SimulationParams(n_coils=2, noise="std", noise_std=0.02, seed=4), "photo")
    layers.add_kspace(viewer, kdata)
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    dock.settings.method.setCurrentIndex(dock.settings.method.findData("cg-sense"))
    run(qtbot, dock)
    QApplication.clipboard().setText("before")
    asked(monkeypatch, "")
    entry(dock, "Copy as Python").trigger()
    assert "Nothing was written or copied" in dock.status.sentence and QApplication.clipboard().text() == "before"
    asked(monkeypatch, tmp_path / "photo")
    entry(dock, "Copy as Python").trigger()
    assert (tmp_path / "photo.npz").exists()
    done = python(QApplication.clipboard().text(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: pytest.fail("it asks again"))
    entry(dock, "Copy as Python").trigger()
    assert "photo.npz" in dock.status.sentence


@pytest.mark.parametrize(("opens", "words"), [(True, "should open by itself"), (False, "nothing here opens it")])
def test_a_notebook_is_written_and_the_system_is_asked_to_open_it(qtbot, dock, tmp_path, monkeypatch, opens, words):
    seen = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: seen.append(url.toLocalFile()) or opens)
    asked(monkeypatch, tmp_path / "run")
    entry(dock, "Open in a notebook").trigger()
    target = tmp_path / "run.ipynb"
    assert seen == [str(target)] and '"nbformat": 4' in target.read_text(encoding="utf-8")
    assert str(target) in dock.status.sentence and words in dock.status.sentence
    asked(monkeypatch, tmp_path / "no" / "run.ipynb")
    entry(dock, "Open in a notebook").trigger()
    assert "could not be written" in dock.status.sentence and len(seen) == 1


def test_recipes_are_copied_saved_and_loaded_by_the_menu(dock, tmp_path, monkeypatch):
    wanted = dock.settings.recipe()
    entry(dock, "Copy recipe").trigger()
    assert Recipe.from_json(QApplication.clipboard().text()) == wanted
    asked(monkeypatch, tmp_path / "r.json")
    entry(dock, "Save recipe").trigger()
    dock.settings.form.set_value("guidance.iterations", 3)
    asked(monkeypatch, tmp_path / "r.json", "getOpenFileName")
    entry(dock, "Load recipe").trigger()
    assert dock.settings.recipe() == wanted


def test_a_recipe_of_samples_is_for_the_other_dock(qtbot, dock, viewer, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    sample = SampleDock(viewer)
    qtbot.addWidget(sample)
    asked(monkeypatch, tmp_path / "s.json")
    entry(sample, "Save recipe").trigger()
    entry(sample, "Copy as Python").trigger()
    text = QApplication.clipboard().text()
    compile(text, "script", "exec")
    assert "result = sample(recipe=recipe" in text and "kdata" not in text
    before = dock.settings.recipe()
    asked(monkeypatch, tmp_path / "s.json", "getOpenFileName")
    entry(dock, "Load recipe").trigger()
    assert "Sample" in dock.status.sentence and dock.settings.recipe() == before
    sample.settings.kind.set_values({"seed": 9})
    entry(sample, "Load recipe").trigger()
    assert sample.settings.recipe().seed == 0


def shown(dock):
    """The provenance of the selected layer, by the menu."""
    entry(dock, "Provenance").trigger()
    (dialog,) = [x for x in dock.findChildren(QDialog) if isinstance(x, ProvenanceDialog) and x.isVisible()]
    table = dialog.table
    rows = {table.item(y, 0).text(): table.item(y, 1).text() for y in range(table.rowCount())}
    dialog.copy_button.click()
    copied = QApplication.clipboard().text()
    assert all(f"{name}: {value}" in copied for name, value in rows.items())
    dialog.close()
    dialog.deleteLater()
    return rows, copied


def every_layer(viewer):
    return [layer for layer in viewer.layers if views.role_of(layer) not in ("kspace", "image", "mask")]


KINDS = {"result", "standard deviation", "phase", "quantile", "measured part", "filled-in part"}


def test_every_layer_of_a_run_leads_to_its_run(qtbot, dock, viewer, monkeypatch, tmp_path):
    from tiny import tiny_unet

    from napari_lossguide.priors.load import save_prior

    network, prior = tiny_unet(), tmp_path / "tiny.safetensors"
    info = {"name": "tiny", "sigma_data": 0.25, "licence": "none", "trained_on": "nothing"}
    save_prior(prior, network.state_dict(), network.config, info)
    settings = dock.settings
    settings.method.setCurrentIndex(settings.method.findData("prox-mean"))
    settings.prior.select(str(prior))
    settings.form.set_value("schedule.steps", 3)
    settings.sampling.set_values({"samples": 2, "seed": 5})
    settings.phase.setChecked(True)
    settings.parts.setChecked(True)
    run(qtbot, dock)
    qtbot.waitUntil(lambda: {views.role_of(x) for x in viewer.layers} >= KINDS, timeout=60_000)
    result = views.result_of(result_layer(viewer))
    for layer in every_layer(viewer):
        viewer.layers.selection.active = layer
        rows, copied = shown(dock)
        assert rows["Layer"] == layer.name and rows["Seed"] == "5" and rows["Device"] == "cpu", layer.name
        assert rows["SHA-256 of the image"] == result.provenance["image_sha256"]
        assert rows["SHA-256 of the k-space used"] == result.provenance["input_sha256"]
        assert rows["SHA-256 of the prior"] == result.recipe.prior_sha256 != ""
        assert rows["PyTorch"] and rows["NumPy"] and rows["Finished"] and rows["Seconds"]
        assert Recipe.from_json(copied[copied.index("{") :]) == result.recipe
        assert ("Data residual" in rows) == (views.role_of(layer) == "result"), "it is one of the image alone"


def test_data_masks_and_strangers(qtbot, dock, viewer, path):
    viewer.layers.selection.active = viewer.layers[0]
    rows, _ = shown(dock)
    assert rows["Origin"] == f"file: {path}" and len(rows["SHA-256 of the file"]) == 64
    recipe = MaskRecipe.of("random", acceleration=2.0)
    layer = layers.show_mask(viewer, recipe.make((48, 48)), name="m", scale=(1.0, 1.0, 1.0), recipe=recipe)
    viewer.layers.selection.active = layer
    assert shown(dock)[0]["Mask"].startswith("random (acceleration 2.0")
    viewer.layers.selection.active = viewer.add_image(np.zeros((4, 4)), name="a stranger")
    entry(dock, "Provenance").trigger()
    assert "Nothing is known" in dock.status.sentence and "a stranger" in dock.status.sentence
    viewer.layers.selection.clear()
    entry(dock, "Provenance").trigger()
    assert "select one" in dock.status.sentence


def test_a_result_opened_from_its_file_leads_to_its_run_too(qtbot, dock, viewer, tmp_path):
    run(qtbot, dock)
    layer, target = result_layer(viewer), str(tmp_path / "out.npz")
    write_result(target, layer.data, {"metadata": layer.metadata})
    image = get_reader(target)(target)[-1]
    viewer.layers.selection.active = viewer.add_image(image[0], **image[1])
    rows, _ = shown(dock)
    assert rows["SHA-256 of the image"] == views.result_of(layer).provenance["image_sha256"]
    assert rows["Seconds"] and rows["Method"].endswith("[cg-sense]")


def test_the_button_fits_a_narrow_dock(qtbot, dock):
    row = dock.findChildren(RecipeRow)[0]
    assert row.minimumSizeHint().width() <= 300
    for action in row.button.menu().actions():
        assert action.isSeparator() or len(action.toolTip()) > 15, action.text()


def test_a_turned_knob_is_in_the_script(qtbot, viewer, path, monkeypatch):
    engine = FakeEngine(steps=60)
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", engine)
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    layers.add_kspace(viewer, read(path))
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(engine.used) > 3, timeout=5000)
    dock.settings.form.set_value("guidance.gamma", 4.0)
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    entry(dock, "Copy as Python").trigger()
    text = QApplication.clipboard().text()
    assert '"name": "guidance.gamma"' in text and "Its 1 knob change will be replayed" in text
