"""Random views: what is real stays real, every draw is the given generator's, plain views change nothing."""

import math

import pytest
import torch

from napari_lossguide.priors.training.augment import random_complex, random_views, smooth_field, smooth_phase
from napari_lossguide.priors.training.augmentation import Augmentation
from napari_lossguide.priors.training.validate import plain


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def blobs():
    """Six blobs, (6, 1, 64, 64), not symmetric, 1 at most."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    centre = 20 + 24 * torch.rand((6, 2, 1, 1), generator=generator())
    return (-((y - centre[:, 0]) ** 2 / 90 + (x - centre[:, 1]) ** 2 / 200)).exp()[:, None]


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_views_come_from_the_given_generator_and_real_ones_have_no_imaginary_part(blobs, fraction):
    aug = Augmentation(size=32, complex_fraction=fraction)
    before = torch.get_rng_state()
    views = random_views(blobs, aug, generator())
    assert views.shape == (6, 2, 32, 32)
    assert bool(views[:, 1].any()) == bool(fraction)
    torch.testing.assert_close(random_views(blobs, aug, generator()), views, atol=0, rtol=0)
    assert not torch.equal(random_views(blobs, aug, generator(4)), views)
    assert torch.equal(torch.get_rng_state(), before)


def test_real_views_are_not_negative(blobs):
    assert float(random_views(blobs, Augmentation(size=32, complex_fraction=0), generator()).min()) >= 0


def test_a_plain_view_of_the_same_size_is_the_slice_shifted_by_whole_pixels_or_flipped(blobs):
    views = random_views(blobs, plain(64, 0.0), generator())[:, 0]
    for view, blob in zip(views, blobs[:, 0], strict=True):
        closest = min(
            float((view - moved)[8:-8, 8:-8].abs().max())
            for flipped in (blob, blob.flip(1))
            for dy in range(-4, 5)
            for dx in range(-4, 5)
            for moved in [torch.roll(flipped, (dy, dx), (0, 1))]
        )
        assert closest < 0.02


def test_intensity_and_gamma_stay_in_their_ranges(blobs):
    aug = Augmentation(size=64, complex_fraction=0, whole_fraction=1, plain_fraction=1, turned_fraction=0)
    peak = random_views(torch.cat([blobs] * 20), aug, generator())[:, 0].flatten(1).amax(1)
    assert 0.55 <= float(peak.min()) < 0.75 and 1.2 < float(peak.max()) <= 1.55


def test_some_views_are_turned_by_ninety_degrees():
    image = torch.zeros((1, 1, 64, 64))
    image[..., :16, :] = 1  # bright on top
    aug = Augmentation(size=64, complex_fraction=0, whole_fraction=1, plain_fraction=1, turned_fraction=1)
    views = random_views(image.expand(40, 1, 64, 64), aug, generator())[:, 0]
    sides = torch.stack(
        [
            views[:, :8].mean((1, 2)),
            views[:, -8:].mean((1, 2)),
            views[..., :8].mean((1, 2)),
            views[..., -8:].mean((1, 2)),
        ]
    )
    assert set(sides.argmax(0).tolist()) == {0, 1, 2, 3}


def test_the_phase_is_smooth_and_any_constant():
    phase = smooth_phase(64, 32, 1.0, generator())
    assert float((phase[:, 1:] - phase[:, :-1]).abs().max()) < 0.6
    constants = torch.polar(torch.ones(64), phase.mean((1, 2)))
    assert float(constants.mean().abs()) < 0.35  # a phase around zero would give about 1


def test_a_smooth_field_has_about_unit_deviation_and_no_mean():
    field = smooth_field(256, 32, 6, generator())
    assert float(field.mean()) == pytest.approx(0, abs=0.05)
    assert 0.6 < float(field.std()) < 1.1


def test_without_residue_and_noise_a_complex_view_keeps_its_magnitude(blobs):
    aug = Augmentation(size=64, residue=0, noisy_fraction=0)
    x = random_complex(blobs, aug, generator())
    torch.testing.assert_close(x.square().sum(1).sqrt(), blobs[:, 0], atol=1e-5, rtol=0)


def test_the_residue_bends_magnitudes_smoothly_and_by_its_size(blobs):
    aug = Augmentation(size=64, residue=0.15, noisy_fraction=0)
    flat = torch.ones((200, 1, 64, 64))
    magnitude = random_complex(flat, aug, generator()).square().sum(1).sqrt()
    assert float((magnitude[:, 1:] - magnitude[:, :-1]).abs().max()) < 0.2
    deviation = magnitude.flatten(1).std(1)
    assert 0.02 < float(deviation.mean()) < 0.15
    assert float(deviation.min()) < 0.02  # the amount is drawn from zero


def test_noise_is_in_the_asked_fraction_of_images_and_in_both_channels():
    aug = Augmentation(size=32, residue=0, phase=0, noisy_fraction=0.3, noise=0.02)
    x = random_complex(torch.zeros((400, 1, 32, 32)), aug, generator())
    level = x.flatten(2).std(2)
    noisy = level[:, 0] > 0
    assert float(noisy.float().mean()) == pytest.approx(0.3, abs=0.07)
    assert torch.equal(noisy, level[:, 1] > 0)
    assert float(level.max()) < 0.022 and float(level[noisy].mean()) == pytest.approx(0.01, abs=0.002)


def test_rotation_is_within_its_range():
    """A straight edge, turned: its angle from the second moments of the gradient."""
    image = torch.zeros((1, 1, 64, 64))
    image[..., 32:, :] = 1
    limit = math.pi / 9
    aug = Augmentation(
        size=64,
        complex_fraction=0,
        whole_fraction=1,
        plain_fraction=0,
        turned_fraction=0,
        elastic=0,
        stretch=0,
        rotation=limit,
    )
    views = random_views(image.expand(60, 1, 64, 64), aug, generator())[:, 0, 16:-16, 16:-16]
    gy, gx = (views[:, 1:, :-1] - views[:, :-1, :-1]).sum((1, 2)), (views[:, :-1, 1:] - views[:, :-1, :-1]).sum((1, 2))
    angle = torch.atan2(gx, gy)
    assert float(angle.abs().max()) < limit + 0.03 and float(angle.abs().max()) > limit / 2
