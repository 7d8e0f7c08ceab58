"""Every control of every dock of the manifest: it says what it does, has a name, its turn, and room for its text."""

from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from napari._qt.qt_resources import get_stylesheet
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollBar,
    QToolButton,
    QWidget,
)

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.fold import Fold
from napari_lossguide.widgets.kspace_dock import KSpaceDock
from napari_lossguide.widgets.mask_dock import MaskDock
from napari_lossguide.widgets.panel import Sentence
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

pytestmark = pytest.mark.gui

LABEL, FIELD = QFormLayout.ItemRole.LabelRole, QFormLayout.ItemRole.FieldRole
WIDTH = 320
MANIFEST = Path(__file__).resolve().parents[2] / "src" / "napari_lossguide" / "napari.yaml"
CONTRIBUTED = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["contributions"]
COMMANDS = {c["id"]: c["python_name"].split(":") for c in CONTRIBUTED["commands"]}
DOCKS = {w["display_name"]: COMMANDS[w["command"]] for w in CONTRIBUTED["widgets"]}
CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QAbstractSlider, QLineEdit, QAbstractItemView)
LONG = "a name of a layer that is too long for any box of any dock, however wide the screen may be"


def fill(viewer):
    """Layers of every kind that a dock may offer."""
    image = shepp_logan(64)
    kdata = simulate(np.stack([image, image[::-1]]), n_coils=4, noise_std=0.01, name=LONG)
    layers.add_kspace(viewer, kdata)
    mask = MaskRecipe.of("equispaced")
    layers.show_mask(viewer, mask.make((64, 64)), name="mask", place=Place.of(kdata), recipe=mask)
    for role in ("result", "reference"):
        layers.show_image(viewer, np.abs(kdata.reference), name=f"{role} {LONG}", role=role, place=Place.of(kdata))


@pytest.fixture(params=DOCKS.values(), ids=DOCKS)
def name(request):
    return request.param


@pytest.fixture(params=["empty", "with data"])
def dock(request, name, qtbot):
    viewer = ViewerModel()
    if request.param == "with data":
        fill(viewer)
    widget = getattr(import_module(name[0]), name[1])(viewer)
    qtbot.addWidget(widget)
    widget.setStyleSheet(get_stylesheet("dark"))
    unfold(widget)
    widget.resize(WIDTH, 900)
    widget.show()
    qtbot.wait(50)
    return widget


def unfold(dock):
    for fold in dock.findChildren(Fold):
        fold.button.setChecked(True)


def states(dock):
    """Put the dock into one state after another in which it has other controls."""
    yield "as opened"
    if isinstance(dock, MaskDock):
        for index in range(dock.kind.count()):
            dock.kind.setCurrentIndex(index)
            yield dock.kind.currentText()
    if isinstance(dock, KSpaceDock):
        noise = dock.simulation.editor("noise")
        for index in range(noise.count()):
            noise.setCurrentIndex(index)
            yield f"noise {noise.currentText()}"
    if isinstance(dock, ReconstructDock):
        dock.timeline.begin(recorded=True)
        dock.uncertainty.show()
        dock.panel.curve.show()
        dock.panel.where.setText("Step 888 of 1000, slice 18 of 20")
        dock.panel.times.setText("10:00 min · 20:00 min left")
        for method in ("posterior-draw", "l1-wavelet", "repaint", "combine"):
            if dock.settings.method.findData(method) >= 0:
                dock.settings.method.setCurrentIndex(dock.settings.method.findData(method))
                unfold(dock)
                yield method
    if isinstance(dock, CompareDock):
        dock.differences.box.setChecked(True)
        yield "with difference maps"


def visible(dock, kind):
    return [w for w in dock.findChildren(kind) if w.isVisibleTo(dock) and not inside_another(w, dock)]


def inside_another(widget, dock):
    """Parts of one control, and what Qt makes for itself."""
    if isinstance(widget, QScrollBar) or widget.objectName().startswith("qt_"):
        return True
    parent = widget.parentWidget()
    while parent is not None and parent is not dock:
        if isinstance(parent, QComboBox | QAbstractSpinBox | QAbstractItemView | QAbstractSlider):
            return True
        if isinstance(parent, QScrollBar):
            return True
        parent = parent.parentWidget()
    return False


def controls(dock):
    return [w for kind in CONTROLS for w in visible(dock, kind)]


def told(widget):
    """The tooltip that a person sees: a widget's own, else that of what it is part of."""
    while widget is not None:
        if widget.toolTip():
            return widget.toolTip()
        widget = None if isinstance(widget, QWidget) and widget.isWindow() else widget.parentWidget()
    return ""


def called(widget):
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    return widget.accessibleName() or text.strip(" ▸▾…")


def where(widget, dock):
    """For the message of a failed test."""
    path = []
    while widget is not None and widget is not dock:
        path.append(f"{type(widget).__name__}({called(widget)!r})")
        widget = widget.parentWidget()
    return " in ".join(path[:3])


def on_the_dock(widget, dock):
    return QRect(widget.mapTo(dock, QPoint(0, 0)), widget.size())


def needed(widget):
    """Width that a control's text needs, in pixels; 0 where it is shortened on purpose, with the whole in its tip."""
    if isinstance(widget, QAbstractSpinBox):
        edit = widget.findChild(QLineEdit)
        return edit.fontMetrics().horizontalAdvance(edit.text()) + widget.width() - edit.width() + 4
    if isinstance(widget, QPushButton | QCheckBox | QToolButton) and widget.text():
        return widget.minimumSizeHint().width() if not isinstance(widget, QPushButton) else least(widget)
    return 0


def least(button):
    """A push button's text and a little air."""
    return button.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, button.text()).width() + 8


def test_every_control_says_what_it_does_and_has_a_name(dock):
    wrong = []
    for state in states(dock):
        for widget in controls(dock):
            wrong += [f"no tooltip ({state}): {where(widget, dock)}"] * (not told(widget))
            wrong += [f"no name ({state}): {where(widget, dock)}"] * (not called(widget))
    assert not wrong, "\n".join(dict.fromkeys(wrong))


def test_every_label_of_a_form_belongs_to_its_control(dock):
    wrong = []
    for state in states(dock):
        for form in dock.findChildren(QFormLayout):
            for row in range(form.rowCount()):
                label, field = (form.itemAt(row, role) for role in (LABEL, FIELD))
                if label is not None and field is not None and label.widget().isVisibleTo(dock):
                    buddy = label.widget().buddy()
                    wrong += [f"{label.widget().text()!r} has no buddy ({state})"] * (buddy is None)
    assert not wrong, "\n".join(dict.fromkeys(wrong))


def test_nothing_is_wider_than_the_dock_and_no_text_is_cut_off(dock, qtbot):
    wrong = []
    for state in states(dock):
        qtbot.wait(100)
        for widget in [*controls(dock), *visible(dock, QLabel)]:
            right = on_the_dock(widget, dock).right()
            wrong += [f"ends at {right} ({state}): {where(widget, dock)}"] * (right >= WIDTH)
        for widget in controls(dock):
            if needed(widget) > widget.width():
                wrong.append(f"needs {needed(widget)}, has {widget.width()} ({state}): {where(widget, dock)}")
        for label in visible(dock, QLabel):
            if label.wordWrap() or isinstance(label, Sentence):
                cut = label.heightForWidth(label.width()) > label.height() + 1
            else:
                cut = bool(label.text()) and label.minimumSizeHint().width() > label.width()
            wrong += [f"cut off: {label.text()!r} ({state})"] * cut
    assert not wrong, "\n".join(dict.fromkeys(wrong))


def test_tab_goes_through_the_controls_as_they_are_read(dock, qtbot):
    dock.activateWindow()
    for state in states(dock):
        qtbot.wait(100)
        area = dock.body.parentWidget()

        def place(widget, area=area):
            above = area.isAncestorOf(widget)
            return not above, QRect(widget.mapTo(area if above else dock, QPoint(0, 0)), widget.size())

        stops = [w for w in controls(dock) if w.isEnabled() and w.focusPolicy() & Qt.FocusPolicy.TabFocus]
        first = min(stops, key=lambda w: (place(w)[0], place(w)[1].center().y(), place(w)[1].x()))
        first.setFocus()
        seen = [first]
        for _ in range(3 * len(stops)):
            qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
            now = QApplication.focusWidget()
            if now is None or not dock.isAncestorOf(now) or now is seen[0]:
                break
            seen.append(now)
        for before, after in pairwise(seen):
            (a_below, a), (b_below, b) = place(before), place(after)
            assert (b_below, b.bottom()) > (a_below, a.top()), (
                f"{where(after, dock)} is above {where(before, dock)}, which it follows ({state})"
            )
        missed = [w for w in stops if w not in seen and not any(w.isAncestorOf(s) for s in seen)]
        assert not missed, f"never reached ({state}): {[where(w, dock) for w in missed]}"
