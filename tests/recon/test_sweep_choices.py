"""What a person writes and chooses for a sweep: values of an axis, what can vary, what it will cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.axes import Axis, grid
from napari_lossguide.recon.axis_text import parse_values
from napari_lossguide.recon.cost import duration, image_evaluations, pace
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.methods import METHODS
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.variables import variables
from napari_lossguide.types import InvalidInput


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("1, 2,4", "number", [1.0, 2.0, 4.0]),
        (" .5,1e-3 , -2.", "number", [0.5, 0.001, -2.0]),
        ("3", "integer", [3]),
        ("1:10:3", "integer", [1, 4, 7, 10]),
        ("1:10:2", "integer", [1, 3, 5, 7, 9]),
        ("5:3", "integer", [5, 4, 3]),
        ("0:1:0.1", "number", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("1:0:-0.5", "number", [1.0, 0.5, 0.0]),
        ("0, 2:4, 8", "integer", [0, 2, 3, 4, 8]),
        ("log 0.1..10 x5", "number", [0.1, 0.316228, 1.0, 3.16228, 10.0]),
        ("LOG 100 .. 1 × 3", "number", [100.0, 10.0, 1.0]),
        ("lin 0..1 x3, 5", "number", [0.0, 0.5, 1.0, 5.0]),
        ("log 1..10 x8", "integer", [1, 2, 3, 4, 5, 7, 10]),  # what falls together is kept once
        ("no, YES", "boolean", [False, True]),
        ("hard, noise", "string", ["hard", "noise"]),
        ("karras+heun+proximal", "string", ["karras+heun+proximal"]),
    ],
)
def test_values_are_what_a_person_means(text: str, kind, values: list) -> None:
    parsed = parse_values(text, kind, "guidance.gamma")
    assert parsed == values
    assert [type(v) for v in parsed] == [type(v) for v in values] or kind == "number"
    if kind == "integer":
        assert all(type(v) is int for v in parsed)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("", "number", "g has no values"),
        (" , ", "number", "g has no values"),
        ("1,,2", "number", "a comma too many"),
        ("1, x", "number", "'x' is no number and no range"),
        ("nan", "number", "'nan' is no number"),
        ("1, 1.0", "number", "g has the value 1 twice"),
        ("1:3, 2", "integer", "g has the value 2 twice"),
        ("2.5", "integer", "2.5 is not a whole number"),
        ("1:2:0.5", "integer", "1.5 is not a whole number"),
        ("1:5:0", "integer", "steps of 0 never lead from 1 to 5"),
        ("5:1:2", "integer", "steps of 2 never lead from 5 to 1"),
        ("0:1:0.001", "number", "has 1001 values; at most 100"),
        ("1:60, 61:120", "integer", "has 120 values; at most 100"),
        ("log 0..1 x3", "number", "needs limits above 0"),
        ("log -1..1 x3", "number", "needs limits above 0"),
        ("lin 2..2 x3", "number", "begins where it ends"),
        ("lin 0..1 x1", "number", "x1 is not a number of values"),
        ("log 1..2 x1000000", "number", "x1000000 is not"),
        ("log 1..2", "number", "is no number and no range"),
        ("maybe", "boolean", "neither yes nor no"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, kind, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        parse_values(text, kind, "g")


@pytest.mark.parametrize("name", list(METHODS))
def test_every_example_is_a_sweep(name: str) -> None:
    """Whatever is offered for a recipe can vary in it, with the values that are suggested."""
    if name == "unconditional":
        return
    base = Recipe.for_method(name, mask=MaskRecipe.of("random"))
    offered = variables(base)
    for variable in offered.values():
        if variable.example():
            axis = variable.axis(variable.example())
            if variable.kind in ("number", "integer") or variable.name == "method":
                grid(base, axis)  # choices may not fit the other parts of the method
    assert ("seed" in offered) == METHODS[name].needs_prior
    assert {"method", "mask.acceleration", "noise_std"} <= set(offered)
    assert all(v.help for v in offered.values()), [v.name for v in offered.values() if not v.help]


def test_what_is_offered_follows_the_recipe() -> None:
    assert not any(name.startswith("mask.") for name in variables(Recipe()))
    drawn = Recipe(mask=MaskRecipe.drawn(np.ones((4, 4), bool)))
    assert not any(name.startswith("mask.") for name in variables(drawn))
    found = variables(Recipe.for_method(settings={"guidance.gamma": 3.0}))
    assert next(iter(found)) == "guidance.gamma" and found["guidance.gamma"].value == 3.0
    assert "The recipe has 3." in found["guidance.gamma"].tip and "[1e-06, 1000]" in found["guidance.gamma"].tip
    assert found["method"].axis("tv, karras+heun+proximal").values == (("tv",), ("karras+heun+proximal",))
    for name, text, sentence in (
        ("guidance.gamma", "1, 2000", "2000 is not accepted; accepted are"),
        ("guidance.weight", "hard, soft", "soft is not accepted; accepted are posterior, noise"),
        ("samples", "0", r"0 is not accepted; accepted are \[1, 256\]"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            found[name].axis(text)


def test_the_cost_is_that_of_the_runs() -> None:
    kdata = tiny_scan(slices=2)
    recipe = Recipe.for_method("prox-ddim", steps=3, samples=4)
    assert image_evaluations(recipe, kdata) == 3 * 4 * 2
    result = collect(reconstruction(kdata, recipe, denoiser=tiny_denoiser(), device="cpu"))[1]
    assert image_evaluations(recipe, kdata) == result.nfe * 4  # one batch of four
    assert image_evaluations(Recipe.for_method("tv", samples=1), kdata) == 0

    classical = Recipe.for_method("tv")
    per_pixel = pace([(recipe, kdata, 40.0), (recipe, kdata, 6.0), (classical, kdata, 100.0), (recipe, kdata, 2.0)])
    assert per_pixel == pytest.approx(6.0 / (24 * 24 * 20))
    cells = grid(recipe, Axis.of("samples", [1, 3]))
    assert duration([r for row in cells.recipes for r in row], kdata, per_pixel) == pytest.approx(6.0)
    assert math.isnan(pace([(Recipe.for_method("tv"), kdata, 1.0)]))
