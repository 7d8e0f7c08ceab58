"""What a run gives: the same again, in the input's units, for every kind of data; and what it leaves alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_form import dense_sense
from tiny import collect, halved, tiny_denoiser, tiny_scan, tiny_unet

import napari_lossguide
from napari_lossguide.data.fourier import ifft2c
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.priors.analytic import GaussianPrior
from napari_lossguide.priors.load import save_prior
from napari_lossguide.recon.engine import reconstruct, reconstruction
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.methods import METHODS, PARTS
from napari_lossguide.recon.problem import coil_maps, data_residual, make_problem
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

DIFFUSION = [n for n, m in METHODS.items() if m.needs_prior]
CLASSICAL = [n for n, m in METHODS.items() if not m.needs_prior]
PARTIAL_FOURIER = ("homodyne", "pocs")
ELSEWHERE = "is not on this machine: the method is not run, in any of its units, sizes and coils"


def tried(names):
    """Methods to parametrise with; one whose program is missing is skipped, and says so."""
    missing = {n: METHODS[n].program for n in names if METHODS[n].missing()}
    skip = {n: pytest.mark.skip(reason=f"{program.title} {ELSEWHERE}") for n, program in missing.items()}
    return [pytest.param(n, marks=skip.get(n, ())) for n in names]


def scan_for(method, coils=1):
    """A scan with a mask that the method can do with."""
    kdata = tiny_scan(coils)
    return halved(kdata) if method in PARTIAL_FOURIER else kdata


def region(shape):
    """A square in the middle, as a person draws it."""
    drawn = np.zeros(shape, bool)
    drawn[8:14, 8:14] = True
    return MaskRecipe.drawn(drawn)


def run(kdata, method="prox-ddim", steps=6, denoiser=None, maps=None, live=None, **fields):
    if METHODS[method].needs_region:
        fields.setdefault("region", region(kdata.image_shape))
    recipe = fields.pop("recipe", None) or Recipe.for_method(method, steps=steps, **fields)
    maps = kdata.maps if maps is None and kdata.n_coils > 1 else maps
    return reconstruction(kdata, recipe, maps=maps, device="cpu", live=live, denoiser=denoiser or tiny_denoiser())


def result(kdata, *args, **fields):
    return collect(run(kdata, *args, **fields))[1]


@pytest.mark.parametrize("method", tried(METHODS))
@pytest.mark.parametrize("coils", [1, 3])
def test_every_method_runs_to_its_end(method, coils):
    progress, out = collect(run(scan_for(method, coils), method, steps=4))
    assert out.status == "done" and out.image.shape == (1, 24, 20) and out.image.dtype == np.complex64
    assert np.isfinite(out.image).all() and out.image.any()
    assert [p.step for p in progress] == list(range(1, len(progress) + 1))
    assert len(progress) == progress[0].total or method == "cg-sense"  # which stops when it is done
    parts = {part: getattr(out.recipe, part) for part in PARTS}
    assert out.nfe == METHODS[method].evaluations(parts)
    assert np.array_equal(np.isnan([p.sigma for p in progress]), [not METHODS[method].needs_prior] * len(progress))
    assert len(out.trace) == len(progress)
    assert (out.image.imag == 0).all() == (coils == 1)  # one coil: a real image, known as such
    np.testing.assert_allclose(progress[-1].image(), np.abs(out.image[0]), rtol=1e-5)


@pytest.mark.parametrize("method", tried(CLASSICAL))
def test_classical_methods_give_the_same_bits_again(method):
    kdata = scan_for(method, 3)
    first = result(kdata, method, steps=10)
    assert result(kdata, recipe=first.recipe).image.tobytes() == first.image.tobytes()


@pytest.mark.parametrize("estimator", ["espirit", "walsh"])
def test_the_recipe_chooses_the_coil_maps_and_the_result_says_so(estimator):
    kdata = tiny_scan(3)
    found = reconstruct(kdata, recipe=Recipe.for_method("cg-sense", steps=3, coil_maps=estimator), device="cpu")
    np.testing.assert_array_equal(found.maps[0], coil_maps(kdata, 0, 24, estimator))
    name = {"espirit": "ESPIRiT", "walsh": "Walsh"}[estimator]
    assert found.provenance["coil_maps"] == f"{name} of the acquired centre"
    assert Recipe.from_json(found.recipe.to_json()).coil_maps == estimator
    again = reconstruct(kdata, recipe=found.recipe, device="cpu")
    assert again.image.tobytes() == found.image.tobytes()


def test_given_maps_and_one_coil_are_no_estimate():
    kdata, recipe = tiny_scan(3), Recipe.for_method("cg-sense", steps=3, coil_maps="walsh")
    assert result(kdata, recipe=recipe, maps=kdata.maps).provenance["coil_maps"] == "given"
    assert "coil_maps" not in reconstruct(tiny_scan(1), recipe=recipe, device="cpu").provenance


@pytest.mark.parametrize("method", DIFFUSION)
def test_a_recipe_gives_the_same_bits_again_live_changes_included(method):
    kdata, chosen, live = tiny_scan(3), METHODS[method], Live()
    running = run(kdata, method, live=live, samples=2)
    knob = {k: 0.6 * chosen.settings()[k.split(".")[0]][k.split(".")[1]] for k in chosen.live_knobs}
    next(running), next(running)
    live.update(knob)
    _, first = collect(running)
    assert {(c.step, c.name) for c in first.changes} == {(2, k) for k in knob}
    recipe = Recipe.from_json(first.recipe.to_json())
    again = result(kdata, recipe=recipe)
    assert again.image.tobytes() == first.image.tobytes()
    assert again.samples.tobytes() == first.samples.tobytes()
    assert again.recipe == first.recipe
    assert again.provenance["image_sha256"] == first.provenance["image_sha256"]
    if set(knob) - {"guidance.scale"}:  # on which nothing depends while contrast and plane are any
        unchanged = result(kdata, recipe=recipe.model_copy(update={"changes": ()}))
        assert np.abs(unchanged.image - first.image).max() > 1e-5


@pytest.mark.parametrize(("coils", "method"), [(1, "prox-ddim"), *((3, m) for m in DIFFUSION if m != "unconditional")])
def test_a_sample_does_not_depend_on_its_batch(coils, method):
    kdata = tiny_scan(coils)
    alone = result(kdata, method).image[0]
    scale = np.abs(alone).max()
    before = result(kdata, method, samples=4, batch=1).samples
    for batch in (2, 3, 8) if method == "prox-ddim" else (3,):
        samples = result(kdata, method, samples=4, batch=batch).samples
        np.testing.assert_allclose(samples[0, 0], alone, atol=2e-4 * scale)
        assert np.abs(samples[0, 3] - alone).max() > 0.01 * scale
        np.testing.assert_allclose(samples, before, atol=2e-4 * scale)


def test_a_batch_that_memory_does_not_hold_is_halved_and_the_samples_are_the_same():
    whole, small = tiny_denoiser(), tiny_denoiser()
    seen = []

    def short_of_memory(x, sigma):
        seen.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return small(x, sigma)

    short_of_memory.info = small.info
    progress, out = collect(run(tiny_scan(3), samples=5, batch=8, denoiser=short_of_memory))
    expected = result(tiny_scan(3), samples=5, batch=8, denoiser=whole)
    np.testing.assert_allclose(out.samples, expected.samples, atol=2e-4 * np.abs(expected.samples).max())
    assert max(seen) == 5 and progress[-1].step == progress[-1].total == 18

    def hopeless(x, sigma):
        raise torch.OutOfMemoryError("out of memory")

    hopeless.info = small.info
    with pytest.raises(torch.OutOfMemoryError):
        result(tiny_scan(3), samples=2, denoiser=hopeless)


def test_several_samples_have_a_mean_and_a_deviation():
    out = result(tiny_scan(3), samples=5, batch=2)
    assert out.samples.shape == (1, 5, 24, 20)
    np.testing.assert_allclose(out.image, out.samples.mean(1), atol=1e-6)
    np.testing.assert_array_equal(out.mean, out.image)
    deviation = np.sqrt((np.abs(out.samples - out.mean[:, None]) ** 2).mean(1))
    np.testing.assert_allclose(out.std, deviation, rtol=1e-4, atol=1e-6)
    assert result(tiny_scan(3)).samples is None


def test_the_seed_decides():
    kdata = tiny_scan()
    assert result(kdata, seed=1).image.tobytes() == result(kdata, seed=1).image.tobytes()
    assert np.abs(result(kdata, seed=1).image - result(kdata, seed=2).image).max() > 1e-3


@pytest.mark.parametrize("coils", [1, 3])
def test_slices_are_reconstructed_one_by_one(coils):
    kdata = tiny_scan(coils, slices=3)
    progress, out = collect(run(kdata, steps=3))
    assert out.image.shape == (3, 24, 20) and out.maps.shape == kdata.kspace.shape and len(out.scale) == 3
    assert [(p.slice, p.slices, p.step, p.total) for p in progress] == [(i // 3, 3, i + 1, 9) for i in range(9)]
    first = result(kdata.select(0), steps=3)
    assert first.image[0].tobytes() == out.image[0].tobytes()
    same = replace(kdata, kspace=np.repeat(kdata.kspace[:1], 3, 0), reference=None)
    images = result(same, steps=3).image
    assert np.abs(images[0] - images[1]).max() > 1e-4  # every slice has its own noise


@pytest.mark.parametrize("method", tried(METHODS))
@pytest.mark.parametrize("factor", [1e3, 1e-4])
def test_k_space_in_other_units_gives_the_image_in_those_units(method, factor):
    kdata = scan_for(method, 3)
    scaled = replace(kdata, kspace=(factor * kdata.kspace).astype(np.complex64), reference=None)
    out, expected = result(scaled, method, steps=4), result(kdata, method, steps=4)
    size = np.abs(expected.image).max()
    np.testing.assert_allclose(out.image / factor, expected.image, atol=2e-3 * size)
    np.testing.assert_allclose(out.zero_filled / factor, expected.zero_filled, rtol=1e-3, atol=1e-5)
    assert out.noise_std / factor == pytest.approx(expected.noise_std, rel=1e-3)
    assert out.residual == pytest.approx(expected.residual, rel=1e-2)


def test_classical_methods_are_what_they_say():
    kdata = tiny_scan(3, noise_std=0.02)
    zero = result(kdata, "zero-filled").image[0]
    np.testing.assert_allclose(zero, (kdata.maps[0].conj() * ifft2c(kdata.kspace[0])).sum(0), atol=1e-5)
    a = dense_sense(kdata.acquired, kdata.maps[0])
    normal = a.conj().T @ a + 0.01 * np.eye(a.shape[1])
    expected = np.linalg.solve(normal, a.conj().T @ kdata.kspace[0].ravel()).reshape(24, 20)
    np.testing.assert_allclose(result(kdata, "cg-sense", steps=100).image[0], expected, atol=2e-3)
    methods = ("zero-filled", "cg-sense", "l1-wavelet", "tv")
    error = {m: np.linalg.norm(result(kdata, m, steps=60).image[0] - kdata.reference[0]) for m in methods}
    assert max(error["l1-wavelet"], error["tv"], error["cg-sense"]) < 0.7 * error["zero-filled"]


def test_total_variation_is_nearly_converged_after_its_usual_iterations():
    """SigPy's own step sizes leave it far away, and whatever it is compared with looks better than it is."""
    mask = MaskRecipe.of("thesis", acceleration=4, center_fraction=0.1, seed=0)
    kdata = simulate(shepp_logan(64)).undersample(mask.make((64, 64)))
    settings = {"guidance.regularization": 0.01}
    usual, long = (np.abs(result(kdata, "tv", steps=n, settings=settings).image) for n in (100, 1500))
    assert np.linalg.norm(usual - long) < 0.5 * np.linalg.norm(long - kdata.reference)


@pytest.mark.parametrize("shape", [(24, 20), (23, 21)])
def test_compressed_sensing_uses_the_symmetry_of_a_real_image(shape):
    """A mask of one half of k-space tells all about a real image of one coil."""
    kdata = tiny_scan(noise_std=0.0, shape=shape)
    full = kdata.reference[0]
    half = simulate(full).undersample(np.arange(shape[1]) <= shape[1] // 2)
    settings = {"guidance.regularization": 1e-5}
    image = result(half, "l1-wavelet", steps=100, settings=settings).image[0]
    assert np.abs(image - full).max() < 0.02 * full.max()
    unaware = result(replace(half, real=False), "l1-wavelet", steps=100, settings=settings).image[0]
    assert np.abs(unaware - full).max() > 0.1 * full.max()


def truth_prior(kdata, std):
    problem = make_problem(kdata, 0, kdata.maps[0], real=kdata.real, noise_std=None, device=torch.device("cpu"))
    truth = torch.from_numpy(kdata.reference[0] / np.float32(problem.scale))
    return GaussianPrior(truth if kdata.real else truth.to(torch.complex64), std / problem.scale)


@pytest.mark.parametrize("coils", [1, 8])
def test_residual_is_one_for_the_true_image(coils):
    kdata = tiny_scan(coils, noise_std=0.05, shape=(48, 40))
    problem = make_problem(kdata, 0, kdata.maps[0], real=kdata.real, noise_std=0.05, device=torch.device("cpu"))
    truth = torch.from_numpy(kdata.reference / np.float32(problem.scale))
    residual, loss = data_residual(problem, truth)
    assert residual == pytest.approx(1, abs=0.05)
    expected = 0.05**2 * problem.n_measured / np.linalg.norm(kdata.kspace) ** 2
    assert loss == pytest.approx(expected, rel=0.1)
    out = result(kdata, denoiser=truth_prior(kdata, 1e-3), noise_std=0.05)
    assert out.residual == pytest.approx(1, abs=0.05)
    assert out.trace[-1]["residual"] == pytest.approx(out.residual, rel=1e-4)
    zero = data_residual(problem, 0 * truth)
    assert zero[0] > 3 and zero[1] == pytest.approx(1)


def test_residual_of_data_without_noise_is_not_a_number():
    out = result(tiny_scan(noise_std=0.0), noise_std=0.0)
    assert np.isnan(out.residual) and np.isnan(out.trace[-1]["residual"]) and out.trace[-1]["loss"] < 1e-3


def test_the_default_method_beats_zero_filling_with_a_prior_that_knows_something():
    kdata = tiny_scan(3)
    out = result(kdata, denoiser=truth_prior(kdata, 0.05), steps=20)
    error = [np.linalg.norm(x[0] - kdata.reference[0]) for x in (out.image, out.zero_filled)]
    assert error[0] < 0.5 * error[1]


def test_the_recipes_mask_undersamples():
    kdata = tiny_scan()
    mask = np.zeros(kdata.image_shape, bool)
    mask[:, 6:14] = True
    out = result(kdata, mask=MaskRecipe.drawn(mask))
    np.testing.assert_array_equal(out.mask, mask & kdata.acquired)
    direct = result(kdata.undersample(mask))
    assert out.image.tobytes() == direct.image.tobytes()


def test_progress_shows_estimate_and_state_on_the_inputs_scale():
    kdata = tiny_scan()
    settings = {"schedule.sigma_max": 10.0}
    progress, _ = collect(run(kdata, denoiser=truth_prior(kdata, 1e-3), steps=5, settings=settings))
    size = kdata.reference.max()
    for p in progress:
        assert p.image().dtype == np.float32 and p.image().shape == (24, 20)
        np.testing.assert_allclose(p.image(), np.abs(kdata.reference[0]), atol=0.05 * size)
    assert progress[0].state().std() > 5 * progress[0].image().std()  # the second level is still mostly noise
    np.testing.assert_allclose(progress[-1].state(), progress[-1].image(), rtol=1e-5)


@pytest.mark.usefixtures("global_numpy_state_untouched")
def test_nothing_of_the_callers_is_touched(tmp_path):
    network = tiny_unet()
    path = tmp_path / "tiny.safetensors"
    save_prior(path, network.state_dict(), network.config, {"name": "tiny", "sigma_data": 0.25})
    kdata = tiny_scan(4, shape=(32, 32))
    before = kdata.kspace.copy(), kdata.acquired.copy()
    torch_state = torch.get_rng_state()
    running = reconstruction(kdata, Recipe.for_method(steps=3, prior=str(path)), device="cpu")
    for grad in (True, False, True):
        with torch.set_grad_enabled(grad):
            next(running)
            assert torch.is_grad_enabled() == grad
    collect(running)
    for method in [m for m in CLASSICAL if m not in PARTIAL_FOURIER and not METHODS[m].missing()]:
        result(kdata, method, steps=2)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(kdata.kspace, before[0])
    np.testing.assert_array_equal(kdata.acquired, before[1])


def test_result_is_saved_with_all_that_is_needed_to_do_it_again(tmp_path):
    kdata = tiny_scan(3)
    out = result(kdata, samples=2)
    out.save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as f:
        assert {"image", "zero_filled", "mask", "maps", "samples", "mean", "std", "recipe"} <= set(f.files)
        again = result(kdata, recipe=Recipe.from_json(str(f["recipe"])))
        np.testing.assert_array_equal(f["image"], again.image)
        assert json.loads(str(f["facts"]))["simulated"] is True


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: its images are not compared")
@pytest.mark.parametrize("method", DIFFUSION)
def test_cuda_gives_the_cpus_image(method):
    kdata, recipe = tiny_scan(3), Recipe.for_method(method, steps=6)
    expected = result(kdata, recipe=recipe).image
    denoiser = tiny_denoiser()
    denoiser.model.to("cuda")
    _, out = collect(reconstruction(kdata, recipe, maps=kdata.maps, device="cuda", denoiser=denoiser))
    np.testing.assert_allclose(out.image, expected, atol=5e-3 * np.abs(expected).max())
    assert "cpu" not in out.provenance["device"]


def test_the_public_function_takes_arrays_of_every_rank(tmp_path):
    kdata = tiny_scan(3, slices=2)
    network = tiny_unet()
    path = str(tmp_path / "tiny.safetensors")
    save_prior(tmp_path / "tiny.safetensors", network.state_dict(), network.config, {"name": "t", "sigma_data": 0.25})
    fields = {"prior": path, "steps": 3, "device": "cpu"}
    seen = []
    four = napari_lossguide.reconstruct(kdata.kspace, maps=kdata.maps, callback=seen.append, **fields)
    assert [p.step for p in seen] == list(range(1, 7))
    three = reconstruct(kdata.kspace[0], kdata.acquired, kdata.maps[0], **fields)
    assert three.image[0].tobytes() == four.image[0].tobytes()
    two = reconstruct(kdata.kspace[0, 0], real=True, settings={"guidance.gamma": 3.0}, noise_std=0.05, **fields)
    assert two.image.shape == (1, 24, 20) and not two.image.imag.any() and two.recipe.image == "real"
    assert two.recipe.guidance["gamma"] == 3.0 and two.noise_std == pytest.approx(0.05)
    again = reconstruct(kdata.kspace[0, 0], recipe=two.recipe)
    assert again.image.tobytes() == two.image.tobytes()
    assert two.recipe.prior_sha256
    other = two.recipe.model_copy(update={"prior_sha256": "0" * 64})
    with pytest.raises(InvalidInput, match="another version of the prior"):
        reconstruct(kdata.kspace[0, 0], recipe=other)
