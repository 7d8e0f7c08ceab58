"""The offer to start a run again: what was changed on the form cannot be changed in the run that goes on."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_lossguide.widgets.panel import Sentence

WHY = "What you changed is not live: this run goes on with its own settings."


class RestartOffer(QWidget):
    """A sentence and a button, hidden until there is something to offer.

    Attributes
    ----------
    accepted : signal.
    """

    accepted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text, self.button = Sentence("What restarts the run"), QPushButton("Restart")
        self.button.setToolTip("Cancel this run and start another one with the settings as they are now.")
        self.text.show_text(WHY)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.button)
        self.button.clicked.connect(self.accepted)
        self.hide()
