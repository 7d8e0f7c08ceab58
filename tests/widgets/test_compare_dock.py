"""The Compare dock: side by side and back, difference maps, figures of merit."""

import csv
import io
import math

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

from napari_lossguide.data.phantoms import simulate
from napari_lossguide.recon import metrics
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.metrics_table import Compared, MetricsTable, Row, as_csv, measure
from widgets.compared import TRUTH, add_images, of_role, settle, show, state


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def images(viewer):
    return add_images(viewer)


@pytest.fixture
def dock(qtbot, viewer, images):
    widget = CompareDock(viewer)
    qtbot.addWidget(widget)
    return widget


def maps(viewer):
    return of_role(viewer, "difference")


def test_figures_are_those_of_recon_metrics(qtbot, dock, images):
    dock.truth.click()
    assert dock.reference.layer.name == "True image (SIMULATION)"
    settle(qtbot, dock)
    qtbot.waitUntil(lambda: "psnr" in dock.table.rows[0].figures, timeout=20_000)
    for row, layer in zip(dock.table.rows, images, strict=True):
        expected = metrics.evaluate(np.abs(TRUTH), layer.data)
        assert {k: row.figures[k] for k in expected} == pytest.approx(expected, rel=1e-5)
    assert dock.table.item(1, 1).font().bold() and not dock.table.item(0, 1).font().bold()
    assert "SIMULATION" in dock.figures.note.text()


def test_without_a_reference_only_the_residual_is_shown(qtbot, dock, viewer):
    show(viewer, "with residual", TRUTH[None], residual=0.93)
    settle(qtbot, dock)
    assert dock.table.rows[-1].figures == {"residual": 0.93}
    assert [dock.table.item(2, c).text() for c in range(1, 5)] == ["–", "–", "–", "0.93"]
    dock.modes.buttons["side by side"].click()
    assert not maps(viewer)


def test_side_by_side_and_back(qtbot, dock, viewer, images):
    dock.add_reference()
    settle(qtbot, dock)
    before = state(viewer)
    dock.modes.buttons["side by side"].click()
    grid, reference = viewer.canvas.grid, dock.reference.layer
    shown = [layer for layer in viewer.layers if layer.visible]
    assert shown == [*images, reference, *maps(viewer)] and len(maps(viewer)) == 2
    assert grid.enabled
    cells = [grid.position(viewer.layers.index(layer), viewer.layers) for layer in shown]
    assert cells == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], "each difference stands under its image"
    assert all(layer.name_overlay.visible for layer in shown)
    images[0].contrast_limits = (0.1, 0.7)
    assert tuple(images[1].contrast_limits) == tuple(reference.contrast_limits) == (0.1, 0.7)
    images[0].colormap = "viridis"
    assert reference.colormap.name == "viridis"
    dock.modes.back.click()
    assert state(viewer) == before
    images[0].gamma = 0.5
    assert images[1].gamma == 1.0, "no longer linked"


def test_the_canvas_comes_to_rest(qtbot, dock, viewer):
    """What the dock itself does to the layers must not make it start again."""
    dock.add_reference()
    dock.modes.buttons["side by side"].click()
    settle(qtbot, dock)
    qtbot.wait(200)
    moves = []
    viewer.layers.events.moved.connect(moves.append)
    qtbot.wait(400)
    assert not moves


def test_differences_follow_kind_and_gain(qtbot, dock, viewer, images):
    dock.add_reference()
    dock.modes.buttons["side by side"].click()
    first = maps(viewer)[0]
    np.testing.assert_allclose(first.data, np.abs(np.abs(images[0].data) - np.abs(TRUTH)), atol=1e-6)
    high = dock.reference.layer.contrast_limits[1]
    assert first.contrast_limits[1] == pytest.approx(high / 5)
    dock.differences.form.set_values({"gain": 20.0})
    assert first.contrast_limits[1] == pytest.approx(high / 20)
    dock.differences.form.set_values({"kind": "signed"})
    qtbot.waitUntil(lambda: maps(viewer)[0].data.min() < 0, timeout=5000)
    assert maps(viewer)[0].contrast_limits[0] == pytest.approx(-high / 20)
    assert len(maps(viewer)) == 2
    dock.differences.box.setChecked(False)
    qtbot.waitUntil(lambda: not maps(viewer), timeout=5000)


def test_a_new_result_joins_and_a_removed_one_leaves(qtbot, dock, viewer, images):
    dock.add_reference()
    dock.modes.buttons["side by side"].click()
    settle(qtbot, dock)
    third = show(viewer, "third", TRUTH[None] * 0.9)
    qtbot.waitUntil(lambda: len(maps(viewer)) == 3, timeout=5000)
    assert third.visible and third in dock.candidates()
    viewer.layers.remove(images[0])
    qtbot.waitUntil(lambda: len(maps(viewer)) == 2, timeout=5000)
    settle(qtbot, dock)
    dock.modes.back.click()
    assert images[0] not in viewer.layers and third in viewer.layers and not maps(viewer)


def test_ticks_stay_with_their_layers(qtbot, dock, viewer, images):
    dock.tick(images[0], False)
    assert dock.candidates() == [images[1]]
    viewer.layers.move(viewer.layers.index(images[1]), 0)
    images[1].name = "renamed"
    show(viewer, "third", TRUTH[None])
    assert [x.name for x in dock.candidates()] == ["renamed", "third"]


def test_a_change_of_the_data_changes_the_figures(qtbot, dock, images):
    dock.add_reference()
    settle(qtbot, dock)
    qtbot.waitUntil(lambda: "psnr" in dock.table.rows[0].figures, timeout=20_000)
    images[0].data = np.abs(TRUTH[None])
    qtbot.waitUntil(lambda: dock.table.rows[0].figures["nmse"] == 0, timeout=20_000)


def test_another_shape_is_one_sentence(qtbot, dock, viewer):
    dock.add_reference()
    show(viewer, "small", np.ones((1, 8, 8)))
    settle(qtbot, dock)
    qtbot.waitUntil(lambda: "(1, 8, 8)" in dock.status.sentence, timeout=20_000)
    dock.modes.buttons["side by side"].click()
    assert len(maps(viewer)) == 2


def test_kspace_phase_and_maps_are_no_candidates(qtbot, dock, viewer, images):
    layers.show_image(viewer, np.ones((1, 32, 32)), name="ph", role="phase", scale=(1.0, 1.0, 1.0))
    viewer.add_labels(np.ones((32, 32), int))
    viewer.add_image(np.ones((8, 8, 3)), rgb=True)
    assert [x.name for x in dock.list.images] == ["image: head (simulation)", "bad", "good"]


def test_csv(qtbot, dock):
    dock.add_reference()
    settle(qtbot, dock)
    qtbot.waitUntil(lambda: "psnr" in dock.table.rows[0].figures, timeout=20_000)
    dock.figures.copy.click()
    rows = list(csv.DictReader(io.StringIO(QApplication.clipboard().text())))
    assert [r["image"] for r in rows] == ["bad", "good"]
    assert float(rows[0]["psnr"]) == pytest.approx(dock.table.rows[0].figures["psnr"], rel=1e-4)
    assert rows[0]["residual"] == "" and rows[0]["reference"] == dock.reference.layer.name


def test_csv_quotes_names():
    text = as_csv([Row('a,"b"', {"psnr": 30.0})], "true")
    assert next(csv.DictReader(io.StringIO(text)))["image"] == 'a,"b"'


def test_measure_says_why_there_is_no_figure():
    (row,) = measure(np.zeros((1, 8, 8), np.float32), [Compared("x", np.ones((1, 8, 8), np.float32), 0.5)])
    assert "zero everywhere" in row.note and row.figures == {"residual": 0.5}


def test_closing_the_dock_gives_the_canvas_back(qtbot, make_napari_viewer):
    viewer = make_napari_viewer()
    layers.add_kspace(viewer, simulate(TRUTH, name="head"))
    show(viewer, "a", TRUTH[None])
    show(viewer, "b", TRUTH[None])
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    frame = viewer.window.add_dock_widget(dock)
    before = state(viewer)
    dock.add_reference()
    dock.modes.buttons["side by side"].click()
    assert viewer.canvas.grid.enabled
    frame.destroyOnClose()
    assert not viewer.canvas.grid.enabled and not maps(viewer)
    assert all(viewer.layers[name].visible == look[0] for name, look in before[1].items())


def test_figures_of_a_region_follow_what_is_drawn(qtbot, dock, viewer, images):
    dock.truth.click()
    settle(qtbot, dock)
    qtbot.waitUntil(lambda: "psnr" in dock.table.rows[0].figures, timeout=20_000)
    whole = dock.table.rows[0].figures["psnr"]
    labels = np.zeros((32, 32), int)
    labels[10:20, 8:24] = 1
    layer = viewer.add_labels(labels, scale=(2.0, 1.0), name="lesion")
    dock.region.setCurrentIndex(dock.region.findText("lesion"))
    expected = metrics.psnr(np.abs(TRUTH), images[0].data, labels > 0)
    qtbot.waitUntil(lambda: dock.table.rows[0].figures["psnr"] == pytest.approx(expected, rel=1e-5), timeout=20_000)
    assert expected != pytest.approx(whole, rel=1e-3)
    layer.paint((3, 3), 2)
    changed = metrics.psnr(np.abs(TRUTH), images[0].data, layer.data > 0)
    qtbot.waitUntil(lambda: dock.table.rows[0].figures["psnr"] == pytest.approx(changed, rel=1e-5), timeout=20_000)
    assert next(csv.DictReader(io.StringIO(dock.csv())))["region"] == "lesion"
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: dock.table.rows[0].figures["psnr"] == pytest.approx(whole, rel=1e-5), timeout=20_000)


def test_an_empty_region_is_said(qtbot, dock, viewer):
    dock.truth.click()
    settle(qtbot, dock)
    viewer.add_shapes(name="nothing yet")
    dock.region.setCurrentIndex(dock.region.findText("nothing yet"))
    qtbot.waitUntil(lambda: "'nothing yet' has no pixel" in dock.status.sentence, timeout=5000)
    viewer.layers["nothing yet"].add_rectangles([[[10, 5], [10, 25], [40, 25], [40, 5]]])
    qtbot.waitUntil(lambda: "no pixel" not in dock.status.sentence, timeout=5000)


def test_a_heading_sorts_best_first_then_worst_then_not_at_all(qtbot):
    table = MetricsTable()
    qtbot.addWidget(table)
    table.show()
    rows = [
        Row("b", {"psnr": 20.0, "nmse": 0.1}),
        Row("C", {"psnr": 30.0, "nmse": 0.01}),
        Row("a", {"psnr": math.nan, "nmse": 0.5}),
    ]
    table.show_rows(rows)

    def names():
        return "".join(table.item(i, 0).text() for i in range(table.rowCount()))

    def click(column):
        header = table.horizontalHeader()
        at = QPoint(header.sectionViewportPosition(column) + header.sectionSize(column) // 2, header.height() // 2)
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)
        return names()

    assert names() == "bCa"
    assert [click(1), click(1), click(1)] == ["Cba", "bCa", "bCa"]  # what has no figure stays last
    assert [click(3), click(3)] == ["Cba", "abC"]
    assert click(0) == "abC"
    table.show_rows(rows[:2])
    assert names() == "bC" and table.item(1, 1).font().bold()
