"""Channels, scale, limits, and the convention for noise that the whole engine rests on."""

import math

import numpy as np
import pytest
import torch
from tiny import tiny_denoiser

from napari_lossguide.priors.domain import (
    REFERENCE_QUANTILE,
    ZERO_FILLED_RATIO,
    Domain,
    NetworkDenoiser,
    estimate_scale,
    from_channels,
    to_channels,
)
from napari_lossguide.priors.training.augment import noise_for
from napari_lossguide.recon.diffusion import SampleNoise
from napari_lossguide.types import InvalidInput, PriorInfo


def draw(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_channels_and_back(dtype):
    x = draw(3, 5, 7, dtype=dtype)
    channels = to_channels(x)
    assert channels.shape == (3, 2, 5, 7) and channels.dtype == torch.float32
    torch.testing.assert_close(from_channels(channels, real=not dtype.is_complex), x, atol=0, rtol=0)


def test_a_real_image_has_an_imaginary_channel_of_zeros():
    x = draw(1, 4, 4)
    torch.testing.assert_close(to_channels(x)[:, 0], x)
    assert not to_channels(x)[:, 1].any()
    torch.testing.assert_close(to_channels(1j * x)[:, 1], x)
    assert not to_channels(1j * x)[:, 0].any()


class Spy(torch.nn.Module):
    def forward(self, channels, level):
        self.channels, self.level = channels, level
        return channels + torch.tensor([1.0, 10.0])[:, None, None]


def spy(**limits):
    fields = {"sigma_min": 0.01, "sigma_max": 5.0, "sigma_data": 0.3, "channels": 2, "divisible_by": 4} | limits
    return NetworkDenoiser(Spy(), PriorInfo("spy", **fields))


def test_the_imaginary_channel_of_the_estimate_of_a_real_image_is_dropped():
    x = draw(2, 8, 8)
    d = spy()(x, 1.0)
    assert d.dtype == torch.float32
    torch.testing.assert_close(d, x + 1)
    torch.testing.assert_close(spy()(x + 0j, 1.0), x + (1 + 10j))


def test_noise_level_goes_to_the_network_as_it_is():
    denoiser = spy()
    denoiser(draw(3, 8, 8), 0.7)
    torch.testing.assert_close(denoiser.model.level, torch.full((3,), 0.7))


def test_above_its_range_the_state_is_shrunk_to_the_largest_level():
    denoiser, x = spy(), 50 * draw(1, 8, 8)
    denoiser(x, 50.0)
    torch.testing.assert_close(denoiser.model.level, torch.tensor([5.0]))
    torch.testing.assert_close(denoiser.model.channels[:, 0], x / 10)


def test_below_its_range_the_label_stays():
    denoiser, x = spy(), draw(1, 8, 8)
    denoiser(x, 1e-4)
    torch.testing.assert_close(denoiser.model.level, torch.tensor([0.01]))
    torch.testing.assert_close(denoiser.model.channels[:, 0], x)


@pytest.mark.parametrize("shape", [(7, 64), (64, 7)])
def test_an_image_that_is_too_small_for_the_network(shape):
    with pytest.raises(InvalidInput, match=rf"{shape[0]} x {shape[1]} pixels; the prior 'spy' needs at least 8 x 8"):
        spy()(draw(1, *shape), 1.0)


@pytest.mark.parametrize("shape", [(16, 16), (17, 21)])
def test_network_denoiser_keeps_shape_kind_and_needs_no_gradient(shape):
    for x in (draw(2, *shape), draw(2, *shape, dtype=torch.complex64)):
        d = tiny_denoiser()(x, 0.5)
        assert (d.shape, d.dtype, d.requires_grad) == (x.shape, x.dtype, False)


def test_scale_puts_the_reference_quantile_at_the_expected_ratio_and_follows_the_data():
    x = draw(64, 64, dtype=torch.complex64)
    scale = estimate_scale(x)
    quantile = torch.quantile((x / scale).abs().flatten(), REFERENCE_QUANTILE)
    assert float(quantile) == pytest.approx(ZERO_FILLED_RATIO, rel=1e-5)
    assert estimate_scale(1e3 * x) == pytest.approx(1e3 * scale, rel=1e-5)


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_an_empty_image_has_no_scale(value):
    with pytest.raises(InvalidInput, match="empty image"):
        estimate_scale(torch.full((8, 8), value, dtype=torch.complex64))


def test_noise_has_unit_variance_in_every_real_channel_in_sampling_and_in_training():
    """One convention: sigma means the same for a real image, for each part of a complex one, and in training."""
    shape = (128, 128)
    real = SampleNoise(0, [(0, 0), (0, 1)], shape, True, torch.device("cpu"))()
    assert real.dtype == torch.float32 and real.shape == (2, *shape)
    assert float(real.var()) == pytest.approx(1, abs=0.03)
    z = SampleNoise(0, [(0, 0), (0, 1)], shape, False, torch.device("cpu"))()
    assert z.dtype == torch.complex64
    assert float(z.real.var()) == pytest.approx(1, abs=0.03)
    assert float(z.imag.var()) == pytest.approx(1, abs=0.03)
    assert abs(float((z.real * z.imag).mean())) < 0.03

    images = to_channels(draw(2, *shape, dtype=torch.complex64))
    images[1, 1] = 0  # the second is real
    noise = noise_for(images, torch.Generator().manual_seed(0))
    assert float(noise[0, 0].var()) == pytest.approx(1, abs=0.04)
    assert float(noise[0, 1].var()) == pytest.approx(1, abs=0.04)
    assert float(noise[1, 0].var()) == pytest.approx(1, abs=0.04)
    assert not noise[1, 1].any()


class Listener(torch.nn.Module):
    """Keeps what it is given, and answers with it plus a number for each channel."""

    def __init__(self, answers=(0.0,)):
        super().__init__()
        self.answers = torch.tensor(answers)

    def forward(self, channels, level):
        self.channels, self.level = channels, level
        return channels + self.answers[:, None, None]


def foreign(domain, answers=(0.0,), multiple=1):
    info = PriorInfo("x", sigma_min=0.01, sigma_max=5.0, sigma_data=0.3, channels=1, divisible_by=multiple)
    return NetworkDenoiser(Listener(answers), info, domain)


def test_a_model_of_minus_one_to_one_sees_its_own_units():
    """m = lo + (hi - lo) x, noise (hi - lo) sigma; the estimate comes back in ours."""
    denoiser, x = foreign(Domain(1, offset=-1, gain=2), answers=[0.5]), draw(2, 8, 8)
    d = denoiser(x, 0.7)
    torch.testing.assert_close(denoiser.model.channels, (2 * x - 1)[:, None])
    torch.testing.assert_close(denoiser.model.level, torch.tensor([1.4, 1.4]))
    torch.testing.assert_close(d, x + 0.25)


def test_limits_are_in_our_units_whatever_the_model_s():
    denoiser, x = foreign(Domain(1, offset=-1, gain=2)), draw(1, 8, 8)
    denoiser(x, 50.0)
    torch.testing.assert_close(denoiser.model.level, torch.tensor([10.0]))
    torch.testing.assert_close(denoiser.model.channels, (2 * x / 10 - 1)[:, None])
    denoiser(x, 1e-4)
    torch.testing.assert_close(denoiser.model.level, torch.tensor([0.02]))


def test_one_channel_denoises_the_parts_of_a_complex_image_as_two_images():
    denoiser, x = foreign(Domain(1, offset=0.5, gain=1), answers=[0.1]), draw(2, 8, 6, dtype=torch.complex64)
    d = denoiser(x, 1.0)
    torch.testing.assert_close(denoiser.model.channels, torch.cat([x.real, x.imag])[:, None] + 0.5)
    assert denoiser.model.level.shape == (4,)
    torch.testing.assert_close(d, x + (0.1 + 0.1j))


def test_three_channels_see_a_grey_image_and_are_averaged():
    denoiser, x = foreign(Domain(3), answers=[0.0, 0.3, 0.6]), draw(2, 8, 8)
    torch.testing.assert_close(denoiser(x, 1.0), x + 0.3)
    assert denoiser.model.channels.shape == (2, 3, 8, 8)
    assert (denoiser.model.channels == x[:, None]).all()
    torch.testing.assert_close(denoiser(x + 2j * x, 1.0), x + 2j * x + (0.3 + 0.3j))


def test_two_channels_only_scale_and_a_real_image_keeps_an_imaginary_channel_of_zeros():
    denoiser, x = foreign(Domain(2, gain=3), answers=[0.3, 0.6]), draw(1, 8, 8)
    torch.testing.assert_close(denoiser(x, 1.0), x + 0.1)
    assert not denoiser.model.channels[:, 1].any()
    torch.testing.assert_close(denoiser(x + 0j, 1.0), x + (0.1 + 0.2j))


@pytest.mark.parametrize("shape", [(17, 22), (16, 31), (24, 16)])
def test_sides_are_padded_by_reflection_and_cut_again(shape):
    denoiser, x = foreign(Domain(1, multiple=8), multiple=8), draw(1, *shape)
    torch.testing.assert_close(denoiser(x, 1.0), x, atol=0, rtol=0)
    seen = denoiser.model.channels[0, 0].numpy()
    margins = [((-n % 8) // 2, -n % 8 - (-n % 8) // 2) for n in shape]
    np.testing.assert_array_equal(seen, np.pad(x[0].numpy(), margins, mode="reflect"))


def test_our_own_domain_changes_nothing():
    for x in (draw(2, 9, 7), draw(2, 9, 7, dtype=torch.complex64)):
        assert torch.equal(Domain().to_network(x), to_channels(x))
        assert torch.equal(Domain().from_network(to_channels(x), x), x)
