"""Buttons that open k-space, or images to simulate it from, without holding up the window."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.formats.base import Entry
from napari_lossguide.data.formats.registry import FORMATS
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.raw.steps import RawSteps
from napari_lossguide.data.readers import open_scan
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.entry_choice import ask_of, questionable
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.panel import Panel, Sentence
from napari_lossguide.widgets.views import Picture, image_picture, kspace_picture
from napari_lossguide.widgets.worker import Errand

SUFFIXES = tuple(dict.fromkeys(suffix for form in FORMATS for suffix in form.suffixes))
FILES = f"k-space or images ({' '.join(f'*{suffix}' for suffix in SUFFIXES)});;all files (*)"
TIP = f"K-space, or images that it is simulated from: {', '.join(dict.fromkeys(form.name for form in FORMATS))}."


@dataclass(frozen=True, eq=False)
class Opened:
    """What was read.

    Attributes
    ----------
    kdata : the acquisition.
    pictures : of its k-space and its image, in their usual views.
    """

    kdata: KData
    pictures: tuple[Picture, Picture]


class FileOpener(QWidget):
    """Reads and transforms in a thread; says meanwhile what it reads. Of two files the last one counts.

    Parameters
    ----------
    panel : the dock it lives in, which says what fails.
    steps : called before a file is read: what is to be done to raw data.

    Attributes
    ----------
    opened : signal ``(Opened)``.
    file, folder : buttons.
    note : what is being read; empty while nothing is.
    """

    opened = Signal(object)

    def __init__(self, panel: Panel, steps: Callable[[], RawSteps]) -> None:
        super().__init__()
        self._panel, self._steps = panel, steps
        self.file, self.folder = QPushButton("Open k-space file…"), QPushButton("Open folder…")
        self.note = Sentence("Opening")
        self._looking, self._reading = Errand(self), Errand(self)
        self._build()

    def load(self, path: Path) -> None:
        """Read a file or a folder; a dialog asks what is meant, if it holds several things."""
        self.note.show_text(f"Looking into {path.name}…")
        self._looking.start(lambda: (path, questionable(path)), f"Looking into {path.name}")

    def _looked(self, outcome: tuple[Path, tuple[Entry, ...]] | Failure) -> None:
        self.note.show_text("")
        with self._panel.attempt():
            path, found = _checked(outcome)
            name, steps = ask_of(found, path, self), self._steps()
            self.note.show_text(f"Reading {path.name}{_size(path)}…")

            def job() -> Opened:
                kdata = open_scan(path, variable=name, steps=steps).read_sparingly()
                return Opened(kdata, (kspace_picture(kdata), image_picture(kdata)))

            self._reading.start(job, f"Reading {path.name}")

    def _have_read(self, outcome: Opened | Failure) -> None:
        self.note.show_text("")
        with self._panel.attempt():
            self.opened.emit(_checked(outcome))

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open k-space", "", FILES)
        if path:
            self.load(Path(path))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder of images or k-space")
        if path:
            self.load(Path(path))

    def _build(self) -> None:
        self.file.setToolTip(TIP)
        self.folder.setToolTip(
            "For formats that keep one scan in a folder of many files: DICOM, whose series are found in and below it."
        )
        row, layout = QHBoxLayout(), QVBoxLayout(self)
        row.addWidget(self.file, 1)
        row.addWidget(self.folder)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.note)
        self.file.clicked.connect(lambda _: self._ask_file())
        self.folder.clicked.connect(lambda _: self._ask_folder())
        self._looking.ended.connect(self._looked)
        self._reading.ended.connect(self._have_read)


def _checked(outcome: Any) -> Any:
    if isinstance(outcome, Failure):
        raise InvalidInput(outcome.sentence)
    return outcome


def _size(path: Path) -> str:
    return f" ({path.stat().st_size / 1e6:.0f} MB)" if path.is_file() and path.stat().st_size > 1e7 else ""
