"""Keys of a dock: they work while the keyboard is in it, press one of its buttons, and stand in the button's tip."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QWidget

MAIN, CANCEL, PAUSE, BRANCH = "Ctrl+Return", "Ctrl+.", "Ctrl+Shift+Return", "Ctrl+B"


def give_key(scope: QWidget, button: QAbstractButton, keys: str) -> QShortcut:
    """Let keys press a button while the keyboard is in `scope`; call it after the button has got its tip.

    A number that is being typed counts, as if Tab had been pressed.
    """
    shortcut = QShortcut(QKeySequence(keys), scope)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    def press() -> None:
        focused = QApplication.focusWidget()
        if isinstance(focused, QAbstractSpinBox):
            focused.interpretText()
        button.click()

    shortcut.activated.connect(press)
    button.setToolTip(with_key(button.toolTip(), keys))
    return shortcut


def with_key(tip: str, keys: str) -> str:
    """A tip that ends with the keys, as this system writes them."""
    told = f"[{QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)}]"
    return tip if told in tip else f"{tip} {told}".strip()
