"""The closed-form denoisers against what they claim to be: E[x0 | x], by brute force."""

import numpy as np
import pytest
import torch

from napari_lossguide.priors.analytic import GaussianPrior, MixturePrior

SIGMA = 0.7


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_gaussian_is_the_posterior_mean_by_quadrature():
    mean, std = 0.4, 0.5
    prior = GaussianPrior(mean, std)
    t = np.linspace(-6, 6, 20001)
    for x in (-1.3, 0.0, 2.2):
        density = np.exp(-((t - mean) ** 2) / (2 * std**2) - (x - t) ** 2 / (2 * SIGMA**2))
        expected = (t * density).sum() / density.sum()
        assert float(prior(torch.full((1, 1, 1), x), SIGMA)) == pytest.approx(expected, abs=1e-5)


def test_gaussian_treats_each_channel_of_a_complex_image_alike():
    prior, x = GaussianPrior(0.0, 0.5), torch.tensor([[[1.0 - 2.0j]]])
    d = prior(x, SIGMA)
    torch.testing.assert_close(d.real, prior(x.real, SIGMA))
    torch.testing.assert_close(d.imag, prior(x.imag, SIGMA))
    assert prior.info.sigma_data == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_mixture_is_the_posterior_mean_by_monte_carlo(dtype):
    """Self-normalised importance sampling: draw x0 from the prior, weigh it by p(x | x0)."""
    rng = torch.Generator().manual_seed(3)
    means = torch.randn((3, 2, 2), generator=rng, dtype=dtype)
    weights = torch.tensor([0.2, 0.5, 0.3])
    std, n = 0.4, 400_000
    prior = MixturePrior(means, weights, std)
    x = torch.randn((1, 2, 2), generator=rng, dtype=dtype) * 0.8

    def unit(*shape):
        z = torch.randn((2, *shape), generator=rng)
        return torch.complex(z[0], z[1]) if dtype.is_complex else z[0]

    x0 = means[torch.multinomial(weights, n, replacement=True, generator=rng)] + std * unit(n, 2, 2)
    log = -(x - x0).abs().square().sum((1, 2)) / (2 * SIGMA**2)
    expected = ((log - log.max()).exp()[:, None, None] * x0).sum(0) / (log - log.max()).exp().sum()
    torch.testing.assert_close(prior(x, SIGMA)[0], expected, atol=0.01, rtol=0)


def test_a_mixture_of_one_is_the_gaussian():
    mean, x = draw(1, 3, 3), draw(2, 3, 3, seed=1)
    mixture = MixturePrior(mean, torch.ones(1), 0.5)
    torch.testing.assert_close(mixture(x, SIGMA), GaussianPrior(mean[0], 0.5)(x, SIGMA))


def test_responsibilities_belong_to_whole_images_and_to_each_sample():
    """One pixel says which of the images it is; every other pixel follows."""
    means = torch.stack([torch.zeros(4, 4), torch.full((4, 4), 5.0)])
    prior = MixturePrior(means, torch.ones(2), 0.1)
    d = prior(means.clone(), 1.0)
    torch.testing.assert_close(d, means, atol=1e-3, rtol=0)


def test_weights_need_not_be_normalised():
    means, x = draw(2, 3, 3), draw(1, 3, 3, seed=1)
    a = MixturePrior(means, torch.tensor([0.25, 0.75]), 0.5)(x, 3.0)
    torch.testing.assert_close(MixturePrior(means, torch.tensor([1.0, 3.0]), 0.5)(x, 3.0), a)


def test_sigma_data_is_the_spread_of_whole_images_and_not_of_a_component():
    means = torch.stack([torch.zeros(2, 2), torch.full((2, 2), 2.0)])
    assert MixturePrior(means, torch.ones(2), 0.5).info.sigma_data == pytest.approx((0.25 + 1) ** 0.5)
    assert MixturePrior(means + 0j, torch.ones(2), 0.5).info.sigma_data == pytest.approx((0.25 + 0.5) ** 0.5)
