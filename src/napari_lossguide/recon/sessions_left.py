"""What programs that have ended left in the autosave folder: looked for, taken over, discarded, tidied up."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from napari_lossguide.recon.autosave import Keeping, Session
from napari_lossguide.recon.restore import Restored, restore
from napari_lossguide.recon.session_folder import (
    ENDED,
    LOCK,
    RUNNING,
    Unknowable,
    acquire,
    claimed,
    files_of,
    folders,
    size_of,
    time_of,
)
from napari_lossguide.types import InvalidInput

DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Left:
    """A session whose program has ended.

    Attributes
    ----------
    path : its folder.
    when : of its newest file.
    results : files, the oldest first.
    unfinished : recipes of runs that had not ended.
    clean : the program came to a regular end, or the session was discarded.
    """

    path: Path
    when: datetime
    results: tuple[Path, ...]
    unfinished: tuple[Path, ...]
    clean: bool

    @property
    def size(self) -> int:
        """Bytes of its results."""
        return sum(size_of(path) for path in self.results)


def sessions_left(root: Path, *, crashed: bool = True) -> list[Left]:
    """Sessions of programs that have ended and left something, the oldest first; never those of a living program.

    Parameters
    ----------
    root : `Keeping.root`.
    crashed : only those without a clean end.
    """
    found = []
    for folder in folders(root):
        with claimed(folder) as mine:
            if not mine:
                continue
            clean, files = (folder / ENDED).exists(), files_of(folder)
            results = tuple(path for path in files if path.suffix == ".npz")
            unfinished = tuple(path for path in files if path.name.endswith(RUNNING))
            if (results or unfinished) and not (clean and crashed):
                when = datetime.fromtimestamp(max(time_of(path) for path in files)).astimezone()
                found.append(Left(folder, when, results, unfinished, clean))
    return sorted(found, key=lambda left: left.when)


def unknowable(root: Path) -> str:
    """A sentence on sessions that may be of a living program or of a crash: their folders let nobody lock them.

    They are never offered, for a living program might lose them. Empty if there are none.
    """
    reasons = []
    for folder in folders(root):
        try:
            if files_of(folder):
                acquire(folder).release()
        except Unknowable as error:
            reasons.append(str(error))
        except OSError:
            continue  # its program lives
    if not reasons:
        return ""
    return (
        f"Autosaved results in {root} are not offered: that folder cannot be locked ({reasons[0]}), so nobody can tell "
        "a crash from a napari that still runs. Open the .npz files there by hand, or choose another folder in the "
        "preferences."
    )


def discard(left: Left) -> bool:
    """Do not offer a session again; it stays as long as one with a clean end. False if another program has it.

    Raises
    ------
    InvalidInput
        If that cannot be written.
    """
    with claimed(left.path) as mine:
        if mine:
            try:
                (left.path / ENDED).touch()
            except OSError as error:
                raise InvalidInput(
                    f"{left.path} cannot be written ({error.strerror or error}); what is in it will be offered again."
                ) from error
        return mine


def tidy(keeping: Keeping) -> None:
    """Remove sessions that ended cleanly so many days ago, and empty ones of a day ago."""
    for folder in folders(keeping.root()):
        with claimed(folder) as mine:
            mark = folder / ENDED
            old = mark.exists() and time.time() - time_of(mark) > keeping.days * DAY
            empty = not files_of(folder) and time.time() - time_of(folder) > DAY
            remove = mine and (old or empty)
            if remove:
                for path in folder.iterdir():
                    if path.name != LOCK:
                        with contextlib.suppress(OSError):
                            path.unlink(missing_ok=True)
        if remove:
            shutil.rmtree(folder, ignore_errors=True)


def restore_all(left: list[Left], session: Session) -> tuple[list[Restored], list[str]]:
    """Take sessions over and read their results; and a sentence on each that could not be read."""
    found, problems = [], []
    for one in left:
        if not session.take(one.path):
            problems.append(f"Another napari has taken the results of {one.when:%d %b, %H:%M}.")
            continue
        for path in one.results:
            try:
                found.append(restore(path))
            except InvalidInput as error:
                problems.append(str(error))
    return found, problems


def read_unfinished(path: Path) -> tuple[str, str]:
    """The recipe of a run that had not ended, as JSON, and the run's name.

    Raises
    ------
    InvalidInput
        If the file cannot be read.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return json.dumps(facts["recipe"]), str(facts["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"The recipe of the unfinished run, {path}, cannot be read: {error}.") from error
