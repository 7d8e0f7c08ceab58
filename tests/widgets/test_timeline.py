"""The timeline: scrub through a run, branch from a step with other knobs; with the real engine and a tiny network."""

import numpy as np
import pytest
from napari.components import ViewerModel
from tiny import tiny_scan, tiny_unet

from napari_lossguide.priors.load import save_prior
from napari_lossguide.recon.drive import last_of
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.widgets import layers, views
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

STEPS = 12


@pytest.fixture
def prior(tmp_path):
    network, path = tiny_unet(), tmp_path / "tiny.safetensors"
    save_prior(path, network.state_dict(), network.config, {"name": "tiny", "sigma_data": 0.25})
    return str(path)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def dock(qtbot, viewer, prior, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: prior)
    layers.add_kspace(viewer, tiny_scan(slices=2))
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    widget.settings.device.setCurrentIndex(widget.settings.device.findData("cpu"))
    widget.settings.method.choose("prox-ddim")
    turn(widget, "schedule.steps", STEPS)
    widget.show()
    return widget


def run(qtbot, dock):
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)


def of_role(viewer, role):
    return [layer for layer in viewer.layers if views.role_of(layer) == role]


def recipe_of(layer):
    return Recipe.from_json(layer.metadata["lossguide"]["recipe"])


def turn(dock, name, value):
    dock.settings.form.set_value(name, value)


def test_nothing_to_scrub_before_a_run(dock):
    assert not dock.timeline.isVisible()


def test_every_step_can_be_looked_at_again(qtbot, dock, viewer):
    run(qtbot, dock)
    line = dock.timeline
    assert line.isVisible() and line.isEnabled()
    assert (line.slider.minimum(), line.slider.maximum(), line.step) == (1, 2 * STEPS, 2 * STEPS)
    (result,) = of_role(viewer, "result")
    line.slider.setValue(STEPS)
    (layer,) = of_role(viewer, "timeline")
    assert layer.name == "Timeline (SIMULATION)" and line.where.text().startswith(f"slice 1, step {STEPS}, σ 0.0")
    np.testing.assert_array_equal(layer.data, result.data[0])  # the last estimate of the first slice
    line.slider.setValue(3)
    early = layer.data.copy()
    assert not np.array_equal(early, result.data[0])
    line.what.setCurrentIndex(line.what.findData("state"))
    assert of_role(viewer, "timeline") == [layer] and not np.array_equal(layer.data, early)
    assert layer.data.std() > early.std()
    line.what.setCurrentIndex(line.what.findData("estimate"))
    np.testing.assert_array_equal(layer.data, early)
    assert of_role(viewer, "result") == [result], "the result stays as it is"


def test_a_branch_is_a_result_of_its_own_and_its_recipe_repeats_it(qtbot, dock, viewer):
    run(qtbot, dock)
    dock.timeline.slider.setValue(STEPS + 4)
    turn(dock, "sampler.eta", 0.25)
    dock.timeline.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    plain, branch = of_role(viewer, "result")
    assert branch.name == f"Proximal DDIM, seed 0, branch at {STEPS + 4} (SIMULATION)"
    np.testing.assert_array_equal(branch.data[0], plain.data[0])  # it branches in the second slice
    assert not np.array_equal(branch.data[1], plain.data[1])
    recipe = recipe_of(branch)
    assert [(c.step, c.name, c.value) for c in recipe.changes] == [(STEPS + 4, "sampler.eta", 0.25)]
    again = last_of(reconstruction(tiny_scan(slices=2), recipe, device="cpu"))
    np.testing.assert_array_equal(np.abs(again.image), branch.data)
    assert dock.recipe()[0] == recipe


def test_branches_of_branches(qtbot, dock, viewer):
    run(qtbot, dock)
    for step, eta in ((5, 0.5), (20, 0.75)):
        dock.timeline.slider.setValue(step)
        turn(dock, "sampler.eta", eta)
        dock.timeline.button.click()
        qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    last = of_role(viewer, "result")[-1]
    assert [(c.step, c.value) for c in recipe_of(last).changes] == [(5, 0.5), (20, 0.75)]
    again = last_of(reconstruction(tiny_scan(slices=2), recipe_of(last), device="cpu"))
    np.testing.assert_array_equal(np.abs(again.image), last.data)


def test_a_paused_run_is_scrubbed_and_branched(qtbot, dock, viewer):
    turn(dock, "schedule.steps", 300)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: dock.timeline.step > 5, timeout=60_000)
    assert not dock.timeline.button.isEnabled() and "Pause" in dock.timeline.button.toolTip()
    dock.panel.pause.click()
    qtbot.wait(200)
    assert dock.timeline.button.isEnabled()
    dock.timeline.slider.setValue(4)
    assert len(of_role(viewer, "timeline")) == 1
    turn(dock, "guidance.gamma", 3.0)
    ends = []
    dock.done.connect(ends.append)
    dock.timeline.button.click()
    qtbot.waitUntil(lambda: not dock.running and bool(ends), timeout=120_000)
    assert ends == [""], "the run that it replaced has no end of its own"
    (branch,) = of_role(viewer, "result")
    assert "branch at 4" in branch.name
    assert [(c.step, c.name, c.value) for c in recipe_of(branch).changes] == [(4, "guidance.gamma", 3.0)]


def test_a_cancelled_run_can_be_gone_on_with(qtbot, dock, viewer):
    turn(dock, "schedule.steps", 300)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: dock.timeline.step > 5, timeout=60_000)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert of_role(viewer, "result") == []
    dock.timeline.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=120_000)
    (layer,) = of_role(viewer, "result")
    assert recipe_of(layer).changes == ()


def test_what_a_branch_cannot_change_is_said(qtbot, dock, viewer):
    run(qtbot, dock)
    turn(dock, "schedule.steps", STEPS + 1)
    dock.timeline.button.click()
    assert not dock.running
    assert "A branch can differ from its run in live knobs alone" in dock.status.sentence
    turn(dock, "schedule.steps", STEPS)
    dock.timeline.button.click()
    assert dock.running and dock.status.sentence == ""
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)


def test_a_classical_method_has_no_timeline(qtbot, dock, viewer):
    run(qtbot, dock)
    dock.settings.method.choose("cg-sense")
    run(qtbot, dock)
    assert not dock.timeline.isVisible()


def test_what_the_data_say_and_what_was_filled_in_add_up(qtbot, dock, viewer):
    dock.settings.parts.setChecked(True)
    run(qtbot, dock)
    qtbot.waitUntil(lambda: bool(of_role(viewer, "filled-in part")), timeout=30_000)
    (result,), (said,), (filled,) = (of_role(viewer, r) for r in ("result", "measured part", "filled-in part"))
    np.testing.assert_allclose(said.data + filled.data, result.data, atol=1e-5 * result.data.max())
    assert said.name == f"What the data say of {result.name}" and "% of the energy) of " in filled.name
    assert not said.visible and not filled.visible
    assert filled.contrast_limits[0] == -filled.contrast_limits[1] and filled.data.min() < 0 < filled.data.max()


def test_branches_have_names_and_stand_side_by_side(qtbot, dock, viewer):
    run(qtbot, dock)
    line = dock.timeline
    assert not line.together.isEnabled() and "second" in line.together.toolTip()
    turn(dock, "sampler.eta", 0.25)
    line.slider.setValue(4)
    qtbot.keyClicks(line.title, "quiet")
    line.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    plain, branch = of_role(viewer, "result")
    assert branch.name == "quiet (from step 4), Proximal DDIM, seed 0 (SIMULATION)"
    assert line.title.text() == "", "the next branch is another one"
    looks = [(x.name, x.visible) for x in viewer.layers]
    line.together.click()
    assert viewer.canvas.grid.enabled and {x for x in viewer.layers if x.visible} == {plain, branch}
    branch.contrast_limits = (0.0, 0.5)
    assert tuple(plain.contrast_limits) == (0.0, 0.5)
    line.together.click()
    assert not viewer.canvas.grid.enabled and [(x.name, x.visible) for x in viewer.layers] == looks
    viewer.layers.remove(plain)
    line.together.click()
    assert [x for x in viewer.layers if x.visible] == [branch], "what was removed is left out"
    run(qtbot, dock)
    assert not line.together.isChecked() and not line.together.isEnabled(), "another run has its own branches"
