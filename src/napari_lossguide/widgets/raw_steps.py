"""What is done to raw data when a file is read, as a part of the K-space dock."""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QCheckBox, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.raw.steps import RawSteps
from napari_lossguide.data.readers import read_again
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.kspace_view import KSpaceView
from napari_lossguide.widgets.panel import Panel, Sentence
from napari_lossguide.widgets.worker import Errand


class RawStepsPart(QWidget):
    """Form of the raw-data steps, for the next file and, by a button, for the file of the k-space that is shown.

    Parameters
    ----------
    panel : the dock it lives in.
    view : which acquisition is shown.
    show : called with what was read again.

    Attributes
    ----------
    form, again : the controls.
    """

    def __init__(self, panel: Panel, view: KSpaceView, show: Callable[[KData], None]) -> None:
        super().__init__()
        self._panel, self._view, self._show = panel, view, show
        self.form, self.again = ParamsForm(RawSteps), QPushButton("Read again")
        self.note, self._reading = Sentence("Reading again"), Errand(self)
        self.again.setToolTip("Read the file of the k-space that is shown once more, with these steps, in its place.")
        box = self.form.editor("coils").findChild(QCheckBox)
        box.setToolTip("Unchecked: all coils are kept.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        layout.addWidget(self.again)
        layout.addWidget(self.note)
        self._reading.ended.connect(self._have_read)
        self.form.changed.connect(self._offer)
        self.again.clicked.connect(self.read_again)
        view.shown.connect(self._offer)
        self._offer()

    def steps(self) -> RawSteps:
        """What the form says."""
        return RawSteps.of(self.form.values())

    def read_again(self) -> None:
        """Read the file of what is shown with these steps, and show it."""
        with self._panel.attempt():
            kdata, steps = self._view.kdata, self.steps()
            if kdata is None or kdata.origin is None:
                raise InvalidInput("What is shown did not come from a file, so it cannot be read again.")
            origin = kdata.origin
            self.note.show_text(f"Reading {Path(origin.name).name}…")
            self._reading.start(lambda: (kdata, read_again(origin, steps)), f"Reading {Path(origin.name).name} again")

    def _have_read(self, outcome: tuple[KData, KData] | Failure) -> None:
        self.note.show_text("")
        with self._panel.attempt():
            if isinstance(outcome, Failure):
                raise InvalidInput(outcome.sentence)
            before, kdata = outcome
            if before is self._view.kdata:  # else a person has gone on to other data
                self._show(kdata)

    def _offer(self, *_: object) -> None:
        origin = None if self._view.kdata is None else self._view.kdata.origin
        self.again.setEnabled(origin is not None and origin.kind == "file")
        self.form.editor("compression").setEnabled(self.form.values()["coils"] is not None)
