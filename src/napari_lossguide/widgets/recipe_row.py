"""Copy, save and load a recipe: three buttons of the Reconstruct dock."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_lossguide.data.writers import write_bytes
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.recipe import Recipe

FILTER = "Recipes (*.json)"


class RecipeRow(QWidget):
    """The buttons.

    Parameters
    ----------
    recipe : gives the recipe to copy or save, and what to call it.
    load : takes the path of a recipe.
    say : shows a sentence.
    attempt : context that shows what goes wrong inside.
    command : of the shell that runs such a recipe.
    """

    def __init__(
        self,
        recipe: Callable[[], tuple[Recipe, str]],
        load: Callable[[str], None],
        say: Callable[[str], None],
        attempt: Callable[[], AbstractContextManager[None]],
        command: str = "lossguide recon",
    ) -> None:
        super().__init__()
        self._recipe, self._load, self._say, self._attempt = recipe, load, say, attempt
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        buttons = (
            (
                "Copy recipe",
                f"Copy all that decides this run, as JSON for `{command} --recipe`.",
                self.copy,
            ),
            ("Save recipe…", "Save the recipe as a file.", self.ask_and_save),
            ("Load recipe…", "Load a recipe; its mask becomes a layer.", self.ask_and_load),
        )
        for title, tip, slot in buttons:
            button = QPushButton(title)
            button.setToolTip(tip)
            button.clicked.connect(lambda _, act=slot: act())
            layout.addWidget(button)

    def copy(self) -> None:
        """Put the recipe on the clipboard."""
        with self._attempt():
            recipe, what = self._recipe()
            QApplication.clipboard().setText(recipe.to_json())
            self._say(f"Copied {what}.")

    def ask_and_save(self) -> None:
        """Ask for a file and write the recipe to it."""
        with self._attempt():
            recipe, what = self._recipe()
            path, _ = QFileDialog.getSaveFileName(self, "Save recipe", f"{recipe.method}.json", FILTER)
            if path:
                write_text(Path(path), recipe.to_json())
                self._say(f"Saved {what} as {path}.")

    def ask_and_load(self) -> None:
        """Ask for a file and show its recipe."""
        with self._attempt():
            path, _ = QFileDialog.getOpenFileName(self, "Load recipe", "", FILTER)
            if path:
                self._load(path)
                self._say(f"Loaded {path}.")


def same_but_live(a: Recipe, b: Recipe) -> bool:
    """Do two recipes differ at most in their live knobs?"""
    return a.method == b.method and _without_live(a) == _without_live(b)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    InvalidInput
        If it cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


def _without_live(recipe: Recipe) -> dict[str, object]:
    plain = recipe.model_dump(exclude={"changes"})
    for name in method(recipe.method).live_knobs:
        part, _, own = name.partition(".")
        plain[part].pop(own, None)
    return plain
