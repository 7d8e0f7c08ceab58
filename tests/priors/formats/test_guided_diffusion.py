"""Against outputs and key sets recorded from OpenAI's own code (``recorded/README.md``)."""

import pytest
import torch
from foreign import draw, recorded_output, recorded_shapes, recorded_state, sidecar

from napari_lossguide.priors.formats.adm_network import ADMNetwork
from napari_lossguide.priors.formats.registry import find_model
from napari_lossguide.priors.load import load_prior
from napari_lossguide.types import InvalidInput

MODELS = {
    "adm/updown, scale-shift, legacy order": {"num_head_channels": 16},
    "adm/convolutions, shift, new order": {"num_heads": 2, "use_new_attention_order": True},
}
FIRST = next(iter(MODELS))


def saved(tmp_path, name=FIRST, **fields):
    path = tmp_path / "model.pt"
    torch.save(recorded_state(name), path)
    given = {"range": (-1, 1), "schedule": {"kind": "linear"}, "network": MODELS[name]} | fields
    sidecar(path, **{k: v for k, v in given.items() if v is not None})
    return path


@pytest.mark.parametrize("name", MODELS)
def test_the_network_is_the_original_one(tmp_path, name):
    model = find_model(saved(tmp_path, name))
    network = model.format.build(model.found, model.card).network.network.eval()
    with torch.no_grad():
        out = network(draw(2, 1, 16, 16), torch.tensor([3.0, 700.0]))
    torch.testing.assert_close(out, recorded_output(name), rtol=1e-4, atol=1e-4)
    assert model.card.divisible_by == 4 and model.card.channels == 1


@pytest.mark.parametrize("name", ["adm/256x256_diffusion_uncond", "adm/ffhq_10m"])
def test_published_networks_have_the_names_and_shapes_that_we_make(name):
    shapes = recorded_shapes(name)
    with torch.device("meta"):
        ours = ADMNetwork(shapes, num_head_channels=64, new_order=False)
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == shapes


def test_the_first_half_of_the_output_is_the_noise(tmp_path):
    """At a whole step: x0 = x - sigma F(x / sqrt(1 + sigma^2), t), in units of [-1, 1]."""
    path = saved(tmp_path)
    model = find_model(path)
    network = model.format.build(model.found, model.card).network.network.eval()
    _, sigmas = model.card.schedule.levels()
    m, sigma = draw(2, 1, 16, 16), float(sigmas[400])
    with torch.no_grad():
        out = network(m / (1 + sigma**2) ** 0.5, torch.full((2,), 400.0))
    assert out.shape[1] == 2
    d = load_prior(str(path))((m[:, 0] + 1) / 2, sigma / 2)
    torch.testing.assert_close(2 * d - 1, (m - sigma * out[:, :1])[:, 0], rtol=1e-3, atol=1e-3)


def test_what_the_file_does_not_tell_is_asked_for_in_one_command(tmp_path):
    path = saved(tmp_path, range=None, schedule=None, network=None)
    with pytest.raises(InvalidInput) as error:
        load_prior(str(path))
    options = "--range -1 1 --set schedule.kind=linear --set network.num_head_channels=64 --save"
    assert f'lossguide priors check "{path}" {options}' in str(error.value)


def test_settings_change_what_attention_does(tmp_path):
    x = draw(1, 16, 16)
    one = load_prior(str(saved(tmp_path)))(x, 0.3)
    other = load_prior(str(saved(tmp_path, network={"num_heads": 1})))(x, 0.3)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label_emb.weight": (1000, 128)}, "needs one of 1000 class labels"),
        ({"input_blocks.0.0.weight": (32, 1, 3, 3, 3)}, "network on 3-D images"),
        ({"out.2.weight": (3, 32, 3, 3)}, "1 channels in and 3 out"),
        ({"input_blocks.1.1.transformer_blocks.0.norm1.weight": (32,)}, "text-conditioned latent model"),
    ],
)
def test_networks_that_need_more_than_an_image_are_refused(tmp_path, change, sentence):
    path = saved(tmp_path)
    torch.save(recorded_state(FIRST) | {k: torch.zeros(s) for k, s in change.items()}, path)
    with pytest.raises(InvalidInput, match=sentence):
        load_prior(str(path))


def test_unknown_settings_and_other_parameterisations_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"network\.heads of .* accepted are num_heads, num_head_channels"):
        load_prior(str(saved(tmp_path, network={"heads": 4})))
    with pytest.raises(InvalidInput, match="parameterisation is edm; of a state dict of guided-diffusion accepted are"):
        load_prior(str(saved(tmp_path, parameterisation="edm")))
