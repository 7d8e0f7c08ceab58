"""Images that take turns on the canvas: what differs between them moves."""

from collections.abc import Sequence
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_lossguide.widgets.arrangement import Arrangement

RATES = 0.5, 10.0  # images a second, least and most
KEY = "N"


class Flicker(QObject):
    """One image after another in the same place, by a timer or step by step.

    Parameters
    ----------
    viewer : napari's viewer, or a viewer model.
    arrangement : of the same viewer; it undoes what is done here.

    Attributes
    ----------
    shown : signal ``(name)``, of the image that has its turn.
    """

    shown = Signal(str)

    def __init__(self, viewer: Any, arrangement: Arrangement, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._arrangement = viewer, arrangement
        self._images: list[Image] = []
        self._turn: Image | None = None
        self._playing = True
        self._key: Any = None  # what the key did before
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.advance)
        self.set_rate(2.0)

    @property
    def turn(self) -> Image | None:
        """The image on the canvas."""
        return self._turn

    def show(self, images: Sequence[Image]) -> None:
        """Let these images take turns, with the contrast of the last one; the one that has its turn keeps it."""
        if not self._images:
            self._key = next((act for key, act in self._viewer.keymap.items() if str(key) == KEY), None)
            self._viewer.bind_key(KEY, lambda _: self.advance(), overwrite=True)
        self._images = list(images)
        self._arrangement.one_place()
        self._arrangement.link(images)
        turn = images[images.index(self._turn)] if self._turn in images else images[0]
        self._turn = turn
        self._arrangement.only([turn])
        self._viewer.layers.selection.active = images[0]  # its contrast is everybody's
        self.shown.emit(turn.name)
        self.play(self._playing)

    def advance(self) -> None:
        """Next image, after the last one the first; without those that were removed."""
        there = [image for image in self._images if image in self._viewer.layers]
        if not there:
            return
        following = there[(there.index(self._turn) + 1) % len(there) if self._turn in there else 0]
        last, self._turn = self._turn, following
        # The new one first: an empty canvas in between would flash.
        following.visible = following.name_overlay.visible = True
        if last is not None and last is not following:
            last.visible = last.name_overlay.visible = False
        self.shown.emit(following.name)

    def set_rate(self, hertz: float) -> None:
        """Images a second, within `RATES`."""
        self._timer.setInterval(round(1000 / hertz))

    def play(self, playing: bool) -> None:
        """Go on by itself, or wait for `advance`."""
        self._playing = playing
        self._timer.start() if playing and self._images else self._timer.stop()

    def stop(self) -> None:
        """No more turns."""
        self._timer.stop()
        if self._images:
            self._viewer.bind_key(KEY, self._key, overwrite=True)
            self.shown.emit("")
        self._images, self._turn = [], None
