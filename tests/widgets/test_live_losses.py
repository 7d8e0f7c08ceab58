"""The weights of further losses in the Reconstruct dock, by its controls, with the real engine and a tiny network."""

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from tiny import tiny_scan, tiny_unet

from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.priors.load import save_prior
from napari_lossguide.recon.drive import last_of
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.widgets import layers, views
from napari_lossguide.widgets.boxes import FloatBox, Slider
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

FIRST, SECOND = "losses.0.weight", "losses.1.weight"
STEPS = 12


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def dock(qtbot, viewer, tmp_path, monkeypatch):
    network, path = tiny_unet(), tmp_path / "tiny.safetensors"
    save_prior(path, network.state_dict(), network.config, {"name": "tiny", "sigma_data": 0.25})
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: str(path))
    layers.add_kspace(viewer, tiny_scan())
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    widget.settings.prior._box.addItem(str(path), str(path))  # a recipe that is loaded chooses it
    widget.settings.device.setCurrentIndex(widget.settings.device.findData("cpu"))
    widget.settings.method.choose("prox-ddim")
    widget.settings.form.set_value("schedule.steps", STEPS)
    widget.settings._more.button.click()
    widget.show()
    return widget


def losses(dock):
    return dock.settings.beside.losses


def box(dock, row=0):
    return losses(dock).rows[row].form.editor("weight").findChild(FloatBox)


def kind(dock, row=0):
    return losses(dock).rows[row].form.editor("kind")


def start_slow(qtbot, dock, steps=2000):
    """A run that is under way."""
    dock.settings.form.set_value("schedule.steps", steps)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: dock.timeline.step > 2, timeout=60_000)


def run(qtbot, dock):
    dock.panel.button.click()
    finish(qtbot, dock)


def finish(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.running, timeout=120_000)


def stop(qtbot, dock):
    if dock.panel.state == "running":
        dock.panel.button.click()
    finish(qtbot, dock)


def results(viewer):
    return [layer for layer in viewer.layers if views.role_of(layer) == "result"]


def recipe_of(layer):
    return Recipe.from_json(layer.metadata["lossguide"]["recipe"])


def turns(dock):
    return [(c.name, c.value) for c in dock._live.changes]


def test_a_weight_turned_during_a_run_is_followed_marked_and_replayed(qtbot, dock, viewer):
    losses(dock).add.click()
    start_slow(qtbot, dock, 150)
    box(dock).setValue(7.5)
    qtbot.waitUntil(lambda: bool(dock.panel.curve.marks), timeout=60_000)
    qtbot.wait(300)
    assert not dock._restart.isVisible(), "a weight needs no restart"
    finish(qtbot, dock)
    (layer,) = results(viewer)
    recipe = recipe_of(layer)
    assert recipe.losses == (LossTerm(kind="tv"),), "the recipe begins as the run began"
    ((step, name, value),) = [(c.step, c.name, c.value) for c in recipe.changes]
    assert (name, value) == (FIRST, 7.5) and 2 <= step < 150
    assert dock.panel.curve.marks == [(step + 1, "loss 1 weight 7.5")]
    again = last_of(reconstruction(tiny_scan(), recipe, device="cpu"))
    np.testing.assert_array_equal(np.abs(again.image[0]), layer.data)
    assert dock.recipe() == (recipe, "the recipe of the last run, with 1 knob change")
    box(dock).setValue(2.0)  # for the next run
    assert dock.recipe()[0].losses[0].weight == 2.0 and dock.recipe()[0].changes == ()


def test_the_slider_turns_it_too(qtbot, dock):
    losses(dock).add.click()
    start_slow(qtbot, dock)
    slider = losses(dock).rows[0].form.editor("weight").findChild(Slider)
    slider.setValue(slider.maximum())
    qtbot.waitUntil(lambda: turns(dock) == [(FIRST, 100.0)], timeout=60_000)
    stop(qtbot, dock)


def test_adding_removing_and_changing_a_loss_restarts_and_its_weight_waits(qtbot, dock):
    losses(dock).add.click()
    start_slow(qtbot, dock)
    losses(dock).add.click()
    qtbot.waitUntil(dock._restart.isVisible, timeout=5000)
    box(dock, 1).setValue(3.0)
    box(dock, 0).setValue(4.0)
    qtbot.wait(300)
    assert turns(dock) == [] and dock.status.sentence == "", "the run has one loss, and does not follow a form of two"
    losses(dock).rows[0].button.click()  # the one that is left is the first now
    qtbot.waitUntil(lambda: not dock._restart.isVisible(), timeout=5000)
    qtbot.waitUntil(lambda: turns(dock) == [(FIRST, 3.0)], timeout=60_000)
    kind(dock).setCurrentIndex(1)
    qtbot.waitUntil(dock._restart.isVisible, timeout=5000)
    box(dock).setValue(5.0)
    qtbot.wait(300)
    assert turns(dock) == [(FIRST, 3.0)]
    kind(dock).setCurrentIndex(0)
    qtbot.waitUntil(lambda: turns(dock) == [(FIRST, 3.0), (FIRST, 5.0)], timeout=60_000)
    assert not dock._restart.isVisible()
    kind(dock).setCurrentIndex(1)
    losses(dock).rows[0].form.editor("high").setValue(0.9)
    qtbot.waitUntil(dock._restart.isVisible, timeout=5000)
    dock.settings.form.set_value("schedule.steps", STEPS)
    dock._restart.button.click()
    qtbot.waitUntil(
        lambda: dock._history.recipe.losses == (LossTerm(kind="range", weight=5.0, high=0.9),), timeout=60_000
    )
    finish(qtbot, dock)


def test_a_branch_with_another_weight_is_a_result_of_its_own(qtbot, dock, viewer):
    losses(dock).add.click()
    losses(dock).add.click()
    run(qtbot, dock)
    dock.timeline.slider.setValue(5)
    box(dock, 1).setValue(20.0)
    dock.timeline.button.click()
    finish(qtbot, dock)
    plain, branch = results(viewer)
    assert "branch at 5" in branch.name
    recipe = recipe_of(branch)
    assert recipe.changes == (Change(step=5, name=SECOND, value=20.0),) and recipe.losses == recipe_of(plain).losses
    assert not np.array_equal(branch.data, plain.data)
    again = last_of(reconstruction(tiny_scan(), recipe, device="cpu"))
    np.testing.assert_array_equal(np.abs(again.image[0]), branch.data)
    kind(dock, 1).setCurrentIndex(1)
    dock.timeline.button.click()
    assert not dock.running and "A branch can differ from its run in live knobs alone" in dock.status.sentence


def test_a_recipe_with_turned_weights_is_copied_loaded_and_replayed(qtbot, dock, viewer):
    recipe = dock.settings.recipe().model_copy(
        update={
            "losses": (LossTerm(kind="range", weight=0.5), LossTerm(kind="tv", weight=0.1)),
            "changes": (Change(step=4, name=SECOND, value=9.0),),
        }
    )
    dock.load_recipe(recipe.to_json())
    assert [box(dock, i).value() for i in (0, 1)] == [0.5, 0.1] and dock.settings.recipe() == recipe
    run(qtbot, dock)
    (layer,) = results(viewer)
    assert recipe_of(layer).changes == recipe.changes
    assert dock.panel.curve.marks == [(5, "loss 2 weight 9")]
    dock.recipes.copy()
    assert Recipe.from_json(QApplication.clipboard().text()) == recipe_of(layer)


def test_every_row_says_its_number_and_what_is_live(dock):
    for _ in range(3):
        losses(dock).add.click()
    losses(dock).rows[0].button.click()
    for number, row in enumerate(losses(dock).rows, start=1):
        assert kind(dock, number - 1).accessibleName() == f"Loss {number}"
        assert row.form.editor("weight").accessibleName() == f"Weight of loss {number}"
        assert "Live: turned during a run, it takes effect at the next step." in row.form.editor("weight").toolTip()
        for name in ("kind", "low", "high"):
            assert "Not live" in row.form.editor(name).toolTip()


def test_a_run_follows_the_weights_of_rows_that_moved(qtbot, dock):
    for weight in (2.0, 3.0):
        losses(dock).add.click()
        box(dock, -1).setValue(weight)
    start_slow(qtbot, dock)
    losses(dock).rows[0].button.click()
    losses(dock).add.click()  # two of total variation again: 3, which was the second, and a new one of 1
    qtbot.waitUntil(lambda: sorted(turns(dock)) == [(FIRST, 3.0), (SECOND, 1.0)], timeout=60_000)
    assert not dock._restart.isVisible()
    stop(qtbot, dock)
