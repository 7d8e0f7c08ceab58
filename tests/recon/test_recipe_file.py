"""A recipe is found in every file that carries one."""

import json

import numpy as np
import pytest

from napari_lossguide.cli import main
from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.exports.registry import WRITERS, export
from napari_lossguide.data.formats.registry import record_text
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.recipe_file import read_recipe, suffixes
from napari_lossguide.types import InvalidInput

ENDINGS = [suffix for writer in WRITERS for suffix in writer.suffixes]
MASK = MaskRecipe.drawn(np.random.default_rng(0).random((16, 16)) < 0.5)
RECIPE = Recipe.for_method("cg-sense", steps=3, seed=7, mask=MASK)


def written(path, recipe=RECIPE):
    facts = json.dumps({"status": "done", "residual": float("nan"), "simulated": True})
    images = np.random.default_rng(1).standard_normal((2, 16, 16)).astype(np.float32)
    text = {} if recipe is None else {"recipe": recipe.to_json(), "facts": facts}
    return export(path, Export(images, name="a brain", **text))


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.npz"
    np.savez(path, kspace=simulate(shepp_logan(16), noise_std=0.01).kspace)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_file_that_is_written_gives_its_recipe_again(tmp_path, ending):
    path = written(tmp_path / f"a.b{ending}")
    assert read_recipe(path) == RECIPE
    assert read_recipe(str(path)) == RECIPE
    assert ending in suffixes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_begins_from_a_file_that_was_saved_of_another(tmp_path, scan, ending):
    first, second = tmp_path / f"first{ending}", tmp_path / "second.npz"
    assert main(["recon", str(scan), "-o", str(first), "--method", "cg-sense", "--steps", "2", "--seed", "3"]) == 0
    assert main(["recon", str(scan), "-o", str(second), "--recipe", str(first)]) == 0
    with np.load(second) as file:
        again = Recipe.from_json(str(file["recipe"]))
    assert again == read_recipe(first) and again.seed == 3 and again.guidance["iterations"] == 2


def test_the_json_beside_a_pair_of_bart_is_a_file_with_a_recipe_too(tmp_path):
    written(tmp_path / "a.cfl")
    assert read_recipe(tmp_path / "a.json") == RECIPE
    assert read_recipe(tmp_path / "a") == RECIPE
    assert read_recipe(tmp_path / "a.hdr") == RECIPE
    numbers = (tmp_path / "a.cfl").read_bytes()
    (tmp_path / "a.cfl").write_bytes(numbers[::-1])  # another image: the record is not its own
    assert record_text(tmp_path / "a.cfl") is None


def test_recipes_themselves(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text("\n" + RECIPE.to_json())
    assert read_recipe(path) == RECIPE
    assert read_recipe(RECIPE.to_json()) == RECIPE


@pytest.mark.parametrize("ending", [e for e in ENDINGS if e != ".npz"])
def test_images_without_a_recipe_are_refused(tmp_path, ending):
    path = written(tmp_path / f"a{ending}", None)
    with pytest.raises(InvalidInput, match=r"carries no recipe.*accepted are recipes \(.json\) and"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b"{", "This is not a recipe"),
        ("a.json", b"[]", "This is not a recipe"),
        ("a.json", b"\xff\xfe", "cannot be read"),
        ("a.txt", b"hello", "a.txt cannot be read: it is of another kind; accepted are recipes"),
        ("b.json", None, "cannot be read: .*No such file"),
        ("b.nii", None, "cannot be read: .*No such file"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_sentence(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=says):
        read_recipe(tmp_path / name)


def test_kspace_carries_no_recipe(scan):
    with pytest.raises(InvalidInput, match=r"scan.npz carries no recipe"):
        read_recipe(scan)


@pytest.mark.parametrize("ending", [e for e in ENDINGS if e != ".npz"])
def test_info_tells_where_an_image_comes_from(tmp_path, capsys, ending):
    path = written(tmp_path / f"a{ending}")
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["name"], told["slices"], told["shape"]) == ("image, simulation", "a brain", 2, [16, 16])
    assert told["status"] == "done" and told["recipe"] == json.loads(RECIPE.to_json())
    assert main(["info", str(path)]) == 0
    assert '"method": "cg-sense"' in capsys.readouterr().out
