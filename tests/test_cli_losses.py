"""Weights of further losses in the shell: a recipe with turned weights is replayed, --set and --vary know them."""

import json

import numpy as np
import pytest
from tiny import tiny_scan, tiny_unet

from napari_lossguide.cli import main
from napari_lossguide.data.writers import write_npz
from napari_lossguide.priors.load import save_prior


@pytest.fixture
def scan(tmp_path):
    return str(write_npz(tmp_path / "scan.npz", tiny_scan().arrays()))


@pytest.fixture
def options(tmp_path):
    network, path = tiny_unet(), tmp_path / "tiny.safetensors"
    save_prior(path, network.state_dict(), network.config, {"name": "tiny", "sigma_data": 0.25})
    return ["--device", "cpu", "--prior", str(path), "--steps", "4", "--loss", "tv=0.1"]


def result(path):
    with np.load(path) as file:
        return file["image"], json.loads(str(file["recipe"]))


def test_turned_weights_are_turned_again(scan, options, tmp_path):
    out, turned, again, recipe = (tmp_path / n for n in ("out.npz", "turned.npz", "again.npz", "r.json"))
    assert main(["recon", scan, *options, "-o", str(out), "--save-recipe", str(recipe)]) == 0
    change = {"step": 2, "name": "losses.0.weight", "value": 6.0}
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"changes": [change]}))
    for path, source in ((turned, recipe), (again, turned)):
        assert main(["recon", scan, "--device", "cpu", "-o", str(path), "--recipe", str(source)]) == 0
    assert result(turned)[1]["changes"] == [change]
    assert result(again)[0].tobytes() == result(turned)[0].tobytes() != result(out)[0].tobytes()


def test_a_weight_is_set_and_varied_by_its_name(scan, options, tmp_path, capsys):
    out, swept = tmp_path / "out.npz", tmp_path / "swept.npz"
    assert main(["recon", scan, *options, "-o", str(out), "--set", "losses.0.weight=3"]) == 0
    image, recipe = result(out)
    assert recipe["losses"] == [{"kind": "tv", "weight": 3.0, "low": 0.0, "high": 1.5}]
    assert main(["sweep", scan, *options, "-o", str(swept), "--vary", "losses.0.weight=0,3"]) == 0
    with np.load(swept) as file:
        assert file["image"].shape[:2] == (1, 2) and not np.array_equal(file["image"][0, 0], image)
        np.testing.assert_array_equal(file["image"][0, 1], image)
    capsys.readouterr()
    assert main(["recon", scan, *options, "-o", str(out), "--set", "losses.1.weight=3"]) == 2
    assert (
        "'losses.1.weight' is no parameter of the recipe's further losses; it has losses.0," in capsys.readouterr().err
    )
