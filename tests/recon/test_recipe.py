import json

import numpy as np
import pytest
from pydantic import ValidationError

from napari_lossguide import __version__
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.methods import METHODS, method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput


@pytest.mark.parametrize("name", METHODS)
def test_every_method_builds_with_its_defaults_and_comes_back_from_json(name):
    recipe = Recipe.for_method(name)
    assert recipe.method == name and recipe.version == __version__
    chosen = METHODS[name]
    values = {f"{p}.{k}": v for p in ("schedule", "sampler", "guidance") for k, v in getattr(recipe, p).items()}
    assert set(values) == set(chosen.params())
    assert values.items() >= chosen.defaults.items()
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert chosen.title and chosen.summary


def test_every_field_survives_json(tmp_path):
    mask = np.random.default_rng(0).random((13, 9)) < 0.5
    recipe = Recipe.for_method(
        "diffpir",
        steps=7,
        settings={"guidance.gamma": 0.3, "sampler.eta": 0.25, "noise_std": 0.1},
        prior="some/file.safetensors",
        prior_sha256="ab",
        image="real",
        samples=3,
        batch=2,
        seed=2**62,
        mask=MaskRecipe.drawn(mask),
        calibration=16,
        coil_maps="walsh",
        changes=(Change(step=3, name="guidance.gamma", value=2.5),),
    )
    path = tmp_path / "r.json"
    path.write_text(recipe.to_json())
    for again in (Recipe.from_json(recipe.to_json()), Recipe.from_json(path), Recipe.from_json(str(path))):
        assert again == recipe
    assert recipe.schedule["steps"] == 7 and recipe.noise_std == 0.1
    assert (recipe.prior, recipe.image, recipe.samples, recipe.batch) == ("some/file.safetensors", "real", 3, 2)
    assert (recipe.prior_sha256, recipe.seed, recipe.calibration) == ("ab", 2**62, 16)
    assert recipe.coil_maps == "walsh"
    assert recipe.guidance["gamma"] == 0.3 and recipe.sampler["eta"] == 0.25
    assert [(c.step, c.name, c.value) for c in recipe.changes] == [(3, "guidance.gamma", 2.5)]
    np.testing.assert_array_equal(again.mask.make((13, 9)), mask)
    assert json.loads(recipe.to_json())["format"] == 1


def test_a_recipe_from_before_there_was_a_choice_of_coil_maps_takes_espirit():
    fields = json.loads(Recipe.for_method("tv").to_json())
    del fields["coil_maps"]
    assert Recipe.from_json(json.dumps(fields)) == Recipe.for_method("tv")
    assert Recipe.for_method("tv").coil_maps == "espirit"


def test_a_short_recipe_takes_the_methods_defaults():
    recipe = Recipe.from_json('{"method": "ddnm", "schedule": {"steps": 5}}')
    assert recipe == Recipe.for_method("ddnm", steps=5)
    assert recipe.guidance["weight"] == "hard"


@pytest.mark.parametrize(("name", "part"), [("prox-ddim", "schedule.steps"), ("tv", "guidance.iterations")])
def test_steps_means_what_the_method_repeats(name, part):
    recipe = Recipe.for_method(name, steps=3)
    where, key = part.split(".")
    assert getattr(recipe, where)[key] == 3


def test_steps_mean_nothing_to_zero_filled():
    assert Recipe.for_method("zero-filled", steps=3) == Recipe.for_method("zero-filled")


def test_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe.for_method().seed = 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"guidance.gama": 1},
            r"^'guidance.gama' is not a parameter of the method 'prox-mean'; it has .*guidance.gamma",
        ),
        ({"gamma": 1}, r"^'gamma' is not a parameter"),
        ({"guidance.gamma": 0}, r"^guidance.gamma = 0: input should be greater than"),
        ({"guidance.gamma": float("nan")}, r"^guidance.gamma = nan: input should be"),
        ({"sampler.eta": 1.5}, r"^sampler.eta = 1.5: input should be less than or equal to 1\.$"),
        ({"guidance.weight": "soft"}, r"^guidance.weight = 'soft': input should be 'posterior', 'noise'"),
        ({"schedule.steps": 0}, r"^schedule.steps = 0: input should be greater"),
        ({"schedule.steps": "many"}, r"^schedule.steps = 'many': input should be a valid integer"),
        ({"schedule.sigma_max": 0.005}, r"^sigma_min = 0.01 must be less than sigma_max = 0.005\.$"),
        ({"samples": 0}, r"^samples = 0: input should be greater"),
        ({"seed": -1}, r"^seed = -1: input should be greater"),
        ({"noise_std": -1.0}, r"^noise_std = -1.0: input should be greater"),
        ({"noise_std": float("inf")}, r"^noise_std = inf: "),
        ({"coil_maps": "guess"}, r"^coil_maps = 'guess': input should be 'espirit' or 'walsh'\.$"),
        ({"image": "imaginary"}, r"^image = 'imaginary': input should be 'auto', 'complex' or 'real'\.$"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_it(settings, sentence):
    with pytest.raises(InvalidInput, match=sentence) as error:
        Recipe.for_method(settings=settings)
    assert "\n" not in str(error.value)


def test_unknown_method():
    with pytest.raises(InvalidInput, match=r"no method 'magic'; choose one of prox-mean, prox-ddim, posterior-draw"):
        method("magic")
    with pytest.raises(InvalidInput, match=r"no method 'magic'"):
        Recipe.for_method("magic")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"method": "magic"}', r"There is no method 'magic'; choose one of"),
        ('{"methd": "tv"}', r"methd = 'tv': extra inputs are not permitted"),
        ('{"format": 2}', r"format = 2: input should be 1"),
        ('{"method": "tv", "sampler": {"eta": 1}}', r"'sampler.eta' is not a parameter of the method 'tv'"),
        ('{"guidance": {"gamma": -1}}', r"guidance.gamma = -1: input should be greater"),
        ('{"changes": [{"step": 1, "name": "guidance.gamma"}]}', r"changes.0.value"),
        ('{"mask": {"kind": "random", "colour": 1}}', r"mask.colour"),
        ('{"seed": 1', r"not a recipe"),
        ("{}}", r"not a recipe"),
    ],
)
def test_json_that_is_not_a_recipe(text, sentence, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(text)
    for source in (text, path):
        with pytest.raises(InvalidInput, match=sentence) as error:
            Recipe.from_json(source)
        assert "\n" not in str(error.value)
        assert str(error.value).startswith("This is not a recipe: ")


@pytest.mark.parametrize("content", [b"[1, 2]", b"", b"\xff\xfe\x00"])
def test_a_file_that_is_not_a_recipe(tmp_path, content):
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        Recipe.from_json(path)


@pytest.mark.parametrize("name", ["missing.json", "a" * 5000, "null\0byte"])
def test_a_file_that_cannot_be_read(name):
    with pytest.raises(InvalidInput, match="cannot be read"):
        Recipe.from_json(name)


def test_live_knobs_and_their_limits():
    assert METHODS["prox-ddim"].live_knobs == ["sampler.eta", "guidance.gamma"]
    assert METHODS["loss-guidance-thesis"].live_knobs == ["guidance.strength"]
    assert METHODS["song2021"].live_knobs == ["sampler.snr", "guidance.strength"]
    assert METHODS["tv"].live_knobs == []
    for chosen in METHODS.values():
        for knob in chosen.live_knobs:
            low, high = chosen.limits(knob)
            assert low < high < float("inf")
            for value in (low, high):  # what the limits allow, the recipe allows
                chosen.settings({knob: value})
            low_slider, high_slider = chosen.params()[knob].json_schema_extra["slider"]
            assert low <= low_slider < high_slider <= high
    with pytest.raises(InvalidInput):
        METHODS["loss-guidance"].settings({"guidance.strength": 2.0})
    assert METHODS["loss-guidance"].limits("guidance.strength")[1] < 2.0


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_has_words_for_the_form(name):
    for key, info in METHODS[name].params().items():
        assert info.title and info.description, key
