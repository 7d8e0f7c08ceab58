"""Against diffusers itself: its UNet2DModel's own forward pass, its schedulers' alphas_cumprod and predicted x0."""

import json

import numpy as np
import pytest
import torch
from foreign import draw, randomise, sidecar

from napari_lossguide.priors.formats.registry import find_model
from napari_lossguide.priors.load import load_prior, prior_info
from napari_lossguide.types import InvalidInput

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: its folders are not tested")

SIZES = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1, "sample_size": 16}
BLOCKS = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}


def folder(tmp_path, channels=1, scheduler=None, **settings):
    """A diffusers pipeline's folder with a tiny network, and the network."""
    out = settings.pop("out_channels", channels)
    unet = diffusers.UNet2DModel(
        in_channels=channels, out_channels=out, **(SIZES | BLOCKS | {"attention_head_dim": 4} | settings)
    )
    randomise(unet).save_pretrained(tmp_path / "unet")
    if scheduler is not None:
        scheduler.save_pretrained(tmp_path / "scheduler")
    return unet


def own_estimate(unet, scheduler, m, step):
    """Diffusers' estimate of x0 from a noisy image m (B, C, ny, nx) at a whole step, in the model's units."""
    ratio = float((1 / scheduler.alphas_cumprod[step].double() - 1).sqrt())
    u = m / (1 + ratio**2) ** 0.5
    with torch.no_grad():
        predicted = unet(u, step).sample[:, : m.shape[1]]
    return scheduler.step(predicted, step, u).pred_original_sample, ratio


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_the_estimate_is_that_of_diffusers(tmp_path, prediction, betas):
    scheduler = diffusers.DDPMScheduler(beta_schedule=betas, prediction_type=prediction, clip_sample=False)
    unet = folder(tmp_path, scheduler=scheduler)
    sidecar(tmp_path, range=(-1, 1))
    denoiser = load_prior(str(tmp_path))
    for step in (3, 300, 800):
        m = draw(2, 1, 16, 16)
        expected, ratio = own_estimate(unet, scheduler, m, step)
        ours = denoiser((m[:, 0] + 1) / 2, ratio / 2)
        torch.testing.assert_close(2 * ours - 1, expected[:, 0], rtol=2e-3, atol=2e-3 * float(expected.abs().max()))


def test_levels_are_those_of_the_scheduler(tmp_path):
    kinds = [{"beta_schedule": k} for k in ("linear", "scaled_linear", "squaredcos_cap_v2")]
    kinds += [{"trained_betas": np.linspace(1e-3, 0.05, 40).tolist()}, {"rescale_betas_zero_snr": True}]
    for k, options in enumerate(kinds):
        scheduler = diffusers.DDIMScheduler(num_train_timesteps=40, **options)
        folder(tmp_path / str(k), scheduler=scheduler)
        sidecar(tmp_path / str(k), range=(0, 1))
        times, sigmas = find_model(tmp_path / str(k)).card.schedule.levels()
        remaining = scheduler.alphas_cumprod.double().numpy()[times.astype(int)]
        np.testing.assert_allclose(sigmas, np.sqrt((1 - remaining) / remaining), rtol=2e-3)
        # With zero terminal signal the last step is pure noise, for which there is no level.
        assert len(times) == 40 - bool(options.get("rescale_betas_zero_snr"))


def test_levels_between_two_steps_are_interpolated_in_the_logarithm(tmp_path):
    folder(tmp_path, scheduler=diffusers.DDPMScheduler())
    sidecar(tmp_path, range=(0, 1))
    model = load_prior(str(tmp_path)).model
    times, sigmas = find_model(tmp_path).card.schedule.levels()
    between = torch.tensor([float(np.sqrt(sigmas[100] * sigmas[101])), 1e-9, 1e9])
    torch.testing.assert_close(model.time(between), torch.tensor([100.5, 0.0, 999.0]), atol=0.01, rtol=0)
    assert times[0] == 0


def test_a_score_network_of_variance_exploding_noise(tmp_path):
    """Its output is the score: x0 = x + sigma^2 s, as the predictor of ScoreSdeVeScheduler assumes."""
    scheduler = diffusers.ScoreSdeVeScheduler(sigma_min=0.01, sigma_max=50)
    unet = folder(tmp_path, scheduler=scheduler, time_embedding_type="fourier")
    sidecar(tmp_path, range=(0, 1))
    denoiser = load_prior(str(tmp_path))
    assert (denoiser.info.sigma_min, denoiser.info.sigma_max) == pytest.approx((0.01, 50))
    x, sigma = draw(2, 16, 16), 0.7
    with torch.no_grad():
        score = unet(x[:, None], torch.full((2,), sigma)).sample[:, 0]
    torch.testing.assert_close(denoiser(x, sigma), x + sigma**2 * score, rtol=1e-4, atol=1e-4)


def test_a_learned_variance_is_left_out(tmp_path):
    scheduler = diffusers.DDPMScheduler(clip_sample=False)
    unet = folder(tmp_path, scheduler=scheduler, out_channels=2)
    sidecar(tmp_path, range=(0, 1))
    m = draw(1, 1, 16, 16)
    expected, ratio = own_estimate(unet, scheduler, m, 200)
    torch.testing.assert_close(load_prior(str(tmp_path))(m[:, 0], ratio), expected[:, 0], rtol=2e-3, atol=2e-3)


def test_a_bare_network_with_the_scheduler_in_its_folder_and_averaged_weights_first(tmp_path):
    scheduler = diffusers.DDPMScheduler()
    unet = folder(tmp_path / "pipeline", scheduler=scheduler)
    bare = tmp_path / "bare"
    unet.save_pretrained(bare)
    scheduler.save_pretrained(bare)
    sidecar(bare, range=(0, 1))
    sidecar(tmp_path / "pipeline", range=(0, 1))
    x = draw(1, 16, 16)
    torch.testing.assert_close(load_prior(str(bare))(x, 0.5), load_prior(str(tmp_path / "pipeline"))(x, 0.5))
    for p in unet.parameters():
        p.data.mul_(0.5)
    unet.save_pretrained(tmp_path / "pipeline" / "unet_ema")
    assert not torch.allclose(load_prior(str(bare))(x, 0.5), load_prior(str(tmp_path / "pipeline"))(x, 0.5))


def test_facts_are_known_without_the_package_and_the_range_is_asked_for(tmp_path):
    folder(tmp_path, scheduler=diffusers.DDPMScheduler(prediction_type="v_prediction"))
    with pytest.raises(InvalidInput, match=r'priors check ".*" --range -1 1 --save'):
        prior_info(tmp_path)
    sidecar(tmp_path, range=(-1, 1), licence="MIT", trained_on="phantoms")
    info = prior_info(tmp_path, checksum=True)
    assert (info.channels, info.divisible_by, info.licence, info.trained_on) == (1, 2, "MIT", "phantoms")
    assert info.sigma_min == pytest.approx(0.01 / 2, rel=1e-2) and info.sigma_max == pytest.approx(157 / 2, rel=1e-2)
    assert any("16 x 16" in n for n in info.extra["notes"]) and info.extra["predicts"] == "v"
    assert info.sha256 == load_prior(str(tmp_path)).info.sha256
    sidecar(tmp_path, range=(0, 1))
    assert prior_info(tmp_path, checksum=True).sha256 != info.sha256


def refusal(path):
    sidecar(path, range=(-1, 1))
    with pytest.raises(InvalidInput) as error:
        load_prior(str(path))
    assert str(path) in str(error.value)
    return str(error.value)


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_what_is_not_a_prior_on_pixels_is_refused(tmp_path):
    folder(tmp_path, scheduler=diffusers.DDPMScheduler(), channels=4)
    assert "4 channels; a prior here needs 1, 2" in refusal(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "LDMPipeline", "vqvae": ["diffusers", "VQModel"]}')
    assert "latent diffusion model" in refusal(tmp_path)
    (tmp_path / "model_index.json").unlink()
    change(tmp_path / "unet" / "config.json", in_channels=3, out_channels=3, num_class_embeds=10)
    assert "needs class labels" in refusal(tmp_path)
    change(tmp_path / "unet" / "config.json", _class_name="UNet2DConditionModel")
    assert "is a UNet2DConditionModel" in refusal(tmp_path)


def test_schedulers_of_other_kinds_are_refused(tmp_path):
    folder(tmp_path, scheduler=diffusers.DDPMScheduler())
    config = tmp_path / "scheduler" / "scheduler_config.json"
    change(config, beta_schedule="sigmoid")
    assert "beta_schedule in" in refusal(tmp_path) and "'sigmoid'" in refusal(tmp_path)
    change(config, prediction_type="flow_prediction", beta_schedule="linear")
    assert "'flow_prediction'; accepted are epsilon, v_prediction, sample" in refusal(tmp_path)
    change(config, _class_name="FlowMatchEulerDiscreteScheduler")
    assert "is a FlowMatchEulerDiscreteScheduler" in refusal(tmp_path)


def test_damaged_weights_and_configurations(tmp_path):
    folder(tmp_path, scheduler=diffusers.DDPMScheduler())
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert "half-written" in refusal(tmp_path)
    weights.unlink()
    assert "no weights" in refusal(tmp_path)
    torch.save({"conv_in.weight": torch.zeros(3)}, weights.with_suffix(".bin"))
    assert "do not fit" in refusal(tmp_path)
    (tmp_path / "unet" / "config.json").write_text("{")
    assert "cannot be read as JSON" in refusal(tmp_path)


def test_without_diffusers_the_command_that_installs_it_is_said(tmp_path, monkeypatch):
    folder(tmp_path, scheduler=diffusers.DDPMScheduler())
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    assert 'pip install "napari-lossguide[diffusers]"' in refusal(tmp_path)
