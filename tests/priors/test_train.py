"""Training of a tiny network on made-up slices: what a resumed run does, what it leaves, what it minimises."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_lossguide.priors.augment import Augmentation, random_views
from napari_lossguide.priors.domain import REFERENCE_QUANTILE
from napari_lossguide.priors.load import load_prior, read_header
from napari_lossguide.priors.train import SliceFile, SlicePool, TrainConfig, Trainer, load_slices
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
        "steps": STEPS,
        "warmup": 2,
        "save_every": 2,
        "views": [{"size": 32, "batch": 2}],
        "bfloat16": False,
        "licence": "CC0",
        "trained_on": "blobs",
    }
    return TrainConfig(**(values | fields))


def run(data, out, **fields):
    lines = []
    trainer = Trainer(config(**fields), data, out)
    trainer.run(lines.append)
    return trainer, lines


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    before = torch.get_rng_state()
    trainer, lines = run(data, out)
    torch.testing.assert_close(torch.get_rng_state(), before)  # nobody's generator is seeded or used
    return trainer, lines, out


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(unbroken, data, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    steps = Trainer.train_step

    def killed_at_the_fourth(self):
        if self.step == 3:  # one step after the last checkpoint
            raise Killed
        return steps(self)

    monkeypatch.setattr(Trainer, "train_step", killed_at_the_fourth)
    with pytest.raises(Killed):
        run(data, tmp_path)
    monkeypatch.undo()
    trainer = Trainer(config(), data, tmp_path)
    assert trainer.step == 2
    trainer.run(lambda line: None)
    expected = unbroken[0]
    for name, value in expected.model.state_dict().items():
        assert torch.equal(trainer.model.state_dict()[name], value), name
        assert torch.equal(trainer.ema[name], expected.ema[name]), name
    files = [folder / "tiny.safetensors" for folder in (tmp_path, unbroken[2])]
    assert read_header(files[0]) == read_header(files[1])
    weights = [load_file(f) for f in files]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_weights_move_and_the_average_follows(unbroken, data, tmp_path):
    fresh = Trainer(config(), data, tmp_path).model.state_dict()
    trained = unbroken[0].model.state_dict()
    moved = [n for n in trained if n.endswith("weight") and not torch.equal(fresh[n], trained[n])]
    assert "network.head.weight" in moved
    ema = unbroken[0].ema["network.head.weight"]
    assert 0 < float(ema.abs().max()) <= float(trained["network.head.weight"].abs().max()) + 1e-6


def test_log_has_a_line_for_every_save(unbroken):
    _, lines, out = unbroken
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert rows == [json.loads(line) for line in lines]
    assert [r["step"] for r in rows] == [2, 4]
    assert all(math.isfinite(r["loss"]) and r["learning_rate"] > 0 for r in rows)


def test_what_it_leaves_is_a_prior_and_nothing_half_written(unbroken):
    out = unbroken[2]
    assert sorted(p.name for p in out.iterdir()) == ["checkpoint.pt", "log.jsonl", "tiny.safetensors"]
    info = load_prior(str(out / "tiny.safetensors")).info
    assert (info.name, info.sigma_data, info.licence, info.trained_on) == ("tiny", 0.25, "CC0", "blobs")
    assert info.extra["steps"] == STEPS
    ema = {k.removeprefix("network."): v.half() for k, v in unbroken[0].ema.items()}
    for name, value in load_file(out / "tiny.safetensors").items():
        assert torch.equal(value, ema[name])


def test_a_write_that_fails_leaves_the_old_checkpoint(data, tmp_path, monkeypatch):
    trainer, _ = run(data, tmp_path, steps=2)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full_disk(state, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        trainer.save()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_finished_run_is_not_trained_further(unbroken, data):
    trainer = Trainer(config(), data, unbroken[2])
    trainer.run(lambda line: pytest.fail("it saved again"))
    assert trainer.step == STEPS


def test_training_can_start_from_a_prior(unbroken, data, tmp_path):
    start = unbroken[0].out / "tiny.safetensors"
    trainer = Trainer(config(initial=str(start)), data, tmp_path)
    theirs = load_file(start)
    for name, weights in trainer.model.network.state_dict().items():
        torch.testing.assert_close(weights, theirs[name].float(), rtol=0, atol=0)
        torch.testing.assert_close(trainer.ema[f"network.{name}"], weights, rtol=0, atol=0)
    trainer.run(lambda line: None)
    assert json.loads(read_header(tmp_path / "tiny.safetensors")["info"])["steps"] == 2 * STEPS


def test_training_refuses_to_start_from_another_network(unbroken, data, tmp_path):
    start = str(unbroken[0].out / "tiny.safetensors")
    with pytest.raises(InvalidInput, match=r"initial = .*tiny.*\[8, 16\].*\[16, 16\]"):
        Trainer(config(initial=start, widths=(16, 16)), data, tmp_path)
    with pytest.raises(InvalidInput, match="no prior 'nobody'"):
        Trainer(config(initial="nobody"), data, tmp_path)


def test_training_brings_the_loss_down(data, tmp_path):
    """On one noise level and one file, from the linear denoiser that a fresh network is."""
    fields = {"train": [{"path": "bytes.npz"}], "p_mean": -1.0, "p_std": 0.01, "complex_fraction": 0.0}
    fields |= {"views": [{"size": 32, "batch": 4}], "learning_rate": 3e-3}
    trainer = Trainer(config(steps=60, save_every=1000, warmup=1, **fields), data, tmp_path)
    losses = [trainer.train_step() for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_every_step_sees_other_images(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "napari_lossguide.priors.train.random_views", lambda *a: seen.append(random_views(*a)) or seen[-1]
    )
    trainer = Trainer(config(), data, tmp_path)
    trainer.train_step(), trainer.train_step()
    assert not torch.equal(seen[0], seen[1])


def test_a_loss_that_is_not_finite_ends_the_run(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "train_step", lambda self: math.nan)
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        run(data, tmp_path)


def test_learning_rate_warms_up_and_falls_to_a_hundredth(data, tmp_path):
    trainer = Trainer(config(steps=1000, warmup=10, learning_rate=1.0), data, tmp_path)
    rates = []
    for trainer.step in (0, 4, 9, 500, 1000):
        rates.append(trainer.learning_rate())
    assert rates == pytest.approx([0.1, 0.5, 1.0, 0.505, 0.01], rel=1e-3)
    trainer.step, trainer.seconds = 20, 60 * trainer.config.minutes
    assert trainer.progress() == pytest.approx(0.02)  # no time budget


def test_time_budget_counts_over_resumed_parts(data, tmp_path):
    trainer = Trainer(config(minutes=1), data, tmp_path)
    trainer.seconds = 61
    trainer.save()
    assert Trainer(config(minutes=1), data, tmp_path).progress() == 1


def test_slices_have_their_reference_quantile_at_one_and_empty_ones_are_dropped(tmp_path):
    images = np.random.default_rng(0).random((3, 32, 32)) * np.array([1, 50, 1e-3])[:, None, None]
    np.savez(tmp_path / "a.npz", images=images)
    slices = load_slices(tmp_path / "a.npz")
    assert slices.shape == (2, 1, 32, 32) and slices.dtype == torch.float16
    quantile = slices.flatten(1).float().quantile(REFERENCE_QUANTILE, dim=1)
    torch.testing.assert_close(quantile, torch.ones(2), atol=2e-3, rtol=0)


def test_files_are_drawn_by_their_share_and_not_by_their_length(data):
    pool = SlicePool([SliceFile(path="bytes.npz", share=3), SliceFile(path="floats.npz")], data)
    pool.sets[0].images[:], pool.sets[1].images[:] = 0.0, 1.0
    drawn = pool.draw(2000, torch.Generator().manual_seed(0)).mean((1, 2, 3))
    assert float(drawn.mean()) == pytest.approx(1 / 4, abs=0.03)


def test_views_of_real_images_have_no_imaginary_part_and_all_come_from_the_given_generator(data):
    slices = load_slices(data / "bytes.npz").float()
    for fraction in (0.0, 1.0):
        aug = Augmentation(size=32, complex_fraction=fraction)
        views = random_views(slices, aug, torch.Generator().manual_seed(3))
        assert views.shape == (6, 2, 32, 32)
        assert bool(views[:, 1].any()) == bool(fraction)
        before = torch.get_rng_state()
        torch.testing.assert_close(random_views(slices, aug, torch.Generator().manual_seed(3)), views, atol=0, rtol=0)
        assert torch.equal(torch.get_rng_state(), before)
    assert float(random_views(slices, Augmentation(size=32, complex_fraction=0), torch.Generator()).min()) >= 0


def test_validation_of_an_untrained_network_is_that_of_the_linear_denoiser(data, tmp_path):
    """D = c_skip x: what is left is c_skip sigma in one channel of a real image and in two of a complex one."""
    _, lines = run(data, tmp_path, validation=["bytes.npz"], steps=1, learning_rate=1e-9)
    scores = json.loads(lines[-1])["validation"]
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
    with pytest.raises(ValueError, match=wrong.split()[0]):
        TrainConfig.read(path)
