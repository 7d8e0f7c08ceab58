"""Names of files that every system accepts."""

from __future__ import annotations

import re

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
