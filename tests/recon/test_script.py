"""Scripts and notebooks that repeat a run: executed in a fresh process, their image is the run's, bit for bit."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import collect, tiny_scan, tiny_unet

import napari_lossguide
from napari_lossguide import sample
from napari_lossguide.data import samples
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.readers import read
from napari_lossguide.data.writers import write_npz
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.priors.load import save_prior
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.notebook import as_notebook
from napari_lossguide.recon.provenance import hash_of
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.samples import sample_recipe
from napari_lossguide.recon.script import as_python, device_of
from napari_lossguide.types import InvalidInput


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prior, and a scan of two slices."""
    path = tmp_path_factory.mktemp("it's a “folder”")
    network = tiny_unet()
    info = {"name": "tiny", "sigma_data": 0.25, "licence": "none", "trained_on": "nothing"}
    save_prior(path / "tiny.safetensors", network.state_dict(), network.config, info)
    write_npz(path / "scan.npz", tiny_scan(coils=2, slices=2).arrays())
    return path


def recipe_of(folder, **fields):
    return Recipe.for_method("prox-mean", steps=4, prior=str(folder / "tiny.safetensors"), seed=3, **fields)


def execute(text, folder, *options):
    """Run a script in a fresh process; what it printed."""
    (folder / "again.py").write_text(text, encoding="utf-8")
    source = Path(napari_lossguide.__file__).parents[1]
    paths = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "again.py", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def image_of(path, name="image"):
    with np.load(path, allow_pickle=False) as file:
        return np.asarray(file[name])


def turned(kdata, recipe):
    """A run with a knob that was turned after two steps, as the dock does it."""
    live = Live()
    run = reconstruction(kdata, recipe, device="cpu", live=live)
    next(run)
    next(run)
    live.update({"guidance.gamma": 4.0})
    return collect(run)[1]


def test_a_script_repeats_a_run_on_a_file_bit_for_bit(folder, tmp_path):
    mask = MaskRecipe.of("random", acceleration=1.5, center_fraction=0.4)
    dropped = np.ones((24, 20), bool)
    dropped[:, 0] = False
    kdata = read(folder / "scan.npz").select(1).undersample(dropped)
    out = turned(kdata, recipe_of(folder, mask=mask, samples=2))
    assert len(out.changes) == 1
    text = as_python(out.recipe, kdata.origin, provenance=out.provenance)
    done = execute(text, tmp_path, "--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "The same, bit for bit."
    again = image_of(tmp_path / "prox-mean.npz")
    np.testing.assert_array_equal(again, out.image)
    assert hash_of(again) == out.provenance["image_sha256"]
    unchanged = collect(reconstruction(kdata, out.recipe.model_copy(update={"changes": ()}), device="cpu"))[1]
    assert hash_of(unchanged.image) != hash_of(again), "the knob made a difference"


def test_other_data_are_told_and_fail_the_check(folder, tmp_path):
    kdata = read(folder / "scan.npz")
    out = collect(reconstruction(kdata, Recipe.for_method("zero-filled"), device="cpu"))[1]
    text = as_python(out.recipe, kdata.select(0).origin, provenance=out.provenance)
    done = execute(text, tmp_path, "--check")
    assert done.returncode == 1 and "input_sha256, image_sha256 differ" in done.stdout, done.stderr
    assert execute(text, tmp_path).returncode == 0, "without --check it only says so"


@pytest.mark.parametrize("steps", [{"coils": 1}, {"prewhiten": False, "coils": 2, "compression": "gcc"}])
def test_raw_data_steps_are_done_again(folder, tmp_path, steps):
    kdata = read(folder / "scan.npz", variable="kspace", steps=steps).select(1)
    out = collect(reconstruction(kdata, Recipe.for_method("cg-sense", steps=3), device="cpu"))[1]
    text = as_python(out.recipe, kdata.origin, provenance=out.provenance)
    assert f"read({str(folder / 'scan.npz')!r}, variable='kspace', steps={steps!r})" in text
    cells = code_of(as_notebook(out.recipe, kdata.origin, provenance=out.provenance))
    assert any(f"steps={steps!r}" in cell for cell in cells)
    done = execute(text, tmp_path, "--check")
    assert done.returncode == 0, done.stderr + done.stdout


def test_sample_data_need_no_file(tmp_path):
    kdata = samples.phantom()
    out = collect(reconstruction(kdata, Recipe.for_method("zero-filled"), device="cpu"))[1]
    done = execute(as_python(out.recipe, kdata.origin, provenance=out.provenance), tmp_path, "--check")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(image_of(tmp_path / "zero-filled.npz"), out.image)


def test_a_script_draws_the_same_samples(folder, tmp_path):
    prior = str(folder / "tiny.safetensors")
    out = sample(recipe=sample_recipe(prior=prior, shape=(24, 20), count=2, steps=3, seed=5), device="cpu")
    done = execute(as_python(out.recipe, provenance=out.provenance), tmp_path, "--check")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(image_of(tmp_path / f"{out.recipe.method}.npz", "images"), out.images)


@pytest.mark.parametrize(
    ("origin", "words"), [(None, "come from nowhere"), (Origin("image", "photo"), "made from “photo”")]
)
def test_data_that_no_file_holds_are_one_sentence(origin, words):
    with pytest.raises(InvalidInput, match=words):
        as_python(Recipe.for_method("zero-filled"), origin)


def test_a_recipe_that_was_never_run_has_nothing_to_compare_with(folder):
    text = as_python(recipe_of(folder), read(folder / "scan.npz").origin, device="cuda")
    assert "device='cuda'" in text and "expected" not in text and "set_num_threads" not in text
    compile(text, "script", "exec")


@pytest.mark.parametrize(
    ("known", "asked"), [({}, ""), ({"device": "cpu"}, "cpu"), ({"device": "mps"}, "mps"), ({"device": "H100"}, "cuda")]
)
def test_the_device_of_a_run_is_asked_for_again(known, asked):
    assert device_of(known) == asked


@pytest.mark.parametrize("name", ['a"""b.npz', "a\\b'.npz", "line\nbreak.npz", "ü“”.npz"])
def test_no_file_name_breaks_the_script(name):
    origin = Origin("file", f"/data/{name}", {}, "0" * 64)
    recipe = Recipe.for_method("zero-filled", prior='a"""\\n\nb')
    found = {}
    text = as_python(recipe, origin)
    compile(text, "script", "exec")
    exec(text[text.index("RECIPE =") : text.index("# Run.")], {"Recipe": Recipe}, found)
    assert found["recipe"] == recipe
    assert f"kdata = read({origin.name!r})" in text


def check_notebook(text):
    """The rules of nbformat 4.5 for the cells that are used here (nbformat/v4/nbformat.v4.5.schema.json)."""
    notebook = json.loads(text)
    assert set(notebook) == {"nbformat", "nbformat_minor", "metadata", "cells"}
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert {"name", "display_name"} <= set(notebook["metadata"]["kernelspec"])
    assert notebook["metadata"]["language_info"]["name"] == "python"
    for cell in notebook["cells"]:
        assert re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", cell["id"])
        assert isinstance(cell["metadata"], dict)
        assert all(isinstance(line, str) for line in cell["source"])
        assert all(line.endswith("\n") for line in cell["source"][:-1]), (
            "lines keep their ends, joined they are the text"
        )
        common = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            assert set(cell) == {*common, "outputs", "execution_count"}
            assert cell["outputs"] == [] and cell["execution_count"] is None
        else:
            assert cell["cell_type"] == "markdown" and set(cell) == common
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    return notebook["cells"]


def code_of(text):
    """The code cells, as Jupyter runs them, one after another; a last expression is shown."""
    return ["".join(cell["source"]) for cell in check_notebook(text) if cell["cell_type"] == "code"]


def test_a_notebook_repeats_the_run_and_shows_it(folder, tmp_path):
    kdata = read(folder / "scan.npz")
    out = turned(kdata, recipe_of(folder))
    cells = code_of(as_notebook(out.recipe, kdata.origin, provenance=out.provenance))
    shown = next(cell for cell in cells if "Image.fromarray" in cell)
    before, _, last = shown.rpartition("\n")
    cells[cells.index(shown)] = f"{before}\nprint(({last}).size)"
    done = execute("\n\n".join(cells), tmp_path)
    assert done.returncode == 0, done.stderr
    size, *figures, verdict = done.stdout.strip().splitlines()
    assert size == "(42, 24)" and verdict == "The same, bit for bit."
    assert [line.split()[0] for line in figures] == ["data", "psnr", "ssim", "nmse"]
    np.testing.assert_array_equal(image_of(tmp_path / "prox-mean.npz"), out.image)


def test_a_notebook_of_samples(folder, tmp_path):
    prior = str(folder / "tiny.safetensors")
    out = sample(recipe=sample_recipe(prior=prior, shape=(24, 20), count=2, steps=3), device="cpu")
    done = execute("\n\n".join(code_of(as_notebook(out.recipe, provenance=out.provenance))), tmp_path)
    assert done.returncode == 0 and "The same, bit for bit." in done.stdout, done.stderr


def test_a_notebook_needs_data_that_can_be_read_again():
    with pytest.raises(InvalidInput, match="save the k-space"):
        as_notebook(Recipe.for_method("zero-filled"), Origin("image", "photo"))
