"""Asks which intensities a model was trained on, when its files do not say."""

from pathlib import Path

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QWidget

from napari_lossguide.widgets.boxes import ComboBox, FloatBox

USUAL = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0))
LARGEST = 1e9


class RangeDialog(QDialog):
    """Lowest and highest intensity of a model's training images.

    Parameters
    ----------
    path : the model.
    parent : the widget it belongs to.
    """

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Range of the model")
        question = QLabel(
            f"“{path.name}” does not say which intensities it was trained on. "
            "The answer is kept in a small file beside the model."
        )
        question.setWordWrap(True)
        self.usual = ComboBox()
        self.usual.setAccessibleName("Usual ranges")
        for low, high in USUAL:
            self.usual.addItem(f"{low:g} … {high:g}")
        self.usual.addItem("another")
        self.low, self.high = FloatBox(), FloatBox()
        for box, name in ((self.low, "Lowest"), (self.high, "Highest")):
            box.setAccessibleName(f"{name} intensity")
            box.setRange(-LARGEST, LARGEST)
            box.valueChanged.connect(self._check)
        self._buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel, self
        )
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        rows = QFormLayout(self)
        rows.addRow(question)
        rows.addRow("Usual", self.usual)
        rows.addRow("Lowest", self.low)
        rows.addRow("Highest", self.high)
        rows.addRow(self._buttons)
        self.usual.currentIndexChanged.connect(self._fill)
        self._fill(0)

    def value(self) -> tuple[float, float]:
        """Lowest and highest intensity."""
        return self.low.value(), self.high.value()

    def _fill(self, index: int) -> None:
        if index < len(USUAL):
            self.low.setValue(USUAL[index][0])
            self.high.setValue(USUAL[index][1])
        self._check()

    def _check(self) -> None:
        if self.value() not in USUAL:
            self.usual.setCurrentIndex(len(USUAL))
        self._buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(self.low.value() < self.high.value())
