"""Asks which of several arrays, contrasts or repetitions of a file is to be read."""

from pathlib import Path

from qtpy.QtWidgets import QInputDialog, QWidget

from napari_lossguide.data.formats.base import Entry, opening
from napari_lossguide.data.formats.registry import format_of
from napari_lossguide.data.readers import entries
from napari_lossguide.types import InvalidInput


def ask_entry(path: Path, parent: QWidget | None = None) -> str | None:
    """Ask a person, if a file holds several things and none of them is the usual one.

    Parameters
    ----------
    path : of the file.
    parent : what the dialog belongs to.

    Returns
    -------
    str | None
        What the readers' `variable` takes; None where they know by themselves.

    Raises
    ------
    InvalidInput
        If the file cannot be read or nothing was chosen.
    """
    return ask_of(questionable(path), path, parent)


def questionable(path: Path) -> tuple[Entry, ...]:
    """What a person has to choose from; empty where the readers know by themselves. Touches no window.

    Raises
    ------
    InvalidInput
        If the file cannot be read.
    """
    form, found = format_of(path), entries(path)
    try:
        with opening(path):
            form.choose(path, None)
    except InvalidInput:
        if len(found) < 2:
            raise
        return found
    return ()


def ask_of(found: tuple[Entry, ...], path: Path, parent: QWidget | None = None) -> str | None:
    """Name of the entry that a person chooses; None if there is nothing to choose from.

    Raises
    ------
    InvalidInput
        If nothing was chosen.
    """
    if not found:
        return None
    titles = [entry.title for entry in found]
    title, chosen = QInputDialog.getItem(
        parent, "What to read", f"“{path.name}” holds several things; read", titles, 0, False
    )
    if not chosen:
        raise InvalidInput(f"Nothing of {path} was chosen, so nothing was read.")
    return found[titles.index(title)].name
