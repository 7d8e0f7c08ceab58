"""The folder of an autosave session: its lock, the mark of a clean end, its files. Loads neither Qt nor torch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK, ENDED, RUNNING = "lock", "ended", ".running.json"
MINUTE = 60.0  # seconds


def lock_of(folder: Path) -> BaseFileLock:
    """The lock, not taken yet."""
    from filelock import FileLock

    return FileLock(folder / LOCK, thread_local=False)  # taken in one thread, released in another


class Unknowable(OSError):
    """A session cannot be locked though nobody is seen to hold it."""


def acquire(folder: Path) -> BaseFileLock:
    """The lock of a session; Timeout if its program lives, `Unknowable` if nobody can know."""
    from filelock import Timeout

    lock = lock_of(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        raise Unknowable(getattr(error, "strerror", None) or str(error) or "locks are not supported") from error
    return lock


def try_lock(folder: Path) -> BaseFileLock | None:
    """The lock of a session whose program has ended; None if it lives, or nobody can know."""
    try:
        return acquire(folder)
    except OSError:  # a Timeout is one too
        return None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold the lock for a while; False if that cannot be."""
    lock = try_lock(folder)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def folders(root: Path) -> list[Path]:
    """Sessions; a young folder without a lock is one that is just being made."""
    try:
        return sorted(path for path in root.iterdir() if (path / LOCK).exists() or time.time() - time_of(path) > MINUTE)
    except OSError:
        return []


def files_of(folder: Path) -> list[Path]:
    """Results and recipes that are whole, in the order of their runs."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0].isdigit())
    except OSError:
        return []


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if it has gone."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def time_of(path: Path) -> float:
    """When it was changed, in seconds; 0 if it has gone."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
