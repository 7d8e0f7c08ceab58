"""What a training says: rows, bins, text, TensorBoard; what is exported."""

import json
import math
import sys

import numpy as np
import pytest
import torch

from napari_lossguide.priors.load import prior_info
from napari_lossguide.priors.precond import EDMPrecond
from napari_lossguide.priors.training import log as train_log
from napari_lossguide.priors.training.average import Averages
from napari_lossguide.priors.training.config import TrainConfig
from napari_lossguide.priors.training.data import open_data
from napari_lossguide.priors.training.export import Choice, choose
from napari_lossguide.priors.training.log import SIGMA_BINS, LogFile, Window, in_words
from napari_lossguide.priors.training.trainer import Trainer
from napari_lossguide.priors.training.validate import denoising_psnr, evenly, sample_grid

ROW = {"step": 40, "steps": 200, "minutes_left": 75.2, "loss": 0.123456, "learning_rate": 1.2e-3}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    np.savez(folder / "a.npz", images=np.random.default_rng(0).random((5, 32, 32)))
    return folder


def trainer(data, out, **fields):
    values = {
        "name": "tiny",
        "train": [{"path": "a.npz"}],
        "validation": ["a.npz"],
        "widths": [8, 8],
        "heads": 1,
        "steps": 4,
        "warmup": 1,
        "views": [{"size": 32, "batch": 2}],
        "ema_halflives": [1.0, 1000.0],
        "log_every": 2,
        "validate_every": 2,
        "tensorboard": False,
    }
    config = TrainConfig(**(values | fields))
    return Trainer(config, open_data(config, data, out), out)


def test_means_are_over_images_and_bins_over_their_noise_levels():
    window = Window()
    window.add([1.0, 3.0], [0.01, 0.3], 2.0)
    window.add([5.0], [5.0], 4.0)
    row = Window(json.loads(json.dumps(window.state()))).row()
    assert row == {"loss": 3.0, "gradient_norm": 3.0, "loss_by_sigma": {"< 0.02": 1.0, "0.2-0.5": 3.0, "> 2": 5.0}}
    assert len(SIGMA_BINS) == 8


def test_a_log_is_cut_to_what_the_checkpoint_knows(tmp_path):
    path = tmp_path / "log.jsonl"
    log = LogFile(path)
    log.append({"step": 1})
    size = log.size
    log.append({"step": 2})
    with open(path, "ab") as f:
        f.write(b'{"step": 3, "lo')
    LogFile(path, size).append({"step": 2})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"step": 1}, {"step": 2}]
    assert LogFile(path, 10_000).size == path.stat().st_size == 24  # never made longer


@pytest.mark.parametrize(
    ("minutes", "left"), [(0, "done"), (0.4, "under 1 min left"), (75.2, "75 min left"), (300, "5.0 h left")]
)
def test_a_row_in_words(minutes, left):
    text = in_words(ROW | {"minutes_left": minutes})
    assert text == f"step 40 of 200   {left}   loss 0.1235   learning rate 0.0012"
    assert in_words(ROW | {"psnr": 31.456, "halflife": 300.0}).endswith("validation PSNR 31.46 dB (half-life 300)")


def test_rows_hold_the_validation_of_every_average(data, tmp_path):
    rows = []
    t = trainer(data, tmp_path / "out")
    t.run(rows.append)
    assert [r["step"] for r in rows] == [2, 4]
    assert set(rows[-1]["validation"]) == {"1", "1000"}
    means = {h: np.mean(list(s.values())) for h, s in rows[-1]["validation"].items()}
    assert rows[-1]["psnr"] == pytest.approx(max(means.values()), abs=1e-3)
    assert rows[0]["minutes_left"] >= 0 and rows[-1]["minutes_left"] == 0
    assert sum(rows[0]["loss_by_sigma"].values()) > 0


def test_the_best_average_is_exported_and_a_worse_one_later_is_not(data, tmp_path, monkeypatch):
    scores = iter([{1.0: {"a": 20.0}, 1000.0: {"a": 25.0}}, {1.0: {"a": 24.0}, 1000.0: {"a": 23.0}}])
    monkeypatch.setattr(Trainer, "validate", lambda self: next(scores))
    t = trainer(data, tmp_path / "out")
    t.run(lambda row: None)
    info = prior_info(tmp_path / "out" / "tiny.safetensors")
    assert (info.extra["ema_halflife"], info.extra["steps"], info.extra["validation_psnr"]) == (1000.0, 2, 25.0)
    assert t.summary().endswith("half-life 1000 at step 2, validation PSNR 25.00 dB, the best so far.")


def test_a_named_average_is_exported_at_the_end_however_it_denoises(data, tmp_path, monkeypatch):
    scores = iter([{1.0: {"a": 20.0}, 1000.0: {"a": 25.0}}, {1.0: {"a": 14.0}, 1000.0: {"a": 23.0}}])
    monkeypatch.setattr(Trainer, "validate", lambda self: next(scores))
    t = trainer(data, tmp_path / "out", export=1.0)
    t.run(lambda row: None)
    info = prior_info(tmp_path / "out" / "tiny.safetensors")
    assert (info.extra["ema_halflife"], info.extra["steps"], info.extra["validation_psnr"]) == (1.0, 4, 14.0)
    assert t.summary().endswith("half-life 1 at step 4, validation PSNR 14.00 dB.")


def test_without_validation_the_longest_average_is_exported():
    config = TrainConfig(ema_halflives=(5.0, 50.0))
    assert choose(config, {5.0: {}, 50.0: {}}, 3) == Choice(50.0, 3, None, False)
    assert not choose(config, {5.0: {}, 50.0: {}}, 4).worse_than(Choice(50.0, 3, None, False))


def test_averages_follow_with_their_half_lives():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
        averages = Averages(model, [10.0, 100.0])
        model.weight.fill_(1.0)
    for _ in range(10):
        averages.update(model, 10_000)  # late: the half-lives are the asked ones
    assert float(averages.states[10.0]["weight"]) == pytest.approx(0.5, abs=1e-3)
    assert float(averages.states[100.0]["weight"]) == pytest.approx(1 - 0.5**0.1, abs=1e-3)
    fresh = Averages(torch.nn.Linear(1, 1, bias=False), [100.0])
    fresh.update(model, 20)  # early: a half-life of one step
    start = float(fresh.states[100.0]["weight"])
    fresh.update(model, 20)
    assert 1 - float(fresh.states[100.0]["weight"]) == pytest.approx((1 - start) / 2, abs=1e-5)


def test_tensorboard_gets_curves_and_samples(data, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: its curves are not tested")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer(data, tmp_path / "out", tensorboard=True).run(lambda row: None)
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    events.Reload()
    scalars = events.Tags()["scalars"]
    assert {"loss", "learning_rate", "gradient_norm"} <= set(scalars)
    assert any(s.startswith("loss at sigma/") for s in scalars)
    assert any(s.startswith("validation PSNR, half-life 1000/real 0.05") for s in scalars)
    assert [e.step for e in events.Scalars("loss")] == [2, 4]
    assert [e.step for e in events.Images("samples")] == [2, 4]


def test_without_tensorboard_a_sentence_says_so_and_training_goes_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr(train_log.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    t = trainer(data, tmp_path / "out", tensorboard=True)
    assert t.notes == ["TensorBoard is not installed (pip install 'napari-lossguide[train]'); see log.jsonl."]
    t.run(lambda row: None)
    assert len((tmp_path / "out" / "log.jsonl").read_text().splitlines()) == 2


class Ideal(torch.nn.Module):
    """The denoiser of white Gaussian images of standard deviation 0.5."""

    def forward(self, x, sigma):
        v = 0.25
        return x * (v / (v + sigma**2))[:, None, None, None]


def test_samples_have_the_spread_of_the_prior():
    grid = sample_grid(Ideal(), 32)
    assert grid.shape == (32, 128) and grid.min() >= 0 and grid.max() <= 1
    clipped = np.minimum(np.random.default_rng(0).rayleigh(0.5, 100_000), 1).mean()
    assert grid.mean() == pytest.approx(clipped, abs=0.03)


def test_denoising_psnr_of_a_denoiser_that_does_nothing_is_that_of_the_noise():
    class Nothing(EDMPrecond):
        def forward(self, x, sigma):
            return x

    slices = [torch.rand((1, n, n), generator=torch.Generator().manual_seed(n)) for n in (64, 48)]
    scores = denoising_psnr(Nothing(torch.nn.Identity(), 0.25), slices, 32)
    for sigma in (0.05, 1.0):
        assert scores[f"real {sigma}"] == pytest.approx(-20 * math.log10(sigma), abs=0.3)
        assert scores[f"complex {sigma}"] == pytest.approx(-20 * math.log10(sigma) - 3.01, abs=0.3)


def test_evenly():
    assert evenly(3, 16) == [0, 1, 2] and evenly(100, 3) == [0, 49, 99]
