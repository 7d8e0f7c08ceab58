"""Boxes of the docks."""

import pytest

from napari_lossguide.widgets.boxes import ComboBox

pytestmark = pytest.mark.gui


def picture(qtbot, text="", placeholder=""):
    box = ComboBox()
    qtbot.addWidget(box)
    box.setPlaceholderText(placeholder)
    if text:
        box.addItem(text)
    else:
        box.setCurrentIndex(-1)
    box.setFixedSize(160, 26)
    return box.grab().toImage()


def test_a_long_choice_shows_its_end_too(qtbot):
    same = "k-space: a long name of a file that does not fit "
    assert picture(qtbot, same + "(simulation)") != picture(qtbot, same + "(as measured)")
    assert picture(qtbot, same) == picture(qtbot, same)


def test_an_empty_box_shows_its_placeholder(qtbot):
    assert picture(qtbot, placeholder="no k-space yet") != picture(qtbot)
