import numpy as np
import pytest

from napari_lossguide.data.phantoms import coil_maps, shepp_logan, simulate
from napari_lossguide.operators.coil_maps import calibration_width, espirit_maps
from napari_lossguide.types import InvalidInput


@pytest.mark.parametrize("shape", [(16, 20), (17, 20), (17, 21)])
@pytest.mark.parametrize("width", [0, 1, 4, 5, 11])
def test_calibration_width_is_the_side_of_the_acquired_centre(shape, width):
    mask = np.zeros(shape, bool)
    cy, cx = shape[0] // 2, shape[1] // 2
    mask[cy - width // 2 : cy - width // 2 + width, cx - width // 2 : cx - width // 2 + width] = True
    assert calibration_width(mask) == width
    mask[0] = mask[:, 0] = True  # points elsewhere do not widen it
    assert calibration_width(mask) == width


def test_calibration_width_of_lines_is_their_number():
    mask = np.zeros((32, 40), bool)
    mask[:, 17:24] = True
    assert calibration_width(mask) == 7
    assert calibration_width(np.ones((12, 9), bool)) == 9


@pytest.mark.usefixtures("global_numpy_state_untouched")
def test_espirit_finds_the_maps_of_a_simulation(scan):
    kdata, inside = scan
    maps = espirit_maps(kdata.kspace[0], kdata.acquired)
    assert maps.dtype == np.complex64 and maps.shape == (4, 49, 52)
    truth = coil_maps(4, (49, 52))
    seen = inside & (np.abs(maps).sum(0) > 0)
    assert seen.sum() > 0.95 * inside.sum()
    np.testing.assert_allclose(np.linalg.norm(maps[:, seen], axis=0), 1, atol=1e-3)
    # a common phase is free at every pixel: the correlation of the coil vectors is what counts
    correlation = np.abs((maps.conj() * truth).sum(0))[seen]
    assert correlation.min() > 0.98 and correlation.mean() > 0.998
    shuffled = np.abs((maps[[1, 2, 3, 0]].conj() * truth).sum(0))[seen]
    assert shuffled.mean() < 0.9


@pytest.mark.parametrize("lines", [8, 10, 12, 16, 24])
def test_few_calibration_lines_still_give_maps_that_hold_the_coil_images(lines):
    image = shepp_logan(96)
    kdata = simulate(image, n_coils=8, noise_std=0.01)
    mask = np.zeros((96, 96), bool)
    mask[:, ::4] = mask[:, 48 - lines // 2 : 48 + lines // 2] = True
    maps = espirit_maps(kdata.kspace[0] * mask, mask)
    coil_images = kdata.maps[0] * image
    outside = coil_images - maps * (maps.conj() * coil_images).sum(0)
    assert np.linalg.norm(outside) < 0.1 * np.linalg.norm(coil_images)


def test_espirit_uses_the_calibration_lines_alone(scan):
    kdata, _ = scan
    maps = espirit_maps(kdata.kspace[0], kdata.acquired, width=16)
    centre = np.zeros_like(kdata.acquired)
    centre[24 - 8 : 24 + 8, 26 - 8 : 26 + 8] = True
    only = espirit_maps(kdata.kspace[0] * centre, kdata.acquired, width=16)
    np.testing.assert_allclose(only, maps, atol=1e-5)


def test_no_calibration_lines(scan):
    kdata, _ = scan
    mask = kdata.acquired.copy()
    mask[:, 26] = False
    with pytest.raises(InvalidInput, match=r"centre of k-space is 0 points wide, 8 are needed.*center_fraction"):
        espirit_maps(kdata.kspace[0] * mask, mask)


def test_calibration_lines_without_signal():
    kspace = np.zeros((2, 32, 32), np.complex64)
    kspace[:, 0, 0] = 1
    with pytest.raises(InvalidInput, match="calibration lines hold no signal"):
        espirit_maps(kspace, np.ones((32, 32), bool))


def test_a_dead_first_coil_has_an_empty_map_and_spoils_no_other(scan):
    kdata, _ = scan
    kspace = np.concatenate([np.zeros_like(kdata.kspace[0, :1]), kdata.kspace[0]])
    maps = espirit_maps(kspace, kdata.acquired)
    assert not maps[0].any()
    np.testing.assert_allclose(maps[1:], espirit_maps(kdata.kspace[0], kdata.acquired))
