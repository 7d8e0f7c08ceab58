"""Finished results on disk, so that a crash loses none: written as they come; `sessions_left` finds them again.

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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.writers import write_bytes, write_npz
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.session_folder import ENDED, RUNNING, files_of, folders, lock_of, size_of, time_of, try_lock
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from napari_lossguide.recon.result import Result
    from napari_lossguide.recon.samples import Samples


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
        self,
        number: int,
        name: str,
        result: Result | Samples,
        spacing: tuple[float, ...] = (1.0, 1.0, 1.0),
        position: tuple[float, ...] = (0.0, 0.0, 0.0),
        affine: np.ndarray | None = None,
    ) -> Path:
        """Write a finished result and where it lies, as `KData` says it; older ones make room for it.

        Raises
        ------
        InvalidInput
            If it cannot be written or is larger than all the room.
        """
        where = {"spacing": np.asarray(spacing, float), "position": np.asarray(position, float)}
        arrays = {**result.arrays(), "name": name, **where, **({} if affine is None else {"affine": affine})}
        with self._guard:
            path = self._open() / f"{number:03}-{_slug(name)}.npz"
            # Each array has a header of its own in the file.
            self._make_room(sum(np.asarray(array).nbytes + 1024 for array in arrays.values()))
            write_npz(path, arrays)
            self.end(number)
        return path

    def take(self, folder: Path) -> bool:
        """Take over a session that has ended, for as long as this program lives; False if another one has it."""
        with self._guard:
            lock = try_lock(folder)
            if lock is not None:
                with contextlib.suppress(OSError):  # results of a folder that cannot be written can still be read
                    (folder / ENDED).unlink(missing_ok=True)  # with this program it may crash again
                self._hold(folder, lock)
            return lock is not None

    def close(self) -> None:
        """A clean end: mark what is kept, remove what is not. Called at the regular end of the program by itself."""
        with self._guard:
            for path, lock in self._locks.items():
                with contextlib.suppress(OSError):
                    self._finish(path)
                lock.release()
                if self.keeping.days <= 0 or not files_of(path):
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
                lock = lock_of(path)
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
            for folder in folders(self.keeping.root()):
                lock = None if folder in self._locks else try_lock(folder)
                if lock is not None:
                    held.callback(lock.release)
                files = files_of(folder)
                total += sum(size_of(path) for path in files)
                if lock is not None or folder in self._locks:
                    ours += [path for path in files if path not in self._running.values()]
            for path in sorted(ours, key=time_of):
                if total + needed <= limit:
                    break
                total -= size_of(path)
                path.unlink(missing_ok=True)
        if total + needed > limit:
            need, room = f"{needed / 1e6:.0f} MB", f"{limit / 1e6:.0f} MB"
            raise InvalidInput(f"The autosave folder has room for {room}, too little for these {need}.")


def _slug(name: str) -> str:
    """What of a name every file system takes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "result"
