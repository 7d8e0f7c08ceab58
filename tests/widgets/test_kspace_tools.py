"""The folded parts of the K-space dock, driven by their controls."""

import threading

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_lossguide.data.artefacts import find_spikes
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import make_mask
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Result
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.fold import Fold
from napari_lossguide.widgets.kspace_dock import KSpaceDock
from napari_lossguide.widgets.mask_dock import MaskDock
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.run_facts import provenance_rows
from napari_lossguide.widgets.views import kdata_of

SHAPE = (64, 80)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def scan():
    image = shepp_logan(80)[8:72]
    return simulate(np.stack([image, image[::-1]]), n_coils=2, noise_std=0.02, spacing=(5.0, 2.0, 1.0), name="head")


@pytest.fixture
def dock(viewer, scan, qtbot):
    layers.add_kspace(viewer, scan)
    widget = KSpaceDock(viewer)
    qtbot.addWidget(widget)
    widget.show()
    for fold in widget.findChildren(Fold):
        fold.button.setChecked(True)
    return widget


def result_of_the_truth(scan, mask, noise_std=0.02):
    image = scan.reference.astype(np.complex64)
    return Result(
        image=image, zero_filled=image, mask=mask, maps=scan.maps, samples=None, mean=None, std=None,
        recipe=Recipe.for_method("zero-filled"), trace=(), status="done", seconds=0.0, nfe=0, residual=1.0,
        noise_std=noise_std, scale=(1.0, 1.0), provenance={"numpy": "1.99"}, simulated=True,
    )  # fmt: skip


def test_new_parts_are_folded_at_first(viewer, qtbot):
    dock = KSpaceDock(viewer)
    qtbot.addWidget(dock)
    dock.show()
    assert not any(part.isVisible() for part in (dock.profile, dock.predicted, dock.spikes, dock.noise))


def find(qtbot, dock):
    dock.spikes.buttons["find"].click()
    qtbot.waitUntil(lambda: "found in" in dock.spikes.note.sentence, timeout=10_000)


def test_a_spike_is_added_found_marked_and_removed(qtbot, dock, viewer, scan):
    dock.spikes.form.set_values({"ky": 20, "kx": -25, "strength": 0.5})
    dock.spikes.buttons["add"].click()
    spiked = dock.kdata
    assert spiked.name == "head + spike"
    assert "spike of 0.5" in spiked.source
    assert kdata_of(viewer.layers["k-space: head (simulation)"]) is scan
    assert "k-space: head + spike (simulation)" in viewer.layers
    find(qtbot, dock)
    assert "2 found" in dock.spikes.note.sentence  # both coils
    assert [dock.spikes.table.item(0, x).text() for x in (0, 2, 3)] == ["1", "20", "-25"]
    dock.spikes.buttons["mark"].click()
    points = viewer.layers["spikes: head + spike (simulation)"]
    np.testing.assert_array_equal(points.data, [[0, 52, 15]] * 2)
    assert tuple(points.scale) == (5, 2, 1)
    dock.spikes.buttons["remove"].click()
    assert dock.kdata.acquired.sum() == dock.kdata.acquired.size - 1
    assert spiked.fully_sampled


def test_the_window_answers_while_spikes_are_looked_for(qtbot, dock, viewer, scan, monkeypatch):
    gate, threads = threading.Event(), []

    def search(kdata, threshold):
        threads.append(threading.current_thread())
        assert gate.wait(10)
        return find_spikes(kdata, threshold)

    monkeypatch.setattr("napari_lossguide.data.artefacts.find_spikes", search)
    dock.spikes.buttons["add"].click()
    dock.spikes.buttons["find"].click()
    assert dock.spikes.note.sentence == "Searching head + spike…" and not dock.spikes.buttons["find"].isEnabled()
    dock.source.layer = viewer.layers["image: head (simulation)"]
    gate.set()
    qtbot.waitUntil(dock.spikes.buttons["find"].isEnabled, timeout=5000)
    assert not dock.spikes.note.sentence and dock.spikes.table.rowCount() == 0, "other data are shown by now"
    dock.spikes.buttons["mark"].click()
    assert "press “Find spikes” first" in dock.status.sentence
    find(qtbot, dock)
    assert "found in head," in dock.spikes.note.sentence
    assert threading.main_thread() not in threads


def test_the_same_change_twice_keeps_both(dock, viewer, scan):
    for seed in (1, 2):
        dock.source.layer = viewer.layers["image: head (simulation)"]
        dock.noise.form.set_values({"noise_std": 0.1, "seed": seed})
        dock.noise.buttons["add"].click()
    assert "k-space: head + noise (simulation)" in viewer.layers
    assert dock.kdata.name == "head + noise (2)"
    assert "seed 2" in dock.kdata.source


def test_a_spike_outside_is_a_sentence(dock, viewer):
    before = len(viewer.layers)
    dock.spikes.form.set_values({"ky": 4000})
    dock.spikes.buttons["add"].click()
    assert "outside the k-space" in dock.status.sentence
    dock.spikes.buttons["remove"].click()
    assert "Find spikes" in dock.status.sentence
    assert len(viewer.layers) == before


def test_noise_is_measured_and_stated(dock, viewer, scan):
    dock.noise.form.set_values({"noise_std": 1.0})
    dock.noise.buttons["add"].click()
    dock.noise.buttons["measure"].click()
    assert "corners" in dock.noise.note.sentence
    assert dock.noise.level[1] == pytest.approx(1, rel=0.1)
    shapes = viewer.add_shapes([[[1, 1], [1, 18], [30, 18], [30, 1]]], name="air")
    dock.noise.region.layer = shapes
    dock.noise.buttons["measure"].click()
    assert "region air" in dock.noise.note.sentence
    assert dock.noise.level[1] == pytest.approx(1, rel=0.15)
    dock.noise.buttons["state"].click()
    assert dock.kdata.noise_std == dock.noise.level[1]
    dock.noise.buttons["state"].click()
    assert "not measured yet" in dock.status.sentence


def test_the_profile_follows_coil_and_mask(dock, viewer, scan, qtbot):
    qtbot.waitUntil(lambda: dock.profile.profile is not None, timeout=5000)
    whole = dock.profile.profile
    np.testing.assert_allclose(whole.before, whole.after, atol=1e-6)
    assert np.isfinite(whole.noise)
    mask = make_mask("random", SHAPE)
    layer = layers.show_mask(viewer, mask, name="mask", place=Place.of(scan))
    dock.profile.mask.layer = layer
    qtbot.waitUntil(lambda: dock.profile.profile is not whole, timeout=5000)
    assert (dock.profile.profile.after[10:25] < whole.after[10:25]).all()
    masked = dock.profile.profile
    dock.view.combine.click()
    qtbot.waitUntil(lambda: dock.profile.profile is not masked, timeout=5000)
    assert "coil 1" in dock.profile.note.sentence


def test_predicted_acquired_and_residual(dock, viewer, scan, qtbot):
    mask = make_mask("random", SHAPE)
    result = result_of_the_truth(scan, mask)
    layers.add_result(viewer, result, "truth", place=Place.of(scan), metadata={"source": "head"})
    dock.predicted.button.click()
    qtbot.waitUntil(lambda: "k-space residual (noise std) of truth" in viewer.layers, timeout=10000)
    residual = viewer.layers["k-space residual (noise std) of truth"].data
    assert np.isnan(residual[:, ~mask]).all()
    assert np.sqrt(np.mean(residual[:, mask] ** 2)) == pytest.approx(1, rel=0.05)
    assert np.isfinite(viewer.layers["Predicted k-space of truth"].data).all()
    assert "noise std" in dock.predicted.note.sentence
    assert dock.kdata is scan
    run = provenance_rows(viewer.layers["truth"])
    for name in ("Predicted k-space of truth", "Acquired k-space of truth", "k-space residual (noise std) of truth"):
        rows = provenance_rows(viewer.layers[name])
        assert ("Made of", "truth") in rows
        assert [row for row in run[2:] if row[0] != "Data residual" and row not in rows] == [], name


def test_a_result_whose_data_are_gone_is_a_sentence(dock, viewer, scan):
    result = result_of_the_truth(scan, np.ones(SHAPE, bool))
    layers.add_result(viewer, result, "truth", place=Place.of(scan), metadata={"source": "another"})
    dock.predicted.button.click()
    assert "another" in dock.status.sentence
    assert dock.predicted.button.isEnabled()


PICTURES = {
    "rgb": lambda rng: ([rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)], {"rgb": True}),
    "integer": lambda rng: ([rng.integers(0, 99, (24, 32), dtype=np.int16)], {}),
    "bool": lambda rng: ([rng.random((24, 32)) < 0.5], {}),
    "3-d": lambda rng: ([rng.random((3, 24, 32))], {}),
    "4-d": lambda rng: ([rng.random((2, 3, 24, 32))], {}),
    "multiscale": lambda rng: ([[rng.random((24, 32)), rng.random((12, 16))]], {"multiscale": True}),
    "dask": lambda rng: ([da.from_array(rng.random((3, 24, 32)), chunks=(1, 24, 32))], {"contrast_limits": (0, 1)}),
    "anisotropic": lambda rng: ([rng.random((24, 32))], {"scale": (3.0, 0.5)}),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_any_image_becomes_kspace_with_mask_and_tools(viewer, qtbot, rng, kind):
    kspace, mask = KSpaceDock(viewer), MaskDock(viewer)
    for dock in (kspace, mask):
        qtbot.addWidget(dock)
        dock.show()
    data, options = PICTURES[kind](rng)
    layer = viewer.add_image(*data, name="photo", **options)
    kspace.transform_button.click()
    qtbot.waitUntil(lambda: "mask" in viewer.layers, timeout=10000)
    assert kspace.kdata.image_shape == (24, 32)
    assert tuple(viewer.layers["mask"].scale) == tuple(layer.scale[-2:])
    kspace.noise.form.set_values({"noise_std": 0.1})
    kspace.noise.buttons["add"].click()
    kspace.spikes.buttons["find"].click()
    mask.rules.button.click()
    assert kspace.status.isHidden()
    assert mask.status.isHidden()
    viewer.layers["mask"].name = "mine"
    viewer.layers.remove(layer)
    viewer.layers.clear()
    qtbot.wait(50)
    for button in (*kspace.spikes.buttons.values(), *kspace.noise.buttons.values(), kspace.predicted.button):
        button.click()
    assert "Unexpected" not in kspace.status.sentence


def test_without_layers_every_button_is_a_sentence(viewer, qtbot):
    kspace, mask = KSpaceDock(viewer), MaskDock(viewer)
    for dock in (kspace, mask):
        qtbot.addWidget(dock)
        dock.show()
    buttons = [*kspace.spikes.buttons.values(), *kspace.noise.buttons.values(), kspace.predicted.button]
    for dock, button in [(kspace, b) for b in buttons] + [(mask, mask.rules.button), (mask, mask.sweep.button)]:
        button.click()
        assert dock.status.sentence.startswith("There is no")
    assert len(viewer.layers) == 0
