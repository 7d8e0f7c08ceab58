"""Several processes train as one does: same weights up to rounding, one log, one prior."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_lossguide.priors.training import processes
from napari_lossguide.priors.training.config import TrainConfig
from napari_lossguide.priors.training.data import Keys, Samples, open_data
from napari_lossguide.priors.training.processes import Processes
from napari_lossguide.priors.training.state import load_checkpoint
from napari_lossguide.priors.training.trainer import Trainer
from napari_lossguide.types import InvalidInput

CONFIG = {
    "name": "tiny",
    "train": [{"path": "a.npz"}],
    "validation": ["a.npz"],
    "widths": [8, 8],
    "heads": 1,
    "steps": 6,
    "warmup": 1,
    "learning_rate": 1e-3,
    "precision": "fp32",
    "ema_halflives": [4.0],
    "log_every": 2,
    "save_every": 3,
    "validate_every": 4,
    "tensorboard": False,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    np.savez(folder / "a.npz", images=np.random.default_rng(0).random((5, 32, 32)))
    return folder


def alone(data, out, batch, **fields):
    config = TrainConfig(**CONFIG, views=[{"size": 32, "batch": batch}], **fields)
    trainer = Trainer(config, open_data(config, data, out), out)
    trainer.run(lambda row: None)
    return trainer


def rows(out):
    parsed = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(r["step"], r["loss"], r["gradient_norm"], r.get("psnr")) for r in parsed]


def apart(a, b, start):
    """Distance of two states, relative to how far training has moved them.

    Not weight by weight: Adam gives a weight whose gradient is nothing but rounding a step like any other.
    """
    between = sum(float((a[k] - b[k]).square().sum()) for k in b)
    return (between / sum(float((b[k] - start[k]).square().sum()) for k in b)) ** 0.5


def fresh(data, tmp_path):
    """Weights before the first step."""
    config = TrainConfig(**CONFIG)
    return Trainer(config, open_data(config, data, tmp_path / "fresh"), tmp_path / "fresh").model.state_dict()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def together(data, out, batch, count=2):
    """The command in several processes, as a launcher starts them."""
    config = out.parent / "config.json.toml"
    text = "\n".join(f"{k} = {json.dumps(v)}" for k, v in CONFIG.items() if k != "train")
    config.write_text(f'{text}\n[[train]]\npath = "a.npz"\n[[views]]\nsize = 32\nbatch = {batch}\n')
    argv = [sys.executable, "-m", "napari_lossguide", "train", config, "--data", data, "--out", out, "--device", "cpu"]
    shared = {
        "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    running = [
        subprocess.Popen(
            argv,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    said = [p.communicate(timeout=300) for p in running]
    assert [p.returncode for p in running] == [0] * count, said
    return said


def test_accumulated_passes_are_one_large_batch(data, tmp_path):
    whole = alone(data, tmp_path / "whole", 4)
    parts = alone(data, tmp_path / "parts", 2, accumulate=2)
    half = alone(data, tmp_path / "half", 2)
    states = [t.model.state_dict() for t in (parts, half, whole)]
    assert apart(states[0], states[2], fresh(data, tmp_path)) < 0.02
    assert apart(states[1], states[2], fresh(data, tmp_path)) > 0.2


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(data, tmp_path):
    pytest.importorskip("accelerate", reason="accelerate is not installed: several processes are not tested")
    whole = alone(data, tmp_path / "whole", 4)
    said = together(data, tmp_path / "two", 2)
    state, _ = load_checkpoint(tmp_path / "two", torch.device("cpu"))
    assert state["step"] == 6
    start = fresh(data, tmp_path)
    assert apart(state["model"], whole.model.state_dict(), start) < 0.02
    assert apart(state["averages"][4.0], whole.averages.states[4.0], start) < 0.02
    for one, two in zip(rows(tmp_path / "whole"), rows(tmp_path / "two"), strict=True):
        assert two == pytest.approx(one, abs=2e-3)
    assert "step 6 of 6" in said[0][0] and said[1][0] == ""  # only one talks
    assert (tmp_path / "two" / "tiny.safetensors").exists()


def test_the_samples_of_a_step_are_dealt_without_gap_or_repeat():
    config = TrainConfig(views=[{"size": 32, "batch": 3}], accumulate=2, steps=2)
    samples = Samples(config, [], [])
    dealt = []
    for rank in range(2):
        p = Processes()
        p.rank, p.count = rank, 2
        dealt += [key for batch in Keys(samples, 1, p) for key in batch]
    assert sorted(dealt) == [(1, k) for k in range(12)]


def test_without_accelerate_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(InvalidInput, match=r"in 2 processes needs accelerate: pip install 'napari-lossguide\[train\]'"):
        processes.Processes()


def test_workers_draw_the_same_samples(data, tmp_path):
    here = alone(data, tmp_path / "here", 2)
    elsewhere = alone(data, tmp_path / "elsewhere", 2, workers=2)
    assert all(torch.equal(a, b) for a, b in zip(here.model.parameters(), elsewhere.model.parameters(), strict=True))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_short_floats_train_and_resume_as_if_unbroken(data, tmp_path, precision):
    config = CONFIG | {"precision": precision}
    views = [{"size": 32, "batch": 2}]
    outs = {}
    for name, stops in {"whole": (6,), "parts": (3, 6)}.items():
        for steps in stops:
            c = TrainConfig(**(config | {"steps": 6, "views": views}))
            trainer = Trainer(c, open_data(c, data, tmp_path / name), tmp_path / name)
            agree = trainer.processes.agree

            def stop(seconds, trainer=trainer, steps=steps, agree=agree):
                if trainer.step > steps:
                    raise KeyboardInterrupt
                return agree(seconds)

            trainer.processes.agree = stop
            try:
                trainer.run(lambda row: None)
            except KeyboardInterrupt:
                assert steps == 3
            outs[name] = trainer
    assert outs["parts"].step == 6
    for a, b in zip(outs["whole"].model.parameters(), outs["parts"].model.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.isfinite(a).all()
