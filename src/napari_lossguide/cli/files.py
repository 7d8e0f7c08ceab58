"""Files that only the shell handles: checks before a run, results read back, texts written."""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.types import InvalidInput

# What NumPy and zipfile raise on damaged files.
DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def output_file(name: str, suffix: str, *inputs: str | None) -> Path:
    """Check, before anything is computed, that a file can be written there.

    Raises
    ------
    InvalidInput
        On another suffix, a missing or read-only folder, or an output that is one of the inputs.
    """
    path = Path(name).expanduser()
    if not path.name.lower().endswith(suffix):
        raise InvalidInput(f"The output {name} must end in {suffix}.")
    if path.is_dir():
        raise InvalidInput(f"The output {name} is a folder; give a file.")
    if any(path.resolve() == Path(other).expanduser().resolve() for other in inputs if other):
        raise InvalidInput(f"The output {name} is also an input; give another name.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InvalidInput(f"The output {name} cannot be written: {path.parent}: {error.strerror or error}.") from error
    return path


def image_file(name: str, *inputs: str | None) -> Path:
    """As `output_file`, for images: the ending chooses the kind of file, which may be several.

    Returns
    -------
    Path
        The file to open when it is written.

    Raises
    ------
    InvalidInput
        On an ending that no writer has too, and if a file beside it would replace one of the inputs.
    """
    from napari_lossguide.data.exports.registry import ending_of, files_of

    first, *others = files_of(Path(name).expanduser())
    taken = [twin for other in inputs if other for twin in _twins(Path(other).expanduser())]
    for path in (first, *others):
        if path.resolve() in taken:
            raise InvalidInput(f"The output {path} is also an input; give another name.")
    for path in others:
        if path.is_dir():
            raise InvalidInput(f"The output {name} needs the file {path}, which is a folder; give another name.")
    return output_file(str(first), ending_of(first), *inputs)


def _twins(path: Path) -> set[Path]:
    """A file, and both of a BART pair that is named without its ending or by one of them."""
    from napari_lossguide.data.formats.bart import header_of

    pair = {header_of(path), header_of(path).with_suffix(".cfl")} if path.suffix in ("", ".cfl", ".hdr") else set()
    return {each.resolve() for each in {path} | pair}


def read_maps(name: str) -> np.ndarray:
    """Coil maps from an .npy file, or from ``maps`` in an .npz file (also the input's own, or a result's).

    Returns
    -------
    complex array; its shape is checked against the k-space later.

    Raises
    ------
    InvalidInput
        If the file cannot be read, or is an .npz file without maps.
    """
    try:
        with open(Path(name).expanduser(), "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            if "maps" in loaded.files:
                return np.asarray(loaded["maps"])
            held = ", ".join(loaded.files)
    except DAMAGED as error:
        raise InvalidInput(f"The coil maps {name} cannot be read as .npy or .npz: {error}.") from error
    raise InvalidInput(f"{name} has no array 'maps'; it holds {held}.")


def read_result(name: str) -> dict[str, Any] | None:
    """What a result file says of itself, or None for any other file.

    Returns
    -------
    ``recipe`` (JSON text), ``facts`` (dict), ``mask`` (bool), ``shape`` of the image, ``coils`` and ``samples`` (int).

    Raises
    ------
    InvalidInput
        If it is a result file, but damaged.
    """
    path = Path(name).expanduser()
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            if not {"recipe", "image", "mask", "maps"} <= set(file.files):
                return None
            return {
                "recipe": str(file["recipe"]),
                "facts": json.loads(str(file["facts"])) if "facts" in file.files else {},
                "mask": file["mask"].astype(bool),
                "shape": file["image"].shape,
                "coils": file["maps"].shape[1],
                "samples": file["samples"].shape[1] if "samples" in file.files else 1,
            }
    except DAMAGED as error:
        raise InvalidInput(f"The result {name} is damaged: {error}.") from error
