"""Writing arrays so that a file is either whole or not there."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from napari_lossguide.types import InvalidInput

WINDOWS = os.name == "nt"
PART = re.compile(r"\.[0-9a-f]{16}\.part")
PATIENCE = 2.0  # seconds for a scanner to let go of a file


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray | str]) -> Path:
    """Write named arrays and texts to an .npz file; texts become 0-dimensional string arrays.

    Parameters
    ----------
    path : file to write or replace; exactly this name, no suffix is added
    arrays : name -> array or str

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InvalidInput
        If the file cannot be written (no such folder, no permission, disk full). The old file is then as it was.
    """
    plain: dict[str, Any] = {name: _plain(name, array) for name, array in arrays.items()}
    return _replace(path, lambda file: np.savez(file, **plain))


def write_npy(path: str | os.PathLike[str], array: np.ndarray) -> Path:
    """Write one array to an .npy file; as `write_npz`."""
    plain = _plain("array", array)
    return _replace(path, lambda file: np.save(file, plain, allow_pickle=False))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file's content; as `write_npz`."""
    return _replace(path, lambda file: file.write(content))


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file in UTF-8; as `write_npz`."""
    return write_bytes(path, text.encode("utf-8"))


def move_over(part: Path, target: Path) -> None:
    """Rename a file over another one, which may be there.

    Windows refuses while another program has either of them open; virus scanners and indexers do for a moment.

    Raises
    ------
    OSError
        If it is still refused after `PATIENCE` seconds.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(part, target)
            return
        except PermissionError:
            if not WINDOWS or time.monotonic() > end:
                raise
            time.sleep(0.05)


def remove_parts(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder, and in those below; nobody may be writing there."""
    for part in folder.rglob(".*.part"):
        if PART.fullmatch(part.name):
            part.unlink(missing_ok=True)


def _plain(name: str, array: np.ndarray | str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.hasobject:
        raise InvalidInput(f"The array {name!r} holds Python objects; only numbers, bool and text can be written.")
    return array


def _replace(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> Path:
    replace_files({Path(path): write})
    return Path(path)


def replace_files(writes: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """Write files that belong together: to new files in the same folder, which are renamed once all are whole.

    A rename cannot stop half-way. The last file is renamed last: what says that the others are there comes last.

    Parameters
    ----------
    writes : file to write or replace -> what writes its content to an open file

    Raises
    ------
    InvalidInput
        If one of them cannot be written.
    """
    parts: dict[Path, Path] = {}
    path = Path()
    try:
        try:
            for path, write in writes.items():
                # The part's name is short: the target's may be as long as names can be.
                part = path.resolve().with_name(f".{secrets.token_hex(8)}.part")
                parts[path] = part
                with open(part, "xb") as file:
                    write(file)
                    file.flush()
                    # Some file systems only notice here that the disk is full.
                    os.fsync(file.fileno())
            for path, part in parts.items():
                move_over(part, path.resolve())
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)
    except OSError as error:
        # NumPy reports a short write without the system's reason.
        reason = error.strerror or f"the disk may be full ({error})"
        if isinstance(error, PermissionError) and path.is_file():
            reason += "; another program may have it open"
        raise InvalidInput(f"{path} could not be written: {reason}.") from error
