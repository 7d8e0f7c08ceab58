"""K-space that stays in its file, in the docks and in napari's own menus."""

import h5py
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_lossguide.data import readers
from napari_lossguide.data.display import VIEWS
from napari_lossguide.data.formats.fastmri import FastMRI
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.widgets.io import get_reader
from napari_lossguide.widgets.kspace_dock import KSpaceDock
from napari_lossguide.widgets.mask_dock import MaskDock
from napari_lossguide.widgets.result_layers import run_limits, show_reference
from napari_lossguide.widgets.views import image_picture, kdata_of, kspace_picture

N = 5


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(readers, "LARGE", 0)


@pytest.fixture
def scan(tmp_path):
    """Three coils; of the slices each is brighter than the one before it, but the middle one is the brightest."""
    weights = np.array([1, 2, 6, 4, 5], np.float32)
    stack = simulate(shepp_logan(32) * weights[:, None, None], n_coils=3)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"] = np.asarray(stack.kspace)
    return tmp_path / "scan.h5"


@pytest.fixture
def read_slices(monkeypatch):
    """Numbers of the slices that were read."""
    found, load = [], FastMRI.load

    def spy(self, path, name, slices):
        found.extend(range(*slices.indices(N)))
        return load(self, path, name, slices)

    monkeypatch.setattr(FastMRI, "load", spy)
    return found


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def opened(viewer, qtbot, scan):
    """The K-space dock with the scan in it."""
    dock = KSpaceDock(viewer)
    qtbot.addWidget(dock)
    dock.show()
    dock.opener.load(scan)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=20_000)
    return dock


@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("picture", [kspace_picture, image_picture])
def test_pictures_are_those_of_k_space_in_memory(scan, picture, kind):
    sparing, whole = readers.open_scan(scan).read_sparingly(), readers.read(scan)
    a, b = picture(sparing, kind, 1), picture(whole, kind, 1)
    assert isinstance(a.data, SliceWise)
    assert a.data.dtype == b.data.dtype == np.float32
    np.testing.assert_allclose(a.data, b.data, rtol=1e-6, atol=1e-5)  # whose brightest slice is the middle one
    assert a.colormap == b.colormap
    middle = picture(whole.select(N // 2), kind, 1)
    assert a.limits == middle.limits


def test_opening_reads_one_slice_and_those_that_are_looked_at(viewer, read_slices, opened):
    kspace, image = viewer.layers
    assert isinstance(kspace.data, SliceWise)
    assert isinstance(image.data, SliceWise)
    assert set(read_slices) <= {0, N // 2}
    viewer.dims.set_current_step(0, 3)
    assert set(read_slices) <= {0, N // 2, 3}
    assert 3 in read_slices
    shown = kdata_of(image)
    np.testing.assert_allclose(image.data[3], readers.read(shown.source).coil_images()[3], rtol=1e-6)


def test_views_and_coils_change_without_reading_all(viewer, read_slices, opened):
    read_slices.clear()
    opened.view.combine.setChecked(False)
    opened.view.coil.setValue(2)
    opened.view.views["image"].setCurrentText("phase")
    image = viewer.layers[1]
    assert isinstance(image.data, SliceWise)
    assert np.abs(image.data[0]).max() <= np.float32(np.pi)
    assert set(read_slices) <= {0, N // 2}


def test_one_slice_becomes_a_scan_of_its_own(viewer, qtbot, opened, read_slices, scan):
    viewer.dims.set_current_step(0, 3)
    read_slices.clear()
    opened.view.alone.click()
    assert set(read_slices) <= {3}
    taken = opened.kdata
    assert (taken.name, taken.n_slices, taken.lazy) == ("scan, slice 3", 1, False)
    assert taken.origin.slice == 3
    np.testing.assert_array_equal(taken.kspace, readers.read(scan).kspace[3:4])
    assert [layer.name for layer in viewer.layers][-2:] == ["k-space: scan, slice 3", "image: scan, slice 3"]
    assert "k-space: scan" in viewer.layers
    assert not opened.view.alone.isVisible()


def test_the_mask_dock_takes_it(viewer, qtbot, opened, read_slices):
    dock = MaskDock(viewer)
    qtbot.addWidget(dock)
    dock.show()
    qtbot.waitUntil(lambda: "zero-filled: scan" in viewer.layers, timeout=20_000)
    assert set(read_slices) <= {0, N // 2}


def test_napari_opens_it(scan, read_slices):
    reader = get_reader(str(scan))
    (kspace, _, _), (image, attributes, _) = reader(str(scan))
    assert isinstance(kspace, SliceWise)
    assert isinstance(image, SliceWise)
    assert set(read_slices) == {N // 2}
    viewer = ViewerModel()
    viewer.add_image(image, **attributes)
    viewer.dims.set_current_step(0, 4)
    assert set(read_slices) <= {0, 2, 4}


def test_what_it_is_compared_with_is_read_slice_by_slice_too(viewer, scan, read_slices):
    kdata = readers.open_scan(scan).read_sparingly()
    layer = show_reference(viewer, kdata)
    assert layer.name == "Full scan"
    assert isinstance(layer.data, SliceWise)
    assert set(read_slices) <= {0, N // 2}
    assert run_limits(kdata, kdata.acquired) == run_limits(readers.read(scan), kdata.acquired)
