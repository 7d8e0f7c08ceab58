"""Raw-data steps in the K-space dock, driven by its controls."""

import ismrmrd
import numpy as np
import pytest
from ismrmrd_files import COILS, NX, NY, draw, line, lines, oversampled, write
from napari.components import ViewerModel
from qtpy.QtWidgets import QCheckBox, QFileDialog, QSpinBox

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import read
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.kspace_dock import KSpaceDock

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(qtbot):
    widget = KSpaceDock(ViewerModel())
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def path(tmp_path, rng):
    noise = line(draw(rng, COILS, 500), 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,))
    return write(tmp_path / "scan.h5", [noise, *lines(oversampled(draw(rng, COILS, NY, NX)))])


def opened(dock, qtbot, monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    dock.opener.file.click()
    qtbot.waitUntil(lambda: dock.kdata is not None, timeout=20_000)


def set_coils(dock, count):
    row = dock.raw.form.editor("coils")
    row.findChild(QCheckBox).setChecked(count is not None)
    if count is not None:
        row.findChild(QSpinBox).setValue(count)


def test_files_are_opened_with_the_steps_of_the_form(dock, qtbot, monkeypatch, path):
    dock.raw.form.editor("prewhiten").setChecked(False)
    dock.raw.form.editor("remove_oversampling").setChecked(False)
    set_coils(dock, 2)
    opened(dock, qtbot, monkeypatch, path)
    steps = {"prewhiten": False, "remove_oversampling": False, "coils": 2}
    np.testing.assert_array_equal(dock.kdata.kspace, read(path, steps=steps).kspace)
    assert dock.kdata.origin.parameters == {"steps": steps}


def test_reading_again_takes_the_place_of_what_is_shown(dock, qtbot, monkeypatch, path):
    opened(dock, qtbot, monkeypatch, path)
    assert dock.kdata.noise_std == 1
    before = [layer.name for layer in dock.viewer.layers]
    dock.raw.form.editor("prewhiten").setChecked(False)
    set_coils(dock, 2)
    dock.raw.form.editor("compression").setCurrentIndex(1)
    dock.raw.again.click()
    qtbot.waitUntil(lambda: dock.kdata.n_coils == 2)
    steps = {"prewhiten": False, "coils": 2, "compression": "gcc"}
    np.testing.assert_array_equal(dock.kdata.kspace, read(path, steps=steps).kspace)
    assert dock.kdata.noise_std is None and "coils compressed to 2 (gcc)" in dock.view.summary.toolTip()
    assert [layer.name for layer in dock.viewer.layers] == before
    assert dock.view.coil.maximum() == 2


def test_more_coils_than_there_are_is_a_sentence_and_keeps_what_is_shown(dock, qtbot, monkeypatch, path):
    opened(dock, qtbot, monkeypatch, path)
    shown = dock.kdata
    set_coils(dock, 5)
    dock.raw.again.click()
    qtbot.waitUntil(lambda: "3 coils cannot be compressed to 5" in dock.status.sentence)
    assert dock.kdata is shown


def test_only_what_came_from_a_file_can_be_read_again(dock, qtbot, monkeypatch, path):
    assert not dock.raw.again.isEnabled()
    layers.add_kspace(dock.viewer, simulate(shepp_logan(16), n_coils=2, name="made"))
    dock.source.layer = dock.viewer.layers["k-space: made (simulation)"]
    assert dock.kdata is not None and not dock.raw.again.isEnabled()
    layers.add_kspace(dock.viewer, read(path))
    dock.source.layer = dock.viewer.layers["k-space: scan"]
    assert dock.raw.again.isEnabled()


def test_a_compression_needs_virtual_coils(dock):
    assert not dock.raw.form.editor("compression").isEnabled()
    set_coils(dock, 2)
    assert dock.raw.form.editor("compression").isEnabled()
