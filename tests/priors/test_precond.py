import pytest
import torch
from torch import nn

from napari_lossguide.priors.precond import EDMPrecond, edm_weight

SIGMA_DATA = 0.4


class Recorder(nn.Module):
    """Returns ones and keeps what it was given."""

    def forward(self, x, label):
        self.x, self.label = x, label
        return torch.ones_like(x)


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_without_noise_it_is_the_identity():
    x = draw(1, 2, 4, 4)
    d = EDMPrecond(Recorder(), SIGMA_DATA)(x, torch.tensor([1e-6]))
    torch.testing.assert_close(d, x, atol=1e-5, rtol=0)


def test_under_much_noise_the_input_is_not_skipped_and_the_output_has_the_size_of_the_data():
    x = 1e4 * draw(1, 2, 4, 4)
    d = EDMPrecond(Recorder(), SIGMA_DATA)(x, torch.tensor([1e4]))
    torch.testing.assert_close(d, torch.full_like(d, SIGMA_DATA), atol=1e-4, rtol=0)


@pytest.mark.parametrize("sigma", [0.01, 0.4, 3.0])
def test_network_sees_unit_variance_and_the_log_of_the_noise_level(sigma):
    network = Recorder()
    x = (SIGMA_DATA**2 + sigma**2) ** 0.5 * draw(1, 2, 64, 64)
    EDMPrecond(network, SIGMA_DATA)(x, torch.tensor([sigma]))
    assert float(network.x.std()) == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(network.label, torch.tensor([sigma]).log() / 4)


@pytest.mark.parametrize("sigma", [0.05, 0.4, 2.0])
def test_training_target_has_unit_variance(sigma):
    """The two conditions that define c_skip and c_out: F's target has variance 1, and c_out is least."""
    rng = torch.Generator().manual_seed(1)
    x0 = SIGMA_DATA * torch.randn((1, 2, 128, 128), generator=rng)
    x = x0 + sigma * torch.randn(x0.shape, generator=rng)
    model = EDMPrecond(nn.Identity(), SIGMA_DATA)
    model.network.forward = lambda x, label: torch.zeros_like(x)
    skip = model(x, torch.tensor([sigma]))
    model.network.forward = lambda x, label: torch.ones_like(x)
    c_out = (model(x, torch.tensor([sigma])) - skip).mean()
    target = (x0 - skip) / c_out
    assert float(target.var()) == pytest.approx(1, abs=0.03)
    assert abs(float((target * x).mean() / x.std())) < 0.02  # what x can say linearly is in the skip
    assert float(edm_weight(torch.tensor(sigma), SIGMA_DATA)) == pytest.approx(1 / float(c_out) ** 2, rel=1e-4)


def test_every_sample_has_its_own_noise_level():
    x = draw(2, 2, 4, 4)
    model = EDMPrecond(Recorder(), SIGMA_DATA)
    both = model(x, torch.tensor([0.1, 5.0]))
    for i, sigma in enumerate([0.1, 5.0]):
        torch.testing.assert_close(both[i : i + 1], model(x[i : i + 1], torch.tensor([sigma])))
