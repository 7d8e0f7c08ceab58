"""Uncertainty against closed forms: draws of a known Gaussian have the right coverage, a wrong spread is mended."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from napari_lossguide.data.fourier import fft2c, ifft2c, mirrored
from napari_lossguide.recon.measured_share import measured_share
from napari_lossguide.recon.recalibration import Calibration, Conditions, calibrate
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.uncertainty import (
    coverage,
    foreground,
    quantiles,
    spread,
    spread_note,
)
from napari_lossguide.types import InvalidInput

SIZE = 96


def posterior(rng, count, *, slices=2, wrong=1.0, floor=0.0):
    """Samples (slice, P, ny, nx) and a truth, of a Gaussian whose standard deviation grows from left to right.

    The samples' standard deviation is `wrong` times too large, and the truth is off by a further `floor`.
    """
    shape = (slices, SIZE, SIZE)
    std = np.broadcast_to(np.geomspace(0.005, 0.1, SIZE), shape)
    mean = 1 + 0.2 * rng.random(shape)
    truth = mean + std * rng.standard_normal(shape) + floor * rng.standard_normal(shape)
    samples = mean[:, None] + wrong * std[:, None] * rng.standard_normal((slices, count, SIZE, SIZE))
    return samples, truth


def conditions(**changes):
    recipe = Recipe.for_method("prox-ddim", samples=8, prior_sha256="a" * 64, image="real")
    mask = np.zeros((8, 8), bool)
    mask[:, ::4] = True
    return Conditions.of(recipe, mask, 1).model_copy(update=changes)


def test_spread_is_that_of_the_magnitude(rng):
    phases = np.exp(2j * np.pi * rng.random((1, 6, 5, 4)))
    drawn = spread(3.0 * phases)
    np.testing.assert_allclose(drawn.mean, 3.0)
    np.testing.assert_allclose(drawn.std, 0.0, atol=1e-12)
    assert drawn.count == 6
    np.testing.assert_allclose(spread(np.arange(4.0).reshape(4, 1, 1)).std, np.std(range(4), ddof=1))


@pytest.mark.parametrize("count", [2, 4, 64])
def test_samples_of_the_true_law_have_the_nominal_coverage_however_few(rng, count):
    samples, truth = posterior(rng, count)
    found = coverage(spread(samples), truth)
    assert found.covered[0.5] == pytest.approx(0.5, abs=0.015)
    assert found.covered[0.9] == pytest.approx(0.9, abs=0.01)
    low, high = found.by_slice[0.9]
    assert low <= found.covered[0.9] <= high


def test_the_error_goes_with_the_spread(rng):
    samples, truth = posterior(rng, 64)
    right = coverage(spread(samples), truth)
    assert 0.5 < right.correlation < 0.7
    shuffled = rng.permuted(spread(samples).std, axis=2)
    assert abs(coverage(spread(samples), truth, std=shuffled).correlation) < 0.05
    assert np.isnan(coverage(spread(samples), truth, std=np.ones_like(truth)).correlation)


def test_quantiles_leave_out_what_a_cancelled_run_did_not_reach(rng):
    samples = 1 + rng.random((1, 40, 3, 3))
    expected = np.quantile(samples, (0.05, 0.25, 0.5, 0.75, 0.95), axis=1).swapaxes(0, 1)
    padded = np.concatenate([samples, np.zeros((1, 10, 3, 3))], axis=1)
    np.testing.assert_allclose(quantiles(padded), expected, rtol=1e-6)


def test_foreground_leaves_air_out():
    image = np.zeros((1, 10, 10))
    image[0, :5], image[0, 5] = 1.0, 0.05
    assert foreground(image).sum() == 50
    samples = image + np.zeros((1, 3, 10, 10))
    samples[:, :, 6:] += 100.0  # wrong, but in the air
    assert coverage(spread(samples), image).covered[0.9] == 1.0


@pytest.mark.parametrize(("wrong", "floor"), [(0.2, 0.0), (4.0, 0.0), (0.3, 0.03)])
def test_a_wrong_spread_is_mended_on_other_draws(rng, wrong, floor):
    fitted, other = (posterior(rng, 8, wrong=wrong, floor=floor) for _ in range(2))
    mended = calibrate([(spread(fitted[0]), fitted[1])], conditions())
    drawn, truth = spread(other[0]), other[1]
    before = coverage(drawn, truth)
    after = coverage(drawn, truth, mended.half_widths(drawn), std=mended.std(drawn))
    assert abs(before.covered[0.9] - 0.9) > 0.08 and abs(before.covered[0.5] - 0.5) > 0.15
    assert after.covered[0.9] == pytest.approx(0.9, abs=0.015)
    assert after.covered[0.5] == pytest.approx(0.5, abs=0.02)
    assert after.correlation > before.correlation - 0.02
    error = drawn.mean - truth
    assert np.sqrt(np.mean((error / mended.std(drawn)) ** 2)) == pytest.approx(1, abs=0.03)


def test_the_mended_interval_is_wide_where_the_error_is_large_and_not_where_it_is_small(rng):
    samples, truth = posterior(rng, 16, wrong=0.2)
    drawn = spread(samples)
    half = calibrate([(drawn, truth)], conditions()).half_widths(drawn)[0.9]
    inside = np.abs(drawn.mean - truth) <= half
    for third in np.array_split(np.arange(SIZE), 3):
        assert inside[..., third].mean() == pytest.approx(0.9, abs=0.03)


def test_errors_that_are_not_gaussian_are_covered_too(rng):
    samples, truth = posterior(rng, 8)
    heavy = truth + 0.05 * rng.standard_t(2, truth.shape)
    mended = calibrate([(spread(samples[:1]), heavy[:1])], conditions())
    drawn = spread(samples[1:])
    found = coverage(drawn, heavy[1:], mended.half_widths(drawn)).covered
    assert found[0.5] == pytest.approx(0.5, abs=0.03) and found[0.9] == pytest.approx(0.9, abs=0.02)


def test_calibration_follows_the_scale_of_the_image(rng):
    samples, truth = posterior(rng, 8, wrong=0.2, floor=0.03)
    mended = calibrate([(spread(samples), truth)], conditions())
    again = calibrate([(spread(1000 * samples), 1000 * truth)], conditions())
    assert (again.a, again.b) == pytest.approx((mended.a, mended.b), rel=1e-6)
    np.testing.assert_allclose(mended.std(spread(1000 * samples)), 1000 * mended.std(spread(samples)))


def test_calibration_survives_its_file(rng, tmp_path):
    samples, truth = posterior(rng, 4)
    fitted = calibrate([(spread(samples), truth)], conditions(), fitted_on=["one.npz"])
    path = tmp_path / "calibration.json"
    path.write_text(fitted.to_json())
    assert Calibration.from_json(path) == fitted == Calibration.from_json(fitted.to_json())
    assert fitted.slices == 2 and fitted.pixels == truth.size and fitted.fitted_on == ("one.npz",)
    Calibration.from_json(path).check(conditions())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "daps"}, "another method (prox-ddim, not daps)"),
        ({"prior_sha256": "b" * 64}, "another prior (aaaaaaaaaaaa…, not bbbbbbbbbbbb…)"),
        ({"samples": 4}, "another number of samples (8, not 4)"),
        ({"steps": 20}, "another number of steps"),
        ({"acceleration": 8.0}, "another acceleration (4, not 8)"),
        ({"coils": 8}, "another number of coils"),
        ({"image": "complex"}, "another kind of image (real, not complex)"),
        ({"settings": {}}, "other settings"),
    ],
)
def test_calibration_refuses_what_it_was_not_fitted_for(rng, changes, words):
    samples, truth = posterior(rng, 4, slices=1)
    fitted = calibrate([(spread(samples), truth)], conditions())
    with pytest.raises(InvalidInput) as caught:
        fitted.check(conditions(**changes))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_turned_knobs_are_other_settings():
    recipe, mask = Recipe.for_method("prox-ddim", samples=8), np.ones((4, 4), bool)
    other = Recipe.for_method("prox-ddim", samples=8, settings={"guidance.gamma": 2.0})
    assert Conditions.of(recipe, mask, 1).difference(Conditions.of(other, mask, 1)) == "other settings of the method"


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 1, "a": -1}'])
def test_a_damaged_calibration_is_refused_in_a_sentence(tmp_path, text):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="calibration"):
        Calibration.from_json(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        Calibration.from_json(tmp_path / "missing.json")


def lines(size=32, seed=3):
    mask = np.zeros((size, size), bool)
    mask[:, np.random.default_rng(seed).permutation(size)[:9]] = True
    return mask


def test_measured_share_is_zero_when_every_sample_keeps_the_data(rng):
    mask = lines()
    deviations = fft2c(rng.standard_normal((2, 5, 32, 32)) + 1j * rng.standard_normal((2, 5, 32, 32))) * ~mask
    found = measured_share(10 + ifft2c(deviations), mask)
    assert found.share < 1e-12 and found.fraction == pytest.approx(mask.mean())


def test_measured_share_counts_the_mirror_of_a_real_image(rng):
    mask = lines()
    both = mask | mirrored(mask)
    assert both.sum() > mask.sum()
    samples = ifft2c(fft2c(rng.standard_normal((5, 32, 32))) * ~both).real
    assert measured_share(samples, mask).fraction == pytest.approx(both.mean())
    only_mirror = ifft2c(fft2c(rng.standard_normal((5, 32, 32))) * (both & ~(mask & mirrored(mask)))).real
    assert measured_share(only_mirror, mask).share == pytest.approx(1, abs=1e-6)
    turned = only_mirror * np.exp(0.3j * np.pi * np.linspace(-1, 1, 32) ** 2)
    assert measured_share(turned, mask).fraction == pytest.approx(mask.mean()), "a phase ends the symmetry"


def test_measured_share_of_deviations_that_know_nothing(rng):
    samples = rng.standard_normal((8, 32, 32)) + 1j * rng.standard_normal((8, 32, 32))
    maps = rng.standard_normal((3, 32, 32)) + 1j * rng.standard_normal((3, 32, 32))
    assert measured_share(samples, lines()).per_fraction == pytest.approx(1, abs=0.05)
    assert measured_share(samples, lines(), maps).per_fraction == pytest.approx(1, abs=0.05)
    assert np.isnan(measured_share(np.ones((3, 32, 32)), lines()).share)


def test_wrong_input_is_one_sentence(rng):
    samples, truth = posterior(rng, 3)
    drawn = spread(samples)
    for call, words in [
        (lambda: spread(samples[:, :1]), "one sample only"),
        (lambda: spread(np.ones((4, 4))), "shape"),
        (lambda: spread(np.full((2, 4, 4), np.nan)), "NaN"),
        (lambda: coverage(drawn, truth[:1]), "has shape"),
        (lambda: coverage(drawn, 0 * truth), "zero everywhere"),
        (lambda: measured_share(samples, lines()), "do not fit"),
        (lambda: calibrate([], conditions()), "no result"),
        (lambda: calibrate([(spread(np.ones((1, 2, 4, 4))), np.ones((1, 4, 4)))], conditions()), "no error"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            call()


def test_only_the_averaging_method_is_warned_of():
    assert "posterior-draw" in spread_note(Recipe.for_method("prox-mean"))
    assert not spread_note(Recipe.for_method("prox-ddim")) and not spread_note(Recipe.for_method("posterior-draw"))


def test_it_needs_no_torch():
    code = (
        "import sys, napari_lossguide.recon.uncertainty, napari_lossguide.recon.recalibration as r\n"
        "import json; print(json.dumps([m for m in ('torch', 'qtpy') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_slice_that_failed_is_left_out(rng):
    samples = rng.normal(5, 1, (3, 6, 12, 10)) + 1j * rng.normal(0, 1, (3, 6, 12, 10))
    truth = np.full((3, 12, 10), 5.0)
    mask = rng.random((12, 10)) < 0.5
    holed = samples.copy()
    holed[1] = np.nan
    kept = samples[[0, 2]]
    assert coverage(spread(holed), truth) == coverage(spread(kept), truth[[0, 2]])
    found = quantiles(holed)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2]], quantiles(kept))
    assert measured_share(holed, mask) == measured_share(kept, mask)
    holed[2, 0, 0, 0] = np.nan
    with pytest.raises(InvalidInput, match="NaN"):
        spread(holed)
