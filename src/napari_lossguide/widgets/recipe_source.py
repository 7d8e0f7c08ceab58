"""One dock takes another's recipe without knowing its class: who gives one says so by a property of its widget."""

from qtpy.QtWidgets import QWidget

from napari_lossguide.recon.recipe import Recipe

GIVES_RECIPE = "lossguide gives recipe"
"""Property of a widget whose method `recipe()` returns a recipe of a reconstruction, and what it is called."""


def recipe_source(asking: QWidget) -> QWidget | None:
    """The widget of the same window that gives a recipe, the last one opened; None if there is none."""
    top = asking
    while (above := top.parentWidget()) is not None:  # a floating dock is a window, but its parent is napari's
        top = above
    found = [w for w in top.findChildren(QWidget) if w.property(GIVES_RECIPE)]
    return found[-1] if found else None


def offered_recipe(source: QWidget) -> Recipe:
    """What a source gives.

    Raises
    ------
    InvalidInput
        If its form is not complete.
    """
    recipe: Recipe = source.recipe()[0]
    return recipe
