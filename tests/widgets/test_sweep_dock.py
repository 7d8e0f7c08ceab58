"""The Sweep dock on a viewer model, with a generator in the engine's place; the engine itself at the end."""

import csv
import io as text_io
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtWidgets import QApplication, QFileDialog, QMainWindow, QWidget

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.cells import Cell, placed
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.sweep import SweepProgress
from napari_lossguide.types import Cancelled, InvalidInput
from napari_lossguide.widgets import io, layers, sweep_dock, views
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.sweep_dock import SweepDock
from napari_lossguide.widgets.sweep_table import PART, PICTURE

STEPS = 4


class FakeSweep:
    """Stands for ``start_sweep``: cell number k has an image of k + 1 everywhere and a PSNR of its seed.

    Attributes
    ----------
    wait : seconds of a step.
    bad : seed -> what its cell ends with instead of an image.
    error : raised instead of the first cell.
    ran : seeds of the cells that were run.
    """

    def __init__(self):
        self.wait, self.bad, self.error, self.ran, self.closed = 0.0, {}, None, [], []

    def __call__(self, gathering, known, device, live, say):
        say("Checking every cell…")
        return self._walk(gathering, known, live)

    def _walk(self, gathering, known, live):
        if self.error is not None:
            raise self.error
        taken, cells = placed(known, gathering.grid), {}
        try:
            for number, place in enumerate(np.ndindex(gathering.grid.shape)):
                live.checkpoint()
                cell = taken.get(place)
                if cell is None:
                    yield from self._steps(gathering, number, place, live)
                    cell = self._cell(gathering, number, place)
                cells[place] = cell
                yield self._progress(gathering, number, place, STEPS, None, cell)
        except Cancelled:
            cells |= {p: c for p, c in taken.items() if p not in cells}
            recipe = gathering.grid.recipes[place[0]][place[1]]
            cells.setdefault(place, Cell(*place, "cancelled", recipe, recipe, {}))
        finally:
            self.closed.append(threading.current_thread().name)
        return gathering.sweep(cells.values())

    def _steps(self, gathering, number, place, live):
        self.ran.append(gathering.grid.recipes[place[0]][place[1]].seed)
        image = np.full(gathering.kdata.image_shape, number + 1, np.float32)

        def picture():
            assert threading.current_thread() is not threading.main_thread()
            return image

        for step in range(1, STEPS + 1):
            live.checkpoint()
            time.sleep(self.wait)
            run = Progress(step, STEPS, 0, 1, 1.0, 1.0, 1.0, step, {}, "fake", picture, picture)
            yield self._progress(gathering, number, place, step, run, None)

    def _progress(self, gathering, number, place, done, run, finished):
        cells = int(np.prod(gathering.grid.shape))
        values = gathering.grid.settings(*place)
        return SweepProgress(number, cells, *place, values, number * STEPS + done, cells * STEPS, run, finished)

    def _cell(self, gathering, number, place):
        kdata, recipe = gathering.kdata, gathering.grid.recipes[place[0]][place[1]]
        if recipe.seed in self.bad:
            return Cell(*place, self.bad[recipe.seed], recipe, recipe, {}, note="It went wrong at step 3.")
        image = np.full((kdata.n_slices, *kdata.image_shape), number + 1, np.complex64)
        image += np.arange(kdata.n_slices)[:, None, None]
        numbers = {"acceleration": 1.0, "residual": 1.0 + number, "nfe": float(STEPS), "seconds": 2.0}
        if kdata.reference is not None:
            numbers |= {"psnr": float(recipe.seed), "ssim": 0.5, "nmse": 1.0 / (1 + recipe.seed), "mse": 0.1}
        result = Result(
            image, image * 0, kdata.acquired, np.ones_like(kdata.kspace), None, None, None, recipe, (), "done", 1.0,
            STEPS, 1.0, 1.0, (1.0,), {"device": "cpu"}, kdata.simulated,
        )  # fmt: skip
        return Cell(*place, "done", recipe, recipe, numbers, image, image * 0, result=result)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def engine(monkeypatch):
    fake = FakeSweep()
    monkeypatch.setattr(sweep_dock, "start_sweep", fake)
    yield fake
    assert QThreadPool.globalInstance().waitForDone(5000)


@pytest.fixture
def dock(qtbot, viewer):
    """A dock with a scan whose true image is known, and a grid of 2 x 3 cells: gamma by seed."""
    layers.add_kspace(viewer, scan())
    return opened(qtbot, viewer)


def scan(**more):
    return simulate(shepp_logan(32), noise_std=0.01, seed=1, **more)


def opened(qtbot, viewer):
    widget = SweepDock(viewer)
    qtbot.addWidget(widget)
    widget.resize(400, 900)
    widget.show()
    widget.rows.choose("guidance.gamma", "1, 2")
    widget.columns.choose("seed", "5, 9, 7")
    return widget


def run(qtbot, dock):
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)


def texts(dock):
    table = dock.board.table
    return [[table.item(r, c).text() for c in range(table.columnCount())] for r in range(table.rowCount())]


def results(viewer):
    return [layer for layer in viewer.layers if views.role_of(layer) == "result"]


def click(qtbot, dock, row, column):
    table = dock.board.table
    where = table.visualItemRect(table.item(row, column)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(where))


def picture_of(dock, row, column):
    return dock.board.table.item(row, column).data(PICTURE)


def level(dock, row, column):
    return picture_of(dock, row, column).toImage().pixelColor(3, 3).red()


# a sweep --------------------------------------------------------------------------------------------------------------


def test_the_table_fills_and_marks_the_best(qtbot, dock, engine):
    assert dock.board.isHidden()
    run(qtbot, dock)
    assert texts(dock) == [["5.00 dB", "9.00 dB", "7.00 dB"]] * 2
    table = dock.board.table
    heads = (
        [table.horizontalHeaderItem(c).text() for c in range(3)],
        [table.verticalHeaderItem(r).text() for r in range(2)],
    )
    assert heads == (["5", "9", "7"], ["1", "2"])
    assert "Best: 9.00 dB at guidance.gamma = 1, seed = 9" in dock.board.note.sentence
    said = table.item(0, 1).data(Qt.ItemDataRole.AccessibleTextRole)
    assert said == "gamma 1; seed 9; 9.00 dB, the best"
    assert "best" not in table.item(1, 1).data(Qt.ItemDataRole.AccessibleTextRole)
    assert all(picture_of(dock, *place) is not None for place in np.ndindex(2, 3))
    assert dock.status.sentence == "6 of 6 cells done." and dock.panel.where.text() == "Done"
    assert engine.ran == [5, 9, 7] * 2


def test_the_cost_is_said_before_the_start_and_learns_from_what_ran(qtbot, dock, engine):
    dock.base.steps.setValue(8)
    qtbot.waitUntil(lambda: "6 cells, 48 network evaluations, roughly" in dock.cost.sentence, timeout=2000)
    dock.columns.values.setText("1:4")
    qtbot.waitUntil(lambda: "8 cells, 64 network evaluations" in dock.cost.sentence, timeout=2000)
    dock.columns.values.setText("1, 2, x")
    qtbot.waitUntil(lambda: "seed: 'x' is no number" in dock.cost.sentence, timeout=2000)
    dock.panel.button.click()
    assert not dock.running and "'x' is no number" in dock.status.sentence
    dock.columns.values.setText("0, 1")
    run(qtbot, dock)
    assert "4 cells, 32 network evaluations, ≈ 8 s." in dock.cost.sentence  # 2 s for a cell


def test_another_metric_and_another_best(qtbot, dock, engine):
    run(qtbot, dock)
    board = dock.board
    assert [board.metric.itemData(i) for i in range(board.metric.count())] == [
        "psnr", "ssim", "nmse", "residual", "seconds",
    ]  # fmt: skip
    board.metric.setCurrentIndex(board.metric.findData("nmse"))
    assert texts(dock)[0] == ["0.167", "0.1", "0.125"] and "seed = 9" in board.note.sentence
    board.metric.setCurrentIndex(board.metric.findData("residual"))
    assert texts(dock)[1] == ["4.00", "5.00", "6.00"] and not board.note.sentence  # nothing is better there


def test_without_a_true_image_only_what_is_known_is_offered(qtbot, viewer, engine):
    layers.add_kspace(viewer, replace(scan(), reference=None))
    dock = opened(qtbot, viewer)
    run(qtbot, dock)
    metric = dock.board.metric
    assert [metric.itemData(i) for i in range(metric.count())] == ["residual", "seconds"]
    assert "not known" in metric.toolTip()
    assert texts(dock)[0] == ["1.00", "2.00", "3.00"]
    assert "psnr" not in dock.result().arrays()
    # the contrast is that of the first cell, the same in all
    assert level(dock, 0, 0) == level(dock, 1, 2) == 255


def test_the_contrast_is_the_same_in_all_cells(qtbot, viewer, engine):
    kdata = scan()
    layers.add_kspace(viewer, replace(kdata, reference=kdata.reference / kdata.reference.max() * 6))
    dock = opened(qtbot, viewer)
    run(qtbot, dock)
    levels = [level(dock, *place) for place in np.ndindex(2, 3)]
    assert levels == sorted(levels) and len(set(levels)) >= 5  # cell k holds k + 1


def test_the_running_cell_shows_its_progress_and_its_estimate(qtbot, dock, engine):
    engine.wait = 0.15
    dock.panel.button.click()
    first = dock.board.table
    qtbot.waitUntil(lambda: first.item(0, 0) is not None and first.item(0, 0).data(PART) is not None, timeout=5000)
    assert first.item(0, 0).text().endswith("%") and first.item(0, 1).text() == "…"
    qtbot.waitUntil(lambda: picture_of(dock, 0, 0) is not None, timeout=5000)
    assert (0, 0) not in dock.board.cells
    assert not dock.base.isEnabled() and not dock.rows.isEnabled()
    dock.cancel()
    qtbot.waitUntil(lambda: not dock.running, timeout=5000)
    assert dock.base.isEnabled() and dock.rows.isEnabled()


def test_cancelling_keeps_what_is_done_and_run_goes_on(qtbot, dock, engine):
    engine.wait = 0.05
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(dock.board.cells) == 2 and picture_of(dock, 0, 2) is not None, timeout=10_000)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=5000)
    done = dock.board.done()
    assert 2 <= done < 6 and f"{done} of 6 cells done. Press Run to go on" in dock.status.sentence
    assert texts(dock)[0][:2] == ["5.00 dB", "9.00 dB"]
    number = done
    assert dock.board.table.item(number // 3, number % 3).text() == "cancelled"
    assert picture_of(dock, number // 3, number % 3) is None  # half an image says nothing of its parameters
    assert "was not reached" in dock.board.table.item(1, 2).toolTip()
    assert dock.result().status[0, 0] == "done" and (dock.result().status == "done").sum() == done

    engine.wait, engine.ran = 0, []
    run(qtbot, dock)
    assert len(engine.ran) == 6 - done and "6 of 6" in dock.status.sentence
    dock.columns.values.setText("7, 4, 5")
    engine.ran = []
    run(qtbot, dock)
    assert engine.ran == [4, 4]  # the others are in the table already, in other places
    dock.keep.setChecked(False)
    engine.ran = []
    run(qtbot, dock)
    assert len(engine.ran) == 6


def test_pausing_holds_the_sweep(qtbot, dock, engine):
    engine.wait = 0.03
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(dock.board.cells) == 1, timeout=5000)
    dock.panel.pause.click()
    qtbot.wait(200)
    before = len(engine.ran)
    qtbot.wait(400)
    assert len(engine.ran) == before and dock.running
    dock.panel.pause.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=10_000)
    assert "6 of 6" in dock.status.sentence


def test_cells_that_go_wrong_say_why_and_the_others_go_on(qtbot, dock, engine):
    engine.bad = {9: "diverged", 7: "failed"}
    run(qtbot, dock)
    assert texts(dock)[0] == ["5.00 dB", "diverged", "failed"]
    assert dock.board.table.item(0, 1).toolTip() == "Diverged: It went wrong at step 3."
    assert "2 of 6 cells done, 2 diverged, 2 failed" in dock.status.sentence
    click(qtbot, dock, 0, 1)
    assert not results(dock._viewer)


def test_what_the_engine_refuses_is_one_sentence_and_the_table_before_stays(qtbot, dock, engine):
    engine.error = InvalidInput("The prior is of another size.")
    run(qtbot, dock)
    assert dock.status.sentence == "The prior is of another size." and dock.board.isHidden()
    engine.error = None
    run(qtbot, dock)
    engine.error = RuntimeError("shapes do not match")
    dock.columns.values.setText("1, 2")
    run(qtbot, dock)
    assert "shapes do not match" in dock.status.sentence
    assert texts(dock)[0] == ["5.00 dB", "9.00 dB", "7.00 dB"] and dock.board.done() == 6


# cells as layers, files -----------------------------------------------------------------------------------------------


def test_a_click_gets_a_cell_as_a_layer_and_the_next_one_selects_it(qtbot, dock, engine, viewer, tmp_path):
    run(qtbot, dock)
    click(qtbot, dock, 1, 2)
    (layer,) = results(viewer)
    assert layer.name == "gamma 2, seed 7 (SIMULATION)" and (layer.data == 6).all()
    recipe = Recipe.from_json(views.held(layer)["recipe"])
    assert (recipe.guidance["gamma"], recipe.seed) == (2.0, 7)
    viewer.layers.selection.active = viewer.layers[0]
    click(qtbot, dock, 1, 2)
    assert results(viewer) == [layer] and viewer.layers.selection.active is layer
    io.write_result(str(tmp_path / "r.npz"), layer.data, {"metadata": layer.metadata})
    with np.load(tmp_path / "r.npz") as file:
        assert (np.abs(file["image"]) == 6).all()
    viewer.layers.remove(layer)
    click(qtbot, dock, 1, 2)
    assert len(results(viewer)) == 1


def test_arrow_keys_move_and_enter_loads(qtbot, dock, engine, viewer):
    run(qtbot, dock)
    table = dock.board.table
    table.setFocus()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left):
        qtbot.keyClick(table, key)
    assert (table.currentRow(), table.currentColumn()) == (1, 1) and not results(viewer)
    qtbot.keyClick(table, Qt.Key.Key_Return)
    assert [layer.name for layer in results(viewer)] == ["gamma 2, seed 9 (SIMULATION)"]


def test_a_cell_can_be_loaded_while_others_run(qtbot, dock, engine, viewer):
    engine.wait = 0.05
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(dock.board.cells) == 1, timeout=5000)
    click(qtbot, dock, 0, 0)
    assert len(results(viewer)) == 1 and dock.running
    dock.cancel()
    qtbot.waitUntil(lambda: not dock.running, timeout=5000)


def test_the_table_is_copied_and_everything_is_saved(qtbot, dock, engine, tmp_path, monkeypatch):
    assert not dock.board.buttons["copy"].isVisible()
    engine.bad = {9: "diverged"}
    run(qtbot, dock)
    dock.board.buttons["copy"].click()
    rows = list(csv.DictReader(text_io.StringIO(QApplication.clipboard().text())))
    assert [(r["guidance.gamma"], r["seed"], r["status"]) for r in rows[:2]] == [
        ("1", "5", "done"),
        ("1", "9", "diverged"),
    ]
    assert rows[0]["psnr"] == "5" and rows[1]["psnr"] == ""

    for name, chosen in (("s.npz", ""), ("s.png", ""), ("t", "Table (*.csv)"), ("v1.5", "")):
        target = str(tmp_path / name)
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, t=target, c=chosen: (t, c))
        dock.board.buttons["save"].click()
        assert "Saved" in dock.status.sentence
    assert {p.name for p in tmp_path.iterdir()} == {"s.npz", "s.png", "t.csv", "v1.5.npz"}
    with np.load(tmp_path / "s.npz") as file:
        assert file["status"].tolist() == [["done", "diverged", "done"]] * 2
        assert (file["image"][0, 2] == 3).all() and np.isnan(file["image"][0, 1]).all()
    with pytest.raises(InvalidInput, match=r"s\.txt must end in \.npz, \.png, \.csv"):
        dock.save_as(tmp_path / "s.txt")


# layers, slices, recipes ----------------------------------------------------------------------------------------------


def test_without_layers_it_says_what_is_missing(qtbot, viewer, engine):
    dock = opened(qtbot, viewer)
    dock.panel.button.click()
    assert not dock.running and "There is no k-space to sweep" in dock.status.sentence
    dock.board.save.emit()
    assert "nothing to copy or save" in dock.status.sentence


def test_the_scan_may_be_renamed_or_removed_during_the_sweep(qtbot, dock, engine, viewer):
    engine.wait = 0.05
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(dock.board.cells) == 1, timeout=5000)
    viewer.layers[0].name = "renamed"
    assert dock.base.input.currentText() == "renamed"
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not dock.running, timeout=10_000)
    assert dock.board.done() == 6
    click(qtbot, dock, 0, 0)
    assert len(results(viewer)) == 1
    dock.panel.button.click()
    assert "There is no k-space" in dock.status.sentence and dock.board.done() == 6


def test_the_pictures_show_one_slice_of_several(qtbot, viewer, engine):
    images = np.stack([shepp_logan(32)] * 3)
    kdata = simulate(images, noise_std=0.01, seed=1)
    layers.add_kspace(viewer, replace(kdata, reference=kdata.reference / kdata.reference.max() * 9))
    dock = opened(qtbot, viewer)
    run(qtbot, dock)
    board = dock.board
    assert board.slice.isVisible() and board.slice.value() == 1 and board.slice.maximum() == 2
    before = level(dock, 0, 0)
    board.slice.setValue(2)
    assert level(dock, 0, 0) > before
    click(qtbot, dock, 0, 0)
    assert results(viewer)[0].data.shape == (3, 32, 32)
    viewer.layers.clear()
    layers.add_kspace(viewer, scan())
    run(qtbot, dock)
    assert not board.slice.isVisible()


def test_a_mask_is_used_and_its_parameters_vary(qtbot, dock, engine, viewer):
    assert dock.rows.name.findData("mask.acceleration") < 0
    recipe = MaskRecipe.of("random", acceleration=2)
    layers.show_mask(viewer, recipe.make((32, 32)), name="mask", place=Place(), recipe=recipe)
    assert dock.base.mask.layer is viewer.layers["mask"]  # the scan is fully sampled, so it was meant
    dock.rows.choose("mask.acceleration")
    assert dock.rows.values.text() == "1, 2, 4"
    assert "Accepted: [1, 64]" in dock.rows.name.toolTip()
    cells = dock.grid()
    assert [row[0].mask.params["acceleration"] for row in cells.recipes] == [1, 2, 4]
    viewer.layers.remove("mask")
    assert dock.rows.name.currentData() == "" and len(dock.grid().rows) == 1


def test_nothing_that_varies_and_too_much_are_said(dock):
    dock.rows.choose("")
    dock.columns.choose("")
    with pytest.raises(InvalidInput, match="Nothing varies"):
        dock.grid()
    dock.rows.choose("seed", "0:99")
    dock.columns.choose("guidance.gamma", "1:5")
    with pytest.raises(InvalidInput, match="100 × 5 cells are too many"):
        dock.grid()
    dock.columns.choose("seed", "1")
    with pytest.raises(InvalidInput, match="along the rows and along the columns"):
        dock.grid()


def test_coil_maps_vary_where_there_are_several_coils(qtbot, dock, viewer):
    assert dock.rows.name.findData("coil_maps") < 0
    layers.add_kspace(viewer, scan(n_coils=3, name="three coils"))
    dock.base.input.layer = next(x for x in viewer.layers if "three coils" in x.name and views.role_of(x) == "kspace")
    dock.rows.choose("coil_maps")
    assert dock.rows.values.text() == "espirit, walsh"
    assert [cells[0].coil_maps for cells in dock.grid().recipes] == ["espirit", "walsh"]
    assert dock.rows.name.itemText(dock.rows.name.currentIndex()) == "Coil maps"
    dock.base.set_recipe(Recipe.for_method("tv", coil_maps="walsh"))
    dock.base.show_facts()
    assert "coil maps walsh" in dock.base.facts.sentence


def test_the_method_brings_its_own_parameters(dock):
    dock.rows.values.setText("3, 4")
    dock.base.method.setCurrentIndex(dock.base.method.findData("dds"))
    assert dock.columns.name.currentData() == "seed" and dock.columns.values.text() == "5, 9, 7"
    dock.base.method.setCurrentIndex(dock.base.method.findData("tv"))
    assert dock.rows.name.currentData() == dock.columns.name.currentData() == ""
    assert not dock.base.prior.isVisible()
    dock.columns.choose("guidance.regularization")
    assert dock.columns.values.text() == "0.0025, 0.005, 0.01"
    assert dock.base.method.findData("unconditional") < 0


def test_a_recipe_from_a_file_is_what_all_cells_begin_with(qtbot, dock, tmp_path, monkeypatch):
    recipe = Recipe.for_method(
        "karras+heun+proximal", steps=6, settings={"guidance.gamma": 3.0}, seed=4, samples=2, start="tv",
        mask=MaskRecipe.of("poisson"),
    )  # fmt: skip
    (tmp_path / "r.json").write_text(recipe.to_json())
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "r.json"), ""))
    layers.show_mask(dock._viewer, np.eye(32) > 0, name="mask", place=Place())  # chosen, but the recipe has its own
    dock.rows.choose("")
    dock.rows.choose("guidance.gamma")
    assert dock.rows.values.text() == "0.5, 1, 2"
    dock.base.load.click()
    assert dock.rows.values.text() == "1.5, 3, 6" and dock.columns.values.text() == "5, 9, 7"
    assert "Loaded" in dock.status.sentence and dock.base.recipe() == recipe
    qtbot.waitUntil(lambda: "seed 4" in dock.base.facts.sentence, timeout=2000)
    for words in ("seed 4", "2 samples", "start tv", "mask poisson 4×", "gamma 3"):
        assert words in dock.base.facts.sentence, words
    dock.rows.choose("")
    assert [r.seed for r in dock.grid().recipes[0]] == [5, 9, 7]
    assert {r.model_copy(update={"seed": 4}) == recipe for r in dock.grid().recipes[0]} == {True}
    (tmp_path / "r.json").write_text(Recipe.for_method("unconditional", shape=(8, 8)).to_json())
    dock.base.load.click()
    assert "ignores the data" in dock.status.sentence and dock.base.recipe() == recipe


def test_the_recipe_of_the_reconstruct_dock_is_taken(qtbot, viewer):
    layers.add_kspace(viewer, scan())
    window = QMainWindow()
    qtbot.addWidget(window)
    both = QWidget(window)
    dock = SweepDock(viewer)
    dock.setParent(both)
    dock.base.take.click()
    assert "Reconstruct dock is not open" in dock.status.sentence
    other = ReconstructDock(viewer)
    other.setParent(both)
    other.settings.method.choose("dps")
    other.settings.form.set_value("guidance.zeta", 0.3)
    other.settings.sampling.set_values({"seed": 8})
    dock.base.take.click()
    assert dock.status.sentence == "Taken from the Reconstruct dock."
    assert dock.base.recipe() == other.recipe()[0]
    dock.columns.choose("guidance.zeta")
    assert dock.columns.values.text() == "0.15, 0.3, 0.6"


def test_every_control_has_help_and_a_name(dock):
    controls = [
        dock.base.mask, dock.base.method, dock.base.steps, dock.base.take, dock.base.load, dock.rows.name,
        dock.rows.values, dock.columns.name, dock.columns.values, dock.keep, dock.device, dock.panel.button,
        dock.panel.pause, dock.panel.preview, dock.board.metric, dock.board.slice, dock.board.table,
        *dock.board.buttons.values(),
    ]  # fmt: skip
    dock.board._explain()
    for control in controls:
        assert len(control.toolTip()) > 15, control
        assert control.accessibleName() or control.text(), control
    for index in range(dock.rows.name.count()):
        assert dock.rows.name.itemData(index, Qt.ItemDataRole.ToolTipRole)
    titles = [dock.rows.name.itemText(i) for i in range(dock.rows.name.count())]
    assert len(set(titles)) == len(titles)
    assert dock.minimumSizeHint().width() <= 330  # in the style of Qt; that of napari is narrower


def test_a_dock_that_napari_closes_cancels_its_sweep(qtbot, dock, engine):
    """What napari's close button does: it takes the widget out of its dock, and keeps it."""
    holder = QWidget()
    qtbot.addWidget(holder)
    dock.setParent(holder)
    engine.wait = 0.05
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(dock.board.cells) == 1, timeout=5000)
    dock.setParent(None)
    qtbot.waitUntil(lambda: not dock.running, timeout=5000)
    assert 1 <= dock.board.done() < 6 and engine.closed


def test_a_dock_that_goes_stops_its_thread(qtbot, viewer, engine):
    layers.add_kspace(viewer, scan())
    dock = SweepDock(viewer)
    dock.columns.choose("seed", "0:50")
    engine.wait = 0.02
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(engine.ran) > 1, timeout=5000)
    dock.deleteLater()
    qtbot.waitUntil(lambda: bool(engine.closed), timeout=5000)
    assert engine.closed != ["MainThread"] and len(engine.ran) < 50


def test_the_engine_itself_gives_the_numbers_of_python(qtbot, viewer, tmp_path):
    from tiny import tiny_unet

    from napari_lossguide.priors.load import save_prior
    from napari_lossguide.recon.axes import Axis
    from napari_lossguide.recon.sweep import sweep

    network, path = tiny_unet(), tmp_path / "tiny.safetensors"
    info = {"name": "tiny", "sigma_data": 0.25, "licence": "none", "trained_on": "nothing"}
    save_prior(path, network.state_dict(), network.config, info)
    kdata = scan()
    layers.add_kspace(viewer, kdata)
    dock = opened(qtbot, viewer)
    dock.base.prior.select(str(path))
    dock.base.steps.setValue(3)
    dock.columns.choose("schedule.steps", "2, 3")
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=120_000)
    base = Recipe.for_method(steps=3, prior=str(path))
    expected = sweep(kdata, base, Axis.of("guidance.gamma", [1.0, 2.0]), Axis.of("schedule.steps", [2, 3]))
    found = dock.result()
    # another thread may have its arrays elsewhere in memory, which is felt in the last bit
    np.testing.assert_allclose(found.image, expected.image, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.scores["psnr"], expected.scores["psnr"], rtol=1e-5)
    assert found.recipes == expected.recipes
    click(qtbot, dock, 1, 0)
    (layer,) = results(viewer)
    np.testing.assert_allclose(layer.data, np.abs(expected.image[1, 0, 0]), rtol=1e-4, atol=1e-6)
    assert views.result_of(layer).recipe == expected.recipes[1][0]
