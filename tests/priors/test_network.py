import pytest
import torch
from tiny import WIDTHS, tiny_unet

from napari_lossguide.priors.network import UNet


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (40, 8), (17, 23), (9, 30)])
@pytest.mark.parametrize("widths", [WIDTHS, (8, 8, 16)])
def test_any_size(size, widths):
    x = draw(2, 2, *size)
    with torch.no_grad():
        f = tiny_unet(widths=widths)(x, torch.zeros(2))
    assert f.shape == x.shape
    assert bool(torch.isfinite(f).all())
    assert float(f.std()) > 1e-3


@torch.no_grad()
def test_padding_is_taken_off_where_it_was_put_on():
    """A network that gives back its input must give it back for odd sizes, too."""
    network = UNet(widths=WIDTHS)
    network.up = network.down = torch.nn.ModuleList()
    network.middle1 = network.attention = network.middle2 = Pass()
    network.stem, network.norm, network.head = Pass(), Pass(), UndoSilu()
    x = draw(1, 2, 17, 22).abs() + 1
    torch.testing.assert_close(network(x, torch.zeros(1)), x, atol=1e-4, rtol=0)


class Pass(torch.nn.Module):
    def forward(self, h, *_):
        return h


class UndoSilu(torch.nn.Module):
    def forward(self, h):
        x = h
        for _ in range(40):  # Newton's iteration
            s = x.sigmoid()
            x = x - (x * s - h) / (s + x * s * (1 - s))
        return x


@torch.no_grad()
def test_noise_level_matters_and_is_of_each_sample():
    network, x = tiny_unet(), draw(1, 2, 16, 16).expand(2, -1, -1, -1)
    f = network(x, torch.tensor([-1.0, 0.5]))
    assert float((f[0] - f[1]).abs().max()) > 1e-3
    torch.testing.assert_close(f[1:], network(x[1:], torch.tensor([0.5])), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_samples_of_a_batch_do_not_mix():
    network, x = tiny_unet(), draw(3, 2, 16, 16)
    together = network(x, torch.zeros(3))
    torch.testing.assert_close(together[1:2], network(x[1:2], torch.zeros(1)), atol=1e-5, rtol=1e-5)


def test_fresh_network_is_zero_so_that_training_starts_at_the_linear_denoiser():
    with torch.no_grad():
        assert not UNet(widths=WIDTHS)(draw(1, 2, 16, 16), torch.zeros(1)).any()


def test_config_makes_the_same_network():
    network = tiny_unet()
    again = UNet(**{**network.config, "widths": tuple(network.config["widths"])})
    again.load_state_dict(network.state_dict())
    x = draw(1, 2, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(again(x, torch.zeros(1)), network(x, torch.zeros(1)), atol=0, rtol=0)
    assert network.stride == 4


def test_every_weight_is_used():
    network = tiny_unet()
    network(draw(1, 2, 16, 16), torch.zeros(1)).square().sum().backward()
    unused = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert unused == []
