"""Getting started: each button does its step, and what is done has a tick. Lessons are what their titles say."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from napari.components import ViewerModel

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.widgets import difference_maps, guide_dock, layers, lessons, views
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.guide_dock import GuideDock, steps_done
from napari_lossguide.widgets.mask_dock import MaskDock
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

DOCKS = {"Mask": MaskDock, "Reconstruct": ReconstructDock, "Compare": CompareDock}


class Window:
    """napari's window, as far as docks are opened in it."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot, self.open = viewer, qtbot, {}

    def add_plugin_dock_widget(self, plugin, name):
        if name not in self.open:
            self.open[name] = DOCKS[name](self.viewer)
            self.qtbot.addWidget(self.open[name])
            self.open[name].show()
        return None, self.open[name]


class Viewer(ViewerModel):
    """A viewer model that opens lessons and docks."""

    def open_sample(self, plugin, key):
        return [self._add_layer_from_data(*layer) for layer in getattr(lessons, key)()]


def kdata_of(layers_):
    return layers_[0][1]["metadata"]["lossguide"]["kdata"]


def test_the_manifest_has_the_lessons_of_the_guide():
    text = (Path(layers.__file__).parents[1] / "napari.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(text)["contributions"]["sample_data"]
    assert {s["key"]: s["display_name"] for s in found if s["key"].startswith("lesson")} == guide_dock.LESSONS


def test_the_lessons_are_what_their_titles_say():
    one, three, four, five = (kdata_of(getattr(lessons, f"lesson_{n}")()) for n in (1, 3, 4, 5))
    assert (one.n_coils, one.real, one.fully_sampled) == (1, True, True) and one.reference is not None
    assert three.n_coils == 4 and three.noise_std > 0.05
    assert four.reference is None and four.maps is None and not four.fully_sampled and four.n_coils == 8
    assert five.n_slices == 5 and five.spacing[0] == 5.0
    areas = [(np.abs(x) > 0.05).sum() for x in five.reference]
    assert areas == sorted(areas, reverse=True) and areas[-1] < 0.5 * areas[0]


def test_lesson_3_has_three_spikes():
    kdata = kdata_of(lessons.lesson_3())
    truth = np.abs(kdata.kspace - _expected(kdata))[0, 0]
    assert (truth > 0.5 * truth.max()).sum() == 3 and truth.max() > 10 * np.median(truth)


def _expected(kdata):
    maps = kdata.maps if kdata.maps.ndim == 4 else kdata.maps[None]
    return fft2c(maps * kdata.reference[:, None])


def test_each_button_does_its_step_and_gets_its_tick(qtbot):
    viewer = Viewer()
    object.__setattr__(viewer, "window", Window(viewer, qtbot))
    dock = GuideDock(viewer)
    qtbot.addWidget(dock)
    dock.show()

    def ticked():
        return [step for step, tick in dock.ticks.items() if tick.text()]

    assert ticked() == [] and steps_done(viewer) == set()
    dock.buttons["run"].click()
    assert "no k-space" in viewer.window.open["Reconstruct"].status.sentence
    dock.buttons["sample"].click()
    qtbot.waitUntil(lambda: ticked() == ["sample", "mask"], timeout=5000)
    dock.buttons["mask"].click()
    reconstruct = viewer.window.open["Reconstruct"]
    reconstruct.settings.method.choose("zero-filled")
    dock.buttons["run"].click()
    assert views.role_of(reconstruct.settings.mask.layer) == "mask"
    qtbot.waitUntil(lambda: not reconstruct.running, timeout=60_000)
    assert reconstruct.status.sentence.startswith("Done"), reconstruct.status.sentence
    qtbot.waitUntil(lambda: ticked() == ["sample", "mask", "run"], timeout=5000)
    dock.buttons["compare"].click()
    qtbot.waitUntil(lambda: ticked() == list(guide_dock.STEPS), timeout=10_000)
    assert viewer.window.open["Compare"].modes.mode == "side by side"
    reconstruct.settings.mask.layer = None
    dock.buttons["run"].click()
    assert reconstruct.settings.mask.layer is None, "all points, if the person says so"
    qtbot.waitUntil(lambda: not reconstruct.running, timeout=60_000)


def test_a_lesson_that_needs_a_package_says_so(qtbot, monkeypatch):
    monkeypatch.setattr("napari_lossguide.data.samples.find_spec", lambda name: None)
    viewer = Viewer()
    dock = GuideDock(viewer)
    qtbot.addWidget(dock)
    dock.show()
    dock.lesson.setCurrentIndex(dock.lesson.findData("lesson_2"))
    dock.buttons["sample"].click()
    assert "nilearn" in dock.status.sentence and len(viewer.layers) == 0


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_a_lesson_s_mask_belongs_to_its_k_space(number):
    if number == 2:
        pytest.importorskip("nilearn")
    viewer = Viewer()
    viewer.open_sample("", f"lesson_{number}")
    (mask,) = (x for x in viewer.layers if views.role_of(x) == "mask")
    kdata = next(k for x in viewer.layers if (k := views.kdata_of(x)) is not None)
    assert mask.data.shape == kdata.image_shape and views.mask_recipe_of(mask) == lessons.MASK


def test_a_scan_that_is_undersampled_needs_no_mask():
    viewer = Viewer()
    for layer in lessons.lesson_4():
        viewer._add_layer_from_data(*layer)
    assert steps_done(viewer) == {"sample", "mask"}


def test_a_difference_without_a_result_is_no_comparison():
    viewer = ViewerModel()
    viewer.add_image(np.ones((4, 4)), metadata={"lossguide": {"role": difference_maps.ROLE, "name": "d"}})
    assert steps_done(viewer) == set()


def test_a_lesson_s_mask_does_not_cover_its_images():
    assert not lessons.lesson_1()[-1][1]["visible"]
