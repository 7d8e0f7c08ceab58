"""Finished results on disk, so that a crash loses none: written as they come, found again by the next program.

Each program writes into a session, a folder of its own, and holds the folder's lock as long as it lives; the system
lets go of the lock however the program ends. A session without a lock and without the mark of a clean end is that of a
crash. Files are written beside their name and renamed, so what has its name is whole. Loads neither Qt nor torch.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.writers import write_bytes, write_npz
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.restore import Restored, restore
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from napari_lossguide.recon.result import Result
    from napari_lossguide.recon.samples import Samples

LOCK, ENDED, RUNNING = "lock", "ended", ".running.json"
MINUTE, DAY = 60.0, 86400.0  # seconds


@dataclass(frozen=True)
class Keeping:
    """Whether results are autosaved, where, and for how long.

    Attributes
    ----------
    enabled : write results.
    folder : that holds the sessions; None: the user's cache folder.
    limit : bytes of all sessions together; the oldest results make room for new ones.
    days : that a session is kept after a clean end; 0 removes it at once. One of a crash is kept until it is discarded.
    """

    enabled: bool = True
    folder: Path | None = None
    limit: int = 2 * 2**30
    days: float = 0.0

    def root(self) -> Path:
        """The folder."""
        if self.folder is not None:
            return self.folder
        from platformdirs import user_cache_path

        return user_cache_path("napari-lossguide") / "autosave"


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
        return sum(_size(path) for path in self.results)


class Session:
    """Writes the results of one program, or one dock of it. Safe between threads.

    Parameters
    ----------
    keeping : where and how much.
    """

    def __init__(self, keeping: Keeping) -> None:
        self.keeping = keeping
        self._guard = threading.RLock()
        self._path: Path | None = None
        self._locks: dict[Path, BaseFileLock] = {}  # of this session, and of those that were taken over
        self._running: dict[int, Path] = {}
        self._ended: set[int] = set()
        self._count = 0

    def number(self) -> int:
        """A number for the next run."""
        with self._guard:
            self._count += 1
            return self._count

    def begin(self, number: int, name: str, recipe: Recipe, source: str = "") -> None:
        """Note the recipe of a run that begins; nothing if it has ended meanwhile.

        Raises
        ------
        InvalidInput
            If it cannot be written.
        """
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        facts = {"name": name, "input": source, "started": started, "recipe": json.loads(recipe.to_json())}
        with self._guard:
            if number not in self._ended:
                path = self._open() / f"{number:03}-{_slug(name)}{RUNNING}"
                self._running[number] = write_bytes(path, json.dumps(facts, indent=2).encode())

    def end(self, number: int) -> None:
        """The run has ended, however it did; its recipe is not needed any more."""
        with self._guard:
            self._ended.add(number)
            path = self._running.pop(number, None)
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def keep(
        self, number: int, name: str, result: Result | Samples, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
    ) -> Path:
        """Write a finished result; older ones make room for it.

        Raises
        ------
        InvalidInput
            If it cannot be written or is larger than all the room.
        """
        arrays = {**result.arrays(), "name": name, "spacing": np.asarray(spacing, float)}
        with self._guard:
            path = self._open() / f"{number:03}-{_slug(name)}.npz"
            # Each array has a header of its own in the file.
            self._make_room(sum(np.asarray(array).nbytes + 1024 for array in arrays.values()))
            write_npz(path, arrays)
            self.end(number)
        return path

    def take(self, left: Left) -> bool:
        """Take over a session that has ended, for as long as this program lives; False if another one has it."""
        with self._guard:
            lock = _try_lock(left.path)
            if lock is not None:
                with contextlib.suppress(OSError):  # results of a folder that cannot be written can still be read
                    (left.path / ENDED).unlink(missing_ok=True)  # with this program it may crash again
                self._hold(left.path, lock)
            return lock is not None

    def close(self) -> None:
        """A clean end: mark what is kept, remove what is not. Called at the regular end of the program by itself."""
        with self._guard:
            for path, lock in self._locks.items():
                with contextlib.suppress(OSError):
                    self._finish(path)
                lock.release()
                if self.keeping.days <= 0 or not _files(path):
                    shutil.rmtree(path, ignore_errors=True)
            self._locks, self._path = {}, None
            atexit.unregister(self.close)

    def _finish(self, path: Path) -> None:
        if path == self._path:
            for running in self._running.values():
                running.unlink(missing_ok=True)
        (path / ENDED).touch()

    def _open(self) -> Path:
        if self._path is None:
            path = self.keeping.root() / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{secrets.token_hex(3)}"
            try:
                path.mkdir(parents=True)
                lock = _lock_of(path)
                lock.acquire(timeout=5)
            except (OSError, NotImplementedError) as error:  # a Timeout is an OSError too
                reason = getattr(error, "strerror", None) or error
                raise InvalidInput(f"{path.parent} cannot be written: {reason}.") from error
            self._path = path
            self._hold(path, lock)
        return self._path

    def _hold(self, path: Path, lock: BaseFileLock) -> None:
        if not self._locks:
            atexit.register(self.close)
        self._locks[path] = lock

    def _make_room(self, needed: int) -> None:
        """Remove the oldest results of this program and of those that have ended, until there is room."""
        limit = self.keeping.limit
        total, ours = 0, []
        with contextlib.ExitStack() as held:
            for folder in _folders(self.keeping.root()):
                lock = None if folder in self._locks else _try_lock(folder)
                if lock is not None:
                    held.callback(lock.release)
                files = _files(folder)
                total += sum(_size(path) for path in files)
                if lock is not None or folder in self._locks:
                    ours += [path for path in files if path not in self._running.values()]
            for path in sorted(ours, key=_time):
                if total + needed <= limit:
                    break
                total -= _size(path)
                path.unlink(missing_ok=True)
        if total + needed > limit:
            need, room = f"{needed / 1e6:.0f} MB", f"{limit / 1e6:.0f} MB"
            raise InvalidInput(f"The autosave folder has room for {room}, too little for these {need}.")


def sessions_left(root: Path, *, crashed: bool = True) -> list[Left]:
    """Sessions of programs that have ended and left something, the oldest first; never those of a living program.

    Parameters
    ----------
    root : `Keeping.root`.
    crashed : only those without a clean end.
    """
    found = []
    for folder in _folders(root):
        with _claimed(folder) as mine:
            if not mine:
                continue
            clean, files = (folder / ENDED).exists(), _files(folder)
            results = tuple(path for path in files if path.suffix == ".npz")
            unfinished = tuple(path for path in files if path.name.endswith(RUNNING))
            if (results or unfinished) and not (clean and crashed):
                when = datetime.fromtimestamp(max(_time(path) for path in files)).astimezone()
                found.append(Left(folder, when, results, unfinished, clean))
    return sorted(found, key=lambda left: left.when)


def unknowable(root: Path) -> str:
    """A sentence on sessions that may be of a living program or of a crash: their folders let nobody lock them.

    They are never offered, for a living program might lose them. Empty if there are none.
    """
    reasons = []
    for folder in _folders(root):
        try:
            if _files(folder):
                _acquire(folder).release()
        except _Unknown as error:
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
    with _claimed(left.path) as mine:
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
    for folder in _folders(keeping.root()):
        with _claimed(folder) as mine:
            mark = folder / ENDED
            old = mark.exists() and time.time() - _time(mark) > keeping.days * DAY
            empty = not _files(folder) and time.time() - _time(folder) > DAY
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
        if not session.take(one):
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


def _lock_of(folder: Path) -> BaseFileLock:
    from filelock import FileLock

    return FileLock(folder / LOCK, thread_local=False)  # taken in one thread, released in another


class _Unknown(OSError):
    """A session cannot be locked though nobody is seen to hold it."""


def _acquire(folder: Path) -> BaseFileLock:
    """The lock of a session; Timeout if its program lives, `_Unknown` if nobody can know."""
    from filelock import Timeout

    lock = _lock_of(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        raise _Unknown(getattr(error, "strerror", None) or str(error) or "locks are not supported") from error
    return lock


def _try_lock(folder: Path) -> BaseFileLock | None:
    """The lock of a session whose program has ended; None if it lives, or nobody can know."""
    try:
        return _acquire(folder)
    except OSError:  # a Timeout is one too
        return None


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    lock = _try_lock(folder)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _folders(root: Path) -> list[Path]:
    """Sessions; a young folder without a lock is one that is just being made."""
    try:
        return sorted(path for path in root.iterdir() if (path / LOCK).exists() or time.time() - _time(path) > MINUTE)
    except OSError:
        return []


def _files(folder: Path) -> list[Path]:
    """Results and recipes that are whole, in the order of their runs."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0].isdigit())
    except OSError:
        return []


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _time(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _slug(name: str) -> str:
    """What of a name every file system takes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "result"
