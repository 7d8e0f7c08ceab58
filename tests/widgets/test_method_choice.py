"""The Reconstruct dock's choice of a method by its controls: groups, combinations, evaluations, losses, region."""

import os

import fake_bart
import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QSpinBox, QToolButton

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.methods import GROUPS, METHODS, combinations, group, here, method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.boxes import FloatBox
from napari_lossguide.widgets.combine import COMBINE, TIP
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

POINTS = np.zeros((32, 32), bool)
POINTS[8:12, 10:20] = True


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    layers.add_kspace(viewer, simulate(shepp_logan(32), spacing=(5.0, 2.0, 1.0), name="head"))
    return viewer


@pytest.fixture
def dock(qtbot, viewer, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    widget = ReconstructDock(viewer)
    widget.settings.prior._box.addItem("brain", "brain")
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def settings(dock):
    return dock.settings


def choose(box: QComboBox, name: str) -> None:
    """As a person does: an entry that is greyed cannot be chosen."""
    index = box.findData(name)
    assert index >= 0 and box.model().item(index).isEnabled(), name
    box.setCurrentIndex(index)


def combine(settings, schedule, sampler, guidance):
    choose(settings.method, COMBINE)
    choose(settings.combine.schedule, schedule)
    choose(settings.combine.sampler, sampler)
    choose(settings.combine.guidance, guidance)


def shown(widget, dock):
    return widget.isVisibleTo(dock)


# the list ------------------------------------------------------------------------------------------------------------


def test_every_method_stands_under_the_heading_of_its_group(settings):
    box, heading, found = settings.method, "", {}
    for index in range(box.count()):
        if box.itemData(index) is None:
            heading = box.itemText(index)
            assert not box.model().item(index).isEnabled()
        else:
            found[box.itemData(index)] = heading
    assert found.pop(COMBINE) == "Of your own"
    assert found == {m.name: group(m) for m in here()}
    assert list(dict.fromkeys(found.values())) == list(GROUPS)
    assert box.currentData() == "prox-mean"


@pytest.mark.skipif(os.name != "posix", reason="the fake BART is a script: it is not looked for")
class TestAMethodOfAnotherProgram:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        """Where programs are looked for."""
        monkeypatch.setenv("PATH", str(tmp_path))
        for variable in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH"):
            monkeypatch.delenv(variable, raising=False)
        return tmp_path

    def test_without_it_the_list_lacks_it_and_its_recipe_is_refused_in_a_sentence(self, folder, dock):
        box, before = dock.settings.method, dock.settings.recipe()
        assert box.findData("bart-pics") < 0 and box.findData("cg-sense") >= 0
        with pytest.raises(InvalidInput, match=r"'bart-pics' cannot run: the program 'bart' \(BART\) was not found"):
            dock.load_recipe(Recipe.for_method("bart-pics").to_json())
        assert dock.settings.recipe() == before

    def test_with_it_the_list_has_it_with_all_its_knobs(self, folder, viewer, qtbot):
        fake_bart.fake_bart(folder)
        found = ReconstructDock(viewer)
        qtbot.addWidget(found)
        choose(found.settings.method, "bart-pics")
        regularizer = found.settings.form.findChild(QComboBox)
        assert [regularizer.itemData(i) for i in range(3)] == ["l1-wavelet", "tv", "l2"]
        choose(regularizer, "tv")
        found.settings.form.set_value("guidance.iterations", 7)
        assert found.settings.recipe().guidance["regularizer"] == "tv"
        assert found.settings.recipe().guidance["iterations"] == 7


def test_arrow_keys_pass_over_the_headings(settings, qtbot):
    settings.show()
    choose(settings.method, "posterior-draw")
    settings.method.setFocus()
    QTest.keyClick(settings.method, Qt.Key.Key_Down)
    assert settings.method.currentData() == "loss-guidance"


def test_combine_begins_with_the_parts_and_values_of_the_method_before(settings, dock):
    assert not shown(settings.combine, dock)
    choose(settings.method, "diffpir")
    settings.form.set_value("schedule.steps", 31)
    choose(settings.method, COMBINE)
    assert shown(settings.combine, dock)
    recipe = settings.recipe()
    assert recipe.method == "karras+ddim+proximal"
    assert recipe.guidance["gamma"] == pytest.approx(1 / 7) and recipe.schedule["steps"] == 31
    choose(settings.combine.sampler, "heun")
    recipe = settings.recipe()
    assert recipe.method == "karras+heun+proximal"
    assert recipe.schedule["steps"] == 31, "the parts that stay keep their values"
    assert recipe.sampler == method(recipe.method).settings()["sampler"]
    choose(settings.method, "diffpir")
    assert settings.recipe() == Recipe.for_method("diffpir"), "a preset brings its own values"
    choose(settings.method, "song2021")
    choose(settings.method, COMBINE)
    assert settings.recipe().method == "geometric+predictor-corrector+replacement"
    assert settings.recipe().sampler == Recipe.for_method("song2021").sampler


def test_guidances_that_do_not_fit_are_greyed_and_say_why(settings):
    choose(settings.method, COMBINE)
    combo = settings.combine
    for index in range(combo.sampler.count()):
        sampler = combo.sampler.itemData(index)
        choose(combo.sampler, sampler)
        assert not combinations()[sampler, combo.guidance.currentData()], "the guidance gave way"
        reasons = [combinations()[sampler, combo.guidance.itemData(i)] for i in range(combo.guidance.count())]
        for i, reason in enumerate(reasons):
            assert combo.guidance.model().item(i).isEnabled() == (not reason)
            assert (reason in combo.guidance.itemData(i, TIP)) and combo.guidance.itemData(i, TIP)
        assert bool(combo.note.sentence) == any(reasons)
        settings.recipe()


def test_a_guidance_that_gives_way_is_named(settings, dock):
    combine(settings, "karras", "ddim", "dps")
    choose(settings.combine.sampler, "decoupled")
    assert settings.combine.guidance.currentData() == "proximal"
    sentence = settings.combine.note.sentence
    assert "'Posterior sampling (DPS)' does not go with this sampler" in sentence
    assert "Decoupled annealing lets only the network's estimate and the fresh noise of a step be corrected" in sentence
    choose(settings.combine.guidance, "draw")
    assert "does not go" not in settings.combine.note.sentence
    assert settings.recipe().method == "karras+decoupled+draw"


def test_every_pair_that_makes_sense_can_be_reached(settings):
    choose(settings.method, COMBINE)
    reached = set()
    for sampler in dict.fromkeys(s for s, _ in combinations()):
        choose(settings.combine.sampler, sampler)
        for index in range(settings.combine.guidance.count()):
            if settings.combine.guidance.model().item(index).isEnabled():
                settings.combine.guidance.setCurrentIndex(index)
                reached.add((sampler, settings.combine.guidance.currentData()))
                assert settings.form.method.name == settings.combine.name()
    assert reached == {pair for pair, reason in combinations().items() if not reason}


# what it costs --------------------------------------------------------------------------------------------------------


def test_evaluations_follow_the_fields(settings):
    def said():
        return settings.form.evaluations.sentence

    assert said() == "50 network evaluations for a sample"
    settings.form.findChild(QSpinBox, "steps").setValue(20)
    assert said() == "20 network evaluations for a sample"
    combine(settings, "karras", "heun", "proximal")
    assert said() == "39 network evaluations for a sample"
    settings._more.findChild(QComboBox, "order").setCurrentIndex(1)
    assert said() == "20 network evaluations for a sample"
    settings._more.findChild(QComboBox, "resample").setCurrentIndex(2)
    recipe = settings.recipe()
    parts = {part: getattr(recipe, part) for part in ("schedule", "sampler", "guidance")}
    assert said() == f"{method(recipe.method).evaluations(parts)} network evaluations for a sample" != "20 network"
    choose(settings.method, "cg-sense")
    assert said() == ""


def test_values_that_do_not_fit_together_are_said_at_once(settings):
    settings.form.set_value("schedule.sigma_min", 1.0)
    settings.form.set_value("schedule.sigma_max", 0.5)
    assert "sigma_min = 1.0 must be less than sigma_max = 0.5" in settings.form.evaluations.sentence
    settings.form.set_value("schedule.sigma_max", 2.0)
    assert settings.form.evaluations.sentence.startswith("50 ")
    combine(settings, "karras", "decoupled", "loss")
    settings.form.set_value("guidance.target", "state")
    assert "makes no sense" in settings.form.evaluations.sentence


def test_resampling_is_folded_and_shows_what_has_an_effect(settings, dock):
    resample = settings._more.findChild(QComboBox, "resample")
    assert not shown(resample, dock)
    settings._more.button.click()
    assert shown(resample, dock)
    for index, names in enumerate((set(), {"jump", "renoise"}, {"jump", "renoise", "repeats"})):
        resample.setCurrentIndex(index)
        form = next(f for f in settings._more.findChildren(ParamsForm) if "jump" in f.values())
        assert {n for n in ("jump", "renoise", "repeats") if shown(form.editor(n), dock)} == names


# beside the method ----------------------------------------------------------------------------------------------------


def test_start_and_losses_are_in_the_recipe(settings, dock):
    beside = settings.beside
    beside.start.editor("start").setCurrentIndex(2)
    beside.losses.add.click()
    row = beside.losses.rows[0]
    row.form.editor("kind").setCurrentIndex(1)
    row.form.editor("weight").findChild(FloatBox).setValue(0.5)
    row.form.editor("high").setValue(1.25)
    recipe = settings.recipe()
    assert recipe.start == "cg-sense"
    assert recipe.losses == (LossTerm(kind="range", weight=0.5, high=1.25),)
    row.form.editor("low").setValue(2.0)
    with pytest.raises(InvalidInput, match=r"low = 2.0 must be less than high = 1.25"):
        settings.recipe()
    row.findChild(QToolButton).click()
    assert settings.recipe().losses == ()
    choose(settings.method, "tv")
    assert not shown(beside.start, dock) and not shown(beside.losses, dock)
    assert settings.recipe().start == "noise"


def test_the_ends_belong_to_a_range(settings, dock):
    settings._more.button.click()
    settings.beside.losses.add.click()
    form = settings.beside.losses.rows[0].form
    assert not shown(form.editor("low"), dock)
    form.editor("kind").setCurrentIndex(1)
    assert shown(form.editor("low"), dock) and shown(form.editor("high"), dock)


def test_a_sampler_without_losses_says_so(settings):
    choose(settings.method, "pula")
    assert not settings.beside.losses.add.isEnabled() and "own step" in settings.beside.losses.add.toolTip()
    choose(settings.method, "prox-mean")
    settings.beside.losses.add.click()
    choose(settings.method, "pula")
    with pytest.raises(InvalidInput, match="nothing but its own step"):
        settings.recipe()


@pytest.mark.parametrize("by", ["method", "loss"])
def test_a_region_is_asked_for_where_it_is_needed(settings, dock, viewer, by):
    region = settings.beside.region
    assert not shown(region, dock)
    if by == "method":
        choose(settings.method, "repaint")
    else:
        settings.beside.losses.add.click()
        settings.beside.losses.rows[0].form.editor("kind").setCurrentIndex(2)
    assert shown(region, dock), "the fold opens for it"
    with pytest.raises(InvalidInput, match="There is no region"):
        settings.recipe()
    region.draw.click()
    layer = viewer.layers["region"]
    assert layer.mode == "paint" and viewer.layers.selection.active is layer and tuple(layer.scale) == (2.0, 1.0)
    assert settings.mask.layer is None, "a region is no sampling mask"
    with pytest.raises(InvalidInput, match="'region' is empty"):
        settings.recipe()
    layer.data = POINTS.astype(np.uint8)
    np.testing.assert_array_equal(settings.recipe().region.make((32, 32)), POINTS)
    region.draw.click()
    assert [x.name for x in viewer.layers].count("region") == 1
    choose(settings.method, "prox-mean")
    settings.beside.losses.set_values(())
    assert not shown(region, dock) and settings.recipe().region is None


def test_only_labels_of_the_images_size_can_be_the_region(settings, viewer):
    choose(settings.method, "repaint")
    combo = settings.beside.region.combo
    layers.show_mask(viewer, np.ones((32, 32), bool), name="mask", place=Place())
    viewer.add_labels(np.ones((8, 8), np.uint8), name="small")
    assert combo.count() == 1 and combo.layer is None
    mine = viewer.add_labels(POINTS.astype(np.uint8), name="mine")
    assert combo.layer is mine, "drawn where a region is due"
    assert settings.mask.layer is not mine
    stack = viewer.add_labels(np.stack([POINTS, ~POINTS]).astype(np.uint8), name="stack")
    combo.layer = stack
    with pytest.raises(InvalidInput, match="differs from slice to slice"):
        settings.recipe()


# recipes and access ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("karras+heun+loss", {"settings": {"sampler.churn": 2.0, "schedule.resample": "long"}, "start": "tv"}),
        ("geometric+pula+preconditioned", {}),
        ("cosine+ancestral+inpainting", {"region": MaskRecipe.drawn(POINTS)}),
        ("repaint", {"region": MaskRecipe.drawn(POINTS)}),
        (
            "dds",
            {
                "losses": (LossTerm(kind="range", weight=0.2, low=0.1, high=1.2), LossTerm(kind="region", weight=3.0)),
                "region": MaskRecipe.drawn(POINTS),
                "mask": MaskRecipe.of("random", acceleration=3.0, center_fraction=0.2, seed=4),
            },
        ),
        ("diffpir", {"settings": {"schedule.sigma_max": 4 / 3}}),
        ("cg-sense", {}),
    ],
)
def test_recipes_go_round(settings, dock, name, fields):
    settings.beside.losses.add.click()  # of before
    recipe = Recipe.for_method(name, seed=0, **fields)
    dock.load_recipe(recipe.to_json())
    assert settings.recipe() == recipe
    assert settings.method.currentData() == (name if name in METHODS else COMBINE)


def test_everything_has_a_name_and_help(settings, dock):
    combine(settings, "karras", "ddim", "inpainting")
    settings.beside.losses.add.click()
    boxes = [settings.method, settings.combine.schedule, settings.combine.sampler, settings.combine.guidance]
    controls = [*boxes, *settings.beside.findChildren(QAbstractButton), *settings.beside.findChildren(QComboBox)]
    assert len(controls) >= 8
    for control in controls:
        assert control.accessibleName(), control
        assert control.toolTip() or control.accessibleDescription(), control.accessibleName()


def test_nothing_is_wider_than_a_dock_of_360_pixels(settings, dock, qtbot):
    dock.resize(360, 900)
    dock.show()
    combine(settings, "karras", "pula", "preconditioned")
    combine(settings, "karras", "heun", "inpainting")
    settings.beside.losses.add.click()
    settings.beside.losses.rows[0].form.editor("kind").setCurrentIndex(1)
    settings._more.button.setChecked(True)
    settings.form.set_value("schedule.resample", "short")
    qtbot.wait(50)
    assert dock.minimumSizeHint().width() <= 360
    for control in settings.findChildren(QComboBox):
        if control.isVisible():
            assert control.mapTo(dock, control.rect().bottomRight()).x() < 360
