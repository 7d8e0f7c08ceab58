"""Against outputs and key sets recorded from an adaptation of EDM's own code (``recorded/README.md``).

The preconditionings are compared with the formulas of Karras et al. 2022, table 1.
"""

import math

import pytest
import torch
from foreign import draw, recorded_output, recorded_shapes, recorded_state, sidecar

from napari_lossguide.priors.formats.edm_network import EDMNetwork
from napari_lossguide.priors.formats.registry import find_model
from napari_lossguide.priors.load import load_prior
from napari_lossguide.types import InvalidInput

MODELS = ("edm/DDPM++", "edm/NCSN++", "edm/ADM")
LABELS = torch.tensor([-0.3, 0.7])


def saved(tmp_path, name="edm/ADM", entry="ema", wrapper="model.", **fields):
    """As InverseBench saves: the network under EDMPrecond's ``model``, in an entry of the file."""
    path = tmp_path / "model.pt"
    state = {wrapper + k: v for k, v in recorded_state(name).items()}
    torch.save({entry: state, "net": {k: 2 * v for k, v in state.items()}, "step": 7} if entry else state, path)
    sidecar(path, **({"range": (-2, 2)} | fields))
    return path


def network_of(path):
    model = find_model(path)
    found = model.format.build(model.found, model.card)
    inner = next(m for m in found.modules() if isinstance(m, EDMNetwork))
    return inner.eval(), model


@pytest.mark.parametrize("name", MODELS)
def test_the_network_is_the_original_one(tmp_path, name):
    network, model = network_of(saved(tmp_path, name))
    with torch.no_grad():
        out = network(draw(2, 2, 16, 16), LABELS)
    torch.testing.assert_close(out, recorded_output(name), rtol=1e-4, atol=1e-4)
    card = model.card
    assert (card.channels, card.size, card.divisible_by, card.sigma_data) == (2, 16, 2, 0.5)
    assert model.found.weights == "averaged (EMA) weights, entry 'ema'"


@pytest.mark.parametrize(
    "name", ["edm/InverseBench knee MRI", "edm/edm-ffhq-64x64-uncond-vp", "edm/edm-ffhq-64x64-uncond-ve"]
)
def test_published_networks_have_the_names_and_shapes_that_we_make(name):
    shapes = recorded_shapes(name)
    with torch.device("meta"):
        ours = EDMNetwork(shapes)
    made = {k: tuple(v.shape) for k, v in ours.state_dict().items()}
    assert made == {k: v for k, v in shapes.items() if not k.startswith("map_augment")}


def test_edm_preconditioning_on_a_complex_image(tmp_path):
    """Real and imaginary part, zero stays zero: m = 2 x for a range of -2 ... 2."""
    path = saved(tmp_path, sigma_data=0.4)
    network, _ = network_of(path)
    x = torch.complex(draw(2, 16, 16), draw(2, 16, 16, seed=1))
    sigma, s_d = 2 * 0.3, 0.4
    m = 2 * torch.stack([x.real, x.imag], 1)
    with torch.no_grad():
        f = network(m / math.hypot(sigma, s_d), torch.full((2,), math.log(sigma) / 4))
    d = (s_d**2 * m + sigma * s_d * math.hypot(sigma, s_d) * f) / (sigma**2 + s_d**2)
    denoiser = load_prior(str(path))
    torch.testing.assert_close(denoiser(x, 0.3), torch.complex(d[:, 0], d[:, 1]) / 2, rtol=1e-4, atol=1e-4)
    assert (denoiser.info.sigma_max, denoiser.info.sigma_data) == (40, 0.2)


@pytest.mark.parametrize("parameterisation", ["epsilon", "score"])
def test_vp_and_ve_preconditioning(tmp_path, parameterisation):
    schedule = {"kind": "vp-sde"} if parameterisation == "epsilon" else {"kind": "ve-sde", "sigma_max": 100.0}
    path = saved(tmp_path, "edm/DDPM++", range=(-1, 1), parameterisation=parameterisation, schedule=schedule)
    network, _ = network_of(path)
    sigma = 0.8
    x = torch.complex(draw(1, 16, 16), draw(1, 16, 16, seed=1))
    m = torch.stack([x.real, x.imag], 1)
    with torch.no_grad():
        if parameterisation == "score":
            d = m + sigma * network(m, torch.tensor([math.log(sigma / 2)]))
        else:  # the time of a noise level in closed form, with beta_d = 19.9 and beta_min = 0.1
            t = (math.sqrt(0.1**2 + 2 * 19.9 * math.log(1 + sigma**2)) - 0.1) / 19.9
            d = m - sigma * network(m / math.hypot(1, sigma), torch.tensor([999 * t]))
    torch.testing.assert_close(load_prior(str(path))(x, sigma), torch.complex(d[:, 0], d[:, 1]), rtol=1e-3, atol=1e-3)


def test_a_bare_state_dict_and_one_of_a_wrapped_network(tmp_path):
    x = draw(1, 16, 16)
    expected = load_prior(str(saved(tmp_path)))(x, 0.2)
    for wrapper in ("", "module.model.", "_orig_mod.model."):
        torch.testing.assert_close(load_prior(str(saved(tmp_path, entry="", wrapper=wrapper)))(x, 0.2), expected)
    last = saved(tmp_path, entry="net")
    assert find_model(last).found.weights == "weights of the last step, entry 'net'"


def test_what_cannot_be_a_prior_is_refused(tmp_path):
    path = saved(tmp_path)
    state = recorded_state("edm/ADM")
    torch.save(state | {"map_label.weight": torch.zeros(512, 10)}, path)
    with pytest.raises(InvalidInput, match="needs class labels"):
        load_prior(str(path))
    torch.save(state | {"out_conv.weight": torch.zeros(4, 128, 3, 3)}, path)
    with pytest.raises(InvalidInput, match=r"2 channels in and 4 out.*iDDPMPrecond"):
        load_prior(str(path))
    with pytest.raises(InvalidInput, match="is linear; accepted are edm with edm, epsilon"):
        load_prior(str(saved(tmp_path, parameterisation="epsilon", schedule={"kind": "linear"})))
    with pytest.raises(InvalidInput, match="real and imaginary parts need -A A"):
        sidecar(path, range=(-1, 2), channels=2)
