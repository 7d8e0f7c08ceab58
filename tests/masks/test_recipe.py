import json

import numpy as np
import pytest
from pydantic import ValidationError

from napari_lossguide.masks import MASKS, MaskRecipe, make_mask
from napari_lossguide.types import InvalidInput


@pytest.mark.parametrize("kind", list(MASKS))
def test_a_recipe_makes_the_same_mask_again_after_json(kind):
    recipe = MaskRecipe.of(kind)
    again = MaskRecipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    np.testing.assert_array_equal(again.make((40, 33)), make_mask(kind, (40, 33)))


def test_of_names_every_parameter():
    recipe = MaskRecipe.of("poisson", acceleration=6)
    assert recipe.params == {"acceleration": 6, "center_fraction": 0.08, "seed": 0, "falloff": 1.0}
    with pytest.raises(InvalidInput, match="no parameter 'r'"):
        MaskRecipe.of("poisson", r=6)


@pytest.mark.parametrize("shape", [(8, 8), (7, 5), (1, 3), (230, 181)])
def test_drawn_masks_are_in_the_recipe(shape, rng):
    mask = rng.random(shape) < 0.3
    mask[0, 0] = True
    recipe = MaskRecipe.drawn(mask)
    assert recipe.kind == "drawn"
    again = MaskRecipe.model_validate(json.loads(recipe.model_dump_json()))
    np.testing.assert_array_equal(again.make(shape), mask)
    assert again.make(shape).dtype == bool


def test_labels_can_be_drawn():
    np.testing.assert_array_equal(MaskRecipe.drawn(np.eye(5, dtype=int) * 3).make((5, 5)), np.eye(5))


def test_a_drawn_mask_fits_one_shape_only():
    recipe = MaskRecipe.drawn(np.ones((6, 5), bool))
    with pytest.raises(InvalidInput, match=r"drawn mask has shape \(6, 5\), but the k-space has \(5, 6\)"):
        recipe.make((5, 6))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"shape": [6, 5]},
        {"shape": [6], "bits": "/////w=="},
        {"shape": [6, 5], "bits": "//"},
        {"shape": [6, 50], "bits": "/////w=="},
        {"shape": [6, 5], "bits": "not base64!"},
        {"shape": [6, 5], "bits": "/!////w=="},
        {"shape": [6, 5], "bits": 7},
        {"shape": [-6, -5], "bits": "/////w=="},
    ],
)
def test_damaged_drawn_masks(params):
    with pytest.raises(InvalidInput, match="drawn mask"):
        MaskRecipe(kind="drawn", params=params).make((6, 5))


def test_bad_recipes():
    with pytest.raises(InvalidInput, match=r"'spiral' is unknown; accepted are .*, drawn"):
        MaskRecipe(kind="spiral").make((8, 8))
    with pytest.raises(InvalidInput, match="empty"):
        MaskRecipe.drawn(np.zeros((4, 4), bool))
    with pytest.raises(InvalidInput):
        MaskRecipe.drawn(np.ones(4, bool))
    with pytest.raises(ValidationError):
        MaskRecipe(kind="full", seed=1)
    with pytest.raises(ValidationError, match="frozen"):
        MaskRecipe(kind="full").kind = "random"
