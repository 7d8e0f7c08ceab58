"""Swipe and flicker: what is on the canvas, what the controls do, and the way back."""

import numpy as np
import pytest
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton
from widgets.compared import SCALE, TRUTH, add_images, of_role, settle, show, state

from napari_lossguide.widgets import layers
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.placement import Place


@pytest.fixture
def dock(qtbot, compare_dock):
    compare_dock.truth.click()
    settle(qtbot, compare_dock)
    return compare_dock


def seen(viewer):
    return [layer for layer in viewer.layers if layer.visible]


def swipe_layer(viewer):
    (layer,) = of_role(viewer, "swipe")
    return layer


def parted(left, right, column):
    return np.concatenate([np.abs(left.data[..., :column]), np.abs(right.data[..., column:])], axis=-1)


def drag(viewer, start, *stops):
    """Drag the mouse on the canvas, in world coordinates."""

    class Event:
        modifiers, button, buttons, is_dragging, dims_displayed, view_direction = (), 1, (1,), True, [0, 1], None

        def __init__(self, kind, position):
            self.type, self.position, self.handled = kind, position, False

    mouse_press_callbacks(viewer, ReadOnlyWrapper(Event("mouse_press", start), exceptions=("handled",)))
    panning = viewer.scene.camera.mouse_pan
    for stop in stops:
        mouse_move_callbacks(viewer, Event("mouse_move", stop))
    mouse_release_callbacks(viewer, Event("mouse_release", stops[-1]))
    return panning


def test_swipe_shows_two_images_parted_at_the_slider(dock, viewer, images):
    dock.modes.buttons["swipe"].click()
    reference, layer, swipe = dock.reference.layer, swipe_layer(viewer), dock.modes.swipe
    assert seen(viewer) == [layer, *of_role(viewer, "swipe line")]
    assert (swipe.left.currentText(), swipe.right.currentText()) == (reference.name, "bad")
    np.testing.assert_array_equal(layer.data, parted(reference, images[0], 16))
    for value, column in ((250, 8), (900, 29), (1000, 32), (0, 0), (600, 19)):
        swipe.slider.setValue(value)
        np.testing.assert_array_equal(layer.data, parted(reference, images[0], column))
        (line,) = of_role(viewer, "swipe line")
        assert line.data[0, 0, 1] == pytest.approx(column - 0.5) and line.data[0, 1, 1] == 0
    assert tuple(layer.contrast_limits) == tuple(reference.contrast_limits)
    assert tuple(layer.scale) == SCALE[1:] and reference.name in layer.name and "bad" in layer.name


def test_the_images_of_a_swipe_can_be_chosen(qtbot, dock, viewer, images):
    dock.modes.buttons["swipe"].click()
    swipe, reference = dock.modes.swipe, dock.reference.layer
    swipe.right.setCurrentIndex(swipe.right.findText("good"))
    np.testing.assert_array_equal(swipe_layer(viewer).data, parted(reference, images[1], 16))
    swipe.left.setCurrentIndex(swipe.left.findText("good"))
    assert swipe.right.currentText() == reference.name, "the two change places"
    np.testing.assert_array_equal(swipe_layer(viewer).data, parted(images[1], reference, 16))


def test_the_line_is_dragged_on_the_canvas(dock, viewer, images):
    dock.modes.buttons["swipe"].click()
    layer, reference = swipe_layer(viewer), dock.reference.layer
    assert not drag(viewer, (20.0, 15.5), (22.0, 20.0), (22.0, 23.4)), "the camera must not move along"
    np.testing.assert_array_equal(layer.data, parted(reference, images[0], 24))
    assert dock.modes.swipe.slider.value() == pytest.approx(1000 * 23.9 / 32, abs=1)
    assert viewer.scene.camera.mouse_pan
    viewer.scene.camera.zoom = 20
    assert drag(viewer, (20.0, 3.0), (22.0, 8.0)), "far from the line it is napari's own drag"
    np.testing.assert_array_equal(layer.data, parted(reference, images[0], 24))
    dock.modes.back.click()
    assert not any(getattr(c, "__self__", None) is dock.modes._swipe for c in viewer.mouse_drag_callbacks)


def test_a_volume_is_swiped_in_all_slices_and_follows_new_data(qtbot, dock, viewer, images):
    rng = np.random.default_rng(1)
    a, b = (show(viewer, name, rng.uniform(size=(4, 20, 10))) for name in "AB")
    for layer in images:
        dock.tick(layer, False)
    dock.reference.layer = None
    settle(qtbot, dock)
    dock.modes.buttons["swipe"].click()
    dock.modes.swipe.slider.setValue(300)
    np.testing.assert_array_equal(swipe_layer(viewer).data, parted(a, b, 3))
    b.data = b.data + 1
    qtbot.waitUntil(lambda: np.array_equal(swipe_layer(viewer).data, parted(a, b, 3)), timeout=5000)
    dock.modes.swipe.slider.setValue(100)
    np.testing.assert_array_equal(swipe_layer(viewer).data, parted(a, b, 1))


def test_two_shapes_cannot_be_swiped(qtbot, dock, viewer):
    show(viewer, "small", np.ones((1, 8, 8)))
    settle(qtbot, dock)
    dock.modes.buttons["swipe"].click()
    dock.modes.swipe.right.setCurrentIndex(dock.modes.swipe.right.findText("small"))
    assert "'small' has (8, 8)" in dock.status.sentence
    assert not of_role(viewer, "swipe")
    dock.modes.swipe.right.setCurrentIndex(dock.modes.swipe.right.findText("good"))
    assert of_role(viewer, "swipe") and not dock.status.sentence


@pytest.mark.parametrize("mode", ["side by side", "swipe", "flicker"])
@pytest.mark.parametrize("way", ["back", "again"])
def test_everything_is_as_it_was_after_the_way_back(dock, viewer, images, mode, way):
    images[0].colormap, images[0].visible = "viridis", False
    viewer.layers.selection.active = images[1]
    before = state(viewer)
    dock.modes.buttons[mode].click()
    assert dock.modes.back.isEnabled() and dock.modes.buttons[mode].isChecked() and state(viewer) != before
    (dock.modes.back if way == "back" else dock.modes.buttons[mode]).click()
    assert state(viewer) == before and images[0].colormap.name == "viridis"
    assert viewer.layers.selection.active is images[1]
    assert not dock.modes.back.isEnabled() and not dock.modes.buttons[mode].isChecked()
    images[0].gamma = 0.5
    assert images[1].gamma == 1.0, "no longer linked"


def test_from_one_mode_to_the_next_and_back_from_the_last(dock, viewer):
    before = state(viewer)
    for mode in ("swipe", "side by side", "flicker", "swipe", "flicker", "side by side"):
        dock.modes.buttons[mode].click()
        assert viewer.canvas.grid.enabled == (mode == "side by side")
        assert bool(of_role(viewer, "swipe")) == (mode == "swipe")
        assert bool(of_role(viewer, "difference")) == (mode == "side by side")
        assert [name for name, button in dock.modes.buttons.items() if button.isChecked()] == [mode]
    dock.modes.back.click()
    assert state(viewer) == before


def test_flicker_shows_one_after_another_with_one_contrast(qtbot, dock, viewer, images):
    dock.modes.flicker.pause.setChecked(True)
    dock.modes.buttons["flicker"].click()
    turns, reference = [], dock.reference.layer
    for _ in range(4):
        (layer,) = seen(viewer)
        assert layer.name_overlay.visible and dock.modes.flicker.name.toolTip() == layer.name
        turns.append(layer)
        dock.modes.flicker.following.click()
    assert turns == [*images, reference, images[0]]
    images[1].contrast_limits = (0.1, 0.6)
    assert tuple(images[0].contrast_limits) == tuple(reference.contrast_limits) == (0.1, 0.6)
    qtbot.wait(300)
    assert seen(viewer) == [images[1]], "paused"


@pytest.mark.parametrize(("hertz", "least", "most"), [(10.0, 6, 14), (0.5, 0, 1)])
def test_flicker_has_a_rate(qtbot, dock, viewer, images, hertz, least, most):
    dock.modes.flicker.rate.setValue(hertz)
    dock.modes.buttons["flicker"].click()
    turns = []
    for image in images:
        image.events.visible.connect(lambda event: turns.append(event.source.visible))
    dock.reference.layer.events.visible.connect(lambda event: turns.append(event.source.visible))
    qtbot.wait(1050)
    assert least <= sum(turns) <= most
    dock.modes.back.click()
    turns.clear()
    qtbot.wait(250)
    assert not turns


def test_the_rate_has_limits(dock):
    rate = dock.modes.flicker.rate
    for wanted, got in ((0.1, 0.5), (100.0, 10.0)):
        rate.setValue(wanted)
        assert rate.value() == got


def test_a_key_goes_on_while_images_flicker(dock, viewer, images):
    viewer.bind_key("M", print)
    bound = {str(key) for key in viewer.keymap}
    dock.modes.flicker.pause.setChecked(True)
    dock.modes.buttons["flicker"].click()
    (key,) = {str(key) for key in viewer.keymap} - bound
    assert key == "N" and seen(viewer) == [images[0]]
    next(action for k, action in viewer.keymap.items() if str(k) == "N")(viewer)
    assert seen(viewer) == [images[1]]
    dock.modes.back.click()
    assert {str(key) for key in viewer.keymap} == bound
    viewer.bind_key("N", print)
    dock.modes.buttons["flicker"].click()
    dock.modes.back.click()
    assert [act for key, act in viewer.keymap.items() if str(key) == "N"] == [print]


@pytest.mark.parametrize("mode", ["side by side", "swipe", "flicker"])
def test_layers_may_be_removed_and_renamed_meanwhile(qtbot, dock, viewer, images, mode):
    third = show(viewer, "third", TRUTH[None] * 0.5)
    settle(qtbot, dock)
    dock.modes.buttons[mode].click()
    third.name = "renamed"
    viewer.layers.remove(images[0])
    dock.modes.flicker.following.click()
    settle(qtbot, dock)
    qtbot.wait(100)
    assert images[0] not in viewer.layers and not dock.status.sentence
    shown = {"side by side": 5, "swipe": 2, "flicker": 1}[mode]
    assert len(seen(viewer)) == shown
    if mode == "swipe":
        assert dock.modes.swipe.right.currentText() == "good"
        assert {dock.modes.swipe.right.itemText(i) for i in range(3)} == {"good", "renamed", dock.reference.layer.name}
    if mode == "side by side":
        assert "|Error| of renamed" in viewer.layers and "|Error| of third" not in viewer.layers
    viewer.layers.remove(dock.reference.layer)
    viewer.layers.remove(third)
    dock.modes.flicker.following.click()
    dock.modes.swipe.slider.setValue(123)
    qtbot.waitUntil(lambda: not dock._soon.isActive(), timeout=5000)
    qtbot.wait(100)
    if mode != "side by side":
        assert "needs two images" in dock.status.sentence
    viewer.layers.clear()
    qtbot.wait(200)
    assert not dock.modes.flicker.name.text() and dock.list.height() > 20
    dock.modes.back.click()
    assert not viewer.layers and not viewer.canvas.grid.enabled


def test_throwing_the_swipe_away_leads_back(qtbot, dock, viewer):
    before = state(viewer)
    dock.modes.buttons["swipe"].click()
    viewer.layers.remove(swipe_layer(viewer))
    assert not dock.modes.back.isEnabled()
    qtbot.wait(200)
    assert state(viewer) == before


def test_with_too_few_images_it_is_said_and_begins_when_there_are_two(qtbot, dock, viewer, images):
    dock.reference.layer = None
    dock.tick(images[0], False)
    dock.modes.buttons["flicker"].click()
    assert "Tick two images" in dock.status.sentence
    dock.tick(images[0])
    qtbot.waitUntil(lambda: not dock.status.sentence, timeout=5000)
    assert len(seen(viewer)) == 1


@pytest.mark.gui
@pytest.mark.parametrize("mode", ["swipe", "flicker"])
def test_closing_the_dock_ends_the_mode(qtbot, make_napari_viewer, mode):
    viewer = make_napari_viewer()
    add_images(viewer)
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    frame = viewer.window.add_dock_widget(dock)
    before = state(viewer)
    dock.modes.buttons[mode].click()
    assert state(viewer)[1] != before[1]
    frame.destroyOnClose()
    assert state(viewer)[:2] == before[:2]
    qtbot.wait(700)
    assert state(viewer)[:2] == before[:2], "no more turns"


@pytest.mark.gui
def test_a_real_drag_moves_the_line_and_not_the_camera(qtbot, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    for name, value in (("a", 0.2), ("b", 0.8)):
        layers.show_image(viewer, np.full((64, 64), value, "f4"), name=name, role="result", place=Place())
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    viewer.window.add_dock_widget(dock)
    dock.modes.buttons["swipe"].click()
    qtbot.wait(200)
    canvas = viewer.window._qt_viewer.canvas
    native, camera = canvas.native, viewer.scene.camera
    place = camera.center

    def pixel(y, x):
        height, width = canvas.size
        at = np.array(
            [width / 2 + (x - camera.center[2]) * camera.zoom, height / 2 + (y - camera.center[1]) * camera.zoom]
        )
        return native.mapFromGlobal(native.mapToGlobal(native.rect().topLeft())) + _point(
            at / native.devicePixelRatioF()
        )

    qtbot.mouseMove(native, pixel(30, 31.5))
    qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=pixel(30, 31.5))
    for x in (34, 38, 43.5):
        qtbot.mouseMove(native, pixel(30, x))
        qtbot.wait(30)
    qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=pixel(30, 43.5))
    np.testing.assert_array_less(abs(int((swipe_layer(viewer).data[0] < 0.5).sum()) - 44), 2)
    assert camera.center == place


@pytest.mark.gui
def test_nothing_is_clipped_at_320_pixels(qtbot, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 720)
    add_images(viewer)
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    frame = viewer.window.add_dock_widget(dock, area="right")
    dock.truth.click()
    settle(qtbot, dock)
    for mode in ("side by side", "swipe", "flicker"):
        dock.modes.buttons[mode].click()
        for page in (dock.spectrum, dock.profile, dock.figures):
            dock.tabs.setCurrentWidget(page)
            qtbot.wait(50)
            viewer.window._qt_window.resizeDocks([frame], [320], Qt.Orientation.Horizontal)
            qtbot.wait(50)
            assert dock.minimumSizeHint().width() <= 320 and dock.width() <= 330
            for button in dock.findChildren(QPushButton):
                hint = button.fontMetrics().horizontalAdvance(button.text())
                assert not button.isVisible() or button.width() >= hint, button.text()


def _point(at):
    from qtpy.QtCore import QPoint

    return QPoint(round(at[0]), round(at[1]))
