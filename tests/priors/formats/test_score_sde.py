"""Against two other implementations of the same networks, with weights renamed to score_sde's numbered modules.

DDPM++ and NCSN++ with a residual input pyramid: outputs recorded from an adaptation of EDM's SongUNet
(``recorded/README.md``). NCSN++ with input and output skips: diffusers' UNet2DModel. The numbers of the modules follow
score_sde's published constructor; its own code and weights were not run.
"""

from pathlib import Path

import pytest
import torch
from foreign import draw, randomise, recorded_output, recorded_state, sidecar

from napari_lossguide.priors.formats.edm_network import EDMNetwork
from napari_lossguide.priors.formats.registry import find_model
from napari_lossguide.priors.formats.score_sde_names import edm_names
from napari_lossguide.priors.load import load_prior, prior_info
from napari_lossguide.types import InvalidInput

PARTS = {"norm0": "GroupNorm_0", "conv0": "Conv_0", "affine": "Dense_0"}
PARTS |= {"norm1": "GroupNorm_1", "conv1": "Conv_1", "skip": "Conv_2"}


def modules(*, fourier, residual, skips=False):
    """(kind, name in EDM's network) in score_sde's order: two levels of a block, attention in the second."""
    yield from [("W", "map_noise.freqs")] if fourier else []
    yield from [("plain", "map_layer0"), ("plain", "map_layer1"), ("plain", "enc.16x16_conv")]
    yield from [("res", "enc.16x16_block0"), ("res", "enc.8x8_down")]
    yield from [("Conv2d_0", "enc.8x8_aux_residual")] if residual else []
    yield from [("nothing", ""), ("Conv", "enc.8x8_aux_skip")] if skips else []
    yield from [("res", "enc.8x8_block0"), ("attn", "enc.8x8_block0")]
    yield from [("res", "dec.8x8_in0"), ("attn", "dec.8x8_in0"), ("res", "dec.8x8_in1")]
    yield from [("res", "dec.8x8_block0"), ("res", "dec.8x8_block1"), ("attn", "dec.8x8_block1")]
    yield from [("plain", "dec.8x8_aux_norm"), ("plain", "dec.8x8_aux_conv")] if skips else []
    yield from [("res", "dec.16x16_up"), ("res", "dec.16x16_block0"), ("res", "dec.16x16_block1")]
    yield from [("nothing", "")] if skips else []
    yield from [("plain", "dec.16x16_aux_norm"), ("plain", "dec.16x16_aux_conv")]


def numbered(edm, **kind):
    """Weights by score_sde's names."""
    out = {"sigmas": torch.linspace(50, 0.01, 1000)}
    for i, (what, name) in enumerate(modules(**kind)):
        place = f"all_modules.{i}"
        if what == "W":
            out[f"{place}.W"] = edm[name]
        for p in ("weight", "bias"):
            if what in ("plain", "Conv", "Conv2d_0"):
                out[f"{place}.{'' if what == 'plain' else what + '.'}{p}"] = edm[f"{name}.{p}"]
            if what == "res":
                keys = {f"{place}.{t}.{p}": f"{name}.{o}.{p}" for o, t in PARTS.items()}
                out |= {k: edm[v] for k, v in keys.items() if v in edm}
            if what == "attn":
                out[f"{place}.GroupNorm_0.{p}"] = edm[f"{name}.norm2.{p}"]
                short = "W" if p == "weight" else "b"
                for j in range(4):
                    whole = edm[f"{name}.{'proj' if j == 3 else 'qkv'}.{p}"].flatten(1 if p == "weight" else 0)
                    part = whole if j == 3 else whole[j::3]
                    out[f"{place}.NIN_{j}.{short}"] = part.mT.contiguous() if p == "weight" else part.contiguous()
    return out


def checkpoint(path, state, fields):
    """As score_sde saves: other last weights under ``model``, the averaged ones as a list in ``ema``."""
    trainable = [k for k in state if k != "sigmas" and k != "all_modules.0.W"]
    model = {f"module.{k}": v if k not in trainable else torch.zeros_like(v) for k, v in state.items()}
    ema = {"decay": 0.999, "num_updates": 7, "shadow_params": [state[k] for k in trainable]}
    torch.save({"optimizer": {"state": {}}, "model": model, "ema": ema, "step": 7}, path)
    sidecar(path, **fields)


def network_of(path):
    model = find_model(path)
    built = model.format.build(model.found, model.card)
    return next(m for m in built.modules() if isinstance(m, EDMNetwork)).eval(), model


@pytest.mark.parametrize("name", ["edm/DDPM++", "edm/NCSN++"])
def test_the_network_is_that_of_edm(tmp_path, name):
    fourier = name == "edm/NCSN++"
    path = tmp_path / "checkpoint_8.pth"
    checkpoint(path, numbered(recorded_state(name), fourier=fourier, residual=fourier), {"range": (-1, 1)})
    network, model = network_of(path)
    with torch.no_grad():
        out = network(draw(2, 2, 16, 16), torch.tensor([-0.3, 0.7]))
    torch.testing.assert_close(out, recorded_output(name), rtol=1e-4, atol=1e-4)
    assert model.card.parameterisation == ("score" if fourier else "epsilon")
    assert (model.card.channels, model.card.divisible_by) == (2, 2)
    assert "EMA" in model.found.weights


def test_variance_exploding_noise_and_uncentred_images(tmp_path):
    """D = x + sigma^2 s, s = F(2 x - 1, ln sigma) / sigma."""
    path = tmp_path / "ve.pth"
    state = numbered(recorded_state("edm/NCSN++"), fourier=True, residual=True)
    checkpoint(path, state, {"range": (-1, 1), "schedule": {"kind": "ve-sde", "sigma_max": 378.0}})
    network, _ = network_of(path)
    x, sigma = torch.complex(draw(1, 16, 16), draw(1, 16, 16, seed=1)), 0.7
    m = torch.stack([x.real, x.imag], 1)
    with torch.no_grad():
        d = m + sigma * network(2 * m - 1, torch.tensor([sigma]).log())
    denoiser = load_prior(str(path))
    torch.testing.assert_close(denoiser(x, sigma), torch.complex(d[:, 0], d[:, 1]), rtol=1e-4, atol=1e-4)
    assert denoiser.info.sigma_max == pytest.approx(378)


@pytest.mark.parametrize(
    ("name", "kind", "fir"),
    [
        ("edm/DDPM++", {"fourier": False, "residual": False}, False),
        ("edm/NCSN++", {"fourier": True, "residual": False}, True),
        ("edm/NCSN++", {"fourier": False, "residual": True}, True),
    ],
)
def test_the_filter_as_the_kind_of_network_tells_it(name, kind, fir):
    state = numbered(recorded_state(name), **kind)
    assert edm_names({k: tuple(v.shape) for k, v in state.items()}, Path("x.pth")).fir == fir


def test_the_filter_can_be_told(tmp_path):
    """Of a network without a pyramid the names do not tell it."""
    state = numbered(recorded_state("edm/DDPM++"), fourier=False, residual=False)
    x, out = draw(1, 16, 16), []
    for settings in ({}, {"fir": True}):
        path = tmp_path / f"{len(out)}.pth"
        checkpoint(path, state, {"range": (-1, 1), "network": settings})
        out.append(load_prior(str(path))(x, 0.3))
    assert not torch.allclose(*out)


def test_ncsnpp_with_skips_is_that_of_diffusers(tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: skips of NCSN++ are not tested")
    unet = randomise(
        diffusers.UNet2DModel(
            sample_size=16,
            block_out_channels=(128, 128),
            layers_per_block=1,
            time_embedding_type="fourier",
            norm_eps=1e-6,
            mid_block_scale_factor=2**0.5,
            attention_head_dim=None,
            down_block_types=("SkipDownBlock2D", "AttnSkipDownBlock2D"),
            up_block_types=("AttnSkipUpBlock2D", "SkipUpBlock2D"),
        )
    )
    unet.time_proj.weight.data.copy_(draw(128))
    path = tmp_path / "ncsnpp.pth"
    checkpoint(path, numbered(from_diffusers(unet.state_dict()), fourier=True, residual=False, skips=True),
               {"range": (0, 1), "network": {"centered": True}})  # fmt: skip
    x, sigma = draw(2, 16, 16), 0.6
    with torch.no_grad():
        score = unet(x[:, None].expand(-1, 3, -1, -1), torch.full((2,), sigma)).sample
    expected = x + sigma**2 * score.mean(1)
    torch.testing.assert_close(load_prior(str(path))(x, sigma), expected, rtol=1e-3, atol=1e-3)


def from_diffusers(s):
    """Weights of a UNet2DModel by EDM's names."""
    out = {"map_noise.freqs": s["time_proj.weight"]}
    pairs = {
        "map_layer0": "time_embedding.linear_1",
        "map_layer1": "time_embedding.linear_2",
        "enc.16x16_conv": "conv_in",
        "enc.8x8_aux_skip": "down_blocks.0.skip_conv",
        "dec.8x8_aux_norm": "up_blocks.0.skip_norm",
        "dec.8x8_aux_conv": "up_blocks.0.skip_conv",
        "dec.16x16_aux_norm": "conv_norm_out",
        "dec.16x16_aux_conv": "conv_out",
    }
    blocks = {
        "enc.16x16_block0": "down_blocks.0.resnets.0",
        "enc.8x8_down": "down_blocks.0.resnet_down",
        "enc.8x8_block0": "down_blocks.1.resnets.0",
        "dec.8x8_in0": "mid_block.resnets.0",
        "dec.8x8_in1": "mid_block.resnets.1",
        "dec.8x8_block0": "up_blocks.0.resnets.0",
        "dec.8x8_block1": "up_blocks.0.resnets.1",
        "dec.16x16_up": "up_blocks.0.resnet_up",
        "dec.16x16_block0": "up_blocks.1.resnets.0",
        "dec.16x16_block1": "up_blocks.1.resnets.1",
    }
    inner = {"norm0": "norm1", "conv0": "conv1", "affine": "time_emb_proj", "norm1": "norm2", "conv1": "conv2"}
    inner["skip"] = "conv_shortcut"
    for ours, theirs in blocks.items():
        pairs |= {f"{ours}.{a}": f"{theirs}.{b}" for a, b in inner.items()}
    attention = {
        "enc.8x8_block0": "down_blocks.1.attentions.0",
        "dec.8x8_in0": "mid_block.attentions.0",
        "dec.8x8_block1": "up_blocks.0.attentions.0",
    }
    for p in ("weight", "bias"):
        out |= {f"{a}.{p}": s[f"{b}.{p}"] for a, b in pairs.items() if f"{b}.{p}" in s}
        for a, b in attention.items():
            out[f"{a}.norm2.{p}"] = s[f"{b}.group_norm.{p}"]
            qkv = torch.stack([s[f"{b}.to_{k}.{p}"] for k in "qkv"], dim=1).flatten(0, 1)
            last = s[f"{b}.to_out.0.{p}"]
            tail = (1, 1) if p == "weight" else ()
            out[f"{a}.qkv.{p}"], out[f"{a}.proj.{p}"] = (v.reshape(*v.shape, *tail) for v in (qkv, last))
    return out


def test_other_networks_and_settings_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    state = numbered(recorded_state("edm/DDPM++"), fourier=False, residual=False)
    checkpoint(path, {k: v for k, v in state.items() if not k.startswith("all_modules.7.")}, {"range": (0, 1)})
    with pytest.raises(InvalidInput, match=r"is not an NCSN\+\+ or DDPM\+\+ of continuous time as they are read here"):
        prior_info(path)
    checkpoint(path, state, {"range": (0, 1), "network": {"skip_rescale": False}})
    with pytest.raises(InvalidInput, match=r"network\.skip_rescale .* accepted are fir, centered"):
        prior_info(path)
