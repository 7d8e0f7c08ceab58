"""Weights of further losses that change during a run: replay, branches, closed forms, limits, sweeps."""

import json

import numpy as np
import pytest
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.guidance.loss_terms import LossTerm, total_variation
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.priors.analytic import GaussianPrior
from napari_lossguide.recon.axes import Axis, grid
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.knobs import knobs_of, live_limits, short_name
from napari_lossguide.recon.live import Change, Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.sampling import sampling
from napari_lossguide.recon.sweep import sweeping
from napari_lossguide.recon.tape import Tape, branched
from napari_lossguide.recon.variables import variables
from napari_lossguide.recon.variation import varied
from napari_lossguide.types import InvalidInput

TV, RANGE = LossTerm(kind="tv", weight=0.2), LossTerm(kind="range", weight=0.5, low=0.2, high=0.8)
FIRST, SECOND = "losses.0.weight", "losses.1.weight"
STEPS = 6


class Counted:
    """A denoiser that counts how often it is asked."""

    def __init__(self, inner=None):
        self.inner, self.asked = inner or tiny_denoiser(), 0
        self.info = self.inner.info

    def __call__(self, x, sigma):
        self.asked += 1
        return self.inner(x, sigma)


def recipe_with(*terms, method="prox-ddim", steps=STEPS, **fields):
    return Recipe.for_method(method, steps=steps, losses=terms, **fields)


def with_changes(recipe, *changes):
    return recipe.model_copy(update={"changes": tuple(Change(step=s, name=n, value=v) for s, n, v in changes)})


def begin(recipe, kdata=None, denoiser=None, **how):
    return reconstruction(kdata or tiny_scan(), recipe, device="cpu", denoiser=denoiser or tiny_denoiser(), **how)


def run(recipe, kdata=None, denoiser=None, **how):
    return collect(begin(recipe, kdata, denoiser, **how))


def turned(recipe, turns, kdata=None, **how):
    """Steps and result of a run whose knobs a hand turns: step (before which, from 0) -> values."""
    live, progress = Live(), []
    steps = begin(recipe, kdata, live=live, **how)
    while True:
        if len(progress) in turns:
            live.update(turns[len(progress)])
        try:
            progress.append(next(steps))
        except StopIteration as stop:
            return progress, stop.value


@pytest.mark.parametrize(
    "method", ["prox-ddim", "prox-mean", "red-diff", "loss-guidance", "karras+heun+proximal", "daps"]
)
def test_a_turned_weight_takes_effect_at_its_step_is_told_and_is_replayed_bit_for_bit(method):
    recipe, kdata = recipe_with(TV, RANGE, method=method, samples=2, batch=1), tiny_scan(slices=2)
    progress, out = turned(recipe, {3: {FIRST: 5.0}, 7: {SECOND: 0.0, FIRST: 0.1}}, kdata)
    assert [(c.step, c.name, c.value) for c in out.recipe.changes] == [
        (3, FIRST, 5.0),
        (7, SECOND, 0.0),
        (7, FIRST, 0.1),
    ]
    told = [(p.params[FIRST], p.params[SECOND]) for p in progress]
    assert told == [(0.2, 0.5)] * 3 + [(5.0, 0.5)] * 4 + [(0.1, 0.0)] * (len(progress) - 7)
    again = run(Recipe.from_json(out.recipe.to_json()), kdata)[1]
    assert again.samples.tobytes() == out.samples.tobytes() and again.recipe == out.recipe
    plain_steps, plain = run(recipe, kdata)
    assert not np.array_equal(plain.image, out.image)
    same = [np.array_equal(a.image(), b.image()) for a, b in zip(plain_steps, progress, strict=True)]
    assert same[:3] == [True] * 3 and not same[3]


def test_a_weight_that_changes_is_a_loss_whose_factor_changes():
    """The other way: a function of Python that looks how often the network was asked, without any knob."""
    denoiser = Counted()
    by_hand, recipe = [], recipe_with(LossTerm(kind="tv", weight=0.2))
    out = run(with_changes(recipe, (2, FIRST, 3.0), (4, FIRST, 0.7)))[1]

    def loss(x):
        by_hand.append(denoiser.asked)
        return {0: 0.2, 1: 0.2, 2: 3.0, 3: 3.0}.get(denoiser.asked - 1, 0.7) * total_variation(x)

    other = run(recipe_with(), denoiser=denoiser, losses=[loss])[1]
    assert set(by_hand) == set(range(1, STEPS + 1))
    np.testing.assert_array_equal(out.image, other.image)


def test_the_first_step_with_another_weight_moves_the_estimate_by_the_closed_form():
    """A quadratic: magnitudes above h shrink by r^2 w (|x| - h), r^2 = sigma^2 s^2 / (sigma^2 + s^2)."""
    h, weight, spread, at = 0.3, 0.6, 0.5, 1
    prior, term = GaussianPrior(0.5, spread), LossTerm(kind="range", weight=0.0, high=h)
    plain, result = run(recipe_with(term), denoiser=prior)
    heavy = run(with_changes(recipe_with(term), (at, FIRST, weight)), denoiser=prior)[0]
    scale, before, after = result.scale[0], plain[at].image(), heavy[at].image()
    r2 = plain[at].sigma ** 2 * spread**2 / (plain[at].sigma ** 2 + spread**2)
    expected = before - r2 * weight * np.maximum(before - h * scale, 0)
    assert np.abs(expected - before).max() > 0.02 * before.max()
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6 * scale)
    for early in range(at):
        np.testing.assert_array_equal(plain[early].image(), heavy[early].image())


@pytest.mark.parametrize("method", ["prox-ddim", "prox-mean"])
def test_weight_0_is_no_loss_bit_for_bit(method):
    region = np.zeros((24, 20), bool)
    region[4:9, 4:9] = True
    terms = tuple(LossTerm(kind=kind, weight=0.0) for kind in ("tv", "range", "region"))
    none = run(recipe_with(method=method))[1]
    silent = run(recipe_with(*terms, method=method, region=MaskRecipe.drawn(region)))[1]
    off = turned(recipe_with(TV, method=method), {0: {FIRST: 0.0}})[1]
    assert silent.image.tobytes() == off.image.tobytes() == none.image.tobytes()


def test_a_loss_of_weight_0_does_not_hide_the_others():
    both = run(recipe_with(LossTerm(kind="tv", weight=0.0), RANGE))[1]
    assert both.image.tobytes() == run(recipe_with(RANGE))[1].image.tobytes()


@pytest.mark.parametrize("name", ["prox-mean", "prox-ddim", "red-diff", "daps"])
def test_a_branch_with_another_weight_is_the_run_that_changed_it_at_that_step(name):
    kdata, recipe = tiny_scan(slices=2), recipe_with(TV, RANGE, method=name)
    tape, first = Tape(), Counted()
    progress, plain = run(recipe, kdata, first, tape=tape)
    step = len(progress) - 2  # in the second slice
    branch = branched(plain.recipe, step, knobs_of(recipe) | {SECOND: 9.0})
    assert [(c.step, c.name, c.value) for c in branch.changes] == [(step, SECOND, 9.0)]
    fresh = Counted()
    out = run(branch, kdata, fresh, tape=tape.branch(step))[1]
    whole = turned(recipe, {step: {SECOND: 9.0}}, kdata)[1]
    assert out.image.tobytes() == whole.image.tobytes() and out.recipe.changes == whole.recipe.changes
    np.testing.assert_array_equal(out.image[0], plain.image[0])
    assert not np.array_equal(out.image[1], plain.image[1])
    assert fresh.asked == first.asked - tape.frames[step - 1].answers < first.asked


def test_to_set_what_is_set_already_is_no_change():
    out = turned(recipe_with(TV), {0: {FIRST: 0.2}, 2: {FIRST: 4.0}, 4: {FIRST: 4.0}})[1]
    assert [(c.step, c.value) for c in out.recipe.changes] == [(2, 4.0)]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({FIRST: -0.1}, r"^losses.0.weight = -0.1 is out of its range of finite numbers from 0 on\.$"),
        ({FIRST: float("nan")}, r"^losses.0.weight = nan is out of its range"),
        ({FIRST: float("inf")}, r"^losses.0.weight = inf is out of its range"),
        (
            {SECOND: 1.0},
            r"^'losses.1.weight' is not a live knob of this run; it has .*sampler.eta.*, losses.0.weight\.",
        ),
        ({"losses.0.low": 0.1}, r"^'losses.0.low' is not a live knob of this run"),
    ],
)
def test_what_cannot_be_set_is_said_at_once_and_in_a_recipe_before_it_runs(values, sentence):
    live, denoiser = Live(), Counted()
    steps = begin(recipe_with(TV), live=live)
    next(steps)
    with pytest.raises(InvalidInput, match=sentence):
        live.update(values)
    assert all(p.params[FIRST] == 0.2 for p in collect(steps)[0])
    changes = ((2, *next(iter(values.items()))),)
    with pytest.raises(InvalidInput, match=sentence):
        next(begin(with_changes(recipe_with(TV), *changes), denoiser=denoiser))
    assert denoiser.asked == 0


def test_any_weight_from_0_on_may_be_set_and_an_infinite_one_is_refused_in_a_recipe():
    assert live_limits(recipe_with(TV))[FIRST][0] == 0
    out = turned(recipe_with(TV), {2: {FIRST: 1e9}})[1]
    assert np.isfinite(out.image).all()
    with pytest.raises(InvalidInput, match=r"^losses.0.weight = inf: input should be a finite number"):
        recipe_with({"kind": "tv", "weight": np.inf})


def test_functions_of_python_are_not_live():
    live = Live()
    steps = begin(recipe_with(TV), live=live, losses=[total_variation])
    next(steps)
    with pytest.raises(InvalidInput, match=r"'losses.1.weight' is not a live knob of this run"):
        live.update({SECOND: 2.0})
    live.update({FIRST: 0.0})
    progress, _ = collect(steps)
    assert progress[-1].params[FIRST] == 0.0 and SECOND not in progress[-1].params
    only_mine = run(with_changes(recipe_with(TV), (0, FIRST, 0.0)), losses=[total_variation])[1]
    assert only_mine.image.tobytes() == run(recipe_with(LossTerm(kind="tv")))[1].image.tobytes()


def test_samples_without_data_follow_the_weights_too():
    recipe = Recipe.for_method("unconditional", steps=4, shape=(16, 16), losses=(TV,))
    live = Live()
    steps = sampling(recipe, device="cpu", live=live, denoiser=tiny_denoiser())
    next(steps)
    live.update({FIRST: 20.0})
    progress, out = collect(steps)
    assert progress[-1].params[FIRST] == 20.0
    again = collect(sampling(out.recipe, device="cpu", denoiser=tiny_denoiser()))[1]
    assert again.images.tobytes() == out.images.tobytes()


# by name ------------------------------------------------------------------------------------------------------------


def test_names_for_people():
    assert [short_name(n) for n in (FIRST, "losses.11.low", "guidance.gamma", "seed")] == [
        "loss 1 weight",
        "loss 12 low",
        "gamma",
        "seed",
    ]
    assert Axis.of(FIRST, [0.5]).caption(0) == "loss 1 weight 0.5"


def test_a_recipe_with_another_weight_by_name():
    base = with_changes(recipe_with(TV, RANGE), (2, FIRST, 3.0))
    other = varied(base, {SECOND: 4, "losses.1.high": 2.0})
    assert other.losses == (TV, LossTerm(kind="range", weight=4.0, low=0.2, high=2.0)) and other.changes == base.changes
    fresh = varied(base, {"losses": [{"kind": "tv"}], FIRST: 7.0})
    assert fresh.losses == (LossTerm(kind="tv", weight=7.0),) and fresh.changes == ()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (FIRST, -1, r"^losses.0.weight = -1: input should be greater than or equal to 0"),
        ("losses.1.low", 3, r"^low = 3.0 must be less than high = 0.8"),
        (
            "losses.2.weight",
            1,
            r"^'losses.2.weight' is no parameter of the recipe's further losses; it has losses.0, l",
        ),
        ("losses.x.weight", 1, r"^'losses.x.weight' is no parameter of the recipe's further losses"),
        ("losses.0.kind", "tv", r"each with weight, low, high\.$"),
    ],
)
def test_what_is_no_parameter_of_a_loss_is_said(name, value, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        varied(recipe_with(TV, RANGE), {name: value})
    with pytest.raises(InvalidInput, match=r"further losses; it has none\.$"):
        varied(recipe_with(), {"losses.0.weight": 1})


def test_a_weight_varies_in_a_sweep():
    base = with_changes(recipe_with(TV, RANGE, steps=3), (1, FIRST, 3.0), (1, SECOND, 2.0))
    found = variables(base)
    assert {n for n in found if n.startswith("losses.")} == {FIRST, SECOND, "losses.1.low", "losses.1.high"}
    axis = found[FIRST].axis("0, 0.5")
    assert found[FIRST].title == "Loss 1 (tv): weight" and found[FIRST].value == 0.2
    cells = grid(base, axis)
    assert [r[0].losses[0].weight for r in cells.recipes] == [0.0, 0.5]
    assert [[c.name for c in r[0].changes] for r in cells.recipes] == [[SECOND]] * 2, "what varies keeps its value"
    out = collect(sweeping(tiny_scan(), cells, denoiser=tiny_denoiser(), device="cpu"))[1]
    for image, (recipe,) in zip(out.image[:, 0], cells.recipes, strict=True):
        np.testing.assert_array_equal(image, run(recipe)[1].image)
    assert not np.array_equal(out.image[0], out.image[1])
    with pytest.raises(InvalidInput, match=r"losses.0.weight: -1 is not accepted; accepted are \[0, inf\)"):
        found[FIRST].axis("-1")


def test_changes_survive_json():
    recipe = with_changes(recipe_with(TV), (3, FIRST, 0.1))
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert json.loads(recipe.to_json())["changes"] == [{"step": 3, "name": FIRST, "value": 0.1}]
