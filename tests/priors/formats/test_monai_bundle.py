"""Against MONAI itself: its DiffusionModelUNet's own forward pass and its schedulers' own estimate of x0."""

import json

import pytest
import torch
from foreign import draw, randomise, sidecar, write_json

from napari_lossguide.priors.formats.registry import find_model
from napari_lossguide.priors.load import load_prior, prior_info
from napari_lossguide.types import InvalidInput

pytest.importorskip("monai", reason="MONAI is not installed: its bundles are not tested")
pytest.importorskip("einops", reason="einops is not installed: MONAI's bundles are not tested")

NETWORK = {
    "_target_": "monai.networks.nets.DiffusionModelUNet",
    "spatial_dims": "@spatial_dims",
    "in_channels": 1,
    "out_channels": 1,
    "channels": [8, "@widths#1"],
    "attention_levels": [False, True],
    "num_res_blocks": 1,
    "norm_num_groups": 4,
    "num_head_channels": 4,
}
SCHEDULER = {"_target_": "monai.networks.schedulers.DDPMScheduler", "num_train_timesteps": 1000}
CONFIG = {"spatial_dims": 2, "widths": [8, 16], "network_def": NETWORK, "noise_scheduler": SCHEDULER}


def unet(**settings):
    from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

    values = NETWORK | {"spatial_dims": 2, "channels": [8, 16]} | settings
    return randomise(DiffusionModelUNet(**{k: v for k, v in values.items() if k != "_target_"}))


def bundle(tmp_path, config=CONFIG, state=None, **fields):
    write_json(tmp_path / "configs" / "inference.json", config)
    (tmp_path / "models").mkdir(exist_ok=True)
    network = unet()
    torch.save(network.state_dict() if state is None else state, tmp_path / "models" / "model.pt")
    sidecar(tmp_path, **({"range": (0, 1)} | fields))
    return network


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("schedule", ["linear_beta", "scaled_linear_beta", "cosine"])
def test_the_estimate_is_that_of_monai(tmp_path, prediction, schedule):
    from monai.networks.schedulers import DDPMScheduler

    options = {"schedule": schedule, "prediction_type": prediction} | (
        {} if schedule == "cosine" else {"beta_end": 0.03}
    )
    network = bundle(tmp_path, CONFIG | {"noise_scheduler": SCHEDULER | options})
    scheduler = DDPMScheduler(clip_sample=False, **options)
    denoiser = load_prior(str(tmp_path))
    for step in (5, 400):
        x = draw(2, 1, 16, 16)
        sigma = float((1 / scheduler.alphas_cumprod[step].double() - 1).sqrt())
        u = x / (1 + sigma**2) ** 0.5
        with torch.no_grad():
            _, expected = scheduler.step(network(u, torch.tensor([step, step])), step, u)
        ours = denoiser(x[:, 0], sigma)
        torch.testing.assert_close(ours, expected[:, 0], rtol=5e-3, atol=5e-3 * float(expected.abs().max()))


def test_configurations_in_yaml_and_weights_of_monai_generative(tmp_path):
    """The older library's names of classes, settings and weights; MONAI's own conversion agrees."""
    import yaml

    network = bundle(tmp_path)
    x = draw(1, 16, 16)
    expected = load_prior(str(tmp_path))(x, 0.3)
    old = {"_target_": "generative.networks.nets.DiffusionModelUNet", "num_channels": NETWORK["channels"]}
    config = CONFIG | {"network_def": {k: v for k, v in (NETWORK | old).items() if k != "channels"}}
    (tmp_path / "configs" / "inference.json").unlink()
    (tmp_path / "configs" / "common.yaml").write_text(yaml.safe_dump(config))
    names = {".attn.out_proj.": ".proj_attn.", ".attn.to_": ".to_", ".postconv.": ".conv."}
    state = {}
    for key, value in network.state_dict().items():
        for before, after in names.items():
            key = key.replace(before, after)
        state[key] = value
    theirs = unet()
    theirs.load_old_state_dict(dict(state))
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in theirs.state_dict().items())
    torch.save({"model": state}, tmp_path / "models" / "model.pt")
    torch.testing.assert_close(load_prior(str(tmp_path))(x, 0.3), expected)


def test_facts_from_the_configuration_without_monai(tmp_path, monkeypatch):
    bundle(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "monai.networks.nets.diffusion_model_unet", None)
    info = prior_info(tmp_path)
    assert (info.channels, info.divisible_by, info.extra["format"]) == (1, 2, "a MONAI bundle")
    with pytest.raises(InvalidInput, match=r'pip install "napari-lossguide\[monai\]"'):
        load_prior(str(tmp_path))


def test_without_a_scheduler_the_noise_levels_are_asked_for(tmp_path):
    bundle(tmp_path, {k: v for k, v in CONFIG.items() if k != "noise_scheduler"})
    with pytest.raises(InvalidInput, match=r"--set schedule\.kind=linear --set parameterisation=epsilon --save"):
        find_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"spatial_dims": 3}, "network on 3-D images"),
        ({"autoencoder_def": {"_target_": "monai.networks.nets.AutoencoderKL"}}, "latent diffusion model"),
        ({"network_def": NETWORK | {"with_conditioning": True}}, "needs a condition"),
        ({"network_def": NETWORK | {"out_channels": 2}}, "1 channels in and 2 out"),
        ({"network_def": NETWORK | {"in_channels": "$2 + 2"}}, r"has the expression '\$2 \+ 2'"),
        ({"network_def": NETWORK | {"in_channels": "@absent"}}, "refers to '@absent', which is not in it"),
        ({"network_def": {"_target_": "monai.networks.nets.UNet"}}, "have no DiffusionModelUNet"),
        ({"noise_scheduler": SCHEDULER | {"schedule": "sigmoid_beta"}}, "is 'sigmoid_beta'; accepted are linear_beta"),
    ],
)
def test_what_cannot_be_a_prior_is_refused(tmp_path, change, sentence):
    bundle(tmp_path, CONFIG | change)
    with pytest.raises(InvalidInput, match=sentence) as error:
        load_prior(str(tmp_path))
    assert str(tmp_path) in str(error.value)


def test_damaged_bundles(tmp_path):
    bundle(tmp_path, state={"conv_in.conv.weight": torch.zeros(3)})
    with pytest.raises(InvalidInput, match="do not fit"):
        load_prior(str(tmp_path))
    (tmp_path / "models" / "model.pt").unlink()
    with pytest.raises(InvalidInput, match="no weights"):
        load_prior(str(tmp_path))
    (tmp_path / "configs" / "inference.json").write_text(json.dumps(CONFIG)[:-5])
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_prior(str(tmp_path))
