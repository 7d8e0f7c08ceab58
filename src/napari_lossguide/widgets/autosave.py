"""Keeps the results of finished runs, if the preferences say so."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject

from napari_lossguide.recon.autosave import Saves, keep
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.settings import MB, Settings
from napari_lossguide.widgets.worker import Errand


class Autosave(QObject):
    """Writes in a thread.

    Parameters
    ----------
    fail : shows a sentence when a result could not be written.
    parent : the dock.
    """

    def __init__(self, fail: Callable[[str], None], parent: QObject) -> None:
        super().__init__(parent)
        self._fail = fail
        self._errand = Errand(self)
        self._errand.ended.connect(self._ended)

    def keep(self, result: Saves, name: str, settings: Settings) -> None:
        """Write a finished result, unless the preferences say no.

        Raises
        ------
        InvalidInput
            If the folder of the preferences cannot be used.
        """
        if settings.autosave:
            budget = settings.autosave_size * MB
            self._errand.start(partial(keep, result, name, settings.results(), budget, datetime.now()), "Keep a result")

    def _ended(self, outcome: Path | Failure) -> None:
        if isinstance(outcome, Failure):
            self._fail(f"The result was not kept: {outcome.sentence}")
