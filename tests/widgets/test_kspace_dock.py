"""The K-space dock, driven by its controls."""

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import file_opener, kspace_dock, layers
from napari_lossguide.widgets.kspace_dock import KSpaceDock
from napari_lossguide.widgets.pixels import take_pixels
from napari_lossguide.widgets.simulation import SimulationParams, noise_level
from napari_lossguide.widgets.views import held, kdata_of


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def dock(viewer, qtbot):
    widget = KSpaceDock(viewer)
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def scan():
    """Measured-looking data: 3 coils, every second column."""
    kspace = simulate(shepp_logan(32), n_coils=3).kspace.copy()
    kspace[..., ::2] = 0
    return KData.from_array(kspace, spacing=(4.0, 1.5, 1.25), name="scan")


@pytest.fixture
def open_with_dialog(qtbot, dock, monkeypatch):
    def act(path):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
        dock.opener.file.click()
        qtbot.waitUntil(lambda: not dock.opener.note.sentence, timeout=20_000)

    return act


def test_opening_a_file_shows_both_sides(dock, viewer, scan, tmp_path, open_with_dialog):
    np.savez(tmp_path / "scan.npz", kspace=scan.kspace, spacing=scan.spacing)
    open_with_dialog(tmp_path / "scan.npz")
    assert [layer.name for layer in viewer.layers] == ["k-space: scan", "image: scan"]
    assert dock.view.summary.sentence == (
        "scan: 1 slice, 3 coils, 32 × 32 pixels of 1.5 × 1.25 mm, 50.0% acquired (2×)."
    )
    assert dock.view.badge.isHidden()
    assert not dock._image_part.isVisible()
    assert viewer.canvas.grid.enabled
    assert dock.status.isHidden()


def test_unreadable_file_is_a_sentence_and_keeps_what_is_shown(dock, viewer, scan, tmp_path, open_with_dialog):
    layers.add_kspace(viewer, scan)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    open_with_dialog(tmp_path / "broken.npz")
    assert "broken.npz" in dock.status.sentence
    assert dock.status.isVisible()
    assert dock.kdata is scan
    assert len(viewer.layers) == 2


def test_unexpected_errors_are_shown_and_the_dock_stays_usable(
    dock, viewer, scan, tmp_path, monkeypatch, open_with_dialog
):
    def fail(_, **__):
        raise RuntimeError("the reader\nfell over")

    np.save(tmp_path / "scan.npy", scan.kspace)
    with monkeypatch.context() as patch:
        patch.setattr(file_opener, "open_scan", fail)
        open_with_dialog(tmp_path / "scan.npy")
    assert "RuntimeError: the reader fell over" in dock.status.sentence
    open_with_dialog(tmp_path / "scan.npy")
    assert dock.status.isHidden()
    assert len(viewer.layers) == 2


def test_plain_transform_of_an_image_is_the_fourier_transform(dock, viewer):
    image = shepp_logan(32)
    viewer.add_image(image, name="photo", scale=(2.0, 0.5))
    dock.transform_button.click()
    kdata = dock.kdata
    np.testing.assert_allclose(kdata.kspace[0, 0], fft2c(image), atol=1e-5)
    assert kdata.real
    assert kdata.simulated
    assert kdata.spacing[1:] == (2.0, 0.5)
    assert "SIMULATION" in dock.view.badge.sentence
    assert dock.view.badge.isVisible()
    assert [layer.name for layer in viewer.layers][1:] == ["k-space: photo (simulation)", "image: photo (simulation)"]
    np.testing.assert_allclose(viewer.layers[-1].data, image, atol=1e-5)
    assert not dock.view.coil_row.isVisible()


def test_without_a_layer_there_is_nothing_to_press(dock):
    assert not dock.transform_button.isEnabled()
    dock.transform()
    assert "open an image first" in dock.status.sentence


def test_settings_follow_once_transformed(dock, viewer, qtbot):
    viewer.add_image(shepp_logan(32), name="photo")
    dock.transform_button.click()
    image = viewer.layers["image: photo (simulation)"]
    image.contrast_limits = (0.1, 0.4)
    first = dock.kdata
    dock.simulation.editor("n_coils").setValue(4)
    dock.simulation.editor("phase").setValue(1.5)
    qtbot.waitUntil(lambda: dock.kdata is not first and dock.kdata.n_coils == 4, timeout=3000)
    assert not dock.kdata.real
    assert viewer.layers["image: photo (simulation)"] is image
    assert image.contrast_limits == pytest.approx([0.1, 0.4])
    assert kdata_of(image) is dock.kdata
    assert len(viewer.layers) == 3
    assert dock.view.coil.maximum() == 4


def test_settings_do_not_transform_by_themselves(dock, viewer, qtbot):
    viewer.add_image(shepp_logan(32), name="photo")
    dock.simulation.editor("n_coils").setValue(4)
    qtbot.wait(2 * kspace_dock.FOLLOW_MS)
    assert dock.kdata is None
    assert len(viewer.layers) == 1


def test_noise_rows_follow_the_choice(dock, viewer):
    viewer.add_image(shepp_logan(16))
    noise = dock.simulation.editor("noise")
    shown = []
    for index in range(3):
        noise.setCurrentIndex(index)
        shown.append([dock.simulation.editor(name).isVisible() for name in ("snr", "noise_std")])
    assert shown == [[False, False], [True, False], [False, True]]


@pytest.mark.parametrize(("settings", "expected"), [({"noise": "std", "noise_std": 0.5}, 0.5), ({"noise": "none"}, 0)])
def test_noise_level_given_directly(settings, expected):
    assert noise_level(np.ones((1, 4, 4)), SimulationParams(**settings)) == expected


def test_noise_level_from_snr_is_that_of_one_pixel(rng):
    image = np.zeros((1, 64, 64), np.float32)
    image[:, 16:48, 16:48] = 10
    params = SimulationParams(noise="snr", snr=20)
    kdata = simulate(image, noise_std=noise_level(image, params))
    error = (ifft2c(kdata.kspace[0, 0]) - image[0]).real
    assert 10 / error.std() == pytest.approx(20, rel=0.05)


def test_views_and_coils(dock, viewer, scan):
    layers.add_kspace(viewer, scan)
    kspace, image = viewer.layers
    dock.view.views["image"].setCurrentText("phase")
    dock.view.coil.setValue(3)
    np.testing.assert_allclose(image.data, np.angle(ifft2c(scan.kspace[0, 2])), atol=1e-5)
    assert kspace.data.shape == (32, 32)
    assert held(kspace)["coil"] is None
    dock.view.combine.click()
    assert held(kspace)["coil"] == 2
    dock.view.views["kspace"].setCurrentText("real")
    np.testing.assert_allclose(kspace.data, scan.kspace[0, 2].real, atol=1e-6)


def test_a_removed_layer_stays_away_until_asked_for(dock, viewer, scan):
    layers.add_kspace(viewer, scan)
    box = dock.view.boxes["image"]
    viewer.layers.remove("image: scan")
    assert not box.isChecked()
    dock.view.coil.setValue(2)
    dock.view.views["kspace"].setCurrentText("phase")
    assert [layer.name for layer in viewer.layers] == ["k-space: scan"]
    box.click()
    assert [layer.name for layer in viewer.layers] == ["k-space: scan", "image: scan"]
    box.click()
    assert [layer.name for layer in viewer.layers] == ["k-space: scan"]


def test_choosing_another_acquisition_takes_its_views_over(dock, viewer, scan):
    layers.add_kspace(viewer, scan)
    other = KData.from_array(scan.kspace, name="other")
    layers.show_kspace(viewer, other, "phase", coil=1)
    dock.source.layer = viewer.layers["k-space: other"]
    assert dock.kdata is other
    assert dock.view.views["kspace"].currentText() == "phase"
    assert dock.view.coil.value() == 2
    assert not dock.view.boxes["image"].isChecked()
    dock.source.layer = viewer.layers["image: scan"]
    assert dock.kdata is scan
    assert dock.view.views["kspace"].currentText() == "log-magnitude"


def test_source_follows_names_and_removal(dock, viewer):
    first, second = viewer.add_image(np.ones((8, 8)), name="a"), viewer.add_image(np.ones((8, 8)), name="b")
    dock.source.layer = second
    second.name = "renamed"
    assert dock.source.currentText() == "renamed"
    viewer.layers.move(1, 0)
    assert dock.source.layer is second
    viewer.layers.remove(second)
    assert dock.source.layer is first
    viewer.layers.clear()
    assert dock.source.layer is None


def test_slices_of_a_stack(dock, viewer):
    stack = np.stack([shepp_logan(16) * (index + 1) for index in range(3)])
    viewer.add_image(stack, name="stack", scale=(5, 1, 1))
    assert dock.slices.isVisible()
    viewer.dims.set_point(0, 10)
    dock.transform_button.click()
    np.testing.assert_allclose(dock.kdata.reference[0], stack[2])
    dock.slices.setCurrentIndex(1)
    dock.transform_button.click()
    np.testing.assert_allclose(dock.kdata.reference, stack)
    assert dock.kdata.spacing == (5, 1, 1)


def test_pixels_of_every_kind_of_layer(viewer, rng):
    colours = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    pixels = take_pixels(viewer.add_image(colours, rgb=True), viewer.dims)
    np.testing.assert_allclose(pixels.data[0], colours @ np.array([0.2126, 0.7152, 0.0722]), rtol=1e-5)
    assert "gray" in pixels.note
    fine = rng.random((16, 16)).astype(np.float32)
    pixels = take_pixels(viewer.add_image([fine, fine[::2, ::2]], multiscale=True), viewer.dims)
    np.testing.assert_array_equal(pixels.data[0], fine)
    assert "finest" in pixels.note
    counts = np.arange(48, dtype=np.uint16).reshape(6, 8)
    pixels = take_pixels(viewer.add_image(counts), viewer.dims)
    np.testing.assert_array_equal(pixels.data[0], counts)
    assert "uint16" in pixels.note
    assert pixels.data.dtype == np.float32


def test_only_the_slice_that_is_needed_is_computed(viewer):
    computed = []

    def plane(block_info):
        index = block_info[None]["chunk-location"][0]
        computed.append(index)
        return np.full((1, 8, 8), index, np.float32)

    lazy = da.map_blocks(plane, chunks=((1,) * 5, 8, 8), dtype=np.float32, meta=np.array([], np.float32))
    layer = viewer.add_image(lazy, contrast_limits=(0, 5))
    viewer.dims.set_point(0, 3)
    computed.clear()
    assert (take_pixels(layer, viewer.dims).data == 3).all()
    assert computed == [3]


def test_rolled_axes_give_the_plane_on_the_canvas(viewer, rng):
    volume = rng.random((3, 4, 5)).astype(np.float32)
    layer = viewer.add_image(volume, scale=(3, 1, 2))
    viewer.dims.order = (1, 2, 0)
    viewer.dims.set_point(1, 2)
    pixels = take_pixels(layer, viewer.dims)
    np.testing.assert_array_equal(pixels.data[0], volume[:, 2].T)
    assert pixels.spacing == (1, 2, 3)
    assert take_pixels(layer, viewer.dims, every_slice=True).data.shape == (4, 5, 3)


def test_units_of_length_are_converted(viewer):
    layer = viewer.add_image(np.ones((4, 4)), scale=(500, 250), units=("um", "um"))
    assert take_pixels(layer, viewer.dims).spacing == pytest.approx((1, 0.5, 0.25))


def test_an_image_too_large_is_refused_before_it_is_read(viewer):
    layer = viewer.add_image(da.zeros((2000, 256, 256), chunks=(1, 256, 256)), contrast_limits=(0, 1))
    assert take_pixels(layer, viewer.dims).data.shape == (1, 256, 256)
    with pytest.raises(InvalidInput, match="crop it"):
        take_pixels(layer, viewer.dims, every_slice=True)


def test_nan_is_one_sentence(dock, viewer):
    viewer.add_image(np.full((8, 8), np.nan), name="bad", contrast_limits=(0, 1))
    dock.transform_button.click()
    assert "NaN" in dock.status.sentence
    assert len(viewer.layers) == 1


def test_nothing_listens_after_the_dock_is_gone(viewer, qtbot):
    dock = KSpaceDock(viewer)
    before = len(viewer.layers.events.inserted.callbacks)
    with qtbot.waitSignal(dock.destroyed):
        dock.deleteLater()
    assert len(viewer.layers.events.inserted.callbacks) < before
    viewer.add_image(np.ones((4, 4)))
    viewer.canvas.grid.enabled = True
    viewer.layers.clear()


def test_real_scan(dock, viewer, shared_data, open_with_dialog):
    open_with_dialog(shared_data / "kspace_brain_8ch_undersampled.npz")
    assert dock.kdata.kspace.shape == (1, 8, 230, 180)
    assert "12.4% acquired" in dock.view.summary.sentence
    assert dock.view.badge.isHidden()


def test_decibels_are_the_contrast_of_the_layer(dock, viewer, scan):
    layers.add_kspace(viewer, scan)
    layer, boxes = viewer.layers["k-space: scan"], dock.view.decibels
    assert (boxes.low.value(), boxes.high.value()) == (-80, 0)
    assert boxes.isVisible()
    boxes.low.setValue(-60)
    assert tuple(layer.contrast_limits) == (-60, 0)
    layer.contrast_limits = (-50, -10)
    assert (boxes.low.value(), boxes.high.value()) == (-50, -10)
    boxes.low.setValue(-5)
    assert tuple(layer.contrast_limits) == (-5, -4)
    dock.view.views["kspace"].setCurrentText("magnitude")
    assert not boxes.isVisible()
    dock.view.views["kspace"].setCurrentText("log-magnitude")
    assert boxes.isVisible()
    assert (boxes.low.value(), boxes.high.value()) == (-80, 0)
    viewer.layers.remove(layer)
    assert not boxes.isVisible()


def test_phase_is_cyclic_and_missing_where_nothing_was_acquired(dock, viewer, scan):
    layers.add_kspace(viewer, scan)
    dock.view.views["kspace"].setCurrentText("phase")
    layer = viewer.layers["k-space: scan"]
    assert tuple(layer.contrast_limits) == (-np.pi, np.pi)
    assert layer.colormap.name == "twilight_shifted"
    assert np.isnan(layer.data[:, ::2]).all()
    np.testing.assert_allclose(layer.data[:, 1::2], np.angle(scan.kspace[0, 0][:, 1::2]), atol=1e-6)


def test_slices_that_failed_stay_missing_in_kspace(dock, viewer):
    images = np.stack([shepp_logan(32)] * 3).astype(np.float32)
    images[1] = np.nan
    viewer.add_image(images, name="brain", contrast_limits=(0, 1))
    dock.slices.setCurrentIndex(1)
    dock.simulation.set_values({"noise": "snr"})
    dock.transform_button.click()
    assert "Slice 1 is missing (NaN)." in dock.view.summary.sentence
    kdata = dock.kdata
    assert kdata.missing == (1,) and np.isfinite(kdata.kspace[[0, 2]]).all() and kdata.noise_std > 0
    dock.slices.setCurrentIndex(0)
    viewer.dims.set_point(0, 1)
    dock.transform_button.click()
    assert "is NaN everywhere: it is missing" in dock.status.sentence
