"""Which files are DICOM: those with its mark, in a folder and those below it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

DEEPEST = 5
"""Folders below the one that is opened: media have patient, study and series under one or two of their own."""
LOOKED_INTO = 256
"""Files that are tried until one shows that a folder holds DICOM."""
_MARK, _AT = b"DICM", 128


def is_dicom(head: bytes) -> bool:
    """The mark behind the preamble. Files without one are not told from others, so they are not read."""
    return head[_AT : _AT + len(_MARK)] == _MARK


def holds_dicom(folder: Path) -> bool:
    """Whether one of the first files of a folder, or of those below, is DICOM."""
    for number, path in enumerate(files_below(folder)):
        if number >= LOOKED_INTO:
            return False
        if has_mark(path):
            return True
    return False


def files_below(folder: Path) -> Iterator[Path]:
    """Files of a folder and of those below, in the order of their names; what is hidden is passed over."""
    for where, folders, files in os.walk(folder):
        deeper = len(Path(where).relative_to(folder).parts) < DEEPEST
        folders[:] = sorted(name for name in folders if deeper and not name.startswith("."))
        found = (Path(where) / name for name in sorted(files) if not name.startswith("."))
        yield from (path for path in found if path.is_file())


def has_mark(path: Path) -> bool:
    """Whether a file is DICOM.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        return is_dicom(file.read(_AT + len(_MARK)))
