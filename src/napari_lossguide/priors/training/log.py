"""What a training says of itself: sums since the last row, ``log.jsonl``, TensorBoard, a line for a person."""

from __future__ import annotations

import bisect
import importlib.util
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SIGMA_EDGES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SIGMA_BINS = ["< 0.02", *(f"{a:g}-{b:g}" for a, b in itertools.pairwise(SIGMA_EDGES)), "> 2"]


class Window:
    """Sums over the steps since the last row. They are part of a checkpoint, so that a kill does not change a mean."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self.steps: int = state.get("steps", 0)
        self.norm: float = state.get("norm", 0.0)
        self.sums: list[float] = list(state.get("sums", [0.0] * len(SIGMA_BINS)))
        self.counts: list[int] = list(state.get("counts", [0] * len(SIGMA_BINS)))

    def add(self, losses: Sequence[float], sigmas: Sequence[float], norm: float) -> None:
        """Take in one step: weighted loss and noise level of each image, norm of the gradient."""
        self.steps += 1
        self.norm += norm
        for loss, sigma in zip(losses, sigmas, strict=True):
            k = bisect.bisect(SIGMA_EDGES, sigma)
            self.sums[k] += loss
            self.counts[k] += 1

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"steps": self.steps, "norm": self.norm, "sums": list(self.sums), "counts": list(self.counts)}

    def row(self) -> dict[str, Any]:
        """Means."""
        by_sigma = {
            name: round(s / n, 4) for name, s, n in zip(SIGMA_BINS, self.sums, self.counts, strict=True) if n > 0
        }
        return {
            "loss": round(sum(self.sums) / max(1, sum(self.counts)), 4),
            "gradient_norm": round(self.norm / max(1, self.steps), 4),
            "loss_by_sigma": by_sigma,
        }


class LogFile:
    """One JSON object a line. What was written after the checkpoint that a run continues from is cut off.

    Parameters
    ----------
    path : the file.
    size : bytes of it that belong to the checkpoint.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        with open(path, "ab") as f:
            f.truncate(min(size, f.tell()))

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row through to the disk, so that no checkpoint knows of a row that is lost."""
        with open(self.path, "ab") as f:
            f.write(json.dumps(row).encode() + b"\n")
            f.flush()
            os.fsync(f.fileno())


def has_tensorboard() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec("tensorboard") is not None


class Board:
    """Curves and pictures for TensorBoard, in ``tensorboard`` of the training's folder.

    Parameters
    ----------
    folder : of the training.
    step : rows from here on replace those of a killed run.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def add(self, row: Mapping[str, Any]) -> None:
        """The numbers of a row."""
        step = row["step"]
        for key in ("loss", "learning_rate", "gradient_norm"):
            self.writer.add_scalar(key, row[key], step)
        for name, value in row["loss_by_sigma"].items():
            self.writer.add_scalar(f"loss at sigma/{name}", value, step)
        for halflife, scores in row.get("validation", {}).items():
            for name, value in scores.items():
                self.writer.add_scalar(f"validation PSNR, half-life {halflife}/{name}", value, step)
        self.writer.flush()

    def picture(self, image: np.ndarray, step: int) -> None:
        """Samples, float (ny, nx) on [0, 1]."""
        self.writer.add_image("samples", image, step, dataformats="HW")


def in_words(row: Mapping[str, Any]) -> str:
    """A row as a line of text."""
    left = row["minutes_left"]
    parts = [
        f"step {row['step']} of {row['steps']}",
        in_time(left),
        f"loss {row['loss']:.4f}",
        f"learning rate {row['learning_rate']:.2g}",
    ]
    if "psnr" in row:
        parts.append(f"validation PSNR {row['psnr']:.2f} dB (half-life {row['halflife']:g})")
    return "   ".join(parts)


def in_time(minutes: float) -> str:
    """What is left, in words."""
    if minutes == 0:
        return "done"
    if minutes < 1:
        return "under 1 min left"
    return f"{minutes:.0f} min left" if minutes < 120 else f"{minutes / 60:.1f} h left"
