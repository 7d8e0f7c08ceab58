"""Keys of a dock: within it alone, and a number that is being typed counts."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_lossguide.widgets.keys import give_key, with_key


def a_window(qtbot):
    """A dock with a number and a button that Ctrl+B presses, and a line of text outside of it."""
    window, dock = QWidget(), QWidget()
    qtbot.addWidget(window)
    number, button, outside = QSpinBox(), QPushButton("Branch"), QLineEdit()
    number.setRange(0, 100)
    number.setKeyboardTracking(False)
    QVBoxLayout(dock).addWidget(number)
    dock.layout().addWidget(button)
    QVBoxLayout(window).addWidget(dock)
    window.layout().addWidget(outside)
    pressed = []
    button.clicked.connect(lambda: pressed.append(number.value()))
    give_key(dock, button, "Ctrl+B")
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window, number, button, outside, pressed


def test_a_number_that_is_being_typed_counts(qtbot):
    _window, number, _, _, pressed = a_window(qtbot)
    number.setFocus()
    number.selectAll()
    qtbot.keyClicks(number, "42")
    qtbot.keyClick(number, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    assert pressed == [42]


def test_the_keys_of_a_dock_do_nothing_outside_of_it(qtbot):
    _window, _, _, outside, pressed = a_window(qtbot)
    outside.setFocus()
    qtbot.keyClick(outside, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    assert pressed == []


def test_the_tip_tells_the_keys_once(qtbot):
    _window, _, button, _, _ = a_window(qtbot)
    assert button.toolTip().count("B]") == 1 and with_key(button.toolTip(), "Ctrl+B") == button.toolTip()
