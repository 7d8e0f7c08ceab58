"""What the docks colour themselves follows napari's theme while it is shown."""

import pytest
from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_lossguide.widgets.panel import Sentence


@pytest.fixture
def appearance():
    appearance = get_settings().appearance
    before = appearance.theme
    yield appearance
    appearance.theme = before


def test_a_sentence_on_a_coloured_ground_follows_the_theme(qtbot, appearance):
    window, sentence = QWidget(), Sentence("Status")
    qtbot.addWidget(window)
    QVBoxLayout(window).addWidget(sentence)
    appearance.theme = "dark"
    sentence.show_text("wrong", colour="error")
    window.show()
    for theme in ("light", "dark"):
        appearance.theme = theme
        window.setStyleSheet(f"QWidget {{ color: {get_theme(theme).text.as_hex()} }}")  # as napari does
        assert get_theme(theme).error.as_hex() in sentence.styleSheet()
    sentence.show_text("fine")
    window.setStyleSheet("")
    assert sentence.styleSheet() == ""
