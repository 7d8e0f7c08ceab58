"""The demonstration: a simulated acquisition, reconstructed three ways and compared, with all docks on screen."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QDockWidget

from napari_lossguide.data import samples
from napari_lossguide.data.kdata import KData
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.kspace_dock import KSpaceDock
from napari_lossguide.widgets.mask_dock import MaskDock
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

SIZE = (1600, 1000)  # pixels of the window
SLICE = 1  # of the template: through the basal ganglia
MASK_KIND = "equispaced"
MASK = {"acceleration": 4.0, "center_fraction": 0.08, "seed": 0}
METHODS = ("zero-filled", "l1-wavelet", "prox-mean")
# Milliseconds: for a first look at the acquisition, for the canvas to settle, for the figures of merit at most.
OVERVIEW, SETTLE, PATIENCE = 1500, 1000, 60_000


class Demo(QObject):
    """The steps of the demonstration, each started by the end of the one before.

    Parameters
    ----------
    viewer : napari's viewer, with a window.
    kdata : fully sampled k-space with a known image.
    methods : reconstructed one after another.
    finished : called with an empty sentence at the end, or with what went wrong.
    """

    def __init__(self, viewer: Any, kdata: KData, methods: tuple[str, ...], finished: Callable[[str], None]) -> None:
        super().__init__(viewer.window._qt_window)
        self._viewer, self._left, self._finished = viewer, list(methods), finished
        layers.add_kspace(viewer, kdata)
        self.docks = {
            "K-space": KSpaceDock(viewer),
            "Mask": MaskDock(viewer),
            "Reconstruct": ReconstructDock(viewer),
            "Compare": CompareDock(viewer),
        }
        self._frames = {
            name: viewer.window.add_dock_widget(dock, name=name, area="right", tabify=True)
            for name, dock in self.docks.items()
        }
        self.reconstruct: ReconstructDock = self.docks["Reconstruct"]
        self.reconstruct.done.connect(self._next)
        mask: MaskDock = self.docks["Mask"]
        mask.kind.setCurrentIndex(mask.kind.findData(MASK_KIND))
        mask.form.set_values(MASK)
        self.show("Reconstruct")
        viewer.reset_view()

    def start(self) -> None:
        """Begin with the first method, as soon as the Mask dock has made its mask."""
        if self.reconstruct.settings.mask.layer is None:
            QTimer.singleShot(50, self.start)
        else:
            self._next("")

    def _next(self, problem: str) -> None:
        if problem or not self._left:
            if not problem:
                self._compare()
            self._finished(problem)
            return
        if len(self._left) == 1:  # the one to watch gets the whole canvas
            self._viewer.canvas.grid.enabled = False
            self._viewer.reset_view()
        settings = self.reconstruct.settings
        settings.method.setCurrentIndex(settings.method.findData(self._left.pop(0)))
        self.reconstruct.start()
        if not self.reconstruct.running:
            self._finished(self.reconstruct.status.sentence)

    def _compare(self) -> None:
        compare: CompareDock = self.docks["Compare"]
        compare.add_reference()
        compare.modes.choose("side by side")
        self.show("Compare")

    def show(self, name: str) -> None:
        """Bring a dock to the front."""
        frame: QDockWidget = self._frames[name]
        frame.show()
        frame.raise_()


def run(screenshot: str | None = None) -> None:
    """Open napari and run the demonstration.

    Parameters
    ----------
    screenshot : PNG file; when given, the window is pictured at the end and closed.

    Raises
    ------
    InvalidInput
        If the sample data are not installed, a reconstruction fails or the picture cannot be written.
    """
    import napari

    kdata = samples.template().select(SLICE)
    viewer = napari.Viewer(title="napari-lossguide: demonstration")
    viewer.window._qt_window.resize(*SIZE)
    problems: list[str] = []

    def finished(problem: str) -> None:
        if problem:
            problems.append(f"The demonstration failed: {problem}")
        if screenshot is None:
            return
        if problem:
            viewer.close()
        else:
            Picture(viewer, demo.docks["Compare"], screenshot, problems)

    demo = Demo(viewer, kdata, METHODS, finished)
    QTimer.singleShot(OVERVIEW, demo.start)
    napari.run()
    if screenshot is not None and problems:
        raise InvalidInput(" ".join(problems))


class Picture(QObject):
    """Waits for the figures of merit, then writes the window to a file and closes it."""

    def __init__(self, viewer: Any, compare: CompareDock, path: str, problems: list[str]) -> None:
        super().__init__(viewer.window._qt_window)
        self._viewer, self._compare, self._path, self._problems = viewer, compare, path, problems
        self._waited = 0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(SETTLE)

    def _look(self) -> None:
        self._waited += 1
        rows = self._compare.table.rows
        if not (rows and all("psnr" in row.figures for row in rows)) and self._waited * SETTLE < PATIENCE:
            return
        self._timer.stop()
        if not self._viewer.window._qt_window.grab().save(self._path, "PNG"):
            self._problems.append(f"{self._path} could not be written.")
        self._viewer.close()
