"""The Mask dock, driven by its controls and by painting on its layer."""

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog, QSlider

from napari_lossguide.data.display import view
from napari_lossguide.data.fourier import ifft2c, rss
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MASKS, MaskRecipe, achieved_acceleration, make_mask, point_spread
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.mask_dock import MaskDock
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.sampling import complete_lines, describe_sampling
from napari_lossguide.widgets.views import mask_of, mask_recipe_of

SHAPE = (48, 64)
NAMES = {"mask", "zero-filled: head (simulation)", "point spread: head (simulation)"}


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def kdata():
    image = shepp_logan(64)[8:56]
    return simulate(np.stack([image, image[::-1] * 2]), n_coils=3, spacing=(5.0, 2.0, 1.0), name="head")


@pytest.fixture
def dock(viewer, kdata, qtbot):
    layers.add_kspace(viewer, kdata)
    widget = MaskDock(viewer)
    qtbot.addWidget(widget)
    widget.show()
    settle(qtbot, widget)
    return widget


def settle(qtbot, dock):
    layer = dock.layer
    timers = (dock._update_timer, dock._clear_timer, layer._look_timer, layer._soon, layer._stroke_timer)
    qtbot.waitUntil(lambda: not any(timer.isActive() for timer in timers), timeout=5000)


def choose(qtbot, dock, kind):
    dock.kind.setCurrentIndex(dock.kind.findData(kind))
    settle(qtbot, dock)


def paint(qtbot, dock, points, label=1):
    layer = dock.layer.layer
    layer.brush_size = 1
    for point in points:
        layer.paint(point, label)
    settle(qtbot, dock)


def test_opening_makes_mask_and_previews(dock, viewer, kdata):
    expected = make_mask("random", SHAPE)
    layer = viewer.layers["mask"]
    np.testing.assert_array_equal(mask_of(layer), expected)
    assert tuple(layer.scale) == (2, 1)
    zero_filled = viewer.layers["zero-filled: head (simulation)"]
    np.testing.assert_allclose(zero_filled.data, rss(ifft2c(kdata.kspace[0] * expected)), rtol=1e-4)
    spread = viewer.layers["point spread: head (simulation)"]
    np.testing.assert_allclose(spread.data, view(point_spread(expected), "log-magnitude"))
    assert f"Acceleration {achieved_acceleration(expected):.2f}" in dock.facts.sentence
    assert "of 64 columns" in dock.facts.sentence
    assert dock.facts.isVisible()
    assert viewer.canvas.grid.enabled


@pytest.mark.parametrize("kind", list(MASKS))
def test_every_kind_has_a_form_and_a_mask(dock, viewer, qtbot, kind):
    choose(qtbot, dock, kind)
    assert set(dock.form.values()) == set(MASKS[kind].params.model_fields)
    np.testing.assert_array_equal(mask_of(viewer.layers["mask"]), make_mask(kind, SHAPE))
    assert mask_recipe_of(viewer.layers["mask"]).kind == kind
    assert dock.status.isHidden()
    assert dock.buttons["seed"].isEnabled() == (kind != "full")


def test_everything_follows_a_slider(dock, viewer, qtbot):
    before = {layer.name: (layer, layer.data.copy()) for layer in viewer.layers if layer.name in NAMES}
    assert set(before) == NAMES
    slider = dock.form.editor("acceleration").findChild(QSlider)
    slider.setValue(slider.maximum() // 2)
    settle(qtbot, dock)
    value = dock.form.values()["acceleration"]
    assert 5 < value < 6.5  # half way from 1 to 32 in ratios
    np.testing.assert_array_equal(mask_of(viewer.layers["mask"]), make_mask("random", SHAPE, acceleration=value))
    for name, (layer, data) in before.items():
        assert viewer.layers[name] is layer
        assert not np.array_equal(layer.data, data)


def test_axis_seed_and_kept_values(dock, viewer, qtbot):
    dock.form.editor("axis").setCurrentIndex(1)
    dock.form.editor("acceleration").findChild(QSlider)
    dock.buttons["seed"].click()
    settle(qtbot, dock)
    np.testing.assert_array_equal(mask_of(viewer.layers["mask"]), make_mask("random", SHAPE, axis="y", seed=1))
    assert "of 48 rows" in dock.facts.sentence
    choose(qtbot, dock, "thesis")
    # what was changed is kept, the other defaults are the new kind's
    assert dock.form.values() == {"acceleration": 4.0, "center_fraction": 0.1, "axis": "y", "seed": 1}


def test_impossible_parameters_are_a_sentence_and_the_last_mask_stays(dock, viewer, qtbot):
    before = viewer.layers["mask"].data.copy()
    dock.form.set_values({"center_fraction": 0.9})
    settle(qtbot, dock)
    assert "center_fraction" in dock.status.sentence
    np.testing.assert_array_equal(viewer.layers["mask"].data, before)
    dock.form.set_values({"center_fraction": 0.1})
    settle(qtbot, dock)
    assert dock.status.isHidden()


def test_a_stroke_fills_its_column_and_counts_as_drawn(dock, viewer, kdata, qtbot):
    mask = dock.layer.mask.copy()
    column = int(np.flatnonzero(~mask[0])[0])
    preview = viewer.layers["zero-filled: head (simulation)"]
    paint(qtbot, dock, [(20, column)])
    mask[:, column] = True
    np.testing.assert_array_equal(viewer.layers["mask"].data, mask)
    np.testing.assert_allclose(preview.data, rss(ifft2c(kdata.kspace[0] * mask)), rtol=1e-4, atol=1e-6)
    assert describe_sampling(mask, kdata) == dock.facts.sentence
    assert "drawn by hand" in dock.badge.sentence
    assert mask_recipe_of(viewer.layers["mask"]).kind == "drawn"


def test_erasing_skips_the_column(dock, viewer, qtbot):
    column = int(np.flatnonzero(dock.layer.mask[0])[0])
    paint(qtbot, dock, [(20, column)], label=0)
    assert not viewer.layers["mask"].data[:, column].any()


def test_undo_brings_the_line_back(dock, viewer, qtbot):
    before = dock.layer.mask.copy()
    column = int(np.flatnonzero(~before[0])[0])
    paint(qtbot, dock, [(20, column)])
    layer = viewer.layers["mask"]
    layer.undo()
    layer.undo()
    settle(qtbot, dock)
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_array_equal(dock.layer.mask, before)
    paint(qtbot, dock, [(5, column)])
    assert layer.data[:, column].all()


def test_points_stay_points_if_asked_for(dock, viewer, qtbot):
    column = int(np.flatnonzero(~dock.layer.mask[0])[0])
    dock.lines.click()
    paint(qtbot, dock, [(20, column), (21, column)])
    assert viewer.layers["mask"].data[:, column].sum() == 2
    choose(qtbot, dock, "full")


def test_a_drawing_is_safe_from_the_parameters_until_reset(dock, viewer, qtbot):
    generated = dock.layer.mask.copy()
    paint(qtbot, dock, [(20, int(np.flatnonzero(~generated[0])[0]))])
    drawn = dock.layer.mask.copy()
    assert not dock.form.isEnabled()
    assert not dock.kind.isEnabled()
    dock._update()
    np.testing.assert_array_equal(viewer.layers["mask"].data, drawn)
    dock.buttons["reset"].click()
    settle(qtbot, dock)
    np.testing.assert_array_equal(viewer.layers["mask"].data, generated)
    assert dock.form.isEnabled()
    assert dock.badge.isHidden()
    assert mask_recipe_of(viewer.layers["mask"]).kind == "random"


def test_erasing_everything_is_a_sentence(dock, viewer, qtbot):
    viewer.layers["mask"].data = np.zeros(SHAPE, np.uint8)
    settle(qtbot, dock)
    assert "empty" in dock.status.sentence
    dock.buttons["reset"].click()
    assert dock.status.isHidden()
    assert dock.layer.mask.any()


def test_draw_button_hands_over_the_brush(dock, viewer):
    dock.buttons["draw"].click()
    assert viewer.layers.selection.active is viewer.layers["mask"]
    assert viewer.layers["mask"].mode == "paint"


def test_preview_follows_the_slice_slider(dock, viewer, kdata):
    viewer.dims.set_point(0, 5.0)
    expected = rss(ifft2c(kdata.kspace[1] * dock.layer.mask))
    np.testing.assert_allclose(viewer.layers["zero-filled: head (simulation)"].data, expected, rtol=1e-4, atol=1e-6)


def test_renamed_layers_are_followed(dock, viewer, qtbot):
    layer = viewer.layers["mask"]
    layer.name = "my mask"
    dock.buttons["seed"].click()
    settle(qtbot, dock)
    np.testing.assert_array_equal(mask_of(layer), make_mask("random", SHAPE, seed=1))
    assert len([x for x in viewer.layers if x.ndim == 2]) == 3


def test_removed_mask_comes_back_with_the_next_change(dock, viewer, qtbot):
    viewer.layers.remove("mask")
    settle(qtbot, dock)
    assert not NAMES & {layer.name for layer in viewer.layers}
    assert "removed" in dock.facts.sentence
    dock.buttons["reset"].click()
    settle(qtbot, dock)
    assert {layer.name for layer in viewer.layers} >= NAMES


def test_removed_preview_stays_away_until_its_box_is_checked(dock, viewer, qtbot):
    viewer.layers.remove("point spread: head (simulation)")
    box = dock.previews.boxes["psf"]
    assert not box.isChecked()
    dock.buttons["seed"].click()
    settle(qtbot, dock)
    assert "point spread: head (simulation)" not in viewer.layers
    box.click()
    assert "point spread: head (simulation)" in viewer.layers
    box.click()
    assert "point spread: head (simulation)" not in viewer.layers


def test_clearing_the_viewer_leaves_a_usable_dock(dock, viewer, kdata, qtbot):
    viewer.layers.clear()
    settle(qtbot, dock)
    assert dock.data.layer is None
    assert "Open k-space" in dock.facts.sentence
    layers.add_kspace(viewer, kdata)
    settle(qtbot, dock)
    assert viewer.layers["mask"].data.shape == SHAPE


def test_new_mask_layer_keeps_the_old_one(dock, viewer, qtbot):
    first = viewer.layers["mask"]
    dock.buttons["another"].click()
    dock.buttons["seed"].click()
    settle(qtbot, dock)
    np.testing.assert_array_equal(mask_of(first), make_mask("random", SHAPE, seed=0))
    np.testing.assert_array_equal(mask_of(viewer.layers["mask 2"]), make_mask("random", SHAPE, seed=1))


def test_save_and_load(dock, viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "lines"), ""))
    dock.buttons["save"].click()
    saved = np.load(tmp_path / "lines.npy")
    np.testing.assert_array_equal(saved, dock.layer.mask)
    dock.buttons["seed"].click()
    settle(qtbot, dock)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "lines.npy"), ""))
    dock.buttons["load"].click()
    settle(qtbot, dock)
    np.testing.assert_array_equal(mask_of(viewer.layers["mask"]), saved)
    assert "lines.npy" in dock.badge.sentence
    assert not dock.form.isEnabled()


def test_a_name_with_a_dot_gets_its_ending(dock, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "v1.5"), ""))
    dock.buttons["save"].click()
    np.testing.assert_array_equal(np.load(tmp_path / "v1.5.npy"), dock.layer.mask)
    assert dock.status.sentence == "Saved v1.5.npy."


def test_a_mask_of_another_size_and_a_full_disk_are_sentences(dock, viewer, tmp_path, monkeypatch):
    np.save(tmp_path / "small.npy", np.ones((4, 4), bool))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "small.npy"), ""))
    dock.buttons["load"].click()
    assert "(4, 4)" in dock.status.sentence
    assert "(48, 64)" in dock.status.sentence
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no folder" / "m.npy"), ""))
    dock.buttons["save"].click()
    assert "could not be written" in dock.status.sentence


def test_simulating_again_updates_the_preview(dock, viewer, kdata, qtbot):
    again = simulate(np.stack([shepp_logan(32)] * 2), name="head", n_coils=2)
    layers.show_kspace(viewer, again, renew=True)
    settle(qtbot, dock)
    assert viewer.layers["mask"].data.shape == (32, 32)
    assert viewer.layers["zero-filled: head (simulation)"].data.shape == (32, 32)


def test_another_number_of_slices_is_followed(dock, viewer, qtbot):
    layers.add_kspace(viewer, simulate(shepp_logan(32), name="head", n_coils=2))
    settle(qtbot, dock)
    assert dock.data.currentText() == "k-space: head (simulation)"
    assert viewer.layers["zero-filled: head (simulation)"].data.shape == (32, 32)


def test_data_that_lack_points_themselves(kdata):
    every_second = np.zeros(SHAPE, bool)
    every_second[:, ::2] = True
    scan = kdata.undersample(every_second)
    assert describe_sampling(np.ones(SHAPE, bool), scan) == (
        "Acceleration 1.00: 64 of 64 columns acquired (100.0%). Together with the points that head lacks anyway: 2.00."
    )
    assert "None of them" in describe_sampling(~every_second, scan)


def test_one_entry_for_data_with_two_layers(dock, viewer):
    assert dock.data.count() == 1
    other = KData.from_array(np.ones((8, 8), complex), name="other")
    layers.add_kspace(viewer, other)
    assert [dock.data.itemText(i) for i in range(2)] == ["k-space: head (simulation)", "k-space: other"]


@pytest.mark.parametrize("drawn", [False, True])
def test_a_second_dock_goes_on_with_the_mask_that_is_there(viewer, kdata, qtbot, drawn):
    layers.add_kspace(viewer, kdata)
    first = MaskDock(viewer)
    first.kind.setCurrentIndex(first.kind.findData("equispaced"))
    first.form.set_values({"acceleration": 3.0})
    settle(qtbot, first)
    if drawn:
        viewer.layers["mask"].data[3, 5] ^= 1
    mask = mask_of(viewer.layers["mask"])
    with qtbot.waitSignal(first.destroyed):
        first.deleteLater()
    again = MaskDock(viewer)
    qtbot.addWidget(again)
    settle(qtbot, again)
    np.testing.assert_array_equal(mask_of(viewer.layers["mask"]), mask)
    assert bool(again.hand_made) == drawn
    if not drawn:
        assert again.form.values()["acceleration"] == 3.0


def test_nothing_listens_after_the_dock_is_gone(viewer, kdata, qtbot):
    layers.add_kspace(viewer, kdata)
    dock = MaskDock(viewer)
    settle(qtbot, dock)
    with qtbot.waitSignal(dock.destroyed):
        dock.deleteLater()
    viewer.layers["mask"].paint((2, 3), 1)
    viewer.dims.set_point(0, 5)
    viewer.layers.clear()


def test_complete_lines():
    before = np.zeros((3, 4), bool)
    before[:, 1] = True
    after = before.copy()
    after[0, 3] = True
    after[2, 1] = False
    np.testing.assert_array_equal(complete_lines(before, after, "x")[0], [False, False, False, True])
    rows = complete_lines(np.zeros((3, 4), bool), np.eye(3, 4, dtype=bool) & (np.arange(4) == 1), "y")
    np.testing.assert_array_equal(rows.all(axis=1), [False, True, False])


def pick_rule(dock, name, **values):
    dock.rules.rule.setCurrentIndex(dock.rules.rule.findData(name))
    dock.rules.form.set_values(values)


def test_a_rule_changes_the_mask_as_a_drawing_and_one_undo_takes_it_back(dock, viewer, kdata, qtbot):
    before, layer = dock.layer.mask.copy(), viewer.layers["mask"]
    pick_rule(dock, "add-centre", center_fraction=0.5, axis="both")
    dock.rules.button.click()
    settle(qtbot, dock)
    expected = before.copy()
    expected[12:36, 16:48] = True
    np.testing.assert_array_equal(layer.data, expected)
    assert mask_recipe_of(layer).kind == "drawn"
    assert "drawn by hand" in dock.badge.sentence
    zero_filled = viewer.layers["zero-filled: head (simulation)"]
    np.testing.assert_allclose(zero_filled.data, rss(ifft2c(kdata.kspace[0] * expected)), rtol=1e-4, atol=1e-6)
    layer.undo()
    settle(qtbot, dock)
    np.testing.assert_array_equal(layer.data, before)


def test_rules_take_the_mask_of_the_parameters(dock, viewer, qtbot):
    parameters = dock.layer.mask.copy()
    pick_rule(dock, "invert")
    dock.rules.button.click()
    settle(qtbot, dock)
    pick_rule(dock, "union")
    dock.rules.button.click()
    settle(qtbot, dock)
    assert viewer.layers["mask"].data.all()
    pick_rule(dock, "intersection")
    dock.rules.button.click()
    settle(qtbot, dock)
    np.testing.assert_array_equal(dock.layer.mask, parameters)


def test_a_rule_that_cannot_be_is_a_sentence(dock, viewer, qtbot):
    choose(qtbot, dock, "full")
    pick_rule(dock, "invert")
    dock.rules.button.click()
    assert "nothing to acquire" in dock.status.sentence
    assert viewer.layers["mask"].data.all()


def test_a_sweep_fills_its_table(dock, qtbot):
    dock.sweep.button.click()
    table = dock.sweep.table
    qtbot.waitUntil(lambda: table.rowCount() == 11, timeout=20000)
    assert [table.item(y, 0).text() for y in range(11)] == [str(n) for n in range(2, 13)]
    mask = make_mask("random", SHAPE, acceleration=2.0)
    assert float(table.item(0, 1).text()) == pytest.approx(achieved_acceleration(mask), abs=0.01)
    assert float(table.item(0, 3).text()) > 10
    assert "slice 1 of head" in dock.sweep.note.sentence
    assert dock.sweep.button.isEnabled()


def test_nothing_to_sweep_is_a_sentence(dock, qtbot):
    choose(qtbot, dock, "full")
    dock.sweep.button.click()
    assert "no acceleration to sweep" in dock.status.sentence
    assert dock.sweep.button.isEnabled()


def bring(viewer, **params):
    """A mask as loading a recipe in the Reconstruct dock brings it."""
    recipe = MaskRecipe.of("equispaced", axis="y", **params)
    name = "mask of the recipe"
    return recipe, layers.show_mask(viewer, recipe.make(SHAPE), name=name, place=Place((5, 2, 1)), recipe=recipe)


def test_a_mask_that_a_recipe_brings_is_gone_on_with(dock, viewer, qtbot):
    own = viewer.layers["mask"].data.copy()
    recipe, layer = bring(viewer, acceleration=3.0, seed=7)
    settle(qtbot, dock)
    assert dock.recipe() == recipe and not dock.hand_made
    assert "mask of the recipe" in dock.badge.sentence
    np.testing.assert_array_equal(viewer.layers["mask"].data, own, "the mask before it stays")
    np.testing.assert_array_equal(layer.data != 0, recipe.make(SHAPE))
    dock.buttons["seed"].click()
    settle(qtbot, dock)
    assert mask_recipe_of(layer) == MaskRecipe.of("equispaced", **{**recipe.params, "seed": 8})
    np.testing.assert_array_equal(viewer.layers["mask"].data, own)


def test_the_next_recipe_is_no_drawing(dock, viewer, qtbot):
    bring(viewer, acceleration=3.0)
    settle(qtbot, dock)
    recipe, layer = bring(viewer, acceleration=5.0)
    settle(qtbot, dock)
    assert dock.recipe() == recipe and not dock.hand_made and mask_recipe_of(layer) == recipe
    paint(qtbot, dock, [(1, 1)])
    assert dock.hand_made == "drawn by hand", "a stroke is one still"
    recipe, layer = bring(viewer, acceleration=5.0)
    settle(qtbot, dock)
    assert dock.recipe() == recipe and not dock.hand_made


def test_a_drawn_mask_of_a_recipe_is_safe_from_the_parameters(dock, viewer, qtbot):
    drawn = MaskRecipe.drawn(np.eye(*SHAPE, dtype=bool))
    layer = layers.show_mask(viewer, drawn.make(SHAPE), name="brought", place=Place((5, 2, 1)), recipe=drawn)
    settle(qtbot, dock)
    assert dock.hand_made == "drawn by hand" and dock.layer.layer is layer
    np.testing.assert_array_equal(layer.data, np.eye(*SHAPE))


def test_masks_of_others_and_of_another_size_are_left_alone(dock, viewer, qtbot):
    before = dock.layer.layer
    recipe = MaskRecipe.of("random")
    layers.show_mask(viewer, recipe.make((8, 8)), name="small", place=Place(), recipe=recipe)
    viewer.add_labels(np.ones(SHAPE, np.uint8), name="somebody's")
    settle(qtbot, dock)
    assert dock.layer.layer is before and not dock.hand_made


def test_a_dock_opened_later_shows_the_mask_of_the_recipe(viewer, kdata, qtbot):
    layers.add_kspace(viewer, kdata)
    recipe, layer = bring(viewer, acceleration=3.0, seed=7)
    dock = MaskDock(viewer)
    qtbot.addWidget(dock)
    settle(qtbot, dock)
    assert dock.recipe() == recipe and dock.layer.layer is layer
    assert [x for x in viewer.layers if x.name == "mask"] == []
