"""The Recipe menu with the real engine: a script of the last run gives its image, and so does its file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog
from widgets.fake_engine import FakeEngine
from widgets.recipe_menu import choose, copied, run, table

import napari_lossguide
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import read
from napari_lossguide.data.writers import write_npz
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.widgets import layers, reconstruct_dock, views
from napari_lossguide.widgets.io import get_reader, write_result
from napari_lossguide.widgets.pixels import Pixels
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.recipe_row import RecipeRow
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.sample_dock import SampleDock
from napari_lossguide.widgets.simulation import SimulationParams, simulate_pixels


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
    layers.show_mask(viewer, mask.make((48, 48)), name="mask", place=Place(), recipe=mask)
    run(qtbot, dock)
    result = views.result_of(result_layer(viewer))
    other, _ = layers.add_kspace(viewer, simulate(shepp_logan(48) * 2, name="another"))
    dock.settings.input.layer = other  # is chosen now, and is not what was run
    asked(monkeypatch, "")
    choose(dock, "Copy as Python")
    assert dock.status.sentence == "Copied a Python script of the recipe of the last run on scan.npz."
    done = python(copied(), tmp_path)
    assert done.returncode == 0 and "bit for bit" in done.stdout, done.stderr
    with np.load(tmp_path / "cg-sense.npz") as file:
        np.testing.assert_array_equal(file["image"], result.image)


def test_the_script_of_kspace_made_from_an_image_runs(qtbot, viewer, tmp_path, monkeypatch):
    pixels = Pixels(shepp_logan(48)[None], (1.0, 1.0, 1.0), "")
    kdata = simulate_pixels(pixels, SimulationParams(n_coils=2, noise="std", noise_std=0.02, seed=4), "photo")
    layers.add_kspace(viewer, kdata)
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    dock.settings.method.setCurrentIndex(dock.settings.method.findData("cg-sense"))
    run(qtbot, dock)
    asked(monkeypatch, tmp_path / "photo")
    choose(dock, "Copy as Python")
    assert (tmp_path / "photo.npz").exists()
    done = python(copied(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_recipe_of_samples_is_for_the_other_dock(qtbot, dock, viewer, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    sample = SampleDock(viewer)
    qtbot.addWidget(sample)
    asked(monkeypatch, tmp_path / "s.json")
    choose(sample, "Save recipe")
    before = dock.settings.recipe()
    asked(monkeypatch, tmp_path / "s.json", "getOpenFileName")
    choose(dock, "Load recipe")
    assert "Sample" in dock.status.sentence and dock.settings.recipe() == before
    sample.settings.kind.set_values({"seed": 9})
    choose(sample, "Load recipe")
    assert sample.settings.recipe().seed == 0


def test_the_engine_states_hashes_versions_and_device(qtbot, dock, viewer, tmp_path):
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
    run(qtbot, dock)
    layer = result_layer(viewer)
    result, rows = views.result_of(layer), table(dock, layer)
    assert rows["Seed"] == "5" and rows["Device"] == "cpu"
    assert rows["SHA-256 of the image"] == result.provenance["image_sha256"] != ""
    assert rows["SHA-256 of the k-space used"] == result.provenance["input_sha256"] != ""
    assert rows["SHA-256 of the prior"] == result.recipe.prior_sha256 != ""
    assert rows["PyTorch"] and rows["NumPy"] and rows["Finished"] and rows["Seconds"]
    assert Recipe.from_json(copied()[copied().index("{") :]) == result.recipe


def test_a_result_opened_from_its_file_leads_to_its_run_too(qtbot, dock, viewer, tmp_path):
    run(qtbot, dock)
    layer, target = result_layer(viewer), str(tmp_path / "out.npz")
    write_result(target, layer.data, {"metadata": layer.metadata})
    image = get_reader(target)(target)[-1]
    rows = table(dock, viewer.add_image(image[0], **image[1]))
    assert rows["SHA-256 of the image"] == views.result_of(layer).provenance["image_sha256"]
    assert rows["Seconds"] and rows["Method"].endswith("[cg-sense]")


@pytest.mark.parametrize("ending", [".npz", ".nii.gz", ".cfl", ".h5", ".ome.tif", ".dcm"])
def test_what_was_saved_of_a_result_gives_its_recipe_and_its_provenance_again(
    qtbot, dock, viewer, tmp_path, monkeypatch, ending
):
    dock.settings.form.set_value("guidance.iterations", 3)
    run(qtbot, dock)
    layer, target = result_layer(viewer), str(tmp_path / f"out{ending}")
    write_result(target, layer.data, {"metadata": layer.metadata, "name": layer.name})
    dock.settings.form.set_value("guidance.iterations", 9)
    asked(monkeypatch, target, "getOpenFileName")
    choose(dock, "Load recipe")
    assert dock.status.sentence == f"Loaded {target}."
    assert dock.settings.recipe().guidance["iterations"] == 3
    monkeypatch.setattr("napari_lossguide.widgets.io.ask_entry", lambda path: None)
    image = get_reader(target)(target)[-1]
    rows = table(dock, viewer.add_image(image[0], **image[1]))
    assert rows["SHA-256 of the image"] == views.result_of(layer).provenance["image_sha256"]


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
    choose(dock, "Copy as Python")
    text = copied()
    assert '"name": "guidance.gamma"' in text and "Its 1 knob change will be replayed" in text
