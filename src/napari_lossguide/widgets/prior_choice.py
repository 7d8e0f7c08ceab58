"""Choice of a prior: the bundled ones, or a file. Reads headers only, so PyTorch stays out."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_lossguide.priors.load import find_prior, list_priors, prior_info
from napari_lossguide.types import InvalidInput, PriorInfo
from napari_lossguide.widgets.boxes import ComboBox


class PriorChoice(QWidget):
    """Combo box of priors with a button for files.

    Attributes
    ----------
    refused : signal ``(sentence)`` when a file is not a prior.
    """

    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._box = ComboBox()
        self._box.setAccessibleName("Prior")
        self._box.setMinimumContentsLength(4)
        self._box.setPlaceholderText("choose…")
        for info in list_priors():
            self._add(info, info.name)
        self._box.setCurrentIndex(min(0, self._box.count() - 1))  # with a placeholder Qt chooses none by itself
        button = QPushButton("…")
        button.setToolTip("Use a prior from a .safetensors file, such as one trained with `lossguide train`.")
        button.setAccessibleName("Prior from a file")
        button.setMaximumWidth(28)
        button.clicked.connect(self._browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box, 1)
        layout.addWidget(button)

    def value(self) -> str:
        """Name of a bundled prior or path of a file.

        Raises
        ------
        InvalidInput
            If there is none.
        """
        if self._box.currentIndex() < 0:
            raise InvalidInput("No prior is chosen; press … next to Prior and take a .safetensors file.")
        return str(self._box.currentData())

    def select(self, name: str) -> None:
        """Choose a bundled prior by name or a file by path.

        Raises
        ------
        InvalidInput
            If there is no such prior or the file is not one.
        """
        index = self._box.findData(name)
        if index < 0:
            self._add(prior_info(find_prior(name)), name)
            index = self._box.count() - 1
        self._box.setCurrentIndex(index)

    def _add(self, info: PriorInfo, value: str) -> None:
        title = info.name if value == info.name else f"{info.name} ({Path(value).name})"
        self._box.addItem(title, value)
        facts = [info.trained_on and f"Trained on {info.trained_on}", info.licence and f"Licence: {info.licence}"]
        tip = "\n".join([f for f in facts if f] or [value])
        self._box.setItemData(self._box.count() - 1, tip, 3)  # Qt.ToolTipRole
        self._box.setToolTip(tip)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a prior", "", "Priors (*.safetensors)")
        if path:
            try:
                self.select(path)
            except InvalidInput as error:
                self.refused.emit(str(error))
