"""Train in child processes that are killed by SIGKILL at random moments, over and over, until one comes to its end.

    python kills.py DATA OUT CONFIG.json KILLS SEED

Prints how many died while a checkpoint was being written. The children are forked, so that PyTorch is loaded once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # which the optimiser loads on first use: once, before the forks

from napari_lossguide.priors.training import state as train_state
from napari_lossguide.priors.training.config import TrainConfig
from napari_lossguide.priors.training.data import open_data
from napari_lossguide.priors.training.trainer import Trainer


def train(data: Path, out: Path, config: dict, slow_disk: bool) -> None:
    """Train to the end, or until killed."""
    if slow_disk:
        write = train_state.HashingFile.write

        def slowly(self, chunk):
            time.sleep(0.0004)
            return write(self, chunk)

        train_state.HashingFile.write = slowly
    parsed = TrainConfig(**config)
    Trainer(parsed, open_data(parsed, data, out), out).run(lambda row: None)


def start(*args) -> int:
    """Fork a child that trains."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            train(*args)
            code = 0
        finally:
            os._exit(code)
    return pid


def latest(out: Path) -> int:
    """Step of the newest checkpoint."""
    try:
        found = train_state.checkpoints(out)
    except FileNotFoundError:  # the training, another process, removed an old one between listing and looking
        return 0
    return train_state.step_of(found[0]) if found else 0


def wait_for(pid: int, event) -> None:
    """Until it happens; the child must live until then."""
    end = time.monotonic() + 300
    while not event():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the training ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.0005)


def main() -> None:
    """Kill so many, then let one live."""
    data, out, config = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
    kills, rng = int(sys.argv[4]), random.Random(int(sys.argv[5]))
    torch.set_num_threads(1)
    out.mkdir(exist_ok=True)
    in_write = 0
    for k in range(kills):
        writing = k % 3 == 0
        goal = latest(out) + config["save_every"] * rng.choice([0, 0, 1])
        pid = start(data, out, config, writing)
        wait_for(pid, lambda goal=goal: latest(out) >= goal)
        if writing:
            wait_for(pid, (out / train_state.PART).exists)
        time.sleep(rng.uniform(0, 0.02 if writing else 0.15))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "the training ended before it was killed"
        in_write += (out / train_state.PART).exists()
    pid = start(data, out, config, False)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    print(in_write)


if __name__ == "__main__":
    main()
