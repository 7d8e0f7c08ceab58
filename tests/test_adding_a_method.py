"""The document that shows how a method is added is true: its blocks are run, one after another, as they stand."""

import re
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from recon import test_posterior as posterior
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.methods import GUIDANCES, METHODS
from napari_lossguide.recon.presets.published import PUBLISHED
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

TEXT = (Path(__file__).parents[1] / "docs" / "adding_a_method.md").read_text(encoding="utf-8")
FILE, NAME, RUN, JUDGED = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Names of the blocks that write the file and register the method, which is forgotten afterwards."""
    (tmp_path / "mcg.py").write_text(FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = {}
    with patch.dict(METHODS), patch.dict("sys.modules"):
        exec(NAME, names)
        yield names


def test_the_file_is_short_and_has_its_paper_on_top():
    assert len(FILE.splitlines()) < 150
    assert re.search(r"arXiv \d{4}\.\d{5}", FILE.split('"""')[1])


def test_the_method_runs_as_the_document_runs_it(registered, capsys):
    exec(RUN, registered)
    result = registered["result"]
    assert result.status == "done" and result.nfe == 10 and np.isfinite(result.image).all()
    assert Recipe.from_json(capsys.readouterr().out) == result.recipe
    assert result.recipe.guidance == {"zeta": 2.0} and result.recipe.sampler["variance"] == "posterior"


@pytest.mark.parametrize("coils", [1, 3])
def test_on_a_small_scan_it_meets_the_data_and_its_samples_are_their_own(registered, coils):
    kdata, chosen = tiny_scan(coils), METHODS["mcg"]

    def run(samples):
        recipe = Recipe.for_method("mcg", steps=5, samples=samples, image="complex")
        maps = kdata.maps if coils > 1 else None
        return collect(reconstruction(kdata, recipe, maps=maps, device="cpu", denoiser=tiny_denoiser()))[1]

    alone, three = run(1), run(3)
    size = np.abs(alone.image).max()
    np.testing.assert_allclose(three.samples[0, 0], alone.image[0], atol=1e-3 * size)
    assert alone.nfe == chosen.evaluations({"schedule": alone.recipe.schedule, "sampler": alone.recipe.sampler}) == 5
    if coils == 1:
        measured = fft2c(alone.image[0])[kdata.acquired]
        np.testing.assert_allclose(measured, kdata.kspace[0, 0, kdata.acquired], atol=1e-3 * size)


def test_as_a_part_it_is_free_to_combine_but_with_whom_the_document_says(registered):
    with patch.dict(GUIDANCES, {"mcg": registered["ManifoldConstraint"]}):
        assert Recipe.for_method("karras+ddim+mcg").guidance == {"zeta": 5.0}
        with pytest.raises(InvalidInput, match="the guidance corrects the noisy image after a step"):
            Recipe.for_method("karras+pula+mcg")
    assert METHODS["mcg"].live_knobs == ["guidance.zeta"]


def test_the_closed_form_posterior_gives_the_figures_of_the_document(registered):
    with patch.dict(posterior.GUIDANCES), patch.dict(posterior.EXPECTED):
        exec(JUDGED, {**vars(posterior), **registered})
        posterior.test_posterior("mcg", "posterior")


def test_what_the_document_names_is_there():
    root = Path(__file__).parents[1]
    for name in set(re.findall(r"`((?:guidance|samplers|recon|tests)/[\w/]+\.py)`", TEXT)) - {"guidance/mcg.py"}:
        assert (root / name).exists() or (root / "src" / "napari_lossguide" / name).exists(), name
    for name in ("GUIDANCE_PARTS", "SAMPLER_PARTS"):
        assert name in TEXT and hasattr(__import__("napari_lossguide.recon.parts", fromlist=[name]), name)
    assert "PUBLISHED" in TEXT and METHODS["dps"] in PUBLISHED
    assert hasattr(posterior, "test_every_registered_sampler_and_guidance_is_in_the_table")
