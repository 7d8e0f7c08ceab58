"""A training that is killed at any moment ends as one that was left alone; damaged checkpoints are passed over."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_lossguide.priors.load import FORMAT
from napari_lossguide.priors.training.config import TrainConfig
from napari_lossguide.priors.training.data import open_data
from napari_lossguide.priors.training.state import PART, checkpoints, load_checkpoint, save_checkpoint, step_of
from napari_lossguide.priors.training.trainer import Trainer
from napari_lossguide.priors.weights import read_header
from napari_lossguide.types import InvalidInput

KILLS = 20
CONFIG = {
    "name": "tiny",
    "train": [{"path": "a.npz"}],
    "validation": ["a.npz"],
    "widths": [8, 8],
    "heads": 1,
    "steps": 96,
    "warmup": 4,
    "views": [{"size": 32, "batch": 2}],
    "precision": "fp32",
    "ema_halflives": [4.0, 50.0],
    "log_every": 3,
    "save_every": 2,
    "validate_every": 16,
    "tensorboard": False,
}
WALL_CLOCK = ("minutes", "minutes_left")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    np.savez(folder / "a.npz", images=np.random.default_rng(0).random((3, 32, 32)))
    return folder


def training(data, out, **fields):
    config = TrainConfig(**(CONFIG | fields))
    return Trainer(config, open_data(config, data, out), out)


def rows(out):
    parsed = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in WALL_CLOCK} for row in parsed]


def equal(a, b):
    """Whether two nested states are the same bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@contextmanager
def one_thread():
    """As the killed ones run: sums over several threads may differ in the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork: kills are not tested")
def test_twenty_kills_change_nothing(data, tmp_path):
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    with one_thread():
        training(data, unbroken).run(lambda row: None)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    command = [sys.executable, Path(__file__).with_name("kills.py"), data, killed, config, str(KILLS), "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3  # so many died in the middle of a checkpoint

    assert rows(killed) == rows(unbroken)
    assert [r["step"] for r in rows(killed)] == sorted({*range(3, 97, 3), *range(16, 97, 16)})
    (a, notes), (b, _) = load_checkpoint(killed, CPU), load_checkpoint(unbroken, CPU)
    assert notes == [] and a["step"] == 96
    for wall_clock in ("seconds", "log_size"):
        del a[wall_clock], b[wall_clock]
    assert equal(a, b)
    priors = [folder / "tiny.safetensors" for folder in (killed, unbroken)]
    assert equal(*map(load_file, priors)) and read_header(priors[0], FORMAT) == read_header(priors[1], FORMAT)


def damage(path, how):
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize("how", ["cut", "empty", "one bit"])
def test_a_damaged_checkpoint_is_passed_over_and_named(data, tmp_path, how):
    training(data, tmp_path, steps=4).run(lambda row: None)
    expected = load_checkpoint(tmp_path, CPU)[0]
    log = rows(tmp_path)
    newest = checkpoints(tmp_path)[0]
    damage(newest, how)
    trainer = training(data, tmp_path, steps=4)
    assert trainer.step == 2
    assert trainer.notes[0].startswith(f"The checkpoint {newest.name} is damaged")
    assert trainer.notes[1] == "Going on from step 2."
    trainer.run(lambda row: None)
    assert equal(load_checkpoint(tmp_path, CPU)[0]["model"], expected["model"])
    assert rows(tmp_path) == log
    assert [step_of(p) for p in checkpoints(tmp_path)] == [4, 2]


def test_without_a_whole_checkpoint_it_starts_again_and_says_so(data, tmp_path):
    training(data, tmp_path, steps=2).run(lambda row: None)
    for path in checkpoints(tmp_path):
        damage(path, "cut")
    trainer = training(data, tmp_path, steps=2)
    assert trainer.step == 0
    assert "no whole one is left: starting again" in trainer.notes[-1]


def test_a_half_written_checkpoint_is_not_looked_at(tmp_path):
    save_checkpoint(tmp_path, 1, {"step": 1})
    (tmp_path / PART).write_bytes(b"half")
    assert load_checkpoint(tmp_path, CPU) == ({"step": 1}, [])


def test_the_newest_two_are_kept(tmp_path):
    for step in range(1, 5):
        save_checkpoint(tmp_path, step, {"step": step})
    assert [step_of(p) for p in checkpoints(tmp_path)] == [4, 3]


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (exit, ("unpickled",))

    save_checkpoint(tmp_path, 1, {"step": 1})
    save_checkpoint(tmp_path, 2, {"bomb": Bomb()})
    state, notes = load_checkpoint(tmp_path, CPU)
    assert state == {"step": 1} and "checkpoint-00000002" in notes[0]


def test_the_means_of_a_row_survive_a_kill_between_rows(data, tmp_path):
    """The window of a row, three steps, is longer than the two between checkpoints."""
    training(data, tmp_path / "whole", steps=9).run(lambda row: None)
    trainer = training(data, tmp_path / "cut", steps=9)
    trainer.processes.agree = lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt) if trainer.step == 5 else seconds
    with pytest.raises(KeyboardInterrupt):
        trainer.run(lambda row: None)
    again = training(data, tmp_path / "cut", steps=9)
    assert again.step == 4 and again.window.steps == 1
    again.run(lambda row: None)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_another_network_in_the_folder_is_refused(data, tmp_path):
    training(data, tmp_path, steps=2).run(lambda row: None)
    with pytest.raises(InvalidInput, match="has other widths, ema_halflives than this configuration"):
        training(data, tmp_path, widths=[8, 16], ema_halflives=[4.0])
    assert training(data, tmp_path, steps=4).step == 2  # more steps are welcome
