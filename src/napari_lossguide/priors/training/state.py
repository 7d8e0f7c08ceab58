"""Checkpoints that survive a kill at any moment: whole and checked, or not there.

A checkpoint is written under a temporary name, flushed to the disk, and then gets the name
``checkpoint-STEP-DIGEST.pt``, whose digest is that of its bytes. So a file of that name is complete, and damage that
came later shows. The one before it is kept.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import torch

NAME = re.compile(r"checkpoint-(\d+)-([0-9a-f]{16})\.pt")
PART = "checkpoint.part"
KEPT = 2


class HashingFile:
    """A file to write to that knows the SHA-256 of what went through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.sha256.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self.file.flush()


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint, then drop those older than the one before it.

    Parameters
    ----------
    folder : of the training.
    step : steps done.
    state : tensors, numbers and texts, nested.

    Raises
    ------
    OSError
        If it cannot be written; the old ones are still there then.
    """
    part = folder / PART
    try:
        with open(part, "wb") as f:
            writer = HashingFile(f)
            torch.save(state, writer)
            f.flush()
            os.fsync(f.fileno())
        path = folder / f"checkpoint-{step:08d}-{writer.sha256.hexdigest()[:16]}.pt"
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    flush_folder(folder)
    earlier = [p for p in checkpoints(folder) if step_of(p) < step]
    for old in set(checkpoints(folder)) - {path, *earlier[: KEPT - 1]}:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path, device: torch.device) -> tuple[dict[str, Any] | None, list[str]]:
    """Read the newest checkpoint that is whole; no code in it is run.

    Returns
    -------
    Its state, or None if there is none; and a sentence about each that had to be passed over.
    """
    notes: list[str] = []
    for path in checkpoints(folder):
        try:
            with open(path, "rb") as f:
                digest = hashlib.file_digest(f, "sha256").hexdigest()[:16]
            if digest == path.stem.rpartition("-")[2]:
                return torch.load(path, map_location=device, weights_only=True), notes
            reason = "its bytes have another checksum than its name"
        except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
            reason = " ".join(str(error).split())[:200]
        notes.append(f"The checkpoint {path.name} is damaged ({reason}); going on from the one before it.")
    if notes:
        notes[-1] = notes[-1].replace("going on from the one before it", "no whole one is left: starting again")
    return None, notes


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints in a folder, newest first."""
    found = [p for p in folder.iterdir() if NAME.fullmatch(p.name)]
    return sorted(found, key=lambda p: (step_of(p), p.stat().st_mtime_ns), reverse=True)


def step_of(path: Path) -> int:
    """Step in a checkpoint's name."""
    return int(path.name.split("-")[1])


def flush_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
