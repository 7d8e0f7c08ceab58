"""The view of a layer's provenance: a table to read and to copy."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_lossguide.widgets.run_facts import provenance_rows, provenance_text

SIZE = (760, 560)  # pixels: a hash fits on a line, the whole into the least window


class ProvenanceDialog(QDialog):
    """Where a layer comes from.

    Parameters
    ----------
    layer : of a run, of k-space, or a mask.
    parent : the dialog stays above its window.

    Raises
    ------
    InvalidInput
        If nothing is known of the layer.
    """

    def __init__(self, layer: Any, parent: QWidget | None = None) -> None:
        rows, self._text = provenance_rows(layer), provenance_text(layer)
        super().__init__(parent)
        self.setWindowTitle(f"Provenance of {layer.name}")
        self.resize(*SIZE)
        self.table = QTableWidget(len(rows), 2)
        self.table.setAccessibleName("Provenance")
        self.table.setHorizontalHeaderLabels(["What", "Value"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        for index, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
                self.table.setItem(index, column, item)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy the table as text, with the whole recipe as JSON below it.")
        self.copy_button.clicked.connect(self.copy)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table)
        layout.addWidget(buttons)

    def copy(self) -> None:
        """Put everything on the clipboard."""
        QApplication.clipboard().setText(self._text)
