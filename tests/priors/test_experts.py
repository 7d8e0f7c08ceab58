import json

import pytest
import torch
from tiny import tiny_unet

from napari_lossguide.cli import main
from napari_lossguide.priors.experts import ByNoise, build_network, join_priors
from napari_lossguide.priors.load import load_prior, save_prior
from napari_lossguide.priors.local_network import LocalNet
from napari_lossguide.priors.precond import EDMPrecond
from napari_lossguide.types import InvalidInput

BELOW = 0.1


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tiny_local(seed=1):
    """Every weight drawn: a fresh one has zeros at its end."""
    with torch.random.fork_rng(devices=[]):
        network = LocalNet(width=8, blocks=2)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(0.2 * torch.randn(p.shape, generator=rng))
    return network


def label(*sigmas):
    return torch.tensor(sigmas).log() / 4


@pytest.mark.parametrize("size", [(8, 8), (17, 22), (16, 23), (5, 4)])
@torch.no_grad()
def test_local_network_takes_any_size(size):
    f = tiny_local()(draw(2, 2, *size), label(0.05, 0.1))
    assert f.shape == (2, 2, *size) and bool(torch.isfinite(f).all()) and float(f.std()) > 1e-3


@torch.no_grad()
def test_local_network_looks_no_further_than_it_says():
    """4 blocks + 6 pixels of the half image: an impulse reaches (2 blocks + 2) of them to each side, and its own."""
    network, x = tiny_local(), draw(1, 2, 64, 64)
    moved = x.clone()
    moved[..., 32, 32] += 1
    reached = (network(moved, label(0.05)) - network(x, label(0.05))).abs().amax((0, 1)) > 0
    rows = reached.any(1).nonzero()
    assert int(rows.min()) == 32 - 2 * (2 * 2 + 2) and int(rows.max()) == 33 + 2 * (2 * 2 + 2)


@torch.no_grad()
def test_noise_level_matters_to_the_local_network():
    x = draw(1, 2, 16, 16).expand(2, -1, -1, -1)
    f = tiny_local()(x, label(0.02, 0.1))
    assert float((f[0] - f[1]).abs().max()) > 1e-3


@torch.no_grad()
def test_each_image_goes_to_the_expert_of_its_noise_level():
    coarse, fine = tiny_unet(), tiny_local()
    both, x = ByNoise(coarse, fine, BELOW), draw(4, 2, 24, 17)
    levels = (0.05, 0.2, 0.1, 3.0)
    f = both(x, label(*levels))
    for i, sigma in enumerate(levels):
        expert = fine if sigma <= BELOW else coarse
        torch.testing.assert_close(f[i : i + 1], expert(x[i : i + 1], label(sigma)), atol=1e-5, rtol=1e-5)
    for sigma, expert in ((0.07, fine), (0.3, coarse)):
        assert torch.equal(both(x, label(*[sigma] * 4)), expert(x, label(*[sigma] * 4)))


def test_both_experts_learn_from_a_mixed_batch():
    both = ByNoise(tiny_unet(), tiny_local(), BELOW)
    with torch.autocast("cpu", torch.bfloat16):
        d = EDMPrecond(both, 0.25)(draw(2, 2, 16, 16), torch.tensor([0.05, 1.0]))
    d.square().mean().backward()
    assert all(float(n.head.weight.grad.abs().max()) > 0 for n in (both.coarse, both.fine))


@pytest.mark.parametrize("network", [tiny_unet(), tiny_local(), ByNoise(tiny_unet(), tiny_local(), BELOW)])
def test_a_network_is_built_from_its_own_configuration(network):
    config = json.loads(json.dumps(network.config))
    with torch.random.fork_rng(devices=[]):
        again = build_network(config)
    assert type(again) is type(network) and again.config == network.config
    again.load_state_dict(network.state_dict())


@pytest.fixture
def two_files(tmp_path):
    paths = []
    for name, network in (("coarse", tiny_unet()), ("fine", tiny_local())):
        paths.append(tmp_path / f"{name}.safetensors")
        info = {"name": name, "sigma_data": 0.31, "licence": "CC0", "trained_on": f"{name} images", "steps": 3}
        save_prior(paths[-1], network.state_dict(), network.config, info)
    return paths


def test_two_priors_are_joined_into_one(two_files, tmp_path):
    out = tmp_path / "both.safetensors"
    join_priors(*two_files, BELOW, out)
    both = load_prior(str(out))
    x = draw(1, 20, 24)
    for sigma, path in ((0.05, two_files[1]), (BELOW, two_files[1]), (0.11, two_files[0]), (2.0, two_files[0])):
        torch.testing.assert_close(both(x, sigma), load_prior(str(path))(x, sigma), atol=1e-6, rtol=1e-6)
    assert both.info.name == "both" and both.info.trained_on == "coarse images"
    assert both.info.extra == {"steps": 3, "fine_steps": 3}


def test_priors_of_other_scale_are_not_joined(two_files, tmp_path):
    save_prior(two_files[1], tiny_local().state_dict(), tiny_local().config, {"name": "fine", "sigma_data": 0.5})
    with pytest.raises(InvalidInput, match=r"sigma_data 0\.31.*0\.5"):
        join_priors(*two_files, BELOW, tmp_path / "both.safetensors")
    assert not (tmp_path / "both.safetensors").exists()


@pytest.mark.parametrize("below", [0.0, -1.0, float("nan"), 20.0])
def test_noise_level_of_the_change_is_checked(two_files, tmp_path, below):
    with pytest.raises(InvalidInput, match="below"):
        join_priors(*two_files, below, tmp_path / "both.safetensors")


def test_the_shell_joins_two_priors(two_files, tmp_path, capsys):
    out = tmp_path / "both.safetensors"
    argv = ["priors", "join", *map(str, two_files), "--below", "0.2", "-o", str(out)]
    assert main(argv) == 0
    assert "up to sigma 0.2" in capsys.readouterr().out
    assert load_prior(str(out)).model.network.below == 0.2
    assert main([*argv[:-1], str(two_files[0])]) == 2
    assert "also an input" in capsys.readouterr().err
