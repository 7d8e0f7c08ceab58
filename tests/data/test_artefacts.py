"""Spikes and noise of k-space."""

from dataclasses import replace

import numpy as np
import pytest

from napari_lossguide.data.artefacts import (
    Spike,
    add_noise,
    add_spike,
    drop_points,
    find_spikes,
    noise_from_corners,
    noise_from_region,
    std_for_snr,
    with_noise_std,
)
from napari_lossguide.data.fourier import ifft2c
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.phantoms import complex_noise, shepp_logan, simulate
from napari_lossguide.masks import make_mask
from napari_lossguide.types import InvalidInput

SHAPE = (64, 80)


@pytest.fixture
def scan():
    image = shepp_logan(80)[8:72]
    return simulate(np.stack([image, image[::-1]]), n_coils=2, noise_std=0.02, name="head", source="made up")


def test_a_spike_is_a_plane_wave_in_the_image(scan):
    before = scan.kspace.copy()
    spiked = add_spike(scan, (10, -20), 0.5, coil=1, slice_index=0)
    np.testing.assert_array_equal(scan.kspace, before)
    wave = (ifft2c(spiked.kspace) - ifft2c(scan.kspace))[0, 1]
    strength = 0.5 * np.abs(scan.kspace[0, 1]).max() / np.sqrt(wave.size)
    np.testing.assert_allclose(np.abs(wave), strength, rtol=1e-3)
    assert np.angle(wave[1, 0] / wave[0, 0]) == pytest.approx(2 * np.pi * 10 / 64, abs=1e-3)
    changed = spiked.kspace != scan.kspace
    assert changed.sum() == 1
    assert changed[0, 1, 32 + 10, 40 - 20]


def test_what_was_done_is_said(scan):
    spiked = add_spike(scan, (10, -20), 0.5, coil=1)
    assert spiked.name == "head + spike"
    assert spiked.source == "made up; spike of 0.5 x the maximum added at (10, -20) in coil 2"
    assert "noise of std 0.3 added (seed 4)" in add_noise(scan, 0.3, seed=4).source
    assert "1 point set as not acquired" in drop_points(scan, [(3, 4)]).source
    assert scan.source == "made up"
    assert spiked.simulated
    known = replace(scan, origin=Origin("sample", "phantom"))
    assert add_spike(known, (1, 1), 0.5).origin is None, "the sample has no such spike"
    np.testing.assert_array_equal(spiked.reference, scan.reference)


@pytest.mark.parametrize("strength", [1.0, 0.2])
def test_spikes_are_found_and_taken_out(scan, strength):
    assert find_spikes(scan) == []
    spiked = add_spike(add_spike(scan, (20, -25), strength, coil=1, slice_index=1), (-15, 30), strength, coil=0)
    found = find_spikes(spiked)
    assert {spike[:4] for spike in found} == {(1, 1, 52, 15), (0, 0, 17, 70), (1, 0, 17, 70)}
    assert found == sorted(found, key=lambda s: -s.score)
    assert isinstance(found[0], Spike)
    clean = drop_points(spiked, [(s.y, s.x) for s in found])
    assert clean.acquired.sum() == clean.acquired.size - 2
    assert not clean.kspace[:, :, 52, 15].any()
    assert find_spikes(clean) == []
    assert scan.acquired.all()


def test_spikes_are_found_among_skipped_lines(scan):
    under = scan.undersample(make_mask("random", SHAPE, acceleration=4.0))
    assert find_spikes(under) == []
    column = int(np.flatnonzero(under.acquired[0])[-1])
    assert [s[2:4] for s in find_spikes(add_spike(under, (18, column - 40), 0.5, coil=0, slice_index=0))] == [
        (50, column)
    ]


def test_pure_noise_has_no_spikes():
    assert find_spikes(KData.from_array(complex_noise((1, 4, 128, 128), 1.0, seed=1))) == []


@pytest.mark.parametrize("axis", [0, 1])
def test_a_bright_line_is_no_row_of_spikes(axis):
    noise = complex_noise((1, 1, 128, 128), 1.0, seed=1)
    np.moveaxis(noise[0, 0], axis, 0)[100] += 50
    scan = KData.from_array(noise)
    assert find_spikes(scan) == []
    assert len(find_spikes(scan, neighbours=0)) > 50
    assert [s[2:4] for s in find_spikes(add_spike(scan, (40, 30), 1.0))] == [(104, 94)]


def test_impossible_spikes_are_refused(scan):
    with pytest.raises(InvalidInput, match=r"-32 to 31 along y"):
        add_spike(scan, (40, 0), 1)
    with pytest.raises(InvalidInput, match="strength is 0"):
        add_spike(scan, (4, 0), 0)
    with pytest.raises(InvalidInput, match="Coil 2"):
        add_spike(scan, (4, 0), 1, coil=2)
    with pytest.raises(InvalidInput, match="not acquired"):
        add_spike(drop_points(scan, [(36, 40)]), (4, 0), 1)


def test_points_to_drop_must_be_there(scan):
    for points, words in (([], "no point"), ([(64, 0)], "outside"), (np.argwhere(scan.acquired), "would be left")):
        with pytest.raises(InvalidInput, match=words):
            drop_points(scan, points)


def test_noise_adds_in_squares_on_acquired_points_alone(scan):
    under = scan.undersample(make_mask("random", SHAPE))
    noisy = add_noise(under, 0.5, seed=2)
    added = noisy.kspace - under.kspace
    assert not added[..., ~under.acquired].any()
    assert np.sqrt(np.mean(np.abs(added[..., under.acquired]) ** 2)) == pytest.approx(0.5, rel=0.03)
    assert noisy.noise_std == pytest.approx(np.hypot(0.02, 0.5))
    assert add_noise(KData.from_array(np.ones((4, 4), complex)), 1.0).noise_std is None
    with pytest.raises(InvalidInput, match="noise std is -1"):
        add_noise(scan, -1)


def test_noise_comes_to_the_calibration_too_and_is_the_same_on_kspace_without_it(scan):
    block = np.zeros((*scan.kspace.shape[:2], 30, 40), np.complex64)
    noisy = add_noise(replace(scan, calibration=block), 0.5, seed=2)
    assert np.sqrt(np.mean(np.abs(noisy.calibration) ** 2)) == pytest.approx(0.5, rel=0.05)
    np.testing.assert_array_equal(noisy.kspace, add_noise(scan, 0.5, seed=2).kspace)
    assert add_noise(scan, 0.5).calibration is None
    assert add_spike(noisy, (4, 0), 1).calibration is noisy.calibration


def test_noise_for_a_signal_to_noise_ratio():
    image = np.zeros(SHAPE, np.float32)
    image[16:48, 20:60] = 10
    scan = simulate(image)
    noisy = add_noise(scan, std_for_snr(scan, 20))
    error = (ifft2c(noisy.kspace[0, 0]) - image).real
    assert 10 / error.std() == pytest.approx(20, rel=0.05)
    with pytest.raises(InvalidInput, match="ratio is 0"):
        std_for_snr(scan, 0)


def test_noise_is_measured_in_the_corners():
    noise = complex_noise((1, 4, 96, 80), 0.3, seed=5)
    scan = KData.from_array(noise)
    assert noise_from_corners(scan) == pytest.approx(0.3, rel=0.03)
    spiked = add_spike(scan, (-47, -39), 1000)
    assert noise_from_corners(spiked) == pytest.approx(0.3, rel=0.03)


def test_corners_that_are_missing_or_filled_are_sentences():
    y, x = np.indices((64, 64)) - 32
    disc = np.hypot(y, x) < 32
    kspace = complex_noise((1, 1, 64, 64), 0.3, seed=5)
    with pytest.raises(InvalidInput, match="Only 0 values"):
        noise_from_corners(KData.from_array(kspace, disc))
    with pytest.raises(InvalidInput, match="zero"):
        noise_from_corners(KData.from_array(kspace * disc, np.ones((64, 64), bool)))


def test_noise_is_measured_in_a_region(scan):
    quiet = simulate(shepp_logan(80)[8:72], n_coils=2, noise_std=0.2, name="quiet")
    region = np.zeros(SHAPE, bool)
    region[:12, :16] = region[-12:, -16:] = True
    assert noise_from_region(quiet, region) == pytest.approx(0.2, rel=0.05)
    with pytest.raises(InvalidInput, match="aliasing"):
        noise_from_region(quiet.undersample(make_mask("random", SHAPE)), region)
    with pytest.raises(InvalidInput, match="at least 64"):
        noise_from_region(quiet, region & (np.indices(SHAPE)[0] < 1))


def test_a_measured_level_is_stated_in_new_data(scan):
    stated = with_noise_std(scan, 0.1, "measured in the corners")
    assert stated.noise_std == 0.1
    assert stated.source.endswith("noise std 0.1 measured in the corners")
    assert scan.noise_std == 0.02
