"""The K-space and Mask docks in a real napari window."""

import pytest

from napari_lossguide.data.phantoms import shepp_logan
from napari_lossguide.widgets.kspace_dock import KSpaceDock
from napari_lossguide.widgets.mask_dock import MaskDock

pytestmark = pytest.mark.gui


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer()
    docks = [KSpaceDock(viewer), MaskDock(viewer)]
    for dock in docks:
        viewer.window.add_dock_widget(dock, area="right")
    return viewer, *docks


def test_from_an_image_to_its_mask(window, qtbot):
    viewer, kspace, mask = window
    viewer.add_image(shepp_logan(64), name="photo")
    kspace.transform_button.click()
    qtbot.waitUntil(lambda: "mask" in viewer.layers, timeout=10000)
    qtbot.waitUntil(lambda: len(viewer.layers) == 6, timeout=10000)
    mask.buttons["draw"].click()
    viewer.layers["mask"].paint((32, 1), 1)
    qtbot.waitUntil(lambda: bool(mask.hand_made), timeout=10000)
    assert viewer.layers["mask"].data[:, 1].all()


def test_docks_fit_into_300_pixels(window, qtbot):
    viewer, kspace, mask = window
    viewer.add_image(shepp_logan(64), name="a layer with a name that is too long for any combo box " * 2)
    kspace.simulation.editor("noise").setCurrentIndex(1)
    kspace.transform_button.click()
    for index in range(mask.kind.count()):
        mask.kind.setCurrentIndex(index)
        qtbot.wait(50)
        assert max(kspace.minimumSizeHint().width(), mask.minimumSizeHint().width()) <= 300


def test_closing_a_dock_stops_it(window, qtbot):
    viewer, kspace, mask = window
    for dock in (kspace, mask):
        with qtbot.waitSignal(dock.destroyed, timeout=5000):
            viewer.window.remove_dock_widget(dock)
            dock.deleteLater()
    viewer.add_image(shepp_logan(16))
    viewer.canvas.grid.enabled = True
    viewer.layers.clear()
    qtbot.wait(100)
