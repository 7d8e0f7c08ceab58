"""Getting started: the steps from data to a comparison, with a button for each and a tick where it is done."""

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton

from napari_lossguide.widgets import difference_maps
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.panel import Panel, heading
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.view_modes import GRID
from napari_lossguide.widgets.views import kdata_of, role_of

PLUGIN = "napari-lossguide"
LESSONS = {
    "lesson_1": "Lesson 1: phantom, one coil, 4x",
    "lesson_2": "Lesson 2: brain template, 8 coils",
    "lesson_3": "Lesson 3: spikes and noise",
    "lesson_4": "Lesson 4: undersampled scan without a reference",
    "lesson_5": "Lesson 5: stack of slices",
}
# step: title, what it is about, the button, the button's tip
STEPS = {
    "sample": (
        "1. Open sample data",
        "K-space is what a scanner measures; the image is its Fourier transform.",
        "Open sample",
        "Add the layers of the chosen lesson. Nothing is downloaded.",
    ),
    "mask": (
        "2. Undersample it",
        "A mask says which points of k-space are kept; fewer points make a faster scan, and a blurred or folded image.",
        "Open Mask",
        "Open the Mask dock: other patterns, another acceleration, drawing by hand.",
    ),
    "run": (
        "3. Reconstruct",
        "The prior fills in what was not measured, and agrees with what was.",
        "Run",
        "Open the Reconstruct dock, take the mask, and run what it says.",
    ),
    "compare": (
        "4. Compare",
        "The error against the true image shows what to trust. Lesson 4 has none, as real scans do.",
        "Compare",
        "Open the Compare dock and show results and true image side by side.",
    ),
}


def steps_done(viewer: Any) -> set[str]:
    """The steps that the layers of a viewer show to be done."""
    kdata = [k for layer in viewer.layers if (k := kdata_of(layer)) is not None]
    roles = {role_of(layer) for layer in viewer.layers}
    found = {
        "sample": bool(kdata),
        "mask": "mask" in roles or any(not k.fully_sampled for k in kdata),
        "run": "result" in roles,
        "compare": "result" in roles and difference_maps.ROLE in roles,
    }
    return {step for step, done in found.items() if done}


class GuideDock(Panel):
    """Dock widget.

    Parameters
    ----------
    napari_viewer : napari hands it over.

    Attributes
    ----------
    lesson : which sample data.
    buttons : of the steps.
    ticks : of the steps; a tick where it is done.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._viewer = napari_viewer
        self.lesson = ComboBox()
        self.buttons: dict[str, QPushButton] = {}
        self.ticks: dict[str, QLabel] = {}
        self._build()
        self._look = self.after(0, self.refresh)
        for name in ("inserted", "removed", "renamed"):  # a preview that becomes a result is renamed
            self.listen(getattr(napari_viewer.layers.events, name), self._changed)
        self.refresh()

    def refresh(self) -> None:
        """Tick what is done."""
        done = steps_done(self._viewer)
        for step, tick in self.ticks.items():
            tick.setText("✓" if step in done else "")
            tick.setAccessibleName(f"{STEPS[step][0]}: {'done' if step in done else 'to do'}")

    def _changed(self, event: Any = None) -> None:
        self._look.start()

    def _open_sample(self) -> None:
        self._viewer.open_sample(PLUGIN, self.lesson.currentData())

    def _open(self, name: str) -> Any:
        return self._viewer.window.add_plugin_dock_widget(PLUGIN, name)[1]

    def _run(self) -> None:
        dock: ReconstructDock = self._open("Reconstruct")
        dock.start()

    def _compare(self) -> None:
        dock = self._open("Compare")
        dock.add_reference()
        dock.modes.choose(GRID)
        self._look.start()

    def _do(self, action: Callable[[], Any]) -> None:
        with self.attempt():
            action()

    def _build(self) -> None:
        actions: dict[str, Callable[[], Any]] = {
            "sample": self._open_sample,
            "mask": lambda: self._open("Mask"),
            "run": self._run,
            "compare": self._compare,
        }
        for key, title in LESSONS.items():
            self.lesson.addItem(title, key)
        self.lesson.setAccessibleName("Lesson")
        self.lesson.setToolTip("Sample data that are made here; the template needs the package nilearn.")
        for step, (title, text, button, tip) in STEPS.items():
            self.body.addLayout(self._row(step, title))
            about = QLabel(text)
            about.setWordWrap(True)
            self.body.addWidget(about)
            if step == "sample":
                self.body.addWidget(self.lesson)
            self.buttons[step] = QPushButton(button)
            self.buttons[step].setToolTip(tip)
            self.buttons[step].clicked.connect(lambda _, act=actions[step]: self._do(act))
            self.body.addWidget(self.buttons[step])
        self.body.addStretch(1)

    def _row(self, step: str, title: str) -> QHBoxLayout:
        row, self.ticks[step] = QHBoxLayout(), QLabel()
        row.addWidget(heading(title), 1)
        row.addWidget(self.ticks[step])
        return row
