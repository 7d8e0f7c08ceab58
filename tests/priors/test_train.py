"""Training of a tiny network on made-up slices: what a resumed run does, what it leaves, what it minimises."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_lossguide.priors.load import FORMAT, load_prior
from napari_lossguide.priors.local_network import LocalNet
from napari_lossguide.priors.training.config import TrainConfig
from napari_lossguide.priors.training.data import Samples, batches, open_data
from napari_lossguide.priors.training.state import checkpoints
from napari_lossguide.priors.training.trainer import Trainer
from napari_lossguide.priors.weights import read_header
from napari_lossguide.types import InvalidInput

STEPS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two files of blobs, 64 x 64, one of them uint8."""
    folder = tmp_path_factory.mktemp("slices")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    centre = rng.uniform(20, 44, (6, 2, 1, 1))
    blobs = np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / 200)
    np.savez(folder / "bytes.npz", images=(255 * blobs).astype(np.uint8))
    np.savez(folder / "floats.npz", images=(30 * blobs[:3]).astype(np.float32))
    return folder


def config(**fields):
    values = {
        "name": "tiny",
        "train": [{"path": "bytes.npz", "share": 2}, {"path": "floats.npz"}],
        "widths": (8, 16),
        "heads": 2,
        "tensorboard": False,
        "ema_halflives": (300.0, 1.0),
        "export": 300.0,
        "log_every": 2,
        "steps": STEPS,
        "warmup": 2,
        "save_every": 2,
        "views": [{"size": 32, "batch": 2}],
        "precision": "fp32",
        "licence": "CC0",
        "trained_on": "blobs",
    }
    return TrainConfig(**(values | fields))


def training(data, out, **fields):
    c = config(**fields)
    return Trainer(c, open_data(c, data, out), out)


def run(data, out, **fields):
    rows = []
    trainer = training(data, out, **fields)
    trainer.run(rows.append)
    return trainer, rows


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    before = torch.get_rng_state()
    trainer, rows = run(data, out)
    torch.testing.assert_close(torch.get_rng_state(), before)  # nobody's generator is seeded or used
    return trainer, rows, out


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(unbroken, data, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    steps = Trainer.train_step

    def killed_at_the_fourth(self, source):
        if self.step == 3:  # one step after the last checkpoint
            raise Killed
        return steps(self, source)

    monkeypatch.setattr(Trainer, "train_step", killed_at_the_fourth)
    with pytest.raises(Killed):
        run(data, tmp_path)
    monkeypatch.undo()
    trainer = training(data, tmp_path)
    assert trainer.step == 2
    trainer.run(lambda row: None)
    expected = unbroken[0]
    for name, value in expected.model.state_dict().items():
        assert torch.equal(trainer.model.state_dict()[name], value), name
        for halflife, average in trainer.averages.states.items():
            assert torch.equal(average[name], expected.averages.states[halflife][name]), name
    files = [folder / "tiny.safetensors" for folder in (tmp_path, unbroken[2])]
    assert read_header(files[0], FORMAT) == read_header(files[1], FORMAT)
    weights = [load_file(f) for f in files]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_weights_move_and_the_average_follows(unbroken, data, tmp_path):
    fresh = training(data, tmp_path).model.state_dict()
    trained = unbroken[0].model.state_dict()
    moved = [n for n in trained if n.endswith("weight") and not torch.equal(fresh[n], trained[n])]
    assert "network.head.weight" in moved
    ema = unbroken[0].averages.states[300.0]["network.head.weight"]
    assert 0 < float(ema.abs().max()) <= float(trained["network.head.weight"].abs().max()) + 1e-6


def test_log_has_a_line_for_every_save(unbroken):
    _, reported, out = unbroken
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert rows == reported
    assert [r["step"] for r in rows] == [2, 4]
    assert all(math.isfinite(r["loss"]) and r["learning_rate"] > 0 for r in rows)


def test_what_it_leaves_is_a_prior_and_nothing_half_written(unbroken):
    out = unbroken[2]
    names = sorted(p.name.partition("-")[0] for p in out.iterdir())
    assert names == ["cache", "checkpoint", "checkpoint", "log.jsonl", "tiny.safetensors"]
    assert [int(p.name.split("-")[1]) for p in checkpoints(out)] == [4, 2]
    info = load_prior(str(out / "tiny.safetensors")).info
    assert (info.name, info.sigma_data, info.licence, info.trained_on) == ("tiny", 0.25, "CC0", "blobs")
    assert info.extra["steps"] == STEPS
    ema = {k.removeprefix("network."): v.half() for k, v in unbroken[0].averages.states[300.0].items()}
    for name, value in load_file(out / "tiny.safetensors").items():
        assert torch.equal(value, ema[name])


def test_a_write_that_fails_leaves_the_old_checkpoint(data, tmp_path, monkeypatch):
    trainer, _ = run(data, tmp_path, steps=2)
    before = {p: p.read_bytes() for p in checkpoints(tmp_path)}

    def full_disk(state, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        trainer.save(0)
    assert {p: p.read_bytes() for p in checkpoints(tmp_path)} == before
    assert not list(tmp_path.glob("*.part"))


def test_a_finished_run_is_not_trained_further(unbroken, data):
    trainer = training(data, unbroken[2])
    trainer.run(lambda row: pytest.fail("it saved again"))
    assert trainer.step == STEPS


def test_training_can_start_from_a_prior(unbroken, data, tmp_path):
    start = unbroken[0].out / "tiny.safetensors"
    trainer = training(data, tmp_path, initial=str(start))
    theirs = load_file(start)
    for name, weights in trainer.model.network.state_dict().items():
        torch.testing.assert_close(weights, theirs[name].float(), rtol=0, atol=0)
        torch.testing.assert_close(trainer.averages.states[1.0][f"network.{name}"], weights, rtol=0, atol=0)
    trainer.run(lambda row: None)
    assert json.loads(read_header(tmp_path / "tiny.safetensors", FORMAT)["info"])["steps"] == 2 * STEPS


def test_training_refuses_to_start_from_another_network(unbroken, data, tmp_path):
    start = str(unbroken[0].out / "tiny.safetensors")
    with pytest.raises(InvalidInput, match=r"initial = .*tiny.*\[8, 16\].*\[16, 16\]"):
        training(data, tmp_path, initial=start, widths=(16, 16))
    with pytest.raises(InvalidInput, match="no prior 'nobody'"):
        training(data, tmp_path, initial="nobody")
    torch.save({"ema": {"weight": torch.zeros(2)}}, tmp_path / "theirs.pt")
    with pytest.raises(InvalidInput, match=r"theirs\.pt' is of another library"):
        training(data, tmp_path, initial=str(tmp_path / "theirs.pt"))


def test_training_brings_the_loss_down(data, tmp_path):
    """On one noise level and one file, from the linear denoiser that a fresh network is."""
    fields = {
        "train": [{"path": "bytes.npz"}],
        "p_mean": -1.0,
        "p_std": 0.01,
        "augmentation": {"complex_fraction": 0.0},
    }
    fields |= {"views": [{"size": 32, "batch": 4}], "learning_rate": 3e-3}
    trainer = training(data, tmp_path, steps=60, save_every=1000, warmup=1, **fields)
    source = batches(trainer.samples, 0, trainer.processes)
    losses = [trainer.train_step(source) for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


FINE = {"width": 8, "blocks": 1, "below": 0.2}


def test_a_network_for_low_noise_is_trained_beside_the_u_net(data, tmp_path):
    """p_mean is at the change, so both see images; what is exported has both, and can be started from."""
    trainer, _ = run(data, tmp_path / "a", fine=FINE, p_mean=math.log(0.2), steps=6)
    network = load_prior(str(trainer.path)).model.network
    assert network.config == config(fine=FINE).network()
    fresh = training(data, tmp_path / "b", fine=FINE).model.network
    for name in ("fine.head.weight", "coarse.head.weight"):
        assert not torch.equal(network.state_dict()[name], fresh.state_dict()[name])
    training(data, tmp_path / "c", fine=FINE, initial=str(trainer.path))


def test_a_network_for_low_noise_is_trained_alone(data, tmp_path):
    trainer, _ = run(data, tmp_path, widths=(), fine=FINE, sigma_max=0.3)
    assert type(load_prior(str(trainer.path)).model.network) is LocalNet
    assert max(float(trainer.samples[step, 0][2]) for step in range(40)) == pytest.approx(0.3)


def test_a_training_needs_a_network():
    with pytest.raises(ValueError, match="widths names no level"):
        config(widths=())


def test_every_step_and_every_place_in_it_sees_another_image(data, tmp_path):
    opened = open_data(config(), data, tmp_path)
    assert opened.shares == [2, 1]
    samples = Samples(config(), opened.sets, opened.shares)
    seen = [samples[key][0] for key in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert not any(torch.equal(a, b) for k, a in enumerate(seen) for b in seen[:k])
    assert all(torch.equal(a, b) for a, b in zip(samples[1, 1], samples[1, 1], strict=True))


def test_a_loss_that_is_not_finite_ends_the_run(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "losses", lambda self, x0, x, sigma: math.nan * self.wrapped(x, sigma).mean((1, 2, 3)))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        run(data, tmp_path)


def test_learning_rate_warms_up_and_falls_to_a_hundredth(data, tmp_path):
    trainer = training(data, tmp_path, steps=1000, warmup=10, learning_rate=1.0)
    rates = []
    for trainer.step in (0, 4, 9, 500, 1000):
        rates.append(trainer.learning_rate())
    assert rates == pytest.approx([0.1, 0.5, 1.0, 0.505, 0.01], rel=1e-3)
    trainer.step, trainer.seconds = 20, 60 * trainer.config.minutes
    assert trainer.progress() == pytest.approx(0.02)  # no time budget


def test_time_budget_counts_over_resumed_parts(data, tmp_path):
    trainer = training(data, tmp_path, minutes=1)
    trainer.seconds = 61
    trainer.save(0)
    assert training(data, tmp_path, minutes=1).progress() == 1


def test_files_are_drawn_by_their_share_and_not_by_their_length():
    class Constant:
        def __init__(self, value):
            self.value = value

        def draw(self, rng):
            return torch.full((1, 64, 64), self.value)

    samples = Samples(config(augmentation={"complex_fraction": 0}), [Constant(0.0), Constant(1.0)], [3, 1])
    drawn = [float(samples[0, k][0].max() > 0) for k in range(600)]
    assert np.mean(drawn) == pytest.approx(1 / 4, abs=0.05)


def test_validation_of_an_untrained_network_is_that_of_the_linear_denoiser(data, tmp_path):
    """D = c_skip x: what is left is c_skip sigma in one channel of a real image and in two of a complex one."""
    _, rows = run(data, tmp_path, validation=["bytes.npz"], steps=1, learning_rate=1e-9)
    scores = rows[-1]["validation"]["300"]
    assert set(scores) == {f"{k} {s}" for k in ("real", "complex") for s in (0.05, 0.1, 0.2, 0.5, 1.0)}
    left = 0.05 * 0.25**2 / (0.25**2 + 0.05**2)
    assert scores["real 0.05"] == pytest.approx(-20 * math.log10(left), abs=0.5)
    assert scores["real 0.05"] - scores["complex 0.05"] == pytest.approx(3.01, abs=0.4)


@pytest.mark.parametrize("wrong", ["widht = 3", "steps = 0", "views = [{size = 33, batch = 1}]"])
def test_config_file(tmp_path, wrong):
    path = tmp_path / "c.toml"
    path.write_text('name = "a"\nsteps = 3\n[[train]]\npath = "x.npz"\n')
    assert TrainConfig.read(path).steps == 3
    path.write_text(f'name = "a"\n{wrong}\n[[train]]\npath = "x.npz"\n')
    with pytest.raises(InvalidInput, match=rf"c.toml is wrong at {wrong.split()[0]}"):
        TrainConfig.read(path)
