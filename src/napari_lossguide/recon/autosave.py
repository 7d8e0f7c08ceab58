"""Results that are written without being asked for: where, under which name, and which old ones go."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Protocol

from napari_lossguide.data.file_names import safe_name
from napari_lossguide.types import InvalidInput

STAMP = "%Y-%m-%d %H.%M.%S"
OURS = re.compile(r"\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d .+\.npz")


class Saves(Protocol):
    """A `Result` or `Samples`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file."""
        ...


def default_folder() -> Path:
    """Where results are kept unless a person has chosen another place."""
    import pooch

    return Path(pooch.os_cache("napari-lossguide")) / "results"


def keep(result: Saves, name: str, folder: Path, budget: int, now: datetime) -> Path:
    """Write a result, then remove the oldest ones that do not fit any more.

    Parameters
    ----------
    result : its own `save` writes it, whole or not at all.
    name : of its layer.
    folder : is made if it is not there.
    budget : bytes of all results in the folder; the newest stays, however large.
    now : names the file, and orders the files.

    Raises
    ------
    InvalidInput
        If the folder cannot be made or the file not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"The folder {folder} for results cannot be made: {error.strerror or error}.") from error
    path, number = folder / f"{now:{STAMP}} {safe_name(name)}.npz", 1
    while path.exists():
        number += 1
        path = folder / f"{now:{STAMP}} {safe_name(name)} ({number}).npz"
    result.save(path)
    trim(folder, budget, path)
    return path


def trim(folder: Path, budget: int, newest: Path) -> None:
    """Remove the oldest results until the rest fits; files with names of another kind are not touched."""
    results = sorted(p for p in folder.iterdir() if OURS.fullmatch(p.name) and p != newest)
    sizes = {p: p.stat().st_size for p in [*results, newest]}
    total = sum(sizes.values())
    for path in results:
        if total <= budget:
            return
        try:
            path.unlink()
        except OSError:
            continue  # open in another program, which Windows respects; the next run tries again
        total -= sizes[path]
