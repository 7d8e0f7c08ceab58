import numpy as np
import pytest

from napari_lossguide.data.phantoms import complex_noise
from napari_lossguide.data.radial import energy_profile, frequency_radius, ring_means, ring_numbers
from napari_lossguide.types import InvalidInput


def test_the_radius_is_in_cycles_per_millimetre():
    radius = frequency_radius((8, 10), (5.0, 2.0, 0.5))
    assert radius[4, 5] == 0
    assert radius[5, 5] == pytest.approx(1 / 16)
    assert radius[4, 0] == pytest.approx(1.0)  # Nyquist of 0.5 mm
    assert radius[0, 0] == pytest.approx(np.hypot(0.25, 1.0))


def test_means_of_the_squared_radius_follow_it():
    shape, spacing = (64, 64), (1.0, 1.0, 1.0)
    rings = ring_means(frequency_radius(shape, spacing) ** 2, spacing)
    inner = rings.radii < 0.5
    # over a ring of width w the mean of r^2 is r^2 + w^2 / 4, up to the grid
    np.testing.assert_allclose(rings.means[inner][6:], rings.radii[inner][6:] ** 2 + (1 / 64) ** 2 / 4, rtol=0.03)
    assert rings.counts.sum() == 64 * 64
    assert rings.means[0] == 0


def test_constant_is_its_own_mean_in_every_ring_of_unequal_pixels(rng):
    rings = ring_means(np.full((2, 30, 17), 3.0), (1.0, 2.5, 0.7))
    assert rings.means.shape == (2, len(rings.radii))
    np.testing.assert_allclose(rings.means[:, rings.counts > 0], 3.0)


def test_only_chosen_points_count():
    shape = (16, 16)
    chosen = np.zeros(shape, bool)
    chosen[8, 8:] = True
    values = np.zeros(shape)
    values[8, 8:] = np.arange(8)
    rings = ring_means(values, (1, 1, 1), chosen)
    np.testing.assert_array_equal(rings.means[:8], np.arange(8))
    assert np.isnan(rings.means[9:]).all()


def test_rings_of_other_shapes_are_refused():
    with pytest.raises(InvalidInput, match=r"\(3, 3\)"):
        ring_means(np.ones((4, 4)), (1, 1, 1), np.ones((3, 3), bool))
    with pytest.raises(InvalidInput, match="None of the points"):
        ring_means(np.ones((4, 4)), (1, 1, 1), np.zeros((4, 4), bool))


def test_profile_of_a_known_decay_and_of_half_the_points():
    shape, spacing = (64, 64), (1.0, 1.0, 1.0)
    rings = ring_numbers(shape, spacing)
    kspace = np.broadcast_to(10.0 ** (-rings / 20), (3, *shape)).astype(np.complex64)  # 1 dB a ring
    mask = np.zeros(shape, bool)
    mask[::2] = True
    profile = energy_profile(kspace, np.ones(shape, bool), spacing, mask)
    np.testing.assert_allclose(profile.before, -np.arange(len(profile.radii)), atol=1e-4)
    kept = np.bincount(rings[mask]) / np.bincount(rings.ravel())
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose((profile.after - profile.before)[kept > 0], 10 * np.log10(kept[kept > 0]), atol=1e-4)
    assert 0.3 < kept[8:32].mean() < 0.7
    assert np.isnan(profile.noise)


def test_what_was_not_acquired_is_left_out_before_and_zero_after():
    shape = (32, 32)
    acquired = np.zeros(shape, bool)
    acquired[:, ::2] = True
    kspace = np.ones((1, *shape), complex) * acquired
    profile = energy_profile(kspace, acquired, (1, 1, 1))
    np.testing.assert_allclose(profile.before[np.isfinite(profile.before)], 0, atol=1e-9)
    assert profile.after[10] == pytest.approx(-3, abs=0.7)


def test_noise_lies_on_its_level():
    shape = (128, 128)
    kspace = complex_noise((4, *shape), 0.2, seed=3)
    kspace[:, 64, 64] = 50
    profile = energy_profile(kspace, np.ones(shape, bool), (1, 1, 1), noise_std=0.2)
    assert profile.before[0] == 0
    np.testing.assert_allclose(profile.before[20:60], profile.noise, atol=0.6)
