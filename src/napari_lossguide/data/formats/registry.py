"""The file formats that are read. The first that recognises a file reads it."""

from __future__ import annotations

import os
from pathlib import Path

from napari_lossguide.data.formats.bart import Bart, header_of
from napari_lossguide.data.formats.base import HEAD, Format, Recorded, opening
from napari_lossguide.data.formats.dicom import Dicom
from napari_lossguide.data.formats.fastmri import FastMRI
from napari_lossguide.data.formats.ismrmrd import ISMRMRD
from napari_lossguide.data.formats.ismrmrd_images import ISMRMRDImages
from napari_lossguide.data.formats.matlab import Matlab
from napari_lossguide.data.formats.nifti import Nifti
from napari_lossguide.data.formats.numpy_files import Npy, Npz
from napari_lossguide.data.formats.tiff import Tiff
from napari_lossguide.data.formats.twix import Twix
from napari_lossguide.types import InvalidInput

FORMATS: tuple[Format, ...] = (
    Npy(),
    Npz(),
    Matlab(),
    ISMRMRD(),
    ISMRMRDImages(),
    FastMRI(),  # takes every HDF5 file that those above have left
    Nifti(),
    Dicom(),  # before TIFF: a preamble may be that of a TIFF file
    Tiff(),
    Twix(),
    Bart(),
)


def accepted() -> str:
    """A clause for messages: what can be read."""
    *most, last = (form.name for form in FORMATS)
    return f"accepted are {', '.join(most)} and {last} files"


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format of a file; what it is, its contents say.

    Raises
    ------
    InvalidInput
        If the file is missing or unreadable, or no format recognises it.
    """
    path = Path(path)
    if not path.exists() and header_of(path).exists():
        path = header_of(path)  # BART's programs are given names without a suffix
    if not path.exists():
        raise InvalidInput(f"{path} does not exist; {accepted()}.")
    with opening(path):
        head = b"" if path.is_dir() else _head(path)
        for form in FORMATS:
            if form.recognises(path, head):
                return form
    raise InvalidInput(f"{path} is {'a folder' if path.is_dir() else 'of another kind'}; {accepted()}.")


def record_text(path: str | os.PathLike[str]) -> str | None:
    """The record that a file carries, as JSON; None if it carries none. See `data.exports.record`.

    Raises
    ------
    InvalidInput
        As `format_of`, and if the file is damaged.
    """
    form = format_of(path)
    if not isinstance(form, Recorded):
        return None
    with opening(path):
        return form.record_text(Path(path))


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD)
