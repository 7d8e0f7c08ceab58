"""The timeline of a run: every step can be looked at again, and a branch can go on from it with other knobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QSlider, QVBoxLayout, QWidget

from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.keys import BRANCH, with_key

if TYPE_CHECKING:
    from napari_lossguide.recon.tape import Frame

WHAT = {
    "estimate": ("Estimate", "What the method takes for the image after this step."),
    "state": ("Noisy state", "The noisy image that the step leaves, which the next one starts from."),
}


class Timeline(QWidget):
    """Slider over the recorded steps.

    Attributes
    ----------
    scrubbed : signal ``(step, what)``, a step from 1 and "estimate" or "state"; when a person moves the slider.
    branch : signal ``(step)``.
    side_by_side : signal ``(bool)``: show the run and its branches next to each other, or as before.
    title : what the next branch is to be called.
    """

    scrubbed = Signal(int, str)
    branch = Signal(int)
    side_by_side = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._frames: list[Frame] = []
        self._several = False
        self.slider, self.where = QSlider(Qt.Orientation.Horizontal), QLabel()
        self.what, self.button = ComboBox(), QPushButton("Branch from here")
        self.title, self.together = QLineEdit(), QPushButton("Side by side")
        self._build()
        self.allow_together(False)
        self.hide()

    @property
    def step(self) -> int:
        """The step that is looked at, from 1."""
        return self.slider.value()

    def begin(self, recorded: bool, slices: int = 1) -> None:
        """A run of so many slices starts; nothing is recorded yet, or nothing ever will be."""
        self._frames, self._several = [], slices > 1
        self.slider.setRange(0, 0)
        self.where.setText("")
        self.setVisible(recorded)
        self.setEnabled(False)

    def show_frames(self, frames: list[Frame]) -> None:
        """Offer these steps; the last one is looked at, unless a person looks at another one of them."""
        followed = self.step >= len(self._frames)
        self._frames = frames
        if frames:
            self.setEnabled(True)
            blocked = self.slider.blockSignals(True)
            self.slider.setRange(1, len(frames))
            if followed:
                self.slider.setValue(len(frames))
            self.slider.blockSignals(blocked)
            self._say()

    def allow_branch(self, why_not: str) -> None:
        """Offer the branch, or say why there is none."""
        self.button.setEnabled(not why_not)
        tip = (
            why_not
            or "Go on from this step with the live knobs as they are set now. The steps before come from the recording "
            "and cost nothing; the branch becomes a result of its own, and its recipe repeats it bit by bit."
        )
        self.button.setToolTip(with_key(tip, BRANCH))

    def allow_together(self, several: bool) -> None:
        """Offer to show the branches next to each other, if there are any."""
        self.together.setEnabled(several)
        self.together.setToolTip(
            "Show the run and its branches next to each other, with linked views and contrast; once more: as before."
            if several
            else "There is one image of this run so far; a branch makes a second one."
        )

    def _describe(self) -> None:
        """Names and tooltips."""
        self.slider.setAccessibleName("Timeline")
        self.slider.setToolTip(
            "Look at any step of the last run again, in the layer 'Timeline'. [←] and [→] go by a step, [Page Up] and "
            "[Page Down] by five; [Space] changes between the estimate and the noisy state."
        )
        self.what.setAccessibleName("Timeline shows")
        for key, (title, tip) in WHAT.items():
            self.what.addItem(title, key)
            self.what.setItemData(self.what.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.where.setAccessibleName("Step looked at")
        self.title.setAccessibleName("Name of the branch")
        self.title.setPlaceholderText("name of the branch")
        self.title.setToolTip("What the next branch is called in its layer; without a name it is called by its step.")
        self.what.setToolTip(WHAT[self.what.currentData()][1])
        self.allow_branch("")

    def _build(self) -> None:
        self._describe()
        self.slider.setPageStep(5)
        blink = QShortcut(QKeySequence("Space"), self.slider)
        blink.setContext(Qt.ShortcutContext.WidgetShortcut)
        blink.activated.connect(lambda: self.what.setCurrentIndex((self.what.currentIndex() + 1) % self.what.count()))
        self.title.setMaxLength(40)
        self.together.setCheckable(True)
        above, below, last = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        above.addWidget(self.slider, 1)
        above.addWidget(self.where)
        below.addWidget(self.what, 1)
        below.addWidget(self.button)
        last.addWidget(self.title, 1)
        last.addWidget(self.together)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 4)
        layout.setSpacing(4)
        layout.addLayout(above)
        layout.addLayout(below)
        layout.addLayout(last)
        self.slider.valueChanged.connect(lambda _: self._look())
        self.what.currentIndexChanged.connect(lambda _: self._look())
        self.button.clicked.connect(lambda: self.branch.emit(self.step))
        self.together.toggled.connect(self.side_by_side)

    def _look(self) -> None:
        self.what.setToolTip(WHAT[self.what.currentData()][1])
        if self._frames:
            self._say()
            self.scrubbed.emit(self.step, self.what.currentData())

    def _say(self) -> None:
        frame = self._frames[self.step - 1]
        where = f"step {frame.step}, σ {frame.sigma:.3g}"
        self.where.setText(f"slice {frame.slice + 1}, {where}" if self._several else where)
