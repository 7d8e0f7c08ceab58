"""Cancel, pause, knobs and failures inside the sampler; and every wrong input as one sentence."""

import threading

import numpy as np
import pytest
import torch
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.data.kdata import KData
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.engine import reconstruct, reconstruction
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import Diverged, InvalidInput


class Counting:
    """A denoiser that counts its calls and may do something else from one of them on."""

    def __init__(self, at=None, instead=None):
        self.inner, self.calls, self.at, self.instead = tiny_denoiser(), 0, at, instead
        self.info = self.inner.info

    def __call__(self, x, sigma):
        self.calls += 1
        if self.at is not None and self.calls >= self.at:
            return self.instead(x)
        return self.inner(x, sigma)


def start(kdata=None, denoiser=None, live=None, steps=6, method="prox-ddim", **fields):
    kdata = kdata or tiny_scan()
    recipe = Recipe.for_method(method, steps=steps, **fields)
    maps = kdata.maps if kdata.n_coils > 1 else None
    return reconstruction(kdata, recipe, maps=maps, device="cpu", live=live, denoiser=denoiser or Counting())


@pytest.mark.parametrize("after", [1, 3])
def test_cancel_ends_within_a_step_and_keeps_the_last_estimate(after):
    live, denoiser = Live(), Counting()
    running = start(denoiser=denoiser, live=live)
    for _ in range(after):
        progress = next(running)
    live.cancel()
    rest, out = collect(running)
    assert rest == [] and denoiser.calls == after
    assert out.status == "cancelled" and out.nfe == after and len(out.trace) == after
    np.testing.assert_allclose(np.abs(out.image[0]), progress.image(), rtol=1e-5)
    assert out.residual == pytest.approx(progress.residual, rel=1e-3)


def test_cancel_before_the_first_step_leaves_an_empty_image():
    live, denoiser = Live(), Counting()
    live.cancel()
    progress, out = collect(start(denoiser=denoiser, live=live))
    assert progress == [] and denoiser.calls == 0
    assert out.status == "cancelled" and not out.image.any()
    assert out.arrays()["image"].shape == (1, 24, 20)


def test_cancel_in_the_second_slice_keeps_the_first():
    live = Live()
    running = start(tiny_scan(slices=3), live=live, steps=3)
    for _ in range(4):
        next(running)
    live.cancel()
    _, out = collect(running)
    _, whole = collect(start(tiny_scan(slices=3), steps=3))
    assert out.image[0].tobytes() == whole.image[0].tobytes()
    assert out.image[1].any() and not out.image[2].any()


def test_samples_that_were_not_reached_do_not_darken_the_mean():
    live = Live()
    running = start(live=live, steps=3, samples=6, batch=2)
    for _ in range(3):
        next(running)  # two of six samples
    live.cancel()
    _, out = collect(running)
    np.testing.assert_allclose(out.image[0], out.samples[0, :2].mean(0), rtol=1e-5)
    np.testing.assert_allclose(out.std[0], out.samples[0, :2].std(0), rtol=1e-4)
    assert not out.samples[0, 2:].any()


@pytest.mark.parametrize("method", ["zero-filled", "cg-sense", "tv"])
def test_classical_methods_can_be_cancelled(method):
    live = Live()
    running = start(tiny_scan(3), method=method, live=live, steps=50)
    first = next(running)
    live.cancel()
    rest, out = collect(running)
    assert rest == [] and out.status == "cancelled"
    np.testing.assert_allclose(np.abs(out.image[0]), first.image(), rtol=1e-5)


def test_closing_the_generator_ends_the_run():
    denoiser = Counting()
    running = start(denoiser=denoiser)
    next(running)
    running.close()
    with pytest.raises(StopIteration):
        next(running)
    assert denoiser.calls == 1


def test_pause_holds_the_sampler_and_resume_lets_it_go_on_to_the_same_result():
    live, denoiser = Live(), Counting()
    running = start(denoiser=denoiser, live=live)
    next(running)
    live.pause()
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(collect(running)), daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive() and denoiser.calls == 1
    live.resume()
    thread.join(60)
    (_, out), (_, expected) = outcome[0], collect(start())
    assert out.status == "done" and out.image.tobytes() == expected.image.tobytes()


def test_a_paused_run_can_be_cancelled():
    live, denoiser = Live(), Counting()
    running = start(denoiser=denoiser, live=live)
    next(running)
    live.pause()
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(collect(running)), daemon=True)
    thread.start()
    live.cancel()
    thread.join(60)
    assert outcome[0][1].status == "cancelled" and denoiser.calls == 1


def test_a_knob_takes_effect_at_the_next_step_and_is_shown():
    live = Live()
    running = start(live=live)
    assert next(running).params["sampler.eta"] == 1.0
    live.update({"sampler.eta": 0.5, "guidance.gamma": 3.0})
    assert next(running).params["sampler.eta"] == 0.5
    _, out = collect(running)
    assert {(c.step, c.name, c.value) for c in out.changes} == {(1, "sampler.eta", 0.5), (1, "guidance.gamma", 3.0)}


def test_steps_of_changes_count_over_slices():
    live = Live()
    running = start(tiny_scan(slices=2), live=live, steps=3)
    for _ in range(4):
        next(running)
    live.update({"guidance.gamma": 30.0})
    _, out = collect(running)
    assert [(c.step, c.value) for c in out.changes] == [(4, 30.0)]
    _, again = collect(reconstruction(tiny_scan(slices=2), out.recipe, device="cpu", denoiser=Counting()))
    assert again.image.tobytes() == out.image.tobytes()


def test_a_knob_that_the_method_does_not_have():
    live = Live()
    running = start(live=live)
    next(running)
    with pytest.raises(InvalidInput, match=r"'guidance.strength' is not a live knob"):
        live.update({"guidance.strength": 1.0})
    early = Live()
    early.update({"guidance.gamma": -1.0})
    with pytest.raises(InvalidInput, match=r"guidance.gamma = -1.0 is out of its range"):
        next(start(live=early))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_says_where_and_keeps_the_last_image(value):
    denoiser = Counting(at=3, instead=lambda x: torch.full_like(x, value))
    running = start(denoiser=denoiser)
    next(running)
    last = next(running)
    with pytest.raises(Diverged, match=r"diverged \(NaN or infinity\) at step 2, sigma = ") as caught:
        next(running)
    assert caught.value.step == 2 and 0 < caught.value.sigma < last.sigma
    np.testing.assert_allclose(caught.value.image, last.image(), rtol=1e-5)
    assert caught.value.image.dtype == np.float32


def test_a_first_step_that_is_not_finite_has_no_image():
    with pytest.raises(Diverged) as caught:
        next(start(denoiser=Counting(at=1, instead=lambda x: x * np.nan)))
    assert caught.value.image is None and caught.value.step == 0


def test_one_bad_sample_of_a_batch_is_enough():
    def spoil(x):
        x = x.clone()
        x[-1, 3, 3] = np.nan
        return x

    with pytest.raises(Diverged):
        next(start(denoiser=Counting(at=1, instead=spoil), samples=3))


@pytest.mark.parametrize("error", [RuntimeError("boom"), torch.OutOfMemoryError("no memory"), MemoryError()])
def test_errors_of_the_network_pass_through(error):
    def fail(x):
        raise error

    running = start(denoiser=Counting(at=2, instead=fail))
    next(running)
    with pytest.raises(type(error)) as caught:
        next(running)
    assert caught.value is error


def complex_noise(*shape):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


K = complex_noise(3, 24, 20)
POINTS = complex_noise(24, 20)


@pytest.mark.parametrize(
    ("arguments", "fields", "sentence"),
    [
        ((K.real,), {}, "looks like an image"),
        ((np.where(K[0, 3, 3] == K, np.nan, K),), {}, "NaN or infinity"),
        ((K * 0,), {}, "zero everywhere"),
        ((complex_noise(2, 1, 1, 24, 20),), {}, "shape"),
        ((K, np.ones((20, 24), bool)), {}, r"\(20, 24\).*\(24, 20\)"),
        ((K, np.zeros((24, 20), bool)), {}, "empty"),
        ((K, np.full((24, 20), 0.3)), {}, "other than 0 and 1"),
        ((K, None, np.ones((2, 24, 20))), {}, r"coil maps have shape \(2, 24, 20\)"),
        ((K, np.eye(24, 20, dtype=bool)), {}, "no calibration lines"),
        ((POINTS,), {"device": "abacus"}, "device 'abacus' is not available here; choose auto or one of cpu"),
        ((POINTS,), {"prior": "nobody"}, "no prior 'nobody'"),
        ((POINTS,), {"method": "magic"}, "no method 'magic'"),
        ((POINTS,), {"steps": 0}, "schedule.steps = 0"),
        ((POINTS,), {"samples": 1000}, "samples = 1000"),
        ((POINTS,), {"settings": {"guidance.gamma": -1.0}}, "guidance.gamma = -1.0"),
        ((POINTS,), {"noise_std": -1.0}, "noise_std = -1.0"),
        ((POINTS,), {"settings": {"method": "ddnm"}}, "method = 'ddnm' cannot be one of the settings"),
        ((K,), {"real": True}, "real image was asked for from 3 coils without maps"),
    ],
)
def test_wrong_input_is_one_sentence(arguments, fields, sentence):
    """Before anything is computed: the method needs no prior, or the prior is what is wrong."""
    method = {} if {"prior", "steps", "settings"} & set(fields) else {"method": "cg-sense"}
    with pytest.raises(InvalidInput, match=sentence) as caught:
        reconstruct(*arguments, **({"device": "cpu"} | method | fields))
    assert "\n" not in str(caught.value)


def test_an_image_that_the_prior_cannot_take():
    with pytest.raises(InvalidInput, match=r"12 x 40 pixels; the prior 'tiny' needs at least 16 x 16"):
        next(start(KData.from_array(complex_noise(12, 40))))


def test_a_mask_in_the_recipe_of_another_size():
    mask = MaskRecipe.drawn(np.ones((20, 24), bool))
    with pytest.raises(InvalidInput, match=r"\(20, 24\).*\(24, 20\)"):
        next(start(mask=mask))
