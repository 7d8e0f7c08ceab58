"""The Recipe menu of the docks: what is copied, saved, opened, and what is said of where a layer comes from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication, QFileDialog
from widgets.fake_engine import FakeEngine
from widgets.recipe_menu import choose, copied, run, table

from napari_lossguide.data import samples
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import read
from napari_lossguide.data.writers import write_npz
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.widgets import layers, recipe_row, reconstruct_dock, views
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.provenance import ProvenanceDialog
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.run_facts import recipe_of
from napari_lossguide.widgets.sample_dock import SampleDock

FACTS = {
    "device": "cpu",
    "threads": 1,
    "napari-lossguide": "9.8.7",
    "torch": "2.99",
    "numpy": "1.99",
    "python": "3.99",
    "input_sha256": "a" * 64,
    "image_sha256": "b" * 64,
}


class Engine(FakeEngine):
    """States what the engine states of a run."""

    def _result(self, kdata, *args):
        return replace(super()._result(kdata, *args), provenance=dict(FACTS))


@pytest.fixture
def kdata():
    return simulate(shepp_logan(32), n_coils=2, spacing=(5.0, 2.0, 1.0), name="head")


@pytest.fixture
def scan(tmp_path, kdata):
    """The same, from a file."""
    return read(write_npz(tmp_path / "scan.npz", kdata.arrays()))


@pytest.fixture
def engine(monkeypatch):
    fake = Engine(wait=0.001)
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", fake)
    yield fake
    assert QThreadPool.globalInstance().waitForDone(5000)


@pytest.fixture
def dock(qtbot, viewer, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    QApplication.clipboard().setText("as before")
    return widget


@pytest.fixture
def asked(monkeypatch):
    """Answers of the file dialogs, one after another, and the questions."""

    class Asked(list):
        def __init__(self):
            super().__init__()
            self.questions = []

        def answer(self, parent, title, *args):
            self.questions.append(title)
            return str(self.pop(0)), ""

    answers = Asked()
    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, answers.answer)
    return answers


@pytest.fixture
def opened(monkeypatch):
    """Files that the system was asked to open."""
    urls = []

    def open_url(url):
        urls.append(Path(url.toLocalFile()))
        return True

    monkeypatch.setattr(recipe_row.QDesktopServices, "openUrl", open_url)
    return urls


def recipe_in(script):
    """The recipe that a script states, by running the statement that states it."""
    compile(script, "script", "exec")
    found = {}
    exec(script[script.index("RECIPE =") : script.index("# Run.")], {"Recipe": Recipe}, found)
    return found["recipe"]


def test_copy_recipe_gives_the_form_and_then_the_run(qtbot, dock, engine, viewer, kdata):
    layers.add_kspace(viewer, kdata)
    dock.settings.sampling.set_values({"seed": 7})
    choose(dock, "Copy recipe")
    assert Recipe.from_json(copied()) == dock.settings.recipe() and Recipe.from_json(copied()).seed == 7
    assert dock.status.sentence == "Copied the recipe of these settings."
    run(qtbot, dock)
    choose(dock, "Copy recipe")
    assert Recipe.from_json(copied()) == recipe_of(viewer.layers.selection.active)
    assert dock.status.sentence == "Copied the recipe of the last run."


def test_a_recipe_goes_through_a_file(dock, viewer, kdata, asked, tmp_path):
    layers.add_kspace(viewer, kdata)
    dock.settings.sampling.set_values({"seed": 7, "samples": 2})
    saved = dock.settings.recipe()
    asked.append(tmp_path / "mine.json")
    choose(dock, "Save recipe")
    assert Recipe.from_json(tmp_path / "mine.json") == saved and "mine.json" in dock.status.sentence
    dock.settings.sampling.set_values({"seed": 1, "samples": 1})
    asked.append("")
    choose(dock, "Load recipe")
    assert dock.settings.recipe().seed == 1
    asked.append(tmp_path / "mine.json")
    choose(dock, "Load recipe")
    assert dock.settings.recipe() == saved


def test_a_name_without_an_ending_gets_the_one_that_is_offered_again(dock, viewer, kdata, asked, tmp_path):
    layers.add_kspace(viewer, kdata)
    asked.append(tmp_path / "week 1.5")
    choose(dock, "Save recipe")
    assert [path.name for path in tmp_path.glob("week*")] == ["week 1.5.json"]
    assert "week 1.5.json" in dock.status.sentence
    dock.settings.sampling.set_values({"seed": 3})
    asked += [tmp_path / "week 1.5", tmp_path / "week 1.5.json"]
    choose(dock, "Save recipe")
    assert "week 1.5.json exists already" in dock.status.sentence
    assert Recipe.from_json(tmp_path / "week 1.5.json").seed == 0, "nobody was asked whether to replace it"
    choose(dock, "Save recipe")
    assert Recipe.from_json(tmp_path / "week 1.5.json").seed == 3


def test_a_script_of_a_file_names_file_recipe_and_what_the_run_gave(qtbot, dock, engine, viewer, scan, asked):
    layers.add_kspace(viewer, scan)
    choose(dock, "Copy as Python")
    assert recipe_in(copied()) == dock.settings.recipe()
    assert repr(scan.origin.name) in copied() and FACTS["image_sha256"] not in copied()
    dock.settings.sampling.set_values({"seed": 7})
    run(qtbot, dock)
    choose(dock, "Copy as Python")
    assert recipe_in(copied()) == recipe_of(viewer.layers.selection.active) and recipe_in(copied()).seed == 7
    assert FACTS["image_sha256"] in copied() and FACTS["input_sha256"] in copied()
    assert dock.status.sentence == "Copied a Python script of the recipe of the last run on scan.npz."
    dock.settings.sampling.set_values({"seed": 8})
    choose(dock, "Copy as Python")
    assert recipe_in(copied()).seed == 8 and FACTS["image_sha256"] not in copied(), "that was not run"
    assert "of these settings on scan.npz" in dock.status.sentence
    assert not asked.questions


def test_sample_data_are_made_again_without_a_question(dock, viewer, asked):
    layers.add_kspace(viewer, samples.phantom())
    choose(dock, "Copy as Python")
    assert recipe_in(copied()) == dock.settings.recipe() and "phantom()" in copied()
    assert not asked.questions


@pytest.mark.parametrize("origin", [None, Origin("image", "photo")])
def test_kspace_of_no_file_is_saved_first_and_once(dock, viewer, kdata, asked, tmp_path, origin):
    kdata = replace(kdata, origin=origin)
    layers.add_kspace(viewer, kdata)
    asked.append("")
    choose(dock, "Copy as Python")
    assert dock.status.sentence.startswith("Nothing was written or copied") and copied() == "as before"
    asked.append(tmp_path / "data v1.2")
    choose(dock, "Copy as Python")
    path = tmp_path / "data v1.2.npz"
    np.testing.assert_array_equal(read(path).kspace, kdata.kspace)
    assert repr(str(path)) in copied() and recipe_in(copied()) == dock.settings.recipe()
    assert path.name in dock.status.sentence
    choose(dock, "Copy as Python")
    assert len(asked.questions) == 2, "it is in a file now"
    path.unlink()
    asked.append(tmp_path / "no" / "folder.npz")
    QApplication.clipboard().setText("as before")
    choose(dock, "Copy as Python")
    assert len(asked.questions) == 3 and copied() == "as before"
    assert "could not be written" in dock.status.sentence


def test_a_notebook_is_written_and_opened(qtbot, dock, engine, viewer, scan, asked, opened, tmp_path, monkeypatch):
    layers.add_kspace(viewer, scan)
    run(qtbot, dock)
    asked.append("")
    choose(dock, "Open in a notebook")
    assert not opened and not list(tmp_path.glob("*.ipynb"))
    asked.append(tmp_path / "it's mine")
    choose(dock, "Open in a notebook")
    path = tmp_path / "it's mine.ipynb"
    assert opened == [path]
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        compile(cell, "cell", "exec")
    assert FACTS["image_sha256"] in "".join(code) and repr(scan.origin.name) in "".join(code)
    assert path.name in dock.status.sentence and "open by itself" in dock.status.sentence
    monkeypatch.setattr(recipe_row.QDesktopServices, "openUrl", lambda url: False)
    asked.append(path)
    choose(dock, "Open in a notebook")
    assert "nothing here opens it" in dock.status.sentence
    asked.append(tmp_path / "no" / "folder.ipynb")
    choose(dock, "Open in a notebook")
    assert "could not be written" in dock.status.sentence and len(opened) == 1


def test_a_notebook_of_kspace_of_no_file_asks_for_both_files(dock, viewer, kdata, asked, opened, tmp_path):
    layers.add_kspace(viewer, kdata)
    asked += ["", tmp_path / "data.npz", tmp_path / "a.ipynb"]
    choose(dock, "Open in a notebook")
    assert len(asked.questions) == 1 and not opened
    assert dock.status.sentence.startswith("Nothing was written or copied")
    choose(dock, "Open in a notebook")
    assert opened == [tmp_path / "a.ipynb"]
    assert repr(str(tmp_path / "data.npz")) in json.dumps(json.loads(opened[0].read_text()), ensure_ascii=False)


def test_the_recipe_of_samples_needs_no_kspace(qtbot, viewer, asked, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    dock = SampleDock(viewer)
    qtbot.addWidget(dock)
    choose(dock, "Copy as Python")
    assert recipe_in(copied()) == dock.recipe()[0] and not asked.questions
    assert "result = sample(recipe=recipe" in copied() and "kdata" not in copied()


def test_every_layer_of_a_run_tells_recipe_versions_device_and_hashes(qtbot, dock, engine, viewer, kdata):
    layers.add_kspace(viewer, kdata)
    dock.settings.sampling.set_values({"samples": 3, "seed": 5})
    dock.settings.phase.setChecked(True)
    dock.settings.parts.setChecked(True)
    dock.show()
    run(qtbot, dock)
    of_run = {"result", "standard deviation", "phase", "quantile", "measured part", "filled-in part"}
    qtbot.waitUntil(lambda: of_run <= {views.role_of(layer) for layer in viewer.layers}, timeout=30_000)
    box = dock.uncertainty.group.box
    box.setCurrentIndex(box.findText("Single sample"))
    found = [layer for layer in viewer.layers if views.role_of(layer) in {*of_run, "single sample"}]
    assert {views.role_of(layer) for layer in found} == {*of_run, "single sample"} and len(found) == 9
    for layer in found:
        role, rows = views.role_of(layer), table(dock, layer)
        assert rows["What it is"] == f"simulation: {role}"
        assert rows["Method"].endswith("[prox-mean]") and rows["Seed"] == "5" and rows["Samples"] == "3", role
        for name, value in {
            "Device": "cpu",
            "napari-lossguide": "9.8.7",
            "PyTorch": "2.99",
            "NumPy": "1.99",
            "Python": "3.99",
            "SHA-256 of the k-space used": "a" * 64,
            "SHA-256 of the image": "b" * 64,
            "Seconds": "1",
            "Network evaluations": "6",
        }.items():
            assert rows[name] == value, (role, name)
        assert ("Made of" in rows) == (role != "result")
        assert ("Data residual" in rows) == (role == "result")
        head, _, plain = copied().partition("\n\n")
        assert f"SHA-256 of the image: {'b' * 64}" in head
        assert Recipe.from_json(plain) == recipe_of(layer), role


@pytest.mark.parametrize("when", ["during the run", "after it"])
def test_a_step_of_the_timeline_leads_to_its_run(qtbot, dock, engine, viewer, kdata, when):
    layers.add_kspace(viewer, kdata)
    dock.settings.sampling.set_values({"seed": 5})
    if when == "during the run":
        engine.wait = 0.05
        dock.panel.button.click()
        qtbot.waitUntil(lambda: dock.timeline.step > 2, timeout=5000)
        dock.timeline.slider.setValue(1)
        (layer,) = of_role(viewer, "timeline")
        assert "NumPy" not in table(dock, layer), "the run has not said yet what it computes with"
        qtbot.waitUntil(lambda: not dock.running, timeout=5000)
    else:
        run(qtbot, dock)
        dock.timeline.slider.setValue(1)
    (layer,) = of_role(viewer, "timeline")
    rows = table(dock, layer)
    assert rows["What it is"] == "simulation: timeline" and rows["Seed"] == "5"
    assert rows["NumPy"] == "1.99" and rows["SHA-256 of the k-space used"] == "a" * 64


def of_role(viewer, role):
    return [layer for layer in viewer.layers if views.role_of(layer) == role]


def test_data_and_masks_tell_theirs(dock, viewer, scan, kdata):
    layers.add_kspace(viewer, scan)
    rows = table(dock, viewer.layers[0])
    assert rows["Origin"] == f"file: {scan.origin.name}" and rows["SHA-256 of the file"] == scan.origin.sha256
    viewer.layers.clear()
    layers.add_kspace(viewer, kdata)
    assert table(dock, viewer.layers[0])["Origin"] == "not known"
    made = MaskRecipe.of("random", acceleration=2.0, center_fraction=0.2)
    mask = layers.show_mask(viewer, made.make((32, 32)), name="mask", place=Place.of(kdata), recipe=made)
    assert table(dock, mask)["Mask"].startswith("random (")


def test_of_a_foreign_layer_of_none_and_of_two_it_is_one_sentence(dock, viewer, kdata):
    layers.add_kspace(viewer, kdata)
    foreign = viewer.add_image(np.zeros((4, 4)), name="somebody's")
    viewer.layers.selection = {foreign}
    choose(dock, "Provenance")
    assert "somebody's" in dock.status.sentence and dock.status.sentence.startswith("Nothing is known")
    for selection in (set(), {viewer.layers[0], foreign}):
        viewer.layers.selection = selection
        viewer.layers.selection.active = None if not selection else viewer.layers.selection.active
        choose(dock, "Provenance")
        assert dock.status.sentence.startswith("No layer, or more than one, is selected")
    assert not dock.findChildren(ProvenanceDialog)
