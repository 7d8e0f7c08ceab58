"""Slices as the network sees them."""

import numpy as np
import pytest

from napari_lossguide.data.training.options import REFERENCE_QUANTILE as QUANTILE
from napari_lossguide.data.training.options import FolderOptions
from napari_lossguide.data.training.squares import cut_slices, to_square
from napari_lossguide.data.training.stacks import Stack
from napari_lossguide.priors import domain


def disc(ny, nx, mm=(1.0, 1.0), radius=20.0):
    """A disc that is round in mm."""
    y, x = (np.arange(ny) - ny / 2) * mm[0], (np.arange(nx) - nx / 2) * mm[1]
    return (np.hypot(y[:, None], x[None]) < radius).astype(np.float32)


def test_the_reference_quantile_is_that_of_the_priors():
    assert QUANTILE == domain.REFERENCE_QUANTILE


def test_anisotropic_pixels_become_square_ones():
    image, pixel = to_square(disc(32, 96, (2.0, 0.7)), (2.0, 0.7), 256)
    assert pixel == 0.7 and image.shape == (96, 96)
    inside = np.argwhere(image > 0.5)
    height, width = np.ptp(inside, axis=0) + 1
    assert height * 0.7 == pytest.approx(40, abs=2.5) and width * 0.7 == pytest.approx(40, abs=1.5)


def test_frames_are_padded_around_the_middle_and_never_cropped():
    image = np.random.default_rng(0).random((20, 31)).astype(np.float32)
    square, pixel = to_square(image, (1.0, 1.0), 256)
    assert square.shape == (32, 32) and pixel == 1.0
    np.testing.assert_array_equal(square[6:26, :31], image)
    assert square.sum() == pytest.approx(image.sum())


def test_large_slices_are_resampled_with_their_pixels():
    square, pixel = to_square(disc(200, 100), (1.0, 1.0), 64)
    assert square.shape == (64, 64) and pixel == pytest.approx(200 / 64)
    assert (square > 0.5).sum() * pixel**2 == pytest.approx(np.pi * 20**2, rel=0.05)


def stack(levels, **fields):
    return Stack(np.stack([level * disc(40, 40, radius=12) for level in levels]), **fields)


def test_each_slice_has_its_quantile_at_one_and_empty_ones_are_dropped():
    cut = cut_slices(stack([1, 50, 0, 60, 40]), FolderOptions())
    assert len(cut.slices) == 3 and cut.empty == 2 and cut.left_out == 0
    for s in cut.slices:
        assert s.dtype == np.float16 and float(np.quantile(s, QUANTILE)) == pytest.approx(1, abs=2e-3)


def test_a_volume_keeps_the_ratio_of_its_slices():
    cut = cut_slices(stack([50, 25]), FolderOptions(scale="volume"))
    tops = [float(np.quantile(s, QUANTILE)) for s in cut.slices]
    assert tops[0] == pytest.approx(1, abs=0.01) and tops[1] == pytest.approx(0.5, abs=0.01)


def test_a_slice_with_one_bright_spot_is_empty():
    images = np.stack([disc(40, 40, radius=12)] * 3 + [disc(40, 40, radius=2)])
    assert cut_slices(Stack(images), FolderOptions()).empty == 1


def test_slices_are_spread_evenly():
    images = np.stack([disc(40, 40, radius=8 + k / 4) for k in range(21)])
    assert len(cut_slices(Stack(images), FolderOptions(slices=5)).slices) == 21  # a collection has no neighbours
    cut = cut_slices(Stack(images, volume=True), FolderOptions(slices=5))
    assert cut.left_out == 16
    areas = [(s > 0.5).sum() for s in cut.slices]
    assert areas == [(images[k] > 0.5).sum() for k in (0, 5, 10, 15, 20)]
