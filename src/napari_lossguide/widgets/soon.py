"""Calling back from the event loop before the window is drawn again."""

from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, Signal


class Soon(QObject):
    """Calls a function once, however often it was started meanwhile, as soon as the event loop comes round.

    A timer of 0 ms waits for the canvas to be drawn first.

    Parameters
    ----------
    parent : ends the waiting when it is destroyed.
    callback : to call.
    """

    _called = Signal()

    def __init__(self, parent: QObject, callback: Callable[[], None]) -> None:
        super().__init__(parent)
        self._waiting, self._callback = False, callback
        self._called.connect(self._call, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Call back, unless that is on its way already."""
        if not self._waiting:
            self._waiting = True
            self._called.emit()

    def isActive(self) -> bool:  # noqa: N802 (as of a timer)
        """Whether a call is on its way."""
        return self._waiting

    def _call(self) -> None:
        self._waiting = False
        self._callback()
