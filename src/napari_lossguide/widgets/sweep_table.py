"""The cells of a sweep as a table of small pictures with a figure under each."""

from typing import Any

import numpy as np
from qtpy.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QKeyEvent, QPainter, QPalette, QPen, QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
)

from napari_lossguide.recon.axes import Axis, in_words

PICTURE, PART, BEST = (Qt.ItemDataRole.UserRole + i for i in range(3))
NARROWEST, WIDEST = 76, 220  # pixels of a column
MARGIN = 4
TALLEST_TABLE = 420


class SweepTable(QTableWidget):
    """Rows and columns of a sweep.

    Attributes
    ----------
    opened : signal ``(row, column)`` of a cell that was clicked, or on which Enter was pressed.
    """

    opened = Signal(int, int)

    def __init__(self) -> None:
        super().__init__(0, 0)
        self._fit_soon = QTimer(self)
        self._fit_soon.setSingleShot(True)
        self._fit_soon.timeout.connect(self._fit)
        self._aspect = 1.0
        self.setItemDelegate(CellDelegate(self))
        self.setAccessibleName("Cells of the sweep")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)  # Tab goes on to the next control, the arrow keys move in the table
        self.setCornerButtonEnabled(False)
        for header in (self.horizontalHeader(), self.verticalHeader()):
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            header.setSectionsClickable(False)
            header.setMinimumSectionSize(NARROWEST if header is self.horizontalHeader() else 20)
        self.cellClicked.connect(self.opened)

    def begin(self, rows: Axis, columns: Axis, aspect: float) -> None:
        """Empty cells of another sweep; `aspect` is the height of an image over its width."""
        self.clear()
        self._aspect = aspect
        self.setRowCount(len(rows))
        self.setColumnCount(len(columns))
        self.setVerticalHeaderLabels([headline(rows, i) for i in range(len(rows))])
        self.setHorizontalHeaderLabels([headline(columns, i) for i in range(len(columns))])
        for row, column in np.ndindex(len(rows), len(columns)):
            self.setItem(row, column, QTableWidgetItem())
        for axis, item in ((rows, self.verticalHeaderItem), (columns, self.horizontalHeaderItem)):
            for place in range(len(axis)):
                item(place).setToolTip(axis.caption(place))
        self.setCurrentCell(0, 0)
        self._fit()
        self._fit_soon.start()  # the headers have their width then

    def write(
        self, row: int, column: int, text: str, tip: str, *, best: bool = False, part: float | None = None
    ) -> None:
        """Say something of a cell; `part` (0 to 1) draws a bar."""
        item = self.item(row, column)
        item.setText(text)
        item.setToolTip(tip)
        item.setData(PART, part)
        item.setData(BEST, best)
        where = [self.verticalHeaderItem(row).toolTip(), self.horizontalHeaderItem(column).toolTip()]
        said = "; ".join([*filter(None, where), text + (", the best" if best else "")])
        item.setData(Qt.ItemDataRole.AccessibleTextRole, said)

    def draw(self, row: int, column: int, image: np.ndarray | None) -> None:
        """Show a picture, uint8 (ny, nx), in a cell, or none."""
        self.item(row, column).setData(PICTURE, None if image is None else pixmap(image))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens; everything else is Qt's."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentItem() is not None:
            self.opened.emit(self.currentRow(), self.currentColumn())
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the pictures to the width there is."""
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:
        """As high as its cells, up to a limit."""
        rows = self.rowCount() * self.verticalHeader().defaultSectionSize()
        return QSize(300, min(rows + self.horizontalHeader().sizeHint().height() + 4, TALLEST_TABLE))

    def minimumSizeHint(self) -> QSize:
        """One row."""
        return QSize(100, 150)

    def picture_size(self) -> QSize:
        """Size of the picture in a cell."""
        width = self.horizontalHeader().defaultSectionSize() - 2 * MARGIN
        return QSize(width, round(width * self._aspect))

    def _fit(self) -> None:
        if self.columnCount():
            width = int(np.clip(self.viewport().width() // self.columnCount(), NARROWEST, WIDEST))
            if width != self.horizontalHeader().defaultSectionSize() or not self.rowHeight(0):
                self.horizontalHeader().setDefaultSectionSize(width)
            height = self.picture_size().height() + self.fontMetrics().height() + 3 * MARGIN
            self.verticalHeader().setDefaultSectionSize(height)
            self.updateGeometry()


class CellDelegate(QStyledItemDelegate):
    """Draws a cell: picture, bar of progress, figure; a frame around the best."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw."""
        own = QStyleOptionViewItem(option)
        self.initStyleOption(own, index)
        text, own.text = own.text, ""
        style = own.widget.style() if own.widget else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, own, painter, own.widget)
        table: Any = self.parent()
        inside = own.rect.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        frame = QRect(inside.topLeft(), table.picture_size())
        selected = bool(own.state & QStyle.StateFlag.State_Selected)
        ink = own.palette.color(QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text)
        accent = ink if selected else own.palette.color(QPalette.ColorRole.Highlight)
        painter.save()
        draw_picture(painter, frame, index, ink, accent)
        font = own.font
        font.setBold(bool(index.data(BEST)))
        painter.setFont(font)
        painter.setPen(ink)
        below = QRect(inside.left(), frame.bottom() + 1, inside.width(), inside.bottom() - frame.bottom())
        text = f"★ {text}" if index.data(BEST) else text
        text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, below.width())
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, text)
        painter.restore()


def draw_picture(
    painter: QPainter, frame: QRect, index: QModelIndex | QPersistentModelIndex, ink: QColor, accent: QColor
) -> None:
    """The picture of a cell, with a bar while it runs, or a frame if it is the best."""
    picture, part = index.data(PICTURE), index.data(PART)
    if picture is not None:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(frame, picture)
    if part is not None:
        painter.fillRect(QRect(frame.left(), frame.bottom() - 4, round(frame.width() * part), 5), ink)
    if index.data(BEST):
        painter.setPen(QPen(accent, 3))
        painter.drawRect(frame.adjusted(1, 1, -2, -2))


def headline(axis: Axis, place: int) -> str:
    """The values of a row or a column; nothing where nothing varies."""
    return ", ".join(in_words(value) for value in axis.values[place])


def pixmap(image: np.ndarray) -> QPixmap:
    """A grey picture of uint8 (ny, nx)."""
    data = np.ascontiguousarray(image)
    ny, nx = data.shape
    return QPixmap.fromImage(QImage(data.data, nx, ny, nx, QImage.Format.Format_Grayscale8))
