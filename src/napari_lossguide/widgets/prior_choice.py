"""Choice of a prior: the bundled ones, a file or a folder. Reads headers only, so PyTorch stays out."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QMenu, QPushButton, QWidget

from napari_lossguide.priors.formats.registry import find_model
from napari_lossguide.priors.formats.sidecar import Incomplete, read_sidecar, write_sidecar
from napari_lossguide.priors.load import find_prior, list_priors, prior_info
from napari_lossguide.types import InvalidInput, PriorInfo
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.range_dialog import RangeDialog

FILES = "Priors and models (*.safetensors *.pt *.pth *.ckpt);;All files (*)"


class PriorChoice(QWidget):
    """Combo box of priors with a button for files and folders, which may also be dropped on it.

    Attributes
    ----------
    refused : signal ``(sentence)`` when a file or folder is not a prior.
    changed : signal when another one is chosen.
    """

    refused = Signal(str)
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._box = ComboBox()
        self._box.setAccessibleName("Prior")
        self._box.setMinimumContentsLength(4)
        self._box.setPlaceholderText("choose…")
        for info in list_priors():
            self._add(info, info.name)
        self._box.setCurrentIndex(min(0, self._box.count() - 1))  # with a placeholder Qt chooses none by itself
        self._box.currentIndexChanged.connect(lambda _: self.changed.emit())
        button = QPushButton("…")
        button.setToolTip(
            "Use a prior from a file, such as one trained with `lossguide train`, or a model of another library: "
            "a checkpoint, a diffusers folder, a MONAI bundle. It may also be dropped here."
        )
        button.setAccessibleName("Prior from a file or folder")
        button.setMaximumWidth(28)
        menu = QMenu(button)
        menu.addAction("File…", self._browse)
        menu.addAction("Folder…", self._browse_folder)
        button.setMenu(menu)
        self.setAcceptDrops(True)
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
            raise InvalidInput("No prior is chosen; press … next to Prior and take a file or folder.")
        return str(self._box.currentData())

    def select(self, name: str) -> None:
        """Choose a bundled prior by name, or a file or folder by path.

        Raises
        ------
        InvalidInput
            If there is no such prior or the path is not one.
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
        if notes := info.extra.get("notes"):
            facts += [f"{info.extra['format']}, {info.range}", *notes]  # type: ignore[misc]
        tip = "\n".join([f for f in facts if f] or [value])
        self._box.setItemData(self._box.count() - 1, tip, 3)  # Qt.ToolTipRole
        self._box.setToolTip(tip)

    def take(self, path: str) -> None:
        """Choose a file or folder; ask for what is missing, and say why if it cannot be used."""
        try:
            try:
                self.select(path)
            except Incomplete as error:
                if not self._complete(error):
                    raise
                self.select(path)
        except InvalidInput as error:
            self.refused.emit(str(error))

    def _complete(self, error: Incomplete) -> bool:
        """Ask for the range if nothing else is missing, and write it down; False if it is not given."""
        if not all(m.startswith("--range") for m in error.missing):
            return False
        dialog = RangeDialog(error.path, self)
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return False
        given = read_sidecar(error.path).with_settings([("range", dialog.value())])
        find_model(error.path, given)  # refuses a range that this model cannot have
        write_sidecar(error.path, given)
        return True

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept one file or folder of this machine."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take what was dropped."""
        event.acceptProposedAction()
        self.take(event.mimeData().urls()[0].toLocalFile())

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a prior", "", FILES)
        if path:
            self.take(path)

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose the folder of a model")
        if path:
            self.take(path)
