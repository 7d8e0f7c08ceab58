"""What the docks colour themselves follows napari's theme while it is shown."""

import pytest
from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QGraphicsView, QVBoxLayout, QWidget

from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.curve import Curve
from napari_lossguide.widgets.line_plot import LinePlot
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


def test_a_sentence_follows_the_theme_of_its_viewer_alone(qtbot, appearance):
    appearance.theme = "dark"
    viewer = ViewerModel()
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    dock.show()
    viewer.theme = "light"
    dock.status.show_text("wrong", colour="error")
    dock.skipped.show_text("left out", colour="warning")
    assert get_theme("light").error.as_hex() in dock.status.styleSheet()
    viewer.theme = "dark"
    assert get_theme("dark").error.as_hex() in dock.status.styleSheet()
    assert get_theme("dark").warning.as_hex() in dock.skipped.styleSheet()
    viewer.theme = "light"
    dock.setStyleSheet("QWidget { color: black }")  # as napari does
    assert get_theme("light").error.as_hex() in dock.status.styleSheet()
    dock.status.show_text("fine")
    viewer.theme = "dark"
    assert dock.status.styleSheet() == ""


@pytest.mark.parametrize("make", [Curve, lambda: LinePlot("Profiles")])
def test_a_plot_takes_the_ground_of_the_theme(qtbot, make):
    window, plot = QWidget(), make()
    qtbot.addWidget(window)
    QVBoxLayout(window).addWidget(plot)
    window.setStyleSheet("QWidget { background: #000000 }")
    window.resize(300, 200)
    window.show()
    (view,) = plot.findChildren(QGraphicsView)
    for colour in ("#000000", "#ffffff"):
        window.setStyleSheet(f"QWidget {{ background: {colour} }}")  # as napari does
        qtbot.wait(50)
        assert view.viewport().grab().toImage().pixelColor(view.viewport().width() - 4, 3).name() == colour
