"""K-space as a reconstruction predicts it."""

from dataclasses import replace

import numpy as np
import pytest

from napari_lossguide.data.phantoms import complex_noise, shepp_logan, simulate
from napari_lossguide.masks import make_mask
from napari_lossguide.recon.mask_quality import zero_filled_psnr
from napari_lossguide.recon.predicted import predict
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Result
from napari_lossguide.types import InvalidInput

SHAPE = (32, 40)
MASK = make_mask("random", SHAPE, acceleration=2.0)


@pytest.fixture
def scan():
    image = shepp_logan(40)[4:36]
    return simulate(np.stack([image, 2 * image]), n_coils=3, noise_std=0.05, name="head")


@pytest.fixture
def result(scan):
    """The true image as the result of a run on half the points."""
    image = scan.reference.astype(np.complex64)
    return Result(
        image=image, zero_filled=image, mask=MASK, maps=scan.maps, samples=None, mean=None, std=None,
        recipe=Recipe.for_method("zero-filled"), trace=(), status="done", seconds=0.0, nfe=0, residual=1.0,
        noise_std=0.05, scale=(1.0, 1.0), provenance={}, simulated=True,
    )  # fmt: skip


def test_the_true_image_predicts_all_points_and_leaves_noise(scan, result):
    found = predict(result, scan)
    noise = complex_noise(scan.kspace.shape, 0.05, seed=0)
    np.testing.assert_allclose(found.predicted, scan.kspace - noise, atol=1e-4)
    np.testing.assert_array_equal(found.acquired, scan.kspace * MASK)
    np.testing.assert_allclose(found.residual(), -noise * MASK, atol=1e-4)
    assert found.level() == pytest.approx(1, rel=0.03)


def test_without_a_noise_level_the_residual_is_relative_to_the_data(scan, result):
    found = predict(replace(result, noise_std=np.nan, image=result.image * 1.5), scan)
    assert found.noise_std is None
    power, noise = np.mean(np.abs(found.predicted[..., MASK] / 1.5) ** 2), 0.05**2
    assert found.level() == pytest.approx(np.sqrt((power / 4 + noise) / (power + noise)), rel=0.01)


def test_a_slice_without_an_image_does_not_spoil_the_other(scan, result):
    image = result.image.copy()
    image[1] = np.nan
    found = predict(replace(result, image=image), scan)
    assert found.level() == pytest.approx(1, rel=0.05)
    assert np.isnan(found.predicted[1]).all()
    assert np.isfinite(found.predicted[0]).all()


def test_sizes_that_do_not_fit_are_refused(scan, result):
    with pytest.raises(InvalidInput, match=r"\(2, 32, 40\).*\(1, 32, 40\)"):
        predict(result, scan.select(0))
    with pytest.raises(InvalidInput, match="coil maps"):
        predict(replace(result, maps=result.maps[:, :2]), scan)
    with pytest.raises(InvalidInput, match="mask has shape"):
        predict(replace(result, mask=MASK[:4]), scan)
    with pytest.raises(InvalidInput, match="None of the points"):
        predict(result, scan.undersample(~MASK))


def test_the_zero_filled_image_gains_with_more_lines(scan):
    quality = zero_filled_psnr(scan.kspace[0])
    assert quality(np.ones(SHAPE, bool)) == np.inf
    assert quality(make_mask("random", SHAPE, acceleration=2.0)) > quality(make_mask("random", SHAPE, acceleration=6.0))
