"""The Compare dock: side by side and back, difference maps, figures of merit."""

import csv
import io
import math
import threading

import numpy as np
import pytest
from napari.layers import Image, Shapes
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication
from widgets.compared import TRUTH, of_role, settle, show, state

from napari_lossguide.data.phantoms import simulate
from napari_lossguide.recon import metrics
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.metrics_table import COLUMNS, Compared, MetricsTable, Row, as_csv, mean_deviation, measure
from napari_lossguide.widgets.placement import Place


@pytest.fixture
def dock(compare_dock):
    return compare_dock


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
    layers.show_image(viewer, np.ones((1, 32, 32)), name="ph", role="phase", place=Place())
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


def test_a_region_beside_an_image_of_another_size_leaves_the_others_their_figures(qtbot, dock, viewer, images):
    dock.truth.click()
    show(viewer, "small", np.ones((1, 8, 8)))
    labels = np.zeros((32, 32), int)
    labels[20:, 20:] = 1  # beyond the small one
    viewer.add_labels(labels, scale=(2.0, 1.0), name="corner")
    dock.region.setCurrentIndex(dock.region.findText("corner"))
    expected = metrics.psnr(np.abs(TRUTH), images[0].data, labels > 0)
    qtbot.waitUntil(lambda: len(dock.table.rows) == 3 and "psnr" in dock.table.rows[0].figures, timeout=20_000)
    qtbot.waitUntil(lambda: dock.table.rows[0].figures["psnr"] == pytest.approx(expected, rel=1e-5), timeout=20_000)
    assert "(1, 8, 8)" in dock.table.rows[2].note


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


def test_the_map_of_ssim_is_computed_in_a_thread(qtbot, dock, viewer, images, monkeypatch):
    threads, plain = [], metrics.ssim_map

    def watched(*args):
        threads.append(threading.current_thread())
        return plain(*args)

    monkeypatch.setattr(metrics, "ssim_map", watched)
    dock.add_reference()
    dock.modes.buttons["side by side"].click()
    dock.differences.form.set_values({"kind": "ssim"})
    qtbot.waitUntil(lambda: [x.name for x in maps(viewer)] == ["SSIM map of bad", "SSIM map of good"], timeout=20_000)
    assert threads and threading.main_thread() not in threads
    for layer, image in zip(maps(viewer), images, strict=True):
        np.testing.assert_allclose(layer.data, plain(np.abs(TRUTH), image.data)[0], rtol=1e-4, atol=1e-5)
        assert tuple(layer.contrast_limits) == (0.0, 1.0) and layer.colormap.name == "viridis" and layer.visible
    assert [viewer.canvas.grid.position(viewer.layers.index(x), viewer.layers) for x in maps(viewer)] == [
        (1, 0),
        (1, 1),
    ]
    zoom = viewer.scene.camera.zoom
    dock.modes.back.click()
    dock.modes.buttons["side by side"].click()
    qtbot.waitUntil(lambda: len(maps(viewer)) == 2, timeout=20_000)
    assert viewer.scene.camera.zoom == zoom, "fitted to the boxes again once the maps have come"
    gain = dock.differences.form.editor("gain")
    assert not gain.isEnabled() and "Only maps of errors" in gain.toolTip()
    images[0].data = np.abs(TRUTH[None])
    qtbot.waitUntil(lambda: maps(viewer)[0].data.min() > 0.999, timeout=20_000)
    dock.differences.form.set_values({"kind": "signed"})
    qtbot.waitUntil(lambda: [x.name for x in maps(viewer)] == ["Error of bad", "Error of good"], timeout=5000)
    assert gain.isEnabled()


def test_a_map_that_comes_too_late_is_not_shown(qtbot, dock, viewer, images, monkeypatch):
    gate, plain = threading.Event(), metrics.ssim_map
    monkeypatch.setattr(metrics, "ssim_map", lambda *args: (gate.wait(10), plain(*args))[1])
    dock.add_reference()
    dock.modes.buttons["side by side"].click()
    dock.differences.form.set_values({"kind": "ssim"})
    qtbot.wait(200)
    dock.modes.back.click()
    gate.set()
    qtbot.wait(300)
    assert not maps(viewer) and not viewer.canvas.grid.enabled


def test_a_map_that_comes_after_another_was_chosen_is_not_taken_for_it(qtbot, dock, viewer, images, monkeypatch):
    gate, plain = threading.Event(), metrics.ssim_map
    monkeypatch.setattr(metrics, "ssim_map", lambda *args: (gate.wait(10), plain(*args))[1])
    dock.add_reference()
    dock.modes.buttons["side by side"].click()
    dock.differences.form.set_values({"kind": "ssim"})
    qtbot.wait(200)
    dock.differences.form.set_values({"kind": "absolute"})
    qtbot.waitUntil(lambda: [x.name for x in maps(viewer)] == ["|Error| of bad", "|Error| of good"], timeout=5000)
    gate.set()
    qtbot.wait(300)
    np.testing.assert_allclose(maps(viewer)[0].data, np.abs(np.abs(images[0].data) - np.abs(TRUTH)), atol=1e-6)


def test_without_a_reference_the_rest_says_why(qtbot, dock, viewer):
    settle(qtbot, dock)
    why = "Needs a reference"
    kinds = dock.differences.form.editor("kind")

    def offered():
        return {kinds.itemText(i): kinds.model().item(i).isEnabled() for i in range(kinds.count())}

    assert offered() == {"Absolute error": False, "Signed error": False, "SSIM map": False, "Std": True}
    assert why in kinds.toolTip() and why in kinds.itemData(0, Qt.ItemDataRole.ToolTipRole)
    assert not dock.differences.form.editor("gain").isEnabled()
    table = dock.table
    for column in range(1, 4):
        assert why in table.horizontalHeaderItem(column).toolTip() and why in table.item(0, column).toolTip()
        assert not table.item(0, column).flags() & Qt.ItemFlag.ItemIsEnabled
    assert why not in table.horizontalHeaderItem(4).toolTip()
    dock.truth.click()
    qtbot.waitUntil(lambda: "psnr" in table.rows[0].figures, timeout=20_000)
    assert all(offered().values()) and why not in kinds.toolTip()
    assert why not in table.horizontalHeaderItem(1).toolTip() and table.item(0, 1).flags() & Qt.ItemFlag.ItemIsEnabled
    viewer.layers.remove(dock.reference.layer)
    qtbot.waitUntil(lambda: why in table.horizontalHeaderItem(1).toolTip(), timeout=20_000)
    assert not offered()["SSIM map"]


def deviations(viewer, images):
    """Layers of the standard deviation of both images' samples."""
    shown = []
    for image, level in zip(images, (0.5, 0.2), strict=True):
        std = np.full((32, 32), level, "f4")
        std[:16] = 3 * level
        shown.append(
            layers.show_image(
                viewer,
                std,
                name=f"Standard deviation of {image.name}",
                role="standard deviation",
                place=Place((5, 2, 1)),
                metadata={"of": image.name},
                contrast_limits=(0.0, 4 * level),
                colormap="magma",
            )
        )
    return shown


def test_the_std_is_a_column_once_there_are_samples(qtbot, dock, viewer, images):
    settle(qtbot, dock)
    column = list(COLUMNS).index("std") + 1
    assert dock.table.isColumnHidden(column)
    deviations(viewer, images[:1] + images[1:])
    images[0].name = "renamed"
    qtbot.waitUntil(lambda: "std" in dock.table.rows[0].figures, timeout=20_000)
    assert [row.figures["std"] for row in dock.table.rows] == pytest.approx([1.0, 0.4], rel=1e-5)
    assert not dock.table.isColumnHidden(column) and dock.table.item(0, column).text() == "1"
    labels = np.zeros((32, 32), int)
    labels[20:30] = 1
    viewer.add_labels(labels, scale=(2.0, 1.0), name="lower")
    dock.region.setCurrentIndex(dock.region.findText("lower"))
    qtbot.waitUntil(lambda: dock.table.rows[0].figures["std"] == pytest.approx(0.5, rel=1e-5), timeout=20_000)
    assert float(next(csv.DictReader(io.StringIO(dock.csv())))["std"]) == pytest.approx(0.5)
    viewer.layers.remove(viewer.layers["Standard deviation of bad"])
    viewer.layers.remove(viewer.layers["Standard deviation of good"])
    qtbot.waitUntil(lambda: dock.table.isColumnHidden(column), timeout=20_000)


def test_the_mean_std_leaves_out_slices_without_an_image():
    std = np.stack([np.full((4, 4), np.nan), np.full((4, 4), 2.0)])
    assert mean_deviation(std) == 2.0
    assert math.isnan(mean_deviation(std[:1]))


def test_std_maps_need_no_reference_and_share_their_contrast(qtbot, dock, viewer, images):
    stds = deviations(viewer, images)
    for layer in stds:
        layer.visible = False
    before = state(viewer)
    dock.differences.form.set_values({"kind": "samples"})
    dock.modes.buttons["side by side"].click()
    shown = [layer for layer in viewer.layers if layer.visible]
    assert shown == [*images, *stds]
    assert tuple(stds[0].contrast_limits) == tuple(stds[1].contrast_limits) == (0.0, 2.0)
    dock.modes.back.click()
    assert state(viewer) == before


def test_the_table_is_saved(qtbot, dock, viewer, tmp_path, monkeypatch):
    dock.add_reference()
    settle(qtbot, dock)
    qtbot.waitUntil(lambda: "psnr" in dock.table.rows[0].figures, timeout=20_000)
    answer = [""]
    monkeypatch.setattr("qtpy.QtWidgets.QFileDialog.getSaveFileName", lambda *args: (answer[0], ""))
    dock.figures.save.click()
    assert not dock.status.sentence, "the person thought better of it"
    answer[0] = str(tmp_path / "table")
    dock.figures.save.click()
    assert dock.status.sentence == "Saved table.csv."
    assert (tmp_path / "table.csv").read_text() == dock.csv() and [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    row = next(csv.DictReader(io.StringIO(dock.csv())))
    assert row["reference"] == dock.reference.layer.name and row["region"] == ""
    answer[0] = str(tmp_path / "v1.5")
    dock.figures.save.click()
    assert dock.status.sentence == "Saved v1.5.csv."
    answer[0] = str(tmp_path / "absent" / "table.csv")
    dock.figures.save.click()
    assert "absent" in dock.status.sentence and "could not be written: No such file" in dock.status.sentence


def test_a_row_of_the_table_is_of_the_reference_it_was_computed_with(qtbot, dock, viewer, images, monkeypatch):
    """While new figures are on their way, the table still shows those of the old reference, and says so."""
    dock.reference.layer = images[1]
    qtbot.waitUntil(lambda: "psnr" in (dock.table.rows or [Row("")])[0].figures, timeout=20_000)
    gate, plain = threading.Event(), metrics._magnitudes
    monkeypatch.setattr(metrics, "_magnitudes", lambda *args: (gate.wait(10), plain(*args))[1])
    dock.truth.click()
    qtbot.wait(200)
    assert next(csv.DictReader(io.StringIO(dock.csv())))["reference"] == "good"
    gate.set()
    qtbot.waitUntil(lambda: "True image" in next(csv.DictReader(io.StringIO(dock.csv())))["reference"], timeout=20_000)


def test_a_region_is_drawn_with_a_button_in_the_unit_of_the_images(qtbot, dock, viewer):
    dock.draw.click()
    (drawn,) = [x for x in viewer.layers if isinstance(x, Shapes)]
    assert dock.region.layer is drawn and drawn.mode == "add_rectangle" and viewer.layers.selection.active is drawn
    assert drawn.units == next(x for x in viewer.layers if isinstance(x, Image)).units[-2:]
    dock.draw.click()
    assert len([x for x in viewer.layers if isinstance(x, Shapes)]) == 1
