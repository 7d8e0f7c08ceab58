"""A branch is the run that its recipe describes, bit by bit, and asks the network only for what is new."""

import numpy as np
import pytest
import torch
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.knobs import knobs_of
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.methods import METHODS
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.tape import Store, Tape, branched
from napari_lossguide.types import InvalidInput

STEPS = 8
WITH_PRIOR = [n for n, m in METHODS.items() if m.needs_prior and m.needs_data and not m.needs_region]


class Counted:
    """A denoiser that counts how often it is asked."""

    def __init__(self):
        self.inner = tiny_denoiser()
        self.info, self.asked = self.inner.info, 0

    def __call__(self, x, sigma):
        self.asked += 1
        return self.inner(x, sigma)


def run(kdata, recipe, tape=None):
    denoiser = Counted()
    progress, result = collect(reconstruction(kdata, recipe, device="cpu", denoiser=denoiser, tape=tape))
    return progress, result, denoiser.asked


def a_change(name, step):
    """Of the method's first live knob, to another value than its own."""
    method = METHODS[name]
    if not method.live_knobs:
        return ()
    knob = method.live_knobs[0]
    low, high = method.limits(knob)
    value = method.settings()[knob.split(".")[0]][knob.split(".")[1]]
    return (Change(step=step, name=knob, value=min(max((value or 0.5) * 0.7, low), high)),)


@pytest.mark.parametrize("name", WITH_PRIOR)
def test_a_branch_is_the_run_of_its_recipe(name):
    kdata = tiny_scan(slices=2)
    recipe = Recipe.for_method(name, steps=STEPS, samples=3, batch=2)
    tape = Tape()
    progress, plain, asked = run(kdata, recipe, tape)
    total = len(progress)
    np.testing.assert_array_equal(plain.image, run(kdata, recipe)[1].image)  # recording changes nothing
    assert asked == len(tape.answers) and len(tape.frames) == total
    step = total - total // 3  # in the second slice
    branched = recipe.model_copy(update={"changes": a_change(name, step)})
    branch = tape.branch(step)
    _, again, fresh = run(kdata, branched, branch)
    np.testing.assert_array_equal(again.image, run(kdata, branched)[1].image)
    assert fresh == asked - tape.frames[step - 1].answers < asked
    if branched.changes:
        assert not np.array_equal(again.image[1], plain.image[1])
        np.testing.assert_array_equal(again.image[0], plain.image[0])
    assert len(branch.frames) == total
    # and a branch of the branch
    once_more = branch.branch(total - 1)
    np.testing.assert_array_equal(run(kdata, branched, once_more)[1].image, again.image)


def test_frames_are_what_the_run_showed():
    tape = Tape()
    kdata, recipe = tiny_scan(slices=2), Recipe.for_method(steps=4)
    steps = reconstruction(kdata, recipe, device="cpu", denoiser=Counted(), tape=tape)
    shown = [(p.step, p.slice, p.sigma, p.image(), p.state()) for p in steps]
    assert [(f.step, f.slice, f.sigma) for f in tape.frames] == [s[:3] for s in shown]
    for step, _, _, image, state in shown:
        np.testing.assert_array_equal(tape.image(step, state=False), image)
        np.testing.assert_array_equal(tape.image(step, state=True), state)
        assert tape.image(step, state=True).dtype == np.float32


@pytest.mark.parametrize("memory", [0, 5000])
def test_what_memory_does_not_hold_goes_to_a_file(memory):
    kdata, recipe = tiny_scan(), Recipe.for_method("dps", steps=6)
    tape = Tape(memory)
    _, plain, _ = run(kdata, recipe, tape)
    assert sum(a.nbytes for a in tape.store.kept if isinstance(a, np.ndarray)) <= memory
    assert any(not isinstance(a, np.ndarray) for a in tape.store.kept)
    np.testing.assert_array_equal(run(kdata, recipe, tape.branch(5))[1].image, plain.image)


def test_a_store_gives_back_what_it_was_given():
    store, rng = Store(memory=400), np.random.default_rng(0)
    arrays = [
        rng.normal(size=n).astype(t) for n, t in ((50, "f8"), (30, "f4"), ((3, 4), "c8"), ((), "f4"), (90, "c16"))
    ]
    numbers = [store.put(a) for a in arrays]
    for number, array in reversed(list(zip(numbers, arrays, strict=True))):
        got = store.get(number)
        np.testing.assert_array_equal(got, array)
        assert got.dtype == array.dtype and got.shape == array.shape


def test_from_the_start_and_from_the_end():
    kdata, recipe = tiny_scan(), Recipe.for_method(steps=5)
    tape = Tape()
    _, plain, asked = run(kdata, recipe, tape)
    for step, fresh in ((0, asked), (5, 0)):
        _, again, counted = run(kdata, recipe, tape.branch(step))
        assert counted == fresh
        np.testing.assert_array_equal(again.image, plain.image)


@pytest.mark.parametrize("step", [-1, 6])
def test_a_step_that_is_not_there(step):
    tape = Tape()
    run(tiny_scan(), Recipe.for_method(steps=5), tape)
    with pytest.raises(InvalidInput, match=rf"step = {step} cannot be gone back to; the run has the steps 0 \.\.\. 5"):
        tape.branch(step)


def test_a_cancelled_run_can_be_gone_on_with():
    kdata, recipe = tiny_scan(), Recipe.for_method(steps=6)
    tape = Tape()
    steps = reconstruction(kdata, recipe, device="cpu", denoiser=Counted(), tape=tape)
    for _ in range(3):
        next(steps)
    steps.close()
    _, result, fresh = run(kdata, recipe, tape.branch(len(tape.frames)))
    assert fresh == 3
    np.testing.assert_array_equal(result.image, run(kdata, recipe)[1].image)


class Small(Counted):
    """Out of memory for more than one image."""

    def __call__(self, x, sigma):
        if len(x) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return super().__call__(x, sigma)


def test_a_run_whose_batches_were_split_says_that_it_cannot():
    tape = Tape()
    collect(
        reconstruction(
            tiny_scan(), Recipe.for_method(steps=3, samples=2, batch=2), device="cpu", denoiser=Small(), tape=tape
        )
    )
    with pytest.raises(InvalidInput, match="smaller batch"):
        tape.branch(2)


def test_classical_methods_record_nothing():
    tape = Tape()
    collect(reconstruction(tiny_scan(), Recipe.for_method("cg-sense"), device="cpu", tape=tape))
    assert tape.frames == [] and tape.answers == []


def test_a_branchs_recipe_keeps_the_changes_before_it_and_turns_what_differs():
    early, late = (Change(step=s, name="guidance.gamma", value=v) for s, v in ((2, 3.0), (6, 9.0)))
    recipe = Recipe.for_method("prox-ddim", steps=8).model_copy(update={"changes": (early, late)})
    assert knobs_of(recipe) == {"sampler.eta": 1.0, "guidance.gamma": 1.0}
    same = branched(recipe, 4, {"sampler.eta": 1.0, "guidance.gamma": 3.0})
    assert same.changes == (early,)
    other = branched(recipe, 4, {"sampler.eta": 0.5, "guidance.gamma": 1.0})
    assert other.changes == (
        early,
        Change(step=4, name="sampler.eta", value=0.5),
        Change(step=4, name="guidance.gamma", value=1.0),
    )
    assert branched(recipe, 2, {"guidance.gamma": 1.0}).changes == ()  # step 2 is the third
