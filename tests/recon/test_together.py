"""Slices that share batches have the images that they have alone, whatever becomes of the others."""

import numpy as np
import pytest
import torch
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.masks import MaskRecipe
from napari_lossguide.priors.analytic import GaussianPrior
from napari_lossguide.recon.batches import Batch, groups, slices_at_once
from napari_lossguide.recon.diffusion import SampleNoise
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.live import Change, Live
from napari_lossguide.recon.methods import METHODS, combinations
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.tape import Tape, branched
from napari_lossguide.types import Diverged, InvalidInput

STEPS, SLICES = 4, 3
WITH_PRIOR = [name for name, m in METHODS.items() if m.needs_prior]
PAIRS = [pair for pair, reason in combinations().items() if not reason]


def scan(coils=1, slices=SLICES):
    """Slices of different strength and noise."""
    kdata = tiny_scan(coils=coils, slices=slices)
    rng = np.random.default_rng(5)
    for index in range(slices):
        noise = rng.standard_normal((2, *kdata.kspace[0].shape)).astype(np.float32)
        kdata.kspace[index] += 0.05 * index * (noise[0] + 1j * noise[1]) * kdata.acquired
        kdata.kspace[index] *= 1 + 2 * index
    return kdata


def recipe_of(name="prox-ddim", slices="together", **fields):
    fields = {"steps": STEPS, "samples": 2, "batch": 2 * SLICES, "slices": slices} | fields
    if METHODS[name].needs_region if name in METHODS else name.endswith("inpainting"):
        fields["region"] = MaskRecipe.drawn(np.pad(np.ones((6, 6), bool), ((4, 14), (4, 10))))
    return Recipe.for_method(name, **fields)


def run(recipe, kdata=None, denoiser=None, maps=None, **more):
    kdata = scan() if kdata is None else kdata
    maps = kdata.maps if maps is None and kdata.n_coils > 1 else maps
    running = reconstruction(kdata, recipe, maps=maps, device="cpu", denoiser=denoiser or tiny_denoiser(), **more)
    return collect(running)


def assert_same(one, other, slices=slice(None), rounding=1e-5):
    for got, expected in zip(one.samples[slices], other.samples[slices], strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=rounding * np.abs(expected).max())


def analytic():
    """A denoiser whose estimate of an image is bit by bit the same in every batch."""
    rng = torch.Generator().manual_seed(1)
    return GaussianPrior(0.3 * torch.rand((24, 20), generator=rng), 0.2 + 0.3 * torch.rand((24, 20), generator=rng))


def both(name, coils=1, denoiser=analytic, **fields):
    """Images of the same recipe, together and one after another."""
    return [run(recipe_of(name, slices, **fields), scan(coils), denoiser())[1] for slices in ("together", "alone")]


# the same images ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", ["real", "complex"])
@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("name", WITH_PRIOR)
def test_every_method_gives_each_slice_the_image_that_it_has_alone(name, coils, image):
    together, alone = both(name, coils, image=image)
    assert together.provenance["slices_at_once"] == SLICES and alone.provenance["slices_at_once"] == 1
    assert_same(together, alone)
    np.testing.assert_allclose(together.residual, alone.residual, rtol=1e-4, atol=1e-6)
    assert (together.nfe, together.scale, together.noise_std) == (alone.nfe, alone.scale, alone.noise_std)
    np.testing.assert_array_equal(together.zero_filled, alone.zero_filled)


@pytest.mark.parametrize("name", WITH_PRIOR)
def test_so_it_does_with_a_network(name):
    """Whose own rounding depends on its batch, and is amplified on the way."""
    assert_same(*both(name, denoiser=tiny_denoiser), rounding=1e-4)


@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize(("sampler", "guidance"), PAIRS)
def test_so_does_every_pair_of_parts(sampler, guidance, coils):
    assert_same(*both(f"karras+{sampler}+{guidance}", coils))


@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("weight", ["posterior", "noise", "constant", "hard"])
def test_so_does_every_weight_of_the_data(weight, coils):
    assert_same(*both("prox-ddim", coils, settings={"guidance.weight": weight}))


def test_further_losses_and_warm_starts_are_each_slices_own():
    losses = [{"kind": "tv", "weight": 3.0}, {"kind": "range", "low": 0.1, "high": 0.6}]
    assert_same(*both("prox-ddim", start="cg-sense", losses=losses, settings={"schedule.sigma_max": 1.0}))


@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("name", ["ddnm-plus", "prox-ddim", "posterior-draw", "pula"])
def test_one_slice_without_noise_among_others(name, coils):
    """The quietest ring of its k-space holds nothing but zeros."""
    kdata = scan(coils)
    ny = kdata.image_shape[0]
    kdata.kspace[1, :, : ny // 4] = kdata.kspace[1, :, -(ny // 4) :] = 0
    together, alone = (
        run(recipe_of(name, slices, image="complex"), kdata, analytic(), kdata.maps if coils > 1 else None)[1]
        for slices in ("together", "alone")
    )
    assert_same(together, alone)


def test_data_without_noise():
    assert_same(*both("ddnm-plus", noise_std=0.0))


def test_slices_whose_systems_are_solved_in_different_ways_go_apart():
    """One uniform coil has a closed form, which agrees with conjugate gradients but to their tolerance."""
    kdata = scan()
    maps = np.ones(kdata.kspace.shape, np.complex64)
    maps[1, :, :8] = 0.5
    progress, together = run(recipe_of(), kdata, maps=maps)
    alone = run(recipe_of(slices="alone"), kdata, maps=maps)[1]
    assert_same(together, alone)
    assert progress[-1].step == progress[-1].total == 3 * STEPS


def test_as_many_whole_slices_as_a_batch_holds():
    class Seeing:
        def __init__(self):
            self.inner, self.sizes = tiny_denoiser(), []
            self.info = self.inner.info

        def __call__(self, x, sigma):
            self.sizes.append(len(x))
            return self.inner(x, sigma)

    for batch, sizes in ((4, [4, 4, 2]), (9, [8, 2]), (1, [1] * 10), (256, [10])):
        seeing = Seeing()
        progress = run(recipe_of(batch=batch), scan(slices=5), seeing)[0]
        assert seeing.sizes == [size for size in sizes for _ in range(STEPS)]
        assert progress[-1].step == progress[-1].total == STEPS * len(sizes)


# when they go together ------------------------------------------------------------------------------------------------


def test_together_on_a_gpu_and_one_after_another_on_the_cpu():
    auto, change = recipe_of(slices="auto"), Change(step=1, name="guidance.gamma", value=2.0)
    replayed = auto.model_copy(update={"changes": (change,)})
    for device, together in (("cpu", 1), ("cuda:1", SLICES), ("mps", SLICES)):
        assert slices_at_once(auto, 8, torch.device(device)) == together
        assert slices_at_once(replayed, 8, torch.device(device)) == 1, "its steps were counted slice by slice"
        assert slices_at_once(replayed.model_copy(update={"slices": "together"}), 8, torch.device(device)) == SLICES
        assert slices_at_once(recipe_of(slices="alone"), 8, torch.device(device)) == 1
    assert slices_at_once(recipe_of(batch=1), 8, torch.device("cpu")) == 1
    assert slices_at_once(recipe_of(batch=256), 8, torch.device("cpu")) == 8


def test_a_recipe_without_a_word_on_slices_is_valid_and_a_run_that_went_together_says_so(monkeypatch):
    short = Recipe.from_json('{"method": "prox-ddim", "schedule": {"steps": 4}, "samples": 2}')
    assert short.slices == "auto" and run(short)[1].recipe.slices == "auto"
    monkeypatch.setattr("napari_lossguide.recon.run.slices_at_once", lambda recipe, slices, device: slices)
    assert run(short)[1].recipe.slices == "together", "as on a GPU"
    assert run(short, scan(slices=1))[1].recipe.slices == "auto"


def test_classical_methods_go_one_after_another():
    result = run(Recipe.for_method("cg-sense", slices="together", steps=3))[1]
    assert result.provenance["slices_at_once"] == 1 and np.isfinite(result.image).all()


def test_a_batch_lists_its_images_slice_by_slice():
    batch = Batch((4, 7, 9), range(2, 4))
    assert batch.draws == [(4, 2), (4, 3), (7, 2), (7, 3), (9, 2), (9, 3)]
    assert batch.rows(7) == slice(2, 4) and batch.without({7}).rows(9) == slice(2, 4)
    assert batch.halves() == (Batch((4,), range(2, 4)), Batch((7, 9), range(2, 4)))
    assert Batch((4,), range(2, 5)).halves() == (Batch((4,), range(2, 3)), Batch((4,), range(3, 5)))


def test_groups_keep_the_order_and_do_not_mix_kinds():
    assert groups([1, 1, 1, 2, 1], 2) == [(0, 1), (2,), (3,), (4,)]
    assert groups([1, 1], 1) == [(0,), (1,)]


# one that fails -------------------------------------------------------------------------------------------------------


class Failing:
    """A denoiser that gives NaN for some images of its batch, or raises, in one of its calls (from 1)."""

    def __init__(self, rows=(), at=1, error=None):
        self.inner, self.rows, self.at, self.error, self.asked = tiny_denoiser(), rows, at, error, 0
        self.info = self.inner.info

    def __call__(self, x, sigma):
        self.asked += 1
        out = self.inner(x, sigma)
        if self.asked == self.at:
            if self.error is not None:
                raise self.error
            out = out.clone()
            out[list(self.rows)] = float("nan")
        return out


@pytest.mark.parametrize("name", ["prox-ddim", "dps", "pigdm", "score-mri", "ddnm-plus", "pula", "red-diff"])
@pytest.mark.parametrize("coils", [1, 3])
def test_a_slice_that_diverges_is_listed_and_leaves_the_others_as_they_are(name, coils):
    whole = run(recipe_of(name), scan(coils))[1]
    progress, result = run(recipe_of(name), scan(coils), Failing(rows=(3,), at=2))  # the second sample of slice 1
    assert list(result.failed) == [1] and "diverged" in result.failed[1]
    for array in (result.image, result.samples, result.mean, result.std):
        assert np.isnan(array[1]).all() and np.isfinite(array[[0, 2]]).all()
    np.testing.assert_array_equal(result.samples[[0, 2]], whole.samples[[0, 2]])
    assert progress[-1].step == progress[-1].total == STEPS and progress[-1].failed == result.failed
    assert [p.slice for p in progress if p.ends_slice] == [0, 2]


def test_when_the_first_slice_diverges_the_next_one_is_watched():
    tape = Tape()
    progress, result = run(recipe_of(), denoiser=Failing(rows=(0, 1), at=3), tape=tape)
    assert list(result.failed) == [0] and [f.slice for f in tape.frames] == [0, 0, 1, 1]
    for step, p in enumerate(progress[:STEPS], 1):
        np.testing.assert_allclose(tape.image(step, state=True), p.state(), rtol=1e-6)
    assert [p.slice for p in progress] == [0, 0, 1, 1, 2] and [p.step for p in progress] == [1, 2, 3, 4, 4]


def test_a_slice_without_signal_is_left_out_of_its_batch():
    kdata, whole = scan(), run(recipe_of())[1]
    kdata.kspace[1] = 0
    progress, result = run(recipe_of(), kdata)
    assert list(result.failed) == [1] and "empty image" in result.failed[1] and np.isnan(result.scale[1])
    assert_same(result, whole, [0, 2])
    assert progress[-1].step == progress[-1].total == STEPS


class Picky:
    """A denoiser that raises at a step of every batch that a slice is in, which it knows by its first noise."""

    def __init__(self, index, at, error):
        self.inner, self.at, self.error, self.step, self.there = tiny_denoiser(), at, error, 0, False
        self.info, recipe = self.inner.info, recipe_of()
        self.top = METHODS["prox-ddim"].schedule(**recipe.schedule).sigmas()[0]
        noise = SampleNoise(recipe.seed, [(index, 0)], (24, 20), True, torch.device("cpu"))
        self.mark = self.top * noise()[0]

    def __call__(self, x, sigma):
        if sigma == self.top:
            self.step, self.there = 0, any(torch.equal(row, self.mark) for row in x)
        self.step += 1
        if self.there and self.step == self.at:
            raise self.error
        return self.inner(x, sigma)


@pytest.mark.parametrize("error", [MemoryError(), InvalidInput("no luck"), RuntimeError("CUDA out of memory")])
@pytest.mark.parametrize("at", [1, 3])
def test_an_error_of_one_slice_is_looked_for_in_parts(error, at):
    """Slice 1 raises whenever it is there, alone at last."""
    whole, picky = run(recipe_of())[1], Picky(1, at, error)
    progress, result = run(recipe_of(), denoiser=picky)
    assert list(result.failed) == [1] and (str(error) or "Out of memory") in result.failed[1]
    assert_same(result, whole, [0, 2])
    assert progress[-1].step == progress[-1].total
    assert [p.step for p in progress] == sorted(p.step for p in progress)


def test_a_fault_of_the_program_ends_the_run():
    with pytest.raises(RuntimeError, match="mat1"):
        run(recipe_of(), denoiser=Failing(at=2, error=RuntimeError("mat1 and mat2")))


def test_when_every_slice_fails_so_does_the_run():
    with pytest.raises(Diverged):
        run(recipe_of(), denoiser=Failing(rows=range(6), at=2))


# out of memory --------------------------------------------------------------------------------------------------------


class Small:
    """Out of memory for more than so many images, from a call on."""

    def __init__(self, most, after=0):
        self.inner, self.most, self.after, self.sizes = tiny_denoiser(), most, after, []
        self.info = self.inner.info

    def __call__(self, x, sigma):
        self.sizes.append(len(x))
        if len(x) > self.most and len(self.sizes) > self.after:
            raise torch.OutOfMemoryError("out of memory")
        return self.inner(x, sigma)


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("most", [4, 2, 1])
def test_a_batch_that_memory_does_not_hold_is_halved_down_to_one_image(most, after):
    whole, small = run(recipe_of())[1], Small(most, after)
    progress, result = run(recipe_of(), denoiser=small)
    assert result.status == "done" and not result.failed and result.provenance["batches_split"] > 0
    assert_same(result, whole)
    assert max(small.sizes[after + 1 :]) < 6 and small.sizes[-1] <= most
    assert progress[-1].step == progress[-1].total
    assert [p.slice for p in progress if p.ends_slice] == [0, 1, 2]


# progress, knobs, the tape --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 2])
def test_the_first_slice_of_a_batch_is_watched_and_each_tells_when_it_is_done(samples):
    progress, result = run(recipe_of(samples=samples, batch=3 * samples), scan(slices=5))
    assert [p.slice for p in progress] == [0] * STEPS + [1, 2] + [3] * STEPS + [4]
    assert [p.step for p in progress] == [1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8]
    assert {(p.total, p.slices) for p in progress} == {(2 * STEPS, 5)}
    ends = [p for p in progress if p.ends_slice]
    assert [p.slice for p in ends] == list(range(5))
    for p in ends:
        np.testing.assert_allclose(p.image(), np.abs(result.image[p.slice]), rtol=1e-5)
    assert [(t["step"], t["slice"]) for t in result.trace] == [(p.step, p.slice) for p in progress]


def test_figures_are_those_of_the_slice():
    together, alone = run(recipe_of())[0], run(recipe_of(slices="alone"))[0]
    for p in together:
        own = next(q for q in alone if q.slice == p.slice and q.sigma == p.sigma)
        np.testing.assert_allclose((p.residual, p.loss), (own.residual, own.loss), rtol=1e-4)
        size = own.state().max()
        np.testing.assert_allclose(p.state(), own.state(), atol=1e-5 * size)


def test_slices_that_end_do_not_wait_for_the_next_batch():
    running = reconstruction(scan(slices=5), recipe_of(), device="cpu", denoiser=tiny_denoiser())
    early = [next(running) for _ in range(STEPS + SLICES - 1)]
    assert [p.slice for p in early if p.ends_slice] == [0, 1, 2]


def test_knobs_that_are_turned_are_written_down_and_replayed():
    live, kdata = Live(), scan(slices=5)
    running = reconstruction(kdata, recipe_of(), device="cpu", denoiser=tiny_denoiser(), live=live)
    for progress in running:
        if progress.step == STEPS + 2:  # of the second batch
            live.update({"guidance.gamma": 0.2})
            break
    turned = collect(running)[1]
    (change,) = turned.changes
    assert change.step == STEPS + 2
    np.testing.assert_array_equal(run(turned.recipe, kdata)[1].samples, turned.samples)
    plain = run(recipe_of(), kdata)[1]
    np.testing.assert_array_equal(turned.samples[:SLICES], plain.samples[:SLICES])
    assert not np.allclose(turned.samples[SLICES:], plain.samples[SLICES:], rtol=1e-3)


@pytest.mark.parametrize("name", ["prox-ddim", "dps", "score-mri", "red-diff"])
@pytest.mark.parametrize("step", [2, STEPS + 2])
def test_a_branch_is_the_run_of_its_recipe(name, step):
    tape, kdata = Tape(), scan(slices=5)
    progress, result = run(recipe_of(name), kdata, tape=tape)
    assert [(f.step, f.slice) for f in tape.frames] == [(i + 1, SLICES * (i // STEPS)) for i in range(2 * STEPS)]
    np.testing.assert_allclose(tape.image(3, state=True), progress[2].state(), rtol=1e-6)
    knob = METHODS[name].live_knobs[0]
    part, own = knob.split(".")
    recipe = branched(result.recipe, step, {knob: 0.5 * getattr(result.recipe, part)[own]})
    asked = Small(99)
    branch = run(recipe, kdata, asked, tape=tape.branch(step))[1]
    assert len(asked.sizes) == len(tape.answers) - tape.frames[step - 1].answers
    np.testing.assert_array_equal(branch.samples, run(recipe, kdata)[1].samples)
    assert not np.allclose(branch.samples, result.samples, rtol=1e-3)


def test_a_branch_goes_together_as_its_run_did_though_its_recipe_has_changes(monkeypatch):
    """As in the dock, whose own recipe says "auto"."""

    def on_a_gpu(recipe, slices, device):
        return slices_at_once(recipe, slices, torch.device("cuda"))

    monkeypatch.setattr("napari_lossguide.recon.run.slices_at_once", on_a_gpu)
    tape, auto = Tape(), recipe_of(slices="auto")
    run(auto, tape=tape)
    recipe = branched(auto, 2, {"guidance.gamma": 0.2, "sampler.eta": auto.sampler["eta"]})
    branch = run(recipe, tape=tape.branch(2))[1]
    assert branch.recipe.slices == "together" and branch.recipe.changes == recipe.changes
    np.testing.assert_array_equal(branch.samples, run(branch.recipe)[1].samples)


def test_a_run_that_was_asked_again_in_parts_cannot_be_branched():
    tape = Tape()
    run(recipe_of(), denoiser=Small(2), tape=tape)
    with pytest.raises(InvalidInput, match="smaller batch"):
        tape.branch(1)


def test_a_cancelled_run_has_the_estimates_of_all_slices_of_its_batch():
    live = Live()
    running = reconstruction(scan(slices=5), recipe_of(), device="cpu", denoiser=tiny_denoiser(), live=live)
    next(running)
    next(running)
    live.cancel()
    result = collect(running)[1]
    assert result.status == "cancelled" and len(result.trace) == 2
    assert [bool(image.any()) for image in result.image] == [True] * 3 + [False] * 2
