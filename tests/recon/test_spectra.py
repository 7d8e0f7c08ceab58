"""The error in rings of k-space, against errors that were put into chosen rings."""

import numpy as np
import pytest

from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.recon.metrics import nmse
from napari_lossguide.recon.spectra import nyquist, ring_error
from napari_lossguide.types import InvalidInput


def radius_of(shape, spacing):
    ky, kx = ((np.arange(n) - n // 2) / (n * d) for n, d in zip(shape, spacing, strict=True))
    return np.hypot(ky[:, None], kx[None, :])


@pytest.mark.parametrize(("shape", "spacing"), [((32, 32), (1.0, 1.0)), ((24, 33), (2.0, 0.7)), ((16, 20), (0.5, 0.5))])
def test_an_error_in_one_ring_is_found_there_alone(rng, shape, spacing):
    truth = ifft2c(rng.normal(size=(2, *shape)) + 1j * rng.normal(size=(2, *shape)) + 3)
    width = max(1 / (n * d) for n, d in zip(shape, spacing, strict=True))
    ring = 5
    inside = np.abs(radius_of(shape, spacing) - ring * width) < 0.4 * width
    assert inside.any()
    factor = np.where(inside, 1.3, 1.0)  # a relative error of 0.3 in amplitude, 0.09 in energy, at these points
    found = ring_error(truth, ifft2c(fft2c(truth) * factor), spacing)
    assert found.radius[ring] == pytest.approx(ring * width)
    expected = 0.09 * (np.abs(fft2c(truth)) ** 2)[:, inside].sum()
    assert found.error[ring] == pytest.approx(expected)
    others = np.delete(found.error, ring)
    assert others.max() < 1e-12 * expected


def test_a_scaled_image_is_wrong_alike_at_all_radii(rng):
    truth = rng.uniform(size=(20, 31)) + 1
    found = ring_error(truth, 0.9 * truth, (1.0, 3.0))
    np.testing.assert_allclose(found.relative, 0.01)


@pytest.mark.parametrize("shape", [(17, 24), (3, 16, 16)])
def test_the_rings_hold_everything_once(rng, shape):
    truth, image = rng.uniform(size=shape), rng.uniform(size=shape)
    found = ring_error(truth, image)
    assert found.reference.sum() == pytest.approx((truth**2).sum())
    assert found.error.sum() / found.reference.sum() == pytest.approx(nmse(truth, image))
    assert (np.diff(found.radius) > 0).all() and (found.reference > 0).all()


def test_a_fraction_of_nyquist_ends_at_one_on_either_axis():
    ny, nx = 16, 40
    for frequency in ((ny // 2, 0), (0, nx // 2)):
        kspace = np.zeros((ny, nx), complex)
        kspace[ny // 2 - frequency[0], nx // 2 - frequency[1]] = 1
        flat = np.ones((ny, nx))
        found = ring_error(flat, flat + ifft2c(kspace))
        assert found.radius[found.error.argmax()] == pytest.approx(1.0)
    assert nyquist((2.0, 0.5)) == 0.25


def test_where_the_reference_has_nothing_there_is_no_figure():
    found = ring_error(np.ones((8, 8)), np.ones((8, 8)) + np.eye(8))
    assert found.relative[0] == pytest.approx(1 / 64)
    assert np.isnan(found.relative[1:]).all()


def test_phase_counts():
    truth = np.ones((8, 8))
    assert ring_error(truth, truth * 1j).relative[0] == pytest.approx(2)


@pytest.mark.parametrize(
    ("reference", "image", "message"),
    [
        (np.ones((8, 8)), np.ones((8, 9)), r"\(8, 9\), but the reference has \(8, 8\)"),
        (np.ones((1, 1, 8, 8)), np.ones((1, 1, 8, 8)), "accepted are"),
        (np.zeros((8, 8)), np.ones((8, 8)), "zero everywhere"),
        (np.ones((8, 8)), np.full((8, 8), np.nan), "image holds NaN"),
    ],
)
def test_bad_input_is_refused(reference, image, message):
    with pytest.raises(InvalidInput, match=message):
        ring_error(reference, image)
