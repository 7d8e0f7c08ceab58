import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_lossguide.recon.metrics import evaluate, nmse, psnr, ssim, ssim_map
from napari_lossguide.types import InvalidInput


@pytest.fixture
def volumes(rng):
    """A reference whose slices have different maxima, and a noisy image of it."""
    reference = rng.uniform(size=(3, 20, 17)) * np.array([1.0, 5.0, 2.0])[:, None, None]
    return reference, reference + 0.2 * rng.standard_normal(reference.shape) + 1


def test_psnr_and_nmse_are_fastmris(volumes):
    reference, image = volumes
    assert psnr(reference, image) == pytest.approx(
        peak_signal_noise_ratio(reference, image, data_range=reference.max())
    )
    assert nmse(reference, image) == pytest.approx(
        np.linalg.norm(reference - image) ** 2 / np.linalg.norm(reference) ** 2
    )


def test_ssim_is_the_mean_over_slices_with_the_range_of_the_volume(volumes):
    reference, image = volumes
    slices = [structural_similarity(reference[i], image[i], data_range=reference.max()) for i in range(3)]
    assert ssim(reference, image) == pytest.approx(np.mean(slices))
    own_range = [structural_similarity(r, i, data_range=r.max()) for r, i in zip(reference, image, strict=True)]
    assert ssim(reference, image) != pytest.approx(np.mean(own_range), abs=1e-3)


def test_magnitudes_are_compared(volumes, rng):
    reference, image = volumes
    turned = image * np.exp(1j * rng.uniform(0, 6, image.shape))
    expected = evaluate(reference, image)
    assert evaluate(reference, turned) == pytest.approx(expected)
    assert evaluate(-reference, image) == pytest.approx(expected)


def test_equal_images(volumes):
    reference, _ = volumes
    assert evaluate(reference, reference) == {"psnr": float("inf"), "ssim": pytest.approx(1), "nmse": 0}


def test_one_slice_and_single_precision(volumes):
    reference, image = volumes
    one = evaluate(reference[1], image[1])
    assert one == pytest.approx(evaluate(reference[1:2], image[1:2]))
    assert one == pytest.approx(evaluate(reference[1].astype("f4"), image[1].astype("f4")), rel=1e-5)
    assert all(type(value) is float for value in one.values())


@pytest.mark.parametrize(
    ("reference", "image", "message"),
    [
        (np.ones((8, 8)), np.ones((8, 9)), r"\(8, 9\), but the reference has \(8, 8\)"),
        (np.ones((8, 8)), np.ones((1, 8, 8)), r"\(1, 8, 8\), but the reference has \(8, 8\)"),
        (np.ones((1, 1, 8, 8)), np.ones((1, 1, 8, 8)), "accepted are"),
        (np.zeros((8, 8)), np.ones((8, 8)), "zero everywhere"),
        (np.ones((8, 8)), np.full((8, 8), np.nan), "image holds NaN"),
        (np.full((8, 8), np.inf), np.ones((8, 8)), "reference holds NaN"),
    ],
)
def test_bad_images(reference, image, message):
    for metric in (psnr, ssim, nmse, evaluate):
        with pytest.raises(InvalidInput, match=message):
            metric(reference, image)


def test_too_small_for_ssim():
    with pytest.raises(InvalidInput, match="at least 7 x 7"):
        ssim(np.ones((6, 8)), np.ones((6, 8)))


def test_a_region_counts_its_own_pixels_alone():
    rng = np.random.default_rng(0)
    truth = rng.random((2, 24, 20)) + 0.5
    image = truth + 0.01 * rng.normal(size=truth.shape)
    region = np.zeros((24, 20), bool)
    region[5:15, 4:12] = True
    inside = evaluate(truth, image, region)
    error = (image - truth)[:, region]
    assert inside["psnr"] == pytest.approx(10 * np.log10(truth.max() ** 2 / np.mean(error**2)))
    assert inside["nmse"] == pytest.approx(np.sum(error**2) / np.sum(truth[:, region] ** 2))
    spoilt = np.where(region, image, 0)
    again = evaluate(truth, spoilt, region)
    assert again["psnr"] == pytest.approx(inside["psnr"]) and again["nmse"] == pytest.approx(inside["nmse"])
    assert 0.5 < inside["ssim"] < 1 and again["ssim"] < inside["ssim"]  # windows reach over the edge
    assert evaluate(truth, image, np.ones((24, 20), bool))["psnr"] == pytest.approx(psnr(truth, image))


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (np.ones((4, 4), bool), r"shape \(4, 4\), but the images have \(24, 20\)"),
        (np.zeros((24, 20)), "region is empty"),
    ],
)
def test_a_region_that_cannot_be(region, words):
    image = np.ones((24, 20))
    with pytest.raises(InvalidInput, match=words):
        evaluate(image, image, region)


def test_the_map_of_ssim_is_that_of_scikit_image(volumes):
    reference, image = volumes
    found = ssim_map(reference, image)
    for k in range(3):
        mean, expected = structural_similarity(reference[k], image[k], data_range=reference.max(), full=True)
        np.testing.assert_allclose(found[k], expected)
        assert found[k, 3:-3, 3:-3].mean() == pytest.approx(mean)
    np.testing.assert_allclose(ssim_map(reference, reference), 1)
    with pytest.raises(InvalidInput, match="too small for SSIM"):
        ssim_map(np.ones((6, 8)), np.ones((6, 8)))
