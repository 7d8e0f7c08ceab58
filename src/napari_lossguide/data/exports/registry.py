"""The kinds of files that images are written to. The ending of the name chooses."""

from __future__ import annotations

import os
from pathlib import Path

from napari_lossguide.data.exports.base import Export, ManyFiles, Writer
from napari_lossguide.data.exports.cfl import Cfl
from napari_lossguide.data.exports.dicom import Dicom
from napari_lossguide.data.exports.ismrmrd_images import IsmrmrdImages
from napari_lossguide.data.exports.nifti import Nifti
from napari_lossguide.data.exports.npz import Npz
from napari_lossguide.data.exports.ome_tiff import OmeTiff
from napari_lossguide.types import InvalidInput

WRITERS: tuple[Writer, ...] = (Npz(), Nifti(), Cfl(), IsmrmrdImages(), OmeTiff(), Dicom())


def endings() -> tuple[str, ...]:
    """All endings that choose a writer."""
    return tuple(suffix for writer in WRITERS for suffix in writer.suffixes)


def ending_of(path: str | os.PathLike[str]) -> str:
    """The longest known ending of a file's name, lower case; empty if there is none."""
    name = Path(path).name.lower()
    return max((suffix for suffix in endings() if name.endswith(suffix)), key=len, default="")


def writer_of(path: str | os.PathLike[str]) -> Writer:
    """The writer that a file's ending asks for.

    Raises
    ------
    InvalidInput
        If no writer has that ending.
    """
    ending = ending_of(path)
    for writer in WRITERS:
        if ending in writer.suffixes:
            return writer
    raise InvalidInput(f"The output {path} has an ending that no writer has; accepted are {', '.join(endings())}.")


def files_of(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """All files that are written under a name; the first is the one to open.

    Raises
    ------
    InvalidInput
        If no writer has its ending.
    """
    writer = writer_of(path)
    return writer.files(Path(path)) if isinstance(writer, ManyFiles) else (Path(path),)


def export(path: str | os.PathLike[str], what: Export) -> Path:
    """Write images to the kind of file that its ending asks for.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InvalidInput
        If the ending is unknown, or the file cannot be written; an older one is then as it was.
    """
    writer_of(path).write(Path(path), what)
    return files_of(path)[0]
