"""How the images that are compared stand on the canvas: side by side, swiped, flickering, or as they were."""

from collections.abc import Sequence
from typing import Any

from napari.layers import Image, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.arrangement import Arrangement
from napari_lossguide.widgets.boxes import ComboBox, FloatBox, Slider
from napari_lossguide.widgets.flicker import KEY, RATES, Flicker
from napari_lossguide.widgets.panel import Sentence
from napari_lossguide.widgets.side_by_side import SideBySide
from napari_lossguide.widgets.swipe import Swipe

GRID, SWIPE, FLICKER = "side by side", "swipe", "flicker"
TIPS = {
    GRID: "Show the ticked images and the reference in a grid, with linked views and contrast.",
    SWIPE: "Show two images in one place, parted by a line that can be moved.",
    FLICKER: "Let the ticked images and the reference take turns in one place: what differs moves.",
}
STEPS = 1000  # of the slider, from the left edge to the right one
TOO_FEW = "Tick two images, or one and choose a reference"


class ViewModes(QWidget):
    """Buttons for the modes and the way back, and the controls of the mode that is chosen.

    Parameters
    ----------
    viewer : napari's viewer, or a viewer model.

    Attributes
    ----------
    changed : signal ``(mode)``, chosen by a person: then call `show_layers`; empty: call `leave`.
    buttons : by mode.
    back : button that leads to the layers as they were.
    swipe, flicker : the controls of these modes.
    arrived : signal, when what the mode shows had to be read and is there: call `show_layers`.
    """

    changed = Signal(str)
    arrived = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._arrangement = Arrangement(viewer)
        self._grid = SideBySide(viewer, self._arrangement)
        self._swipe, self._flicker = Swipe(viewer, self._arrangement, self), Flicker(viewer, self._arrangement, self)
        self.mode = ""
        self.buttons = {mode: QPushButton(mode.capitalize()) for mode in TIPS}
        self.back = QPushButton("Back")
        self.swipe, self.flicker = SwipeControls(self._swipe), FlickerControls(self._flicker)
        self._build()
        self.swipe.chosen.connect(lambda: self.changed.emit(self.mode))
        self._swipe.arrived.connect(self.arrived)

    def choose(self, mode: str) -> None:
        """Choose a mode as its button does; the one that is chosen, or "", leads back."""
        self.mode = "" if mode == self.mode else mode
        for name, button in self.buttons.items():
            button.setChecked(name == self.mode)
        self.back.setEnabled(bool(self.mode))
        self.swipe.setVisible(self.mode == SWIPE)
        self.flicker.setVisible(self.mode == FLICKER)
        self.changed.emit(self.mode)

    def begin(self) -> None:
        """Remember how the canvas looks, before layers are added to it; once is enough."""
        self._arrangement.begin()

    def show_layers(
        self, reference: Image | None, images: Sequence[Image], maps: Sequence[Image], running: Sequence[Layer]
    ) -> None:
        """Bring the canvas to the chosen mode, or up to date in it.

        Parameters
        ----------
        reference : what the others are compared with.
        images : that are ticked.
        maps : stand under the images, side by side only.
        running : stand behind them, side by side only.

        Raises
        ------
        InvalidInput
            If there are too few images, or two that cannot be swiped.
        """
        if not self.mode:
            return
        self.begin()
        top = [*images, *([reference] if reference is not None else [])]
        for mode, each in ((GRID, self._grid), (SWIPE, self._swipe), (FLICKER, self._flicker)):
            if mode != self.mode:
                each.stop()
        if self.mode == GRID:
            self._grid.show(top, maps, running)
            return
        if len(top) < 2:
            (self._swipe if self.mode == SWIPE else self._flicker).stop()
            raise InvalidInput(f"{TOO_FEW}: '{self.mode.capitalize()}' needs two images.")
        if self.mode == SWIPE:
            left, right = self.swipe.offer(top, reference)
            lead = reference if reference in (left, right) else left
            self._swipe.show(left, right, self.swipe.fraction, lead)
        else:
            self._flicker.show(top)

    def leave(self) -> None:
        """Show the layers as they were."""
        self._swipe.stop()
        self._flicker.stop()
        self._arrangement.restore()

    def _build(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(4)
        for mode, button in self.buttons.items():
            button.setCheckable(True)
            button.setToolTip(TIPS[mode])
            button.clicked.connect(lambda _, chosen=mode: self.choose(chosen))
            row.addWidget(button)
        self.back.setToolTip("Show the layers as they were before.")
        self.back.setAccessibleName("Back to the layers as they were")
        self.back.setEnabled(False)
        self.back.clicked.connect(lambda _: self.choose(""))
        row.addWidget(self.back)
        for button in (*self.buttons.values(), self.back):  # Qt's own style would ask for 80 pixels each
            button.setMinimumWidth(button.fontMetrics().horizontalAdvance(button.text()) + 8)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        for controls in (self.swipe, self.flicker):
            layout.addWidget(controls)
            controls.hide()


class SwipeControls(QWidget):
    """Which two images, and where the line is.

    Attributes
    ----------
    chosen : signal, when a person chose another image.
    left, right : choices of the images.
    slider : place of the line.
    note : says what is being read.
    """

    chosen = Signal()

    def __init__(self, swipe: Swipe) -> None:
        super().__init__()
        self.left, self.right, self.slider = ComboBox(), ComboBox(), Slider(Qt.Orientation.Horizontal)
        self._images: list[Image] = []
        self._sides: list[Image | None] = [None, None]
        self.left.setAccessibleName("Image left of the line")
        self.right.setAccessibleName("Image right of the line")
        self.slider.setAccessibleName("Place of the line")
        self.slider.setToolTip(
            "Where the line stands, from the left edge to the right one. It can be dragged on the canvas as well."
        )
        self.slider.setRange(0, STEPS)
        self.slider.setValue(STEPS // 2)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.left, 0, 0)
        layout.addWidget(self.right, 0, 1)
        layout.addWidget(self.slider, 1, 0, 1, 2)
        self.note = Sentence("Swipe")
        layout.addWidget(self.note, 2, 0, 1, 2)
        swipe.reading.connect(self.note.show_text)
        self.slider.valueChanged.connect(lambda _: swipe.move(self.fraction))
        swipe.dragged.connect(lambda fraction: self.slider.setValue(round(fraction * STEPS)))
        for side, box in enumerate((self.left, self.right)):
            box.setMinimumContentsLength(5)
            box.currentIndexChanged.connect(lambda index, side=side: self._choose(side, index))

    @property
    def fraction(self) -> float:
        """Place of the line, 0 at the left edge and 1 at the right one."""
        return self.slider.value() / STEPS

    def offer(self, images: Sequence[Image], reference: Image | None) -> tuple[Image, Image]:
        """Offer these images, and return the two that are chosen: at first the reference, and the first other one."""
        self._images = list(images)
        left, right = (side if side in images else None for side in self._sides)
        left = left or (reference if reference is not None and reference is not right else None)
        left = left or next(image for image in images if image is not right)
        right = right or next(image for image in images if image is not left)
        self._sides = [left, right]
        for box, chosen in ((self.left, left), (self.right, right)):
            box.blockSignals(True)
            box.clear()
            box.addItems([image.name for image in images])
            box.setCurrentIndex(self._images.index(chosen))
            box.setToolTip(f"{box.accessibleName()}: {chosen.name}")
            box.blockSignals(False)
        return left, right

    def _choose(self, side: int, index: int) -> None:
        """The image that was on the other side goes where the chosen one was."""
        image = self._images[index]
        if image is self._sides[1 - side]:
            self._sides[1 - side] = self._sides[side]
        self._sides[side] = image
        self.chosen.emit()


class FlickerControls(QWidget):
    """How fast the images take turns, a pause, a step, and the name of the one that is shown.

    Attributes
    ----------
    rate : images a second.
    pause, following : buttons.
    name : of the image on the canvas.
    """

    def __init__(self, flicker: Flicker) -> None:
        super().__init__()
        self.rate, self.name = FloatBox(), QLabel()
        self.pause, self.following = QPushButton("Pause"), QPushButton("Next")
        low, high = RATES
        self.rate.setRange(low, high)
        self.rate.setSingleStep(0.5)
        self.rate.setSuffix(" Hz")
        self.rate.setValue(2.0)
        self.rate.setAccessibleName("Rate of the flicker")
        self.rate.setToolTip(f"Images a second. Range: {low:g} to {high:g} Hz.")
        self.pause.setCheckable(True)
        self.pause.setToolTip("Stop the turns; 'Next' goes on by hand.")
        self.following.setToolTip(f"Show the next image (key {KEY} on the canvas).")
        self.name.setAccessibleName("Image shown")
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for column, widget in enumerate((self.rate, self.pause, self.following)):
            layout.addWidget(widget, 0, column)
        layout.addWidget(self.name, 1, 0, 1, 3)
        self.rate.valueChanged.connect(flicker.set_rate)
        self.pause.toggled.connect(lambda paused: flicker.play(not paused))
        self.following.clicked.connect(lambda _: flicker.advance())
        flicker.shown.connect(self._show_name)

    def _show_name(self, name: str) -> None:
        metrics = self.name.fontMetrics()
        self.name.setText(metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, max(self.name.width(), 200)))
        self.name.setToolTip(name)
