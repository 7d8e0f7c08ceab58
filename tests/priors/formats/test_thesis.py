"""Against a plain computation from the state dict, after the thesis's published code; no checkpoint is published."""

import itertools
import json
import math

import pytest
import torch
import torch.nn.functional as F
from foreign import draw, sidecar, values_of

from napari_lossguide.priors.formats.registry import find_model
from napari_lossguide.priors.load import load_prior, prior_info
from napari_lossguide.types import InvalidInput

WIDTH, DEPTH, TIME = 8, 2, 16


def norm_shapes(n):
    return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (n,)) | {"num_batches_tracked": ()}


def shapes():
    """Names and shapes that the constructors of the thesis's UNet give for these sizes."""
    out = {}

    def unit(name, n_in, n, kernel=3, at=0, transposed=False):
        out[f"{name}.{at}.weight"] = (n_in, n, 2, 2) if transposed else (n, n_in, kernel, kernel)
        out[f"{name}.{at}.bias"] = (n,)
        out.update({f"{name}.{at + 1}.{k}": s for k, s in norm_shapes(n).items()})

    def block(name, n_in, n):
        out[f"{name}.time_embedding_fc.weight"], out[f"{name}.time_embedding_fc.bias"] = (n, TIME), (n,)
        unit(f"{name}.conv1", n_in, n)
        unit(f"{name}.conv2", n, n)

    unit("in_conv", 1, WIDTH)
    for k, (a, b) in enumerate([(WIDTH, WIDTH), (WIDTH, 2 * WIDTH)]):
        block(f"encoder.{k}", a, b)
    unit("bottleneck", 2 * WIDTH, 4 * WIDTH)
    unit("bottleneck", 4 * WIDTH, 4 * WIDTH, at=4)
    for k, (a, b) in enumerate([(4 * WIDTH, 2 * WIDTH), (2 * WIDTH, WIDTH)]):
        unit(f"decoder.{k}.scale", a, b, transposed=True)
        block(f"decoder.{k}", 2 * b, b)
    out["out_conv.weight"], out["out_conv.bias"] = (1, WIDTH, 3, 3), (1,)
    return {f"model.{k}": s for k, s in out.items()}


def alpha_bar(steps, kind="cosine"):
    """cos^2((t + s) / (1 + s) pi / 2), betas at most 0.999; or betas from 1e-4 to 0.02."""
    if kind == "linear":
        return torch.cumprod(1 - torch.linspace(1e-4, 0.02, steps), 0)
    f = [math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(steps + 1)]
    return torch.cumprod(1 - torch.tensor([min(1 - b / a, 0.999) for a, b in itertools.pairwise(f)]), 0)


def checkpoint(path, steps=1000, kind="cosine"):
    state = {k: values_of(k, s) if s else torch.tensor(5) for k, s in shapes().items()}
    state |= {k: v.abs() + 0.5 for k, v in state.items() if k.endswith("running_var")}
    bar = alpha_bar(steps, kind)
    state["fwd_diff.sqrt_recip_alphas_dash"] = (1 / bar).sqrt()
    state["fwd_diff.sqrt_recipminus1_alphas_dash"] = (1 / bar - 1).sqrt()
    state["time_encoder.pe"] = torch.zeros(5000, 1, TIME)
    torch.save({"epoch": 3, "model_state_dict": state, "optim_state_dict": {"state": {}, "param_groups": []}}, path)
    return {k.removeprefix("model."): v for k, v in state.items()}, bar


def reference(s, u, t, act=F.silu):
    """The network, written out."""

    def unit(name, x, at=0, transposed=False):
        conv = (lambda *a: F.conv_transpose2d(*a, stride=2)) if transposed else (lambda *a: F.conv2d(*a, padding=1))
        x = conv(x, s[f"{name}.{at}.weight"], s[f"{name}.{at}.bias"])
        stats = [s[f"{name}.{at + 1}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return act(F.batch_norm(x, *stats))

    position = torch.zeros(len(u), TIME)
    for k in range(0, TIME, 2):
        position[:, k], position[:, k + 1] = (f(torch.tensor(t * 10000 ** (-k / TIME))) for f in (torch.sin, torch.cos))

    def block(name, x):
        shift = F.linear(position, s[f"{name}.time_embedding_fc.weight"], s[f"{name}.time_embedding_fc.bias"])
        return unit(f"{name}.conv2", unit(f"{name}.conv1", x) + shift[..., None, None])

    x, skips = unit("in_conv", u), []
    for k in range(DEPTH):
        skips.append(block(f"encoder.{k}", x))
        x = F.max_pool2d(skips[-1], 2)
    x = unit("bottleneck", unit("bottleneck", x), at=4)
    for k in range(DEPTH):
        x = block(f"decoder.{k}", torch.cat([unit(f"decoder.{k}.scale", x, transposed=True), skips[-1 - k]], 1))
    return F.conv2d(x, s["out_conv.weight"], s["out_conv.bias"], padding=1)


@pytest.mark.parametrize("step", [1, 350, 900])
def test_the_estimate_is_that_of_the_plain_computation(tmp_path, step):
    state, bar = checkpoint(tmp_path / "checkpoint60.pt")
    sigma = float((1 / bar[step].double() - 1).sqrt())
    x = draw(2, 16, 16)
    u = (x / math.hypot(1, sigma))[:, None]
    expected = x - sigma * reference(state, u, float(step))[:, 0]
    d = load_prior(str(tmp_path / "checkpoint60.pt"))(x, sigma)
    torch.testing.assert_close(d, expected, rtol=1e-2, atol=2e-3 * float(expected.abs().max()))


def test_the_checkpoint_needs_no_sidecar(tmp_path):
    checkpoint(tmp_path / "c.pt")
    info = prior_info(tmp_path / "c.pt")
    assert (info.channels, info.divisible_by) == (1, 8) and "0 to 1" in info.range
    assert info.sigma_min == pytest.approx(float((1 / alpha_bar(1000)[1] - 1).sqrt()), rel=1e-2)


def test_settings_of_the_run_are_read_from_its_json(tmp_path):
    """As Weights & Biases writes them, under "value"."""
    path = tmp_path / "c.pt"
    state, bar = checkpoint(path, 400, "linear")
    run = {"schedule_type": "linear", "activation": "torch.nn.modules.activation.ReLU", "img_size": 128}
    path.with_suffix(".json").write_text(json.dumps({k: {"desc": None, "value": v} for k, v in run.items()}))
    model = find_model(path)
    assert (model.card.schedule.kind, model.card.schedule.steps, model.card.size) == ("linear", 400, 128)
    sigma = float((1 / bar[200] - 1).sqrt())
    x = draw(1, 16, 16)
    expected = x - sigma * reference(state, (x / math.hypot(1, sigma))[:, None], 200.0, F.relu)[:, 0]
    torch.testing.assert_close(load_prior(str(path))(x, sigma), expected, rtol=1e-2, atol=1e-3)


def test_other_noise_levels_than_the_checkpoint_holds_are_refused(tmp_path):
    checkpoint(tmp_path / "c.pt", kind="linear")
    with pytest.raises(InvalidInput, match=r"was not trained with the noise levels of its settings \(cosine, 1000"):
        load_prior(str(tmp_path / "c.pt"))
    sidecar(tmp_path / "c.pt", schedule={"kind": "linear", "first": 1})
    load_prior(str(tmp_path / "c.pt"))


def test_attention_is_refused(tmp_path):
    checkpoint(tmp_path / "c.pt")
    saved = torch.load(tmp_path / "c.pt", weights_only=True)
    saved["model_state_dict"]["model.encoder.0.sa.attention_layer.norm1.weight"] = torch.zeros(8)
    torch.save(saved, tmp_path / "c.pt")
    with pytest.raises(InvalidInput, match="has attention"):
        prior_info(tmp_path / "c.pt")
