"""Every dock beside layers of every kind, and layers that change while it works: the right thing, or a sentence."""

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool
from widgets.fake_engine import FakeEngine

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.widgets import layers, reconstruct_dock, views
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.guide_dock import GuideDock
from napari_lossguide.widgets.kspace_dock import KSpaceDock
from napari_lossguide.widgets.mask_dock import MaskDock
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.sample_dock import SampleDock
from napari_lossguide.widgets.sweep_dock import SweepDock

DOCKS = (KSpaceDock, MaskDock, ReconstructDock, CompareDock, SampleDock, SweepDock, GuideDock)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def kdata():
    return simulate(np.stack([shepp_logan(32)] * 2), n_coils=2, spacing=(5.0, 2.0, 1.0), name="head")


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    fake = FakeEngine()
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", fake)
    yield fake
    assert QThreadPool.globalInstance().waitForDone(5000)


def add_every_kind(viewer):
    plane = np.arange(32 * 32, dtype=np.float32).reshape(32, 32)
    viewer.add_image(np.zeros((32, 32, 3), np.uint8), rgb=True, name="RGB")
    viewer.add_image(plane.astype(np.uint16), name="integer")
    viewer.add_image(np.stack([plane] * 3), name="3-D", scale=(4.0, 0.5, 2.0))
    viewer.add_image(np.zeros((2, 3, 32, 32)), name="4-D")
    viewer.add_image([plane, plane[::2, ::2]], multiscale=True, name="multiscale")
    viewer.add_image(dask.array.from_array(plane, chunks=16), name="Dask")
    viewer.add_labels(np.zeros((2, 2, 32, 32), np.int32), name="4-D labels")
    viewer.add_labels(
        [np.ones((32, 32), np.uint8), np.ones((16, 16), np.uint8)], multiscale=True, name="multiscale labels"
    )
    viewer.add_points(np.zeros((1, 2)), name="points")
    viewer.add_shapes(name="shapes")


@pytest.mark.parametrize("with_data", [False, True], ids=["", "with k-space"])
@pytest.mark.parametrize("dock", DOCKS, ids=lambda d: d.__name__)
def test_a_dock_opens_follows_and_lets_go(qtbot, viewer, kdata, dock, with_data):
    if with_data:
        layers.add_kspace(viewer, kdata)
    add_every_kind(viewer)
    widget = dock(viewer)
    qtbot.addWidget(widget)
    widget.show()
    qtbot.wait(200)
    add_every_kind(viewer)
    for layer in list(viewer.layers):
        layer.name = f"{layer.name} renamed"
    qtbot.wait(200)
    while viewer.layers:
        viewer.layers.remove(viewer.layers[0])
    qtbot.wait(200)
    assert "Unexpected" not in widget.status.sentence


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((32, 32), np.int64), "Done"),
        (np.ones((2, 32, 32), np.uint8), "Done"),
        (np.stack([np.ones((32, 32), np.uint8), np.eye(32, dtype=np.uint8)]), "differs from slice to slice"),
        (np.ones((2, 1, 32, 32), np.uint8), "Done"),
        (np.zeros((32, 32), np.uint8), "is empty"),
        (np.ones((16, 16), np.uint8), "must be the same"),
        (dask.array.ones((32, 32), dtype=np.uint8, chunks=8), "Done"),
        ([np.ones((32, 32), np.uint8), np.ones((16, 16), np.uint8)], "Done"),
    ],
    ids=["64 bit", "3-D", "3-D that differs", "4-D", "empty", "another size", "Dask", "multiscale"],
)
def test_every_kind_of_mask(qtbot, viewer, kdata, engine, labels, words):
    layers.add_kspace(viewer, kdata)
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    widget.settings.mask.layer = viewer.add_labels(labels, multiscale=isinstance(labels, list), name="mask")
    widget.panel.button.click()
    qtbot.waitUntil(lambda: not widget.running, timeout=20_000)
    assert words in widget.status.sentence


@pytest.mark.parametrize("what", ["kspace", "mask", "preview"])
@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_layers_that_change_during_a_run(qtbot, viewer, kdata, engine, what, how):
    layers.add_kspace(viewer, kdata)
    layers.show_mask(viewer, np.eye(32, dtype=bool), name="mask", place=Place.of(kdata))
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    engine.steps, engine.wait = 40, 0.01
    widget.panel.button.click()
    qtbot.waitUntil(lambda: bool(widget.panel.curve._points), timeout=10_000)
    layer = next(x for x in viewer.layers if views.role_of(x) == what)
    if how == "renamed":
        layer.name = "mine"
    else:
        viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not widget.running, timeout=20_000)
    assert widget.status.sentence.startswith("Done")
    (result,) = [x for x in viewer.layers if views.role_of(x) == "result"]
    np.testing.assert_array_equal(result.data, np.stack([np.full((32, 32), n * 40.0) for n in (1, 2)]))


def test_many_runs_leave_no_thread_and_no_layer(qtbot, viewer, kdata, engine):
    layers.add_kspace(viewer, kdata)
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    engine.steps, engine.wait = 2, 0.0
    before = len(viewer.layers)
    for _ in range(30):
        widget.panel.button.click()
        qtbot.waitUntil(lambda: not widget.running, timeout=20_000)
        for layer in [x for x in viewer.layers if views.role_of(x) == "result"]:
            viewer.layers.remove(layer)
    assert len(viewer.layers) == before
    assert len(set(engine.closed)) <= QThreadPool.globalInstance().maxThreadCount()
    assert QThreadPool.globalInstance().waitForDone(5000) and QThreadPool.globalInstance().activeThreadCount() == 0
