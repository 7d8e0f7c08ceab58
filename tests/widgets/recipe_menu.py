"""What tests ask of the Recipe menu of a dock."""

from qtpy.QtWidgets import QApplication

from napari_lossguide.widgets.provenance import ProvenanceDialog
from napari_lossguide.widgets.recipe_row import RecipeRow


def choose(dock, start):
    """Choose the entry whose title begins so."""
    menu = dock.findChild(RecipeRow).button.menu()
    (action,) = (action for action in menu.actions() if action.text().startswith(start))
    action.trigger()


def run(qtbot, dock):
    """Run to a result."""
    with qtbot.waitSignal(dock.done, timeout=60_000) as ended:
        dock.panel.button.click()
    assert ended.args == [""]


def copied():
    """The text on the clipboard."""
    return QApplication.clipboard().text()


def table(dock, layer):
    """What the dialog of the provenance of a layer shows, by name; it is copied too."""
    dock.autosave.viewer.layers.selection = {layer}
    choose(dock, "Provenance")
    (dialog,) = [d for d in dock.findChildren(ProvenanceDialog) if d.isVisible()]
    shown = dialog.table
    rows = {shown.item(i, 0).text(): shown.item(i, 1).text() for i in range(shown.rowCount())}
    dialog.copy_button.click()
    assert all(f"{name}: {value}" in copied() for name, value in rows.items())
    assert dialog.windowTitle() == f"Provenance of {layer.name}"
    dialog.close()
    return rows
