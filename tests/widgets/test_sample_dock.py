"""The Sample dock on a viewer model, with a generator in the engine's place; the engine itself at the end."""

import json
import threading
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QWidget

from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress
from napari_lossguide.recon.samples import Samples, sample_recipe
from napari_lossguide.types import Cancelled, InvalidInput
from napari_lossguide.widgets import io, sample_dock, views
from napari_lossguide.widgets.sample_dock import SampleDock


class FakeEngine:
    """Stands for ``start_sampling``: two batches, whose estimates are the number of the step."""

    def __init__(self):
        self.steps, self.wait, self.error, self.calls, self.used = 3, 0.01, None, [], []

    def __call__(self, recipe, device, live, say):
        self.calls.append((recipe, device))
        return self._walk(recipe, live)

    def _walk(self, recipe, live):
        live.declare({"guidance.scale": (0.0, 100.0)})
        n, half = recipe.samples, max(1, recipe.samples // 2)
        images, status, reached = np.zeros((n, *recipe.shape), np.float32), "done", 0
        try:
            for step in range(1, 2 * self.steps + 1):
                first = 0 if step <= self.steps or n == 1 else half
                live.checkpoint()
                self.used.append(dict(live.read(step - 1)))
                time.sleep(self.wait)
                if self.error is not None:
                    raise self.error
                reached = half if first == 0 and n > 1 else n
                images[first:reached] = step
                batch = images[first:reached].copy()
                yield self._progress(step, first, batch)
        except Cancelled:
            status = "cancelled"
        return Samples(images[:reached], recipe, ({"step": 1, "sigma": 1.0},), status, 1.0, 3, {"device": "cpu"})

    def _progress(self, step, first, batch):
        def picture():
            assert threading.current_thread() is not threading.main_thread()
            return batch

        nan = float("nan")
        return Progress(step, 2 * self.steps, first, 1, 1.0, nan, nan, step, {}, "fake", picture, picture)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(sample_dock, "start_sampling", fake)
    yield fake
    assert QThreadPool.globalInstance().waitForDone(5000)


@pytest.fixture
def dock(qtbot, viewer, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    widget = SampleDock(viewer)
    qtbot.addWidget(widget)
    widget.settings.kind.set_values({"height": 32, "width": 48})
    return widget


def run(qtbot, dock):
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)


def roles(viewer):
    return [views.role_of(layer) for layer in viewer.layers]


def test_a_run_without_any_layer_gives_a_stack_with_its_recipe(qtbot, dock, engine, viewer, tmp_path):
    dock.settings.kind.set_values({"seed": 5, "image": "complex"})
    dock.settings.form.set_value("guidance.contrast", "FLAIR")
    run(qtbot, dock)
    (layer,) = viewer.layers
    assert layer.name == "Samples of brain FLAIR, seed 5" and roles(viewer) == ["samples"]
    np.testing.assert_array_equal(layer.data[:, 0, 0], [3, 3, 6, 6])
    recipe = Recipe.from_json(layer.metadata["lossguide"]["recipe"])
    assert (recipe.shape, recipe.samples, recipe.image, recipe.seed) == ((32, 48), 4, "complex", 5)
    assert recipe.guidance["contrast"] == "FLAIR" and engine.calls == [(recipe, "auto")]
    assert "4 images" in dock.status.sentence and "not measured" in dock.status.sentence
    io.write_result(str(tmp_path / "s.npz"), layer.data, {"metadata": layer.metadata})
    with np.load(tmp_path / "s.npz") as file:
        assert file["images"].shape == (4, 32, 48) and "recipe" in file.files


def test_the_form_asks_for_what_shell_and_python_ask_for(dock):
    dock.settings.form.set_value("guidance.plane", "sagittal")
    expected = sample_recipe(shape=(32, 48), count=4, plane="sagittal")
    assert dock.settings.recipe() == expected


def test_the_preview_follows_every_batch(qtbot, dock, engine, viewer):
    engine.steps, engine.wait = 30, 0.02
    dock.panel.button.click()
    qtbot.waitUntil(lambda: roles(viewer) == ["samples preview"], timeout=5000)
    layer = viewer.layers[0]
    assert layer.data.shape == (4, 32, 48)
    qtbot.waitUntil(lambda: bool(layer.data[3].any()), timeout=20_000)
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert viewer.layers[0] is layer and roles(viewer) == ["samples"]


def test_one_image_is_no_stack(qtbot, dock, engine, viewer):
    dock.settings.kind.set_values({"samples": 1})
    run(qtbot, dock)
    assert viewer.layers[0].data.shape == (32, 48)


def test_cancel_keeps_the_dock_usable(qtbot, dock, engine, viewer):
    engine.steps, engine.wait = 500, 0.01
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(engine.used) > 3, timeout=5000)
    assert not dock.settings.kind.isEnabled() and dock.settings.form.live.isEnabledTo(dock)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=5000)
    assert "2 of 4 images were begun" in dock.status.sentence and "samples" not in roles(viewer)
    engine.steps = 2
    run(qtbot, dock)
    assert "samples" in roles(viewer) and "samples preview" not in roles(viewer)


def test_the_class_scale_is_live(qtbot, dock, engine):
    engine.steps, engine.wait = 60, 0.01
    dock.panel.button.click()
    qtbot.waitUntil(lambda: len(engine.used) > 3, timeout=5000)
    dock.settings.form.set_value("guidance.scale", 4.0)
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert engine.used[-1]["guidance.scale"] == 4.0 and not engine.used[0]


def test_an_error_is_one_sentence(qtbot, dock, engine, viewer):
    engine.error = InvalidInput("The image is 4 x 4 pixels.")
    run(qtbot, dock)
    assert dock.status.sentence == "The image is 4 x 4 pixels." and not viewer.layers
    engine.error = None
    run(qtbot, dock)
    assert "Done" in dock.panel.where.text()


def test_recipes_go_out_and_come_back(qtbot, dock, engine, tmp_path):
    dock.settings.kind.set_values({"samples": 7, "seed": 3, "image": "complex"})
    dock.settings.form.set_value("schedule.steps", 9)
    dock.settings.form.set_value("guidance.contrast", "T2w")
    wanted = dock.settings.recipe()
    other = SampleDock(ViewerModel())
    qtbot.addWidget(other)
    other.load_recipe(dock.recipe()[0].to_json())
    assert other.settings.recipe() == wanted
    with pytest.raises(InvalidInput, match="prox-mean"):
        other.load_recipe(Recipe.for_method().to_json())
    run(qtbot, dock)
    assert dock.recipe() == (wanted, "the recipe of the last run")
    assert json.loads(dock.recipe()[0].to_json())["shape"] == [32, 48]


def test_every_control_has_help_and_a_name(dock):
    form = dock.settings
    for params in (form.kind, form.batch, *(f for _, f in form.form._forms)):
        for name in params.values():
            assert len(params.editor(name).toolTip()) > 20, name
    for widget in (form.device, dock.panel.button, dock.panel.pause, dock.panel.preview):
        assert widget.toolTip(), widget
    assert form.prior.findChildren(QWidget)[0].toolTip()
    assert dock.minimumSizeHint().width() <= 330  # in the style of Qt; that of napari is narrower


def test_the_engine_itself_gives_the_numbers_of_python(qtbot, viewer, tmp_path):
    import torch
    from tiny import tiny_unet

    from napari_lossguide import sample
    from napari_lossguide.priors.load import save_prior

    network, path = tiny_unet(), tmp_path / "tiny.safetensors"
    info = {"name": "tiny", "sigma_data": 0.25, "licence": "none", "trained_on": "nothing"}
    save_prior(path, network.state_dict(), network.config, info)
    dock = SampleDock(viewer)
    qtbot.addWidget(dock)
    dock.settings.prior.select(str(path))
    dock.settings.kind.set_values({"height": 24, "width": 32, "samples": 2, "seed": 4})
    dock.settings.form.set_value("schedule.steps", 3)
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=120_000)
    (layer,) = viewer.layers
    # The last bits depend on the number of threads, and a thread may have another one than the main thread.
    threads = torch.get_num_threads()
    torch.set_num_threads(layer.metadata["lossguide"]["result"].provenance["threads"])
    expected = sample(prior=str(path), shape=(24, 32), count=2, seed=4, steps=3)
    torch.set_num_threads(threads)
    np.testing.assert_array_equal(
        layer.data, expected.images if expected.images.min() >= 0 else np.abs(expected.images)
    )
    assert layer.metadata["lossguide"]["result"].recipe == expected.recipe
