"""Commands of napari's palette (Ctrl+Shift+P) that act on the docks that are open."""

from typing import Any, TypeVar

from napari import current_viewer
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QWidget

from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.sample_dock import SampleDock

Dock = TypeVar("Dock", bound=QWidget)
CLOSED = "The Reconstruct dock is not open; open it with Plugins > napari-lossguide > Reconstruct."
IDLE = "Nothing is running, neither in the Reconstruct dock nor in Sample the prior."


def run() -> None:
    """Run what the Reconstruct dock says."""
    dock = _reconstruct()
    if dock is None:
        return
    if dock.running:
        show_info("A reconstruction is running already.")
    else:
        dock.panel.button.click()
        _repeat(dock)


def pause() -> None:
    """Pause the run, or go on with it."""
    dock = _running()
    if dock is not None:
        dock.panel.pause.click()


def cancel() -> None:
    """End the run at its next step."""
    dock = _running()
    if dock is not None:
        dock.panel.button.click()


def branch() -> None:
    """Branch from the step that the timeline shows."""
    dock = _reconstruct()
    if dock is None:
        return
    if not dock.timeline.isVisibleTo(dock) or not dock.timeline.isEnabled():
        show_info("There is no recorded run to branch from yet.")
    elif not dock.timeline.button.isEnabled():
        show_info("Pause the run, or wait for its end, to branch from one of its steps.")
    else:
        dock.timeline.button.click()
        _repeat(dock)


def load_recipe() -> None:
    """Ask for a recipe and show it in the Reconstruct dock."""
    dock = _reconstruct()
    if dock is not None:
        dock.recipes.ask_and_load()
        _repeat(dock)


def find_dock(viewer: Any, kind: type[Dock]) -> Dock | None:
    """The dock of a kind in a viewer's window, if it is there; a hidden tab counts, a closed dock does not."""
    window = getattr(viewer, "window", None)
    docks = [] if window is None else [d for d in window.dock_widgets.values() if isinstance(d, kind)]
    return next((d for d in docks if not _closed(d)), None)


def _closed(dock: QWidget) -> bool:
    frame = dock.parentWidget()
    while frame is not None and not hasattr(frame, "toggleViewAction"):
        frame = frame.parentWidget()
    return frame is not None and not frame.toggleViewAction().isChecked()


def _reconstruct() -> ReconstructDock | None:
    dock = find_dock(current_viewer(), ReconstructDock)
    if dock is None:
        show_info(CLOSED)
    return dock


def _running() -> ReconstructDock | SampleDock | None:
    viewer = current_viewer()
    for kind in (ReconstructDock, SampleDock):
        dock: Any = find_dock(viewer, kind)
        if dock is not None and dock.running:
            return dock
    show_info(IDLE)
    return None


def _repeat(dock: ReconstructDock) -> None:
    """What the dock refuses is said where the person looks: the dock may be a hidden tab."""
    if not dock.running and dock.status.sentence and not dock.isVisible():
        show_info(dock.status.sentence)
