"""A stack of slices: one that fails is listed and costs the others nothing."""

import json
import math

import numpy as np
import pytest
import torch
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.tape import Tape
from napari_lossguide.types import Diverged

STEPS, SLICES, SAMPLES = 4, 3, 3


class Failing:
    """A denoiser whose calls of some numbers (from 1) give NaN or raise."""

    def __init__(self, calls=(), error=None):
        self.inner, self.calls, self.error, self.asked = tiny_denoiser(), calls, error, 0
        self.info = self.inner.info

    def __call__(self, x, sigma):
        self.asked += 1
        if self.asked not in self.calls:
            return self.inner(x, sigma)
        if self.error is not None:
            raise self.error
        return x * float("nan")


def run(denoiser=None, tape=None, recipe=None, slices=SLICES):
    recipe = recipe or Recipe.for_method("prox-ddim", steps=STEPS, samples=SAMPLES, batch=2)
    running = reconstruction(tiny_scan(slices=slices), recipe, device="cpu", denoiser=denoiser or Failing(), tape=tape)
    return collect(running)


IN_THE_SECOND_SLICE = (2 * STEPS + 2,)  # two batches a slice


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "diverged"),
        (MemoryError(), "Out of memory"),
        (RuntimeError("CUDA out of memory"), "CUDA out of memory"),
    ],
)
def test_a_slice_that_fails_is_listed_and_the_others_are_as_ever(error, words):
    whole = run()[1]
    progress, result = run(Failing(IN_THE_SECOND_SLICE, error))
    assert result.status == "done" and list(result.failed) == [1] and words in result.failed[1]
    for array in (result.image, result.samples, result.mean, result.std):
        assert np.isnan(array[1]).all() and np.isfinite(array[[0, 2]]).all()
    np.testing.assert_array_equal(result.image[[0, 2]], whole.image[[0, 2]])
    assert math.isfinite(result.residual) and len(result.scale) == SLICES
    assert progress[-1].failed == result.failed and progress[0].failed == {}
    assert progress[-1].step == progress[-1].total, "what the failed slice did not do is no longer to be done"
    assert result.zero_filled[1].any(), "the data were there"


def test_the_file_of_a_result_lists_what_failed(tmp_path):
    result = run(Failing(IN_THE_SECOND_SLICE))[1]
    result.save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as file:
        assert json.loads(str(file["facts"]))["failed"] == {"1": result.failed[1]}


def test_a_slice_without_signal_fails_before_its_first_step():
    kdata = tiny_scan(slices=3)
    kdata.kspace[2] = 0
    recipe = Recipe.for_method("prox-ddim", steps=STEPS)
    progress, result = collect(reconstruction(kdata, recipe, device="cpu", denoiser=Failing()))
    assert list(result.failed) == [2] and np.isnan(result.image[2]).all() and np.isfinite(result.image[:2]).all()
    assert math.isnan(result.scale[2]) and len(progress) == 2 * STEPS


def test_when_every_slice_fails_so_does_the_run():
    with pytest.raises(Diverged):
        run(Failing(range(1, 1000)))
    with pytest.raises(Diverged):
        run(Failing((2,)), slices=1)


def test_a_fault_of_the_program_is_not_taken_for_a_bad_slice():
    with pytest.raises(RuntimeError, match="mat1"):
        run(Failing(IN_THE_SECOND_SLICE, RuntimeError("mat1 and mat2")))


def test_a_slice_tells_when_it_is_done_and_gives_its_mean():
    progress, result = run()
    ends = [p for p in progress if p.ends_slice]
    assert [p.slice for p in ends] == list(range(SLICES))
    for p in ends:
        np.testing.assert_allclose(p.image(), np.abs(result.image[p.slice]), rtol=1e-6)


def test_a_branch_behind_a_failed_slice_is_the_run_of_its_recipe():
    tape = Tape()
    progress, result = run(Failing(IN_THE_SECOND_SLICE), tape)
    step = progress[-1].total - 2
    recipe = result.recipe.model_copy(update={"changes": (Change(step=step, name="guidance.gamma", value=0.3),)})
    # A fresh run meets the same failure; the branch plays it from the tape.
    fresh = run(Failing(IN_THE_SECOND_SLICE), recipe=recipe)[1]
    branch = run(Failing(), tape.branch(step), recipe)[1]
    assert list(branch.failed) == [1]
    np.testing.assert_array_equal(branch.image, fresh.image)
    assert not torch.equal(*(torch.from_numpy(np.abs(r.image[2])) for r in (branch, result)))
