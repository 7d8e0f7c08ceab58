"""The Recipe menu of a dock: a run as a recipe, as a Python script, as a notebook; and where a layer comes from."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QMenu, QPushButton, QSizePolicy, QWidget

from napari_lossguide.data.file_names import with_ending
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.writers import write_npz, write_text
from napari_lossguide.recon.knobs import without_live
from napari_lossguide.recon.notebook import as_notebook
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.recipe_file import suffixes
from napari_lossguide.recon.script import as_python
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.panel import Sentence
from napari_lossguide.widgets.provenance import ProvenanceDialog
from napari_lossguide.widgets.recovery import Autosave

FILTER = "Recipes (*.json)"
LOADED = f"Recipes, and files that carry one ({' '.join(f'*{suffix}' for suffix in suffixes())});;all files (*)"
KSPACE = "k-space (*.npz)"
NOTEBOOKS = "Notebooks (*.ipynb)"


class HasRecipe(Protocol):
    """What the menu needs of its dock."""

    status: Sentence
    autosave: Autosave
    settings: Any

    def recipe(self) -> tuple[Recipe, str]:
        """What is copied and saved, and what it is called."""
        ...

    def load_recipe(self, source: str) -> None:
        """Show a recipe, from JSON text or a file."""
        ...

    def attempt(self) -> AbstractContextManager[None]:
        """Show what goes wrong inside."""
        ...


class RecipeRow(QWidget):
    """A button with the menu.

    Parameters
    ----------
    dock : whose recipe it is.
    data : gives the k-space that the recipe would run on; None where none is needed.
    command : of the shell that runs such a recipe.

    Attributes
    ----------
    button : the button.
    """

    def __init__(
        self, dock: HasRecipe, data: Callable[[], KData] | None = None, command: str = "lossguide recon"
    ) -> None:
        super().__init__()
        self._dock, self._data, self._say = dock, data, dock.status.show_text
        self._written: tuple[KData, Origin] | None = None  # k-space that was saved for a script
        self.button, menu = QPushButton("Recipe"), QMenu(self)
        self.button.setToolTip("Take the run along, as a recipe, a script or a notebook; see where a layer comes from.")
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.button.setMenu(menu)
        menu.setToolTipsVisible(True)
        menu.setAccessibleName("Recipe")
        for title, tip, slot in self._entries(command):
            if slot is None:
                menu.addSeparator()
                continue
            action = menu.addAction(title)
            action.setToolTip(tip)
            action.triggered.connect(lambda _=False, act=slot: act())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)

    def _entries(self, command: str) -> list[tuple[str, str, Callable[[], None] | None]]:
        same = "It gives the same image, bit for bit, on the same machine."
        loads = "A recipe from a file of its own, or from a saved result or image that carries one" + (
            "; its mask becomes a layer." if self._data is not None else "."
        )
        traces = "Recipe, versions, device, hashes and time of a result."
        return [
            ("Copy recipe", f"All that decides this run but the data, as JSON for `{command} --recipe`.", self.copy),
            ("Copy as Python", f"A script that reads the data, runs the recipe and saves. {same}", self.script),
            ("Save recipe…", "The recipe as a file.", self.ask_and_save),
            ("Load recipe…", loads, self.ask_and_load),
            ("Open in a notebook…", f"The script in Jupyter, with pictures and figures. {same}", self.notebook),
            ("", "", None),
            ("Provenance of the selected layer…", traces, self.provenance),
            ("Recover results…", "Results that were autosaved and are still there.", self._dock.autosave.look_again),
        ]

    def copy(self) -> None:
        """Put the recipe on the clipboard."""
        with self._dock.attempt():
            recipe, what = self._dock.recipe()
            QApplication.clipboard().setText(recipe.to_json())
            self._say(f"Copied {what}.")

    def script(self) -> None:
        """Put a script on the clipboard."""
        with self._dock.attempt():
            recipe, what = self._dock.recipe()
            found = self._origin(recipe)
            if found is not None:
                QApplication.clipboard().setText(as_python(recipe, **found))
                self._say(f"Copied a Python script of {what}{_on(found['origin'])}.")

    def notebook(self) -> None:
        """Ask for a file, write a notebook to it and have the system open it."""
        with self._dock.attempt():
            recipe, what = self._dock.recipe()
            found = self._origin(recipe)
            path = found and QFileDialog.getSaveFileName(self, "Save notebook", f"{recipe.method}.ipynb", NOTEBOOKS)[0]
            if not found or not path:
                return
            target = with_ending(path, ".ipynb")
            write_text(target, as_notebook(recipe, **found))
            opened = QDesktopServices.openUrl(QUrl.fromLocalFile(str(target)))
            then = "it should open by itself" if opened else "nothing here opens it by itself"
            self._say(f"The notebook of {what} is {target}; {then} (or: `jupyter lab` with its path).")

    def ask_and_save(self) -> None:
        """Ask for a file and write the recipe to it."""
        with self._dock.attempt():
            recipe, what = self._dock.recipe()
            path, _ = QFileDialog.getSaveFileName(self, "Save recipe", f"{recipe.method}.json", FILTER)
            if path:
                target = with_ending(path, ".json")
                write_text(target, recipe.to_json())
                self._say(f"Saved {what} as {target}.")

    def ask_and_load(self) -> None:
        """Ask for a file and show its recipe."""
        with self._dock.attempt():
            path, _ = QFileDialog.getOpenFileName(self, "Load recipe", "", LOADED)
            if path:
                self._dock.load_recipe(path)
                self._say(f"Loaded {path}.")

    def provenance(self) -> None:
        """Show where the selected layer comes from."""
        with self._dock.attempt():
            layer = self._dock.autosave.viewer.layers.selection.active
            if layer is None:
                raise InvalidInput("No layer, or more than one, is selected; select one to see where it comes from.")
            ProvenanceDialog(layer, self).open()

    def _origin(self, recipe: Recipe) -> Mapping[str, Any] | None:
        """What a script needs beside the recipe: of the last run if it is its recipe; None if a person gave up."""
        last, kdata = self._dock.autosave.last, None
        ran = last is not None and last.result.recipe == recipe
        if self._data is not None:
            kdata = last.kdata if ran and last is not None else self._data()
        origin = None if kdata is None else self._file_of(kdata)
        if kdata is not None and origin is None:
            self._say("Nothing was written or copied: it would have no file to read the k-space from.")
            return None
        provenance = last.result.provenance if ran and last is not None else None
        return {"origin": origin, "provenance": provenance, "device": self._dock.settings.device.currentData()}

    def _file_of(self, kdata: KData) -> Origin | None:
        """How to get k-space again; asks for a file, and writes it, where the data are in none."""
        if kdata.origin is not None and kdata.origin.kind != "image":
            return kdata.origin
        if self._written is not None and self._written[0] is kdata and Path(self._written[1].name).exists():
            return self._written[1]
        path, _ = QFileDialog.getSaveFileName(self, "The script reads its k-space from a file", "kspace.npz", KSPACE)
        if not path:
            return None
        origin = Origin.of_file(write_npz(with_ending(path, ".npz"), kdata.arrays()))
        self._written = kdata, origin
        return origin


def _on(origin: Origin | None) -> str:
    return "" if origin is None else f" on {Path(origin.name).name}"


def same_but_live(a: Recipe, b: Recipe) -> bool:
    """Do two recipes differ at most in their live knobs?"""
    return a.method == b.method and without_live(a) == without_live(b)
