"""Boxes and sliders that leave the mouse wheel to the dock they stand in, and never widen it."""

from collections.abc import Callable, Mapping

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QPaintEvent, QValidator, QWheelEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
)

TEXT_MARGIN = 8  # pixels that styles leave beside the text of a combo box


class IntBox(QSpinBox):
    """Spin box that a scrolling mouse cannot change by accident."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setKeyboardTracking(False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the dock unless the box is being edited."""
        super().wheelEvent(event) if self.hasFocus() else event.ignore()


class FloatBox(QDoubleSpinBox):
    """Spin box for numbers of any size: six digits that count, ``1e-05`` included."""

    def __init__(self) -> None:
        super().__init__()
        self.setDecimals(15)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setKeyboardTracking(False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the dock unless the box is being edited."""
        super().wheelEvent(event) if self.hasFocus() else event.ignore()

    def textFromValue(self, value: float) -> str:
        """Show six significant digits."""
        return f"{value:.6g}"

    def valueFromText(self, text: str) -> float:
        """Read a number; a decimal comma is accepted."""
        return float(self._number(text))

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Accept whatever reads as a number within the limits."""
        try:
            value = float(self._number(text))
        except ValueError:
            return QValidator.State.Intermediate, text, position
        inside = self.minimum() <= value <= self.maximum()
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), text, position

    def _number(self, text: str) -> str:
        return text.removesuffix(self.suffix()).strip().replace(",", ".")


class ComboBox(QComboBox):
    """Combo box that neither scrolls by accident nor widens its dock; a long choice loses its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def showPopup(self) -> None:  # noqa: N802 (the name is Qt's)
        """Unfold the list as wide as its longest text."""
        self.view().setMinimumWidth(self.view().sizeHintForColumn(0) + 24)
        super().showPopup()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the dock unless the box is being edited."""
        super().wheelEvent(event) if self.hasFocus() else event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw what Qt draws, with "…" where the text does not fit: Qt would cut it off."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.currentIndex() < 0:
            option.currentText = self.placeholderText()
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideMiddle, field.width() - TEXT_MARGIN
        )
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class MenuButton(QPushButton):
    """Narrow button "…" that opens a menu; the arrow that styles add to such a button would cover its text."""

    def __init__(self, name: str, tip: str, actions: Mapping[str, Callable[[], None]]) -> None:
        super().__init__("…")
        self.setAccessibleName(name)
        self.setToolTip(tip)
        self.setMaximumWidth(28)
        self.setStyleSheet("QPushButton::menu-indicator { width: 0; image: none }")
        menu = QMenu(self)
        self.actions_by_title: dict[str, QAction] = {}
        for title, act in actions.items():
            action = QAction(title, self)  # owned by the button: one that the menu makes may end before it
            action.triggered.connect(lambda _=False, act=act: act())
            menu.addAction(action)
            self.actions_by_title[title] = action
        self.setMenu(menu)


class Slider(QSlider):
    """Slider that leaves the mouse wheel to the dock."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the dock."""
        event.ignore()
