"""What a dock does so that a crash loses no result: it autosaves them, and offers those that a crash has left."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.autosave import Keeping, Session
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.restore import Restored
from napari_lossguide.recon.result import Result
from napari_lossguide.recon.samples import Samples
from napari_lossguide.recon.sessions_left import (
    Left,
    discard,
    read_unfinished,
    restore_all,
    sessions_left,
    tidy,
    unknowable,
)
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.panel import Sentence
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.result_layers import show_restored
from napari_lossguide.widgets.settings import read_settings
from napari_lossguide.widgets.worker import Errand

LOOK_MS = 500  # after the dock has been painted


def keeping() -> Keeping:
    """Whether results are autosaved, where and how long, by the preferences.

    Raises
    ------
    InvalidInput
        If their folder cannot be used. Asked in threads alone: what cannot be autosaved stops neither dock nor run.
    """
    return read_settings().keeping()


class Recovers(Protocol):
    """What is needed of the dock."""

    done: Any
    status: Sentence

    def load_recipe(self, source: str) -> None:
        """Show a recipe, from JSON text or a file."""
        ...

    def attempt(self) -> AbstractContextManager[None]:
        """Show what goes wrong inside."""
        ...

    def after(self, milliseconds: int, callback: Callable[[], None]) -> Any:
        """Return a timer."""
        ...


@dataclass(frozen=True)
class Last:
    """The last result, and the k-space that it is of; None of samples."""

    result: Result | Samples
    kdata: KData | None


class Autosave(QWidget):
    """Writes results in a thread; above the dock it says what an earlier napari left. Hidden while there is nothing.

    Parameters
    ----------
    dock : whose results are kept; it is told what fails.
    viewer : napari's viewer.

    Attributes
    ----------
    last : the last result of the dock.
    text, note : what is offered; why the last result was not autosaved.
    recover, load, discard : buttons.
    """

    def __init__(self, dock: Recovers, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.last: Last | None = None
        self._dock, self._session = dock, Session(Keeping())
        self._number = 0
        self._left: list[Left] = []
        self._doubt = ""  # about sessions that cannot be offered
        self._asked = False
        self.text, self.note = Sentence("Results of an earlier napari"), Sentence("Autosave")
        self.recover, self.load, self.discard = (
            QPushButton("Recover"),
            QPushButton("Load recipe"),
            QPushButton("Discard"),
        )
        self._noting, self._saving, self._looking, self._reading = (Errand(self) for _ in range(4))
        for errand in (self._noting, self._saving):
            errand.ended.connect(self._saved)
        self._looking.ended.connect(self._looked)
        self._reading.ended.connect(self._recovered)
        self._build()
        dock.done.connect(self._run_ended)
        dock.after(LOOK_MS, self.look).start()

    def begin(self, recipe: Recipe, name: str, kdata: KData | None = None) -> None:
        """A run begins: a crash will not lose its recipe."""
        session, before = self._session, self._number
        self._number = number = session.number()
        source = "" if kdata is None else kdata.source

        def write() -> None:
            session.keeping = keeping()
            session.end(before)
            if session.keeping.enabled:
                session.begin(number, name, recipe, source)

        self._noting.start(write, "Autosave of a recipe")

    def keep(self, result: Result | Samples, name: str, kdata: KData | None = None) -> None:
        """Write a finished result."""
        self.last = Last(result, kdata)
        session, number = self._session, self._number
        place = Place() if kdata is None else Place.of(kdata)

        def write() -> None:
            session.keeping = keeping()
            if session.keeping.enabled:
                session.keep(number, name, result, place.spacing, place.position, place.affine)
            else:
                session.end(number)

        self._saving.start(write, f"Autosave of {name}")

    def look(self) -> None:
        """Look whether a crash has left anything; it is offered."""
        self._look(asked=False)

    def look_again(self) -> None:
        """Look for everything that is still there, of clean ends too, because a person asked."""
        self._look(asked=True)

    def _look(self, asked: bool) -> None:
        self._asked = asked

        def find() -> tuple[list[Left], str]:
            now = keeping()
            tidy(now)
            return sessions_left(now.root(), crashed=not asked), unknowable(now.root())

        self._looking.start(find, "Results of an earlier napari")

    def _looked(self, outcome: tuple[list[Left], str] | Failure) -> None:
        if isinstance(outcome, Failure):
            self.note.show_text(f"The autosaved results could not be looked for: {outcome.sentence}", colour="warning")
            self.show()
            return
        found, self._doubt = outcome
        self._offer(found)
        if self._asked and not found and not self._doubt:
            self._dock.status.show_text("There are no autosaved results of an earlier napari.")

    def _offer(self, found: list[Left]) -> None:
        self._left = found
        said = " ".join(filter(None, (in_words(found), self._doubt)))
        self.text.show_text(said, colour="warning" if said else "")
        results, unfinished = sum(len(x.results) for x in found), any(x.unfinished for x in found)
        for widget, shown in ((self.recover, results), (self.load, unfinished), (self.discard, found)):
            widget.setVisible(bool(shown))
        self.setVisible(bool(said) or bool(self.note.sentence))

    def _recover(self) -> None:
        for button in (self.recover, self.load, self.discard):
            button.setEnabled(False)
        session, left = self._session, self._left

        def read() -> tuple[list[Restored], list[str]]:
            session.keeping = keeping()  # which also says how long they stay after this program
            return restore_all(left, session)

        self._reading.start(read, "Reading autosaved results")

    def _recovered(self, outcome: tuple[list[Restored], list[str]] | Failure) -> None:
        for button in (self.recover, self.load, self.discard):
            button.setEnabled(True)
        with self._dock.attempt():
            if isinstance(outcome, Failure):
                raise InvalidInput(outcome.sentence)
            found, problems = outcome
            for restored in found:
                show_restored(self.viewer, restored)
            said = " ".join([f"Recovered {_counted(len(found), 'result')}.", *problems])
            self._dock.status.show_text(said, colour="error" if problems else "")
            # Taken over, they are this program's now; only a recipe is still to be loaded.
            rest = [replace(x, results=(), clean=False) for x in self._left if x.unfinished]
            self._offer(rest)

    def _load(self) -> None:
        """Show the newest of the recipes of unfinished runs."""
        with self._dock.attempt():
            newest = max((path for left in self._left for path in left.unfinished), key=_time)
            recipe, name = read_unfinished(newest)
            self._dock.load_recipe(recipe)
            # It is in the form now, and is not offered again.
            left = [replace(x, unfinished=tuple(p for p in x.unfinished if p != newest)) for x in self._left]
            self._offer([x for x in left if x.results or x.unfinished])
            said = f"Loaded the recipe of “{name}”, which had not ended; press Run to run it again."
            self._dock.status.show_text(said)
            for emptied in left:
                if not (emptied.results or emptied.unfinished):
                    discard(emptied)

    def _discard(self) -> None:
        with self._dock.attempt():
            left = self._left
            self._offer([])
            for one in left:
                discard(one)

    def _saved(self, outcome: Any) -> None:
        failed = isinstance(outcome, Failure)
        self.note.show_text(f"Not autosaved: {outcome.sentence}" if failed else "", colour="warning" if failed else "")
        self.setVisible(bool(self.text.sentence) or failed)

    def _run_ended(self, problem: str) -> None:
        if problem:  # else the result was kept, and with it the recipe
            self._noting.start(partial(self._session.end, self._number), "End of a run")

    def _build(self) -> None:
        self.recover.setToolTip("Read the results back as layers, with their recipes.")
        self.load.setToolTip("Show the recipe of the run that had not ended; its image is lost.")
        self.discard.setToolTip(
            "Do not offer them again. “Recover results…” in the Recipe menu finds them until the days after which "
            "autosaved results are removed are over."
        )
        row, layout = QHBoxLayout(), QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 0)
        for button, slot in ((self.recover, self._recover), (self.load, self._load), (self.discard, self._discard)):
            button.clicked.connect(lambda _=False, act=slot: act())
            row.addWidget(button)
        layout.addWidget(self.text)
        layout.addLayout(row)
        layout.addWidget(self.note)
        self._offer([])


def in_words(found: list[Left]) -> str:
    """What was left, as a sentence; nothing if nothing was."""
    if not found:
        return ""
    results, unfinished = sum(len(x.results) for x in found), sum(len(x.unfinished) for x in found)
    parts = []
    if results:
        size = sum(x.size for x in found) / 1e6
        parts.append(f"{_counted(results, 'result')} ({size:.3g} MB)")
    if unfinished:
        parts.append(f"{_counted(unfinished, 'recipe')} of what was running")
    how = "left" if all(x.clean for x in found) else "that did not end cleanly left"
    return f"A napari {how} {' and '.join(parts)}, on {found[-1].when:%d %B at %H:%M}."


def _time(path: Path) -> float:
    """When a file was written; 0 if it is gone, which reading it tells."""
    return path.stat().st_mtime if path.exists() else 0.0


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
