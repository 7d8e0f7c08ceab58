"""Two results of one simulated scan, and what tests of the Compare dock ask of it."""

import numpy as np

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.widgets import layers, views
from napari_lossguide.widgets.placement import Place

TRUTH = shepp_logan(32)
SCALE = (5.0, 2.0, 1.0)


def add_images(viewer):
    """k-space and its image, and the results "bad" and "good", which are returned."""
    layers.add_kspace(viewer, simulate(TRUTH, n_coils=2, spacing=SCALE, name="head"))
    rng = np.random.default_rng(0)
    return [
        show(viewer, name, TRUTH[None] + s * rng.normal(size=(1, 32, 32))) for name, s in (("bad", 0.2), ("good", 0.02))
    ]


def show(viewer, name, data, **facts):
    return layers.show_image(
        viewer, data.astype(np.float32), name=name, role="result", place=Place(SCALE), metadata=facts
    )


def settle(qtbot, dock):
    qtbot.waitUntil(lambda: not dock._soon.isActive(), timeout=5000)
    qtbot.waitUntil(lambda: [r.name for r in dock.table.rows] == [x.name for x in dock.candidates()], timeout=20_000)


def of_role(viewer, role):
    return [layer for layer in viewer.layers if views.role_of(layer) == role]


def state(viewer):
    """How the canvas looks."""
    grid = viewer.canvas.grid
    looks = {
        x.name: (x.visible, x.name_overlay.visible, tuple(getattr(x, "contrast_limits", ()))) for x in viewer.layers
    }
    camera = viewer.scene.camera
    return [x.name for x in viewer.layers], looks, grid.enabled, grid.shape, grid.stride, camera.zoom, camera.center
