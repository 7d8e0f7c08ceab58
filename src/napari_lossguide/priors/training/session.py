"""A whole training, from a folder of scans to a prior: what ``lossguide train`` does, for Python too."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from napari_lossguide.data.training.cache import Progress, silent
from napari_lossguide.data.training.report import contact_sheet, data_report
from napari_lossguide.data.training.report import in_words as report_in_words
from napari_lossguide.priors.training.config import TrainConfig, preset_path
from napari_lossguide.priors.training.data import TrainingData, open_data
from napari_lossguide.priors.training.processes import Processes
from napari_lossguide.priors.training.trainer import Row, Trainer
from napari_lossguide.types import InvalidInput


def train(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    preset: str = "cpu",
    *,
    config: TrainConfig | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = print,
    report: Callable[[Row], None] = lambda _: None,
    **settings: Any,
) -> Path:
    """Train a prior on a folder of scans; called again, it goes on where it was interrupted.

    Parameters
    ----------
    data, out : folder of scans, folder of the training.
    preset : configuration in the package, unless ``config`` is given.
    say : takes what a person should read: the data report, warnings, what was exported.
    report : takes each row of figures.
    **settings : keys of the configuration, as ``steps=2000``.

    Returns
    -------
    The prior's file.

    Raises
    ------
    InvalidInput
        If the configuration, the data or what the folder holds cannot be used.
    """
    if config is None:
        config = TrainConfig.read(preset_path(preset), settings.items())
    with alone(Path(out)):
        trainer, facts = open_training(config, Path(data), Path(out), device)
        if trainer.processes.main:
            for text in (report_in_words(facts), *trainer.notes):
                say(text)
        trainer.run(report)
        if trainer.processes.main:
            say(trainer.summary())
    return trainer.path


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other trainings out of a folder while one is at work in it; a kill gives it free.

    Raises
    ------
    InvalidInput
        If there is one, the folder cannot be made, or its disk is full.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(out / ".lock")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if os.environ.get("RANK", "0") == "0":
            lock.acquire(blocking=False)
        yield
    except Timeout as error:
        raise InvalidInput(f"Another training is at work in {out}.") from error
    except OSError as error:
        raise InvalidInput(
            f"--out {out} cannot be written: {error.strerror or error}; what is there is whole, and the same command "
            "goes on."
        ) from error
    finally:
        lock.release()


def open_training(
    config: TrainConfig, data: Path, out: Path, device: str = "cpu", progress: Progress = silent
) -> tuple[Trainer, dict[str, Any]]:
    """Read the data, report on them in ``out``, and be ready to train.

    Returns
    -------
    The trainer and the data report, which is also in ``report.json``, ``report.txt`` and ``contact_sheet.png``.
    """
    out.mkdir(parents=True, exist_ok=True)
    processes = Processes(device)
    if not processes.main:
        processes.wait()  # the main process makes the cache, the others find it made
    slices = open_data(config, data, out, progress)
    if processes.main:
        processes.wait()
    trainer = Trainer(config, slices, out, processes)
    trainer.notes[:0] = slices.changes
    return trainer, write_report(trainer, slices) if processes.main else {}


def write_report(trainer: Trainer, data: TrainingData) -> dict[str, Any]:
    """Report on the data, the time and the memory."""
    facts = data_report(data.cache, min(v.size for v in trainer.config.views))
    facts["estimate"] = estimate(trainer)
    for name, text in (("report.json", json.dumps(facts, indent=1)), ("report.txt", report_in_words(facts) + "\n")):
        part = trainer.out / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(trainer.out / name)
    contact_sheet(data.cache, trainer.out / "contact_sheet.png")
    return facts


def estimate(trainer: Trainer) -> dict[str, str]:
    """How long it will take and how much memory, from one pass of each size, forth and back, on a copy of the model."""
    config, device = trainer.config, trainer.device
    other = copy.copy(trainer)
    other.wrapped = copy.deepcopy(trainer.model)
    seconds, shares = 0.0, sum(v.share for v in config.views)
    for view in config.views:
        batch = torch.zeros((view.batch, 2, view.size, view.size)), torch.ones(view.batch)
        for warm in (False, True):  # the first pass also pays for what is made once
            start = time.perf_counter()
            other.losses(batch[0], batch[0], batch[1]).mean().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if warm:
                seconds += config.accumulate * (time.perf_counter() - start) * view.share / shares
    left = (config.steps - trainer.step) * seconds / 60
    budget = config.minutes - trainer.seconds / 60
    weights = sum(p.numel() for p in trainer.model.parameters())
    time_text = f"about {max(1, math.ceil(min(left, budget)))} min: {seconds:.2g} s a step"
    if budget < left:
        time_text += f", {budget * 60 / seconds:.0f} of {config.steps} steps in the budget of {config.minutes:g} min"
    return {
        "network": f"{weights / 1e6:.2g} million weights, {weights * 2 / 1e6:.2g} MB as a prior",
        "time": time_text,
        "memory": memory(device),
    }


def memory(device: torch.device) -> str:
    """Most memory used so far, in words."""
    if device.type == "cuda":
        return f"about {torch.cuda.max_memory_allocated(device) / 1e9:.1f} GB on the GPU"
    try:
        import resource
    except ImportError:  # Windows
        return "unknown"
    unit = 1 if sys.platform == "darwin" else 1024
    return f"about {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.1f} GB"
