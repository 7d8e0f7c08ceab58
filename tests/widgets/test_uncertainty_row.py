"""What the Reconstruct dock says of the samples of a run, and the layers that it adds."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog
from widgets.fake_engine import FakeEngine

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recalibration import Conditions, calibrate
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.tape import Tape
from napari_lossguide.recon.uncertainty import spread
from napari_lossguide.widgets import layers, reconstruct_dock, views
from napari_lossguide.widgets.compare_dock import is_comparable
from napari_lossguide.widgets.io import read_result
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.result_layers import show_result
from napari_lossguide.widgets.uncertainty_row import UncertaintyRow

SIZE, COUNT = 32, 8


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def kdata():
    return simulate(shepp_logan(SIZE) + 1, name="head", spacing=(5.0, 2.0, 1.0))


@pytest.fixture
def row(qtbot, viewer):
    widget = UncertaintyRow(viewer, nullcontext)
    qtbot.addWidget(widget)
    return widget


def make_result(kdata, method="prox-ddim", seed=0, wrong=0.3):
    """A result whose samples are `wrong` times as far apart as they are from the truth."""
    rng = np.random.default_rng(seed)
    recipe = Recipe.for_method(method, samples=COUNT, image="real")
    steps = FakeEngine(steps=1, wait=0)(kdata, recipe, "cpu", Live(), Tape(), print)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            plain = stop.value
            break
    centre = np.abs(kdata.reference) + 0.05 * rng.standard_normal(kdata.reference.shape)
    noise = wrong * 0.05 * rng.standard_normal((len(centre), COUNT, SIZE, SIZE))
    samples = (centre[:, None] + noise).astype(np.complex64)
    return replace(
        plain, samples=samples, mean=samples.mean(1), image=samples.mean(1), std=samples.std(1).astype(np.float32)
    )


def write_calibration(kdata, path, method="prox-ddim"):
    fitted = make_result(kdata, method, seed=1)
    conditions = Conditions.of(fitted.recipe, fitted.mask, 1)
    made = calibrate([(spread(fitted.samples), kdata.reference)], conditions)
    path.write_text(made.to_json())
    return str(path)


def show(qtbot, row, viewer, result, kdata):
    top = show_result(viewer, result, kdata)
    row.judge(result, kdata, top.name)
    qtbot.waitUntil(lambda: row.findings is not None, timeout=10_000)
    return top


def with_role(viewer, role):
    return [layer for layer in viewer.layers if views.role_of(layer) == role]


def test_quantiles_become_hidden_layers_below_the_result(qtbot, row, viewer, kdata):
    result = make_result(kdata)
    top = show(qtbot, row, viewer, result, kdata)
    shown = with_role(viewer, "quantile")
    assert [layer.name for layer in shown] == [f"{q} % quantile of {top.name}".replace(" %", "%") for q in (5, 50, 95)]
    assert not any(layer.visible for layer in shown)
    assert viewer.layers.selection.active is top and viewer.layers[-1] is top
    np.testing.assert_allclose(shown[1].data, np.median(np.abs(result.samples[0]), axis=0), rtol=1e-5)
    assert tuple(shown[0].scale) == kdata.spacing[1:] and not any(is_comparable(layer) for layer in shown)
    row.judge(result, kdata, top.name)
    qtbot.waitUntil(lambda: row.findings is not None, timeout=10_000)
    assert len(with_role(viewer, "quantile")) == 3, "judged again, the same layers"


def test_figures_stand_in_the_dock_and_in_the_map(qtbot, row, viewer, kdata):
    show(qtbot, row, viewer, make_result(kdata), kdata)
    assert row.findings.nominal.covered[0.9] < 0.6
    part = row.findings.nominal.covered[0.9]
    assert f"90% interval holds {part:.0%}" in row.text.sentence and "correlate" in row.text.sentence
    (map_,) = with_role(viewer, "standard deviation")
    assert map_.metadata["lossguide"]["covered"][0.9] == part
    assert map_.name.startswith("Standard deviation of")


def test_without_a_true_image_nothing_is_claimed(qtbot, row, viewer, kdata):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:, ::2] = True
    unknown = KData(kdata.kspace * mask, mask, name="scan")
    show(qtbot, row, viewer, make_result(kdata), unknown)
    assert row.findings.nominal is None and "No true image" in row.text.sentence
    assert "holds" not in row.text.sentence.replace("hold it", "") and len(with_role(viewer, "quantile")) == 3


def test_a_calibration_adds_its_map_and_its_figures(qtbot, row, viewer, kdata, tmp_path, monkeypatch):
    result = make_result(kdata)
    top = show(qtbot, row, viewer, result, kdata)
    path = write_calibration(kdata, tmp_path / "cal.json")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    row.button.click()
    qtbot.waitUntil(lambda: bool(with_role(viewer, "calibrated standard deviation")), timeout=10_000)
    (map_,) = with_role(viewer, "calibrated standard deviation")
    assert not map_.visible and map_.name == f"Calibrated standard deviation of {top.name}"
    assert map_.data.mean() == pytest.approx(0.05, rel=0.3) and result.std.mean() < 0.02
    assert row.findings.calibrated.covered[0.9] == pytest.approx(0.9, abs=0.05)
    assert "Calibrated: 50% interval holds" in row.text.sentence
    row.drop.click()
    qtbot.waitUntil(lambda: row.findings.calibrated is None, timeout=10_000)
    assert row.calibration is None and "Calibrated" not in row.text.sentence


def test_a_calibration_of_another_method_is_refused(qtbot, row, viewer, kdata, tmp_path):
    row.load(write_calibration(kdata, tmp_path / "cal.json", "daps"))
    show(qtbot, row, viewer, make_result(kdata), kdata)
    assert "another method (daps, not prox-ddim)" in row.text.sentence
    assert not with_role(viewer, "calibrated standard deviation") and row.findings.std is None


def test_the_map_of_prox_mean_says_that_it_says_little(qtbot, row, viewer, kdata):
    show(qtbot, row, viewer, make_result(kdata, "prox-mean"), kdata)
    (map_,) = with_role(viewer, "standard deviation")
    assert map_.name.startswith("Standard deviation (says little) of")
    assert "posterior-draw" in map_.metadata["lossguide"]["note"] and "nearly the same image" in row.text.sentence


def test_the_dock_judges_a_run_of_several_samples_only(qtbot, viewer, kdata, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", FakeEngine())
    layers.add_kspace(viewer, kdata)
    dock = ReconstructDock(viewer)
    qtbot.addWidget(dock)
    assert dock.uncertainty.isHidden()
    for count in (3, 1):
        dock.settings.sampling.set_values({"samples": count})
        dock.panel.button.click()
        qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
        assert dock.uncertainty.isHidden() == (count == 1)
        if count > 1:
            qtbot.waitUntil(lambda: dock.uncertainty.findings is not None, timeout=10_000)
            assert "90% interval holds" in dock.uncertainty.text.sentence
            assert "Done" in dock.status.sentence


@pytest.mark.parametrize(("method", "word"), [("prox-mean", "std (says little)"), ("prox-ddim", "std")])
def test_a_map_opened_from_a_file_says_so_too(kdata, tmp_path, method, word):
    path = str(tmp_path / "run.npz")
    make_result(kdata, method).save(path)
    (map_,) = [attributes for _, attributes, _ in read_result(path) if attributes["name"].startswith("std")]
    assert map_["name"] == f"{word}: run"
    kept = map_["metadata"]["lossguide"]
    assert kept["role"] == "standard deviation" and bool(kept["note"]) == (method == "prox-mean")


def test_one_member_of_the_group_is_on_the_canvas(qtbot, row, viewer, kdata):
    result = make_result(kdata)
    top = show(qtbot, row, viewer, result, kdata)
    group = row.group
    titles = [group.box.itemText(i) for i in range(group.box.count())]
    assert titles == ["Mean", "5% quantile", "50% quantile", "95% quantile", "Standard deviation", "Single sample"]
    top.contrast_limits = (0.2, 1.7)

    def choose(title):
        group.box.setCurrentIndex(group.box.findText(title))
        (shown,) = [x for x in group.members() if x.visible]
        assert viewer.layers.selection.active is shown
        return shown

    assert choose("95% quantile").name == f"95% quantile of {top.name}"
    assert tuple(choose("50% quantile").contrast_limits) == (0.2, 1.7)
    assert views.role_of(choose("Standard deviation")) == "standard deviation"
    sample = choose("Single sample")
    np.testing.assert_array_equal(sample.data, np.abs(result.samples[0, 0]))
    group.number.setValue(5)
    np.testing.assert_array_equal(sample.data, np.abs(result.samples[0, 4]))
    assert len([x for x in viewer.layers if views.role_of(x) == "single sample"]) == 1
    assert choose("Mean") is top
    viewer.layers.remove(next(x for x in viewer.layers if "95%" in x.name))
    group.refresh()
    assert group.box.findText("95% quantile") < 0, "what was removed is not offered"


def test_a_failed_slice_stays_empty_in_every_member(qtbot, row, viewer):
    kdata = simulate(np.stack([shepp_logan(SIZE) + 1] * 3), name="stack")
    result = make_result(kdata)
    for array in (result.image, result.samples, result.mean, result.std):
        array[1] = np.nan
    result = replace(result, failed={1: "It diverged."})
    show(qtbot, row, viewer, result, kdata)
    assert "interval holds" in row.text.sentence
    for layer in row.group.members():
        assert np.isnan(layer.data[1]).all() and np.isfinite(layer.data[[0, 2]]).all()
