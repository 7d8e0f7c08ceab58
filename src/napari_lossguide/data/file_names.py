"""Names of files that every system accepts."""

from __future__ import annotations

import os
import re
from pathlib import Path

from napari_lossguide.types import InvalidInput

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
LONGEST = 120
"""Bytes of a name; systems stop at 255, and Windows counts the folders before it too."""


def safe_name(text: str, longest: int = LONGEST) -> str:
    r"""A text, such as a layer's name, as the stem of a file name on Linux, macOS and Windows.

    Parameters
    ----------
    text : anything.
    longest : bytes in UTF-8; what is longer loses its end.

    Returns
    -------
    str
        Without ``< > : " / \ | ? *`` and control characters, which become "_"; it neither begins nor ends with a
        space or a dot, is no name of a device of Windows, and is never empty.
    """
    name = text.encode("utf-8", "replace").decode("utf-8")  # no halves of pairs
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f]+', "_", name)
    name = name.encode("utf-8")[:longest].decode("utf-8", "ignore").strip(" .")
    device = name.partition(".")[0].strip().lower() in RESERVED
    return f"_{name}" if device else name or "unnamed"


def stem(path: str | os.PathLike[str]) -> str:
    """Name of a file without its ending; ".nii.gz" is one ending."""
    plain = Path(path).with_suffix("") if Path(path).suffix.lower() == ".gz" else Path(path)
    return plain.stem


def with_ending(path: str, ending: str, *others: str) -> Path:
    """The file that a person named in a dialog, with the ending if it has none that is known ("week 1.5" has none).

    Parameters
    ----------
    path : as the dialog gave it.
    ending : what is added, such as ".npy".
    others : endings that are as good.

    Raises
    ------
    InvalidInput
        If there is a file of the longer name: the dialog did not ask whether to replace that one.
    """
    if Path(path).suffix.lower() in (ending, *others):
        return Path(path)
    target = Path(path + ending)
    if target.exists():
        raise InvalidInput(f"{target} exists already; choose it in the dialog to replace it, or choose another name.")
    return target
