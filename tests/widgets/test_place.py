"""Everything that shows a scan lies in napari's world where the scan says that it lay."""

from dataclasses import replace
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from napari.layers import Image, Labels, Layer, Points, Shapes
from qtpy.QtCore import QThreadPool
from widgets.fake_engine import FakeEngine

from napari_lossguide.data.artefacts import add_spike
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.recon.autosave import Keeping, Session
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.restore import restore
from napari_lossguide.recon.tape import Tape
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import io, layers, reconstruct_dock, result_layers
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.history import History
from napari_lossguide.widgets.kspace_dock import KSpaceDock
from napari_lossguide.widgets.kspace_view import describe_kdata
from napari_lossguide.widgets.lessons import with_mask
from napari_lossguide.widgets.mask_dock import MaskDock
from napari_lossguide.widgets.mask_previews import shown_slice
from napari_lossguide.widgets.pixels import take_pixels
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.profile_page import line_of
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.region import RegionChoice
from napari_lossguide.widgets.roi import pixels_in
from napari_lossguide.widgets.sample_group import SampleGroup
from napari_lossguide.widgets.simulation import SimulationParams, simulate_pixels
from napari_lossguide.widgets.view_modes import ViewModes
from napari_lossguide.widgets.views import held, kdata_of, role_of

SPACING = (5.0, 2.0, 1.0)
FIRST = (-40.0, 70.5, 33.0)  # right, anterior, superior of the first pixel, in mm


def oblique(spacing=SPACING, first=FIRST, degrees=20.0):
    """Axial slices to superior, rows to posterior, columns to left, tilted about the axis from left to right."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1], [-sin, -cos, 0], [cos, -sin, 0]]) * spacing
    affine[:3, 3] = first
    return affine


def scan(slices=2, affine=None, size=32, **fields):
    image = shepp_logan(size)
    stack = np.stack([image * (1 + n) for n in range(slices)])
    kdata = simulate(stack, n_coils=2, spacing=SPACING, name="head", **fields)
    return replace(kdata, affine=oblique() if affine is None else affine)


def in_world(kdata, index):
    """Where a pixel (slice, y, x) is to be seen."""
    return np.add(kdata.position, np.multiply(index, kdata.spacing))


def lies(layer, kdata):
    """The first and the last pixel, of whatever axes the layer has, are where the scan's are."""
    shape = layer.data.shape if not isinstance(layer, Points) else (kdata.n_slices, *kdata.image_shape)[-layer.ndim :]
    last = np.subtract(shape, 1)
    full = np.r_[[0] * (3 - layer.ndim), last]
    np.testing.assert_allclose(layer.data_to_world(last * 0), in_world(kdata, (0, 0, 0))[-layer.ndim :], atol=1e-4)
    np.testing.assert_allclose(layer.data_to_world(last), in_world(kdata, full)[-layer.ndim :], atol=1e-4)
    assert layer.axis_labels == ("slice", "y", "x")[-layer.ndim :]
    return True


@pytest.fixture(params=[1, 2], ids=["one slice", "stack"])
def kdata(request):
    return scan(request.param)


@pytest.fixture
def stack():
    return scan(3)


def opened(path):
    """Layers as napari's File > Open makes them."""
    return [Layer.create(*item) for item in io.get_reader(str(path))(str(path))]


def own(viewer):
    return [layer for layer in viewer.layers if role_of(layer)]


def result_of(kdata, **fields):
    steps = FakeEngine(steps=1, wait=0)(
        kdata, Recipe.for_method("prox-mean", prior="brain", **fields), "cpu", Live(), Tape(), print
    )
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
def test_place_of_layers_of_any_number_of_axes(ndim):
    place = Place((5.0, 2.0, 1.0), (-7.0, 11.0, 13.0))
    layer = Image(np.zeros((2, 3, 4, 5, 6)[-ndim:]), **place.keywords(ndim))
    more = max(0, ndim - 3)
    assert tuple(layer.scale) == ((1.0,) * more + (5.0, 2.0, 1.0))[-ndim:]
    assert tuple(layer.translate) == ((0.0,) * more + (-7.0, 11.0, 13.0))[-ndim:]
    assert [str(unit) for unit in layer.units] == (["pixel"] * more + ["millimeter"] * 3)[-ndim:]
    assert place.has(layer) and not Place().has(layer)
    again = Place.like(layer)
    assert again.keywords(ndim) == place.keywords(ndim)


def test_slices_of_a_place():
    place = Place((5.0, 2.0, 1.0), (-7.0, 0.0, 0.0))
    assert [place.of_slice(n) for n in (0, 3)] == [-7.0, 8.0]
    assert [place.slice_at(mm) for mm in (-7.0, -4.6, -4.4, 8.0, -20.0)] == [0, 0, 1, 3, -3]


def test_what_the_docks_show_of_a_run_lies_there(qtbot, viewer, kdata, monkeypatch):
    """K-space, Mask and Reconstruct dock, driven by their controls."""
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: "brain")
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", FakeEngine())
    layers.add_kspace(viewer, kdata)
    docks = kspace, mask, reconstruct = KSpaceDock(viewer), MaskDock(viewer), ReconstructDock(viewer)
    for dock in docks:
        qtbot.addWidget(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) >= 5, timeout=5000)
    mask.layer.change(np.eye(32, dtype=bool) | (np.arange(32) % 2 == 0))
    kspace.spikes.buttons["add"].click()
    reconstruct.panel.button.click()
    qtbot.waitUntil(lambda: not reconstruct.running, timeout=20_000)
    assert {"kspace", "image", "mask", "mask preview", "psf", "result"} <= {role_of(x) for x in viewer.layers}
    assert all(lies(layer, kdata) for layer in own(viewer))
    assert QThreadPool.globalInstance().waitForDone(5000)


def test_what_the_functions_show_lies_there(qtbot, viewer, kdata):
    result = result_of(kdata, samples=2)
    top = result_layers.show_result(viewer, result, kdata, phase=True)
    result_layers.show_reference(viewer, kdata)
    group = SampleGroup(viewer)
    qtbot.addWidget(group)
    group.show_group(result, kdata, held(top)["name"])
    group.box.setCurrentIndex(group.box.findText("Single sample"))
    tape = Tape()
    stacked = np.ones((kdata.n_slices, 32, 32), np.float32)
    tape.mark(1, 0, 1.0, stacked[0], stacked[0])
    History(kdata, kdata.acquired, result.recipe, tape).show(viewer, 1, "estimate")
    layers.show_points(
        viewer, np.zeros((2, 3 if kdata.n_slices > 1 else 2)), name="s", role="spikes", place=Place.of(kdata)
    )
    roles = {role_of(layer) for layer in viewer.layers}
    assert {"result", "phase", "standard deviation", "reference", "single sample", "timeline", "spikes"} == roles
    assert all(lies(layer, kdata) for layer in own(viewer))
    assert all(np.array_equal(held(x)["affine"], kdata.affine) for x in own(viewer) if not isinstance(x, Points))


def test_layers_from_napari_s_menus_lie_there(kdata):
    for item in (*io.kspace_layers(kdata), *with_mask(kdata)):
        assert lies(Layer.create(*item), kdata)


def test_layers_that_are_there_move_with_other_data(qtbot, viewer):
    before, after = scan(2), scan(2, affine=oblique(first=(0.0, 10.0, -90.0)))
    layers.add_kspace(viewer, before)
    dock = MaskDock(viewer)
    qtbot.addWidget(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=5000)
    known = list(viewer.layers)
    layers.add_kspace(viewer, after)
    qtbot.waitUntil(lambda: all(Place.of(after).has(x) for x in viewer.layers), timeout=5000)
    assert list(viewer.layers) == known
    assert all(lies(layer, after) for layer in viewer.layers)


def test_a_preview_of_a_run_moves_too_and_the_slider_goes_on_with_it(viewer, stack):
    result_layers.RunPreview(viewer, replace(stack, affine=None), stack.acquired).open()
    preview = result_layers.RunPreview(viewer, stack, stack.acquired)
    preview.open()
    (layer,) = viewer.layers
    assert lies(layer, stack)
    assert viewer.dims.point[0] == pytest.approx(stack.position[0])
    for index in (0, 1, 2):
        preview.draw(np.full((32, 32), index, np.float32), index)
        assert viewer.dims.point[0] == pytest.approx(in_world(stack, (index, 0, 0))[0])
        assert shown_slice(viewer, stack) == index
    viewer.dims.set_point(0, stack.position[0])
    preview.draw(np.zeros((32, 32), np.float32), 1)
    assert shown_slice(viewer, stack) == 0, "the person looks at another slice"


def test_the_preview_of_a_mask_is_of_the_slice_that_is_seen(qtbot, viewer, stack):
    layers.add_kspace(viewer, stack)
    dock = MaskDock(viewer)
    qtbot.addWidget(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=5000)
    found = {}
    for index in range(3):
        viewer.dims.set_point(0, in_world(stack, (index, 0, 0))[0])
        (layer,) = (x for x in viewer.layers if role_of(x) == "mask preview")
        found[index] = float(layer.data.max())
    assert found[1] == pytest.approx(2 * found[0], rel=1e-3) and found[2] == pytest.approx(3 * found[0], rel=1e-3)


def test_a_brush_hits_the_points_under_it(qtbot, viewer, kdata):
    layers.add_kspace(viewer, kdata)
    layer = layers.show_mask(viewer, np.eye(32, dtype=bool), name="mask", place=Place.of(kdata))
    region = RegionChoice(KSpaceDock(viewer), viewer, lambda: kdata)
    qtbot.addWidget(region)
    drawn = region.show_points(np.eye(32, dtype=bool))
    for labels in (layer, drawn):
        labels.brush_size = 1
        labels.paint(labels.world_to_data(in_world(kdata, (0, 20, 7))), 1)
        assert set(zip(*np.nonzero(labels.data), strict=True)) == {(20, 7), *((n, n) for n in range(32))}
    assert region.recipe().make((32, 32))[20, 7]


def test_regions_and_lines_drawn_in_the_world_hit_the_pixels_under_them(viewer, kdata):
    image = layers.show_coil_image(viewer, kdata)
    corner, other = in_world(kdata, (0, 9.5, 3.5))[1:], in_world(kdata, (0, 14.5, 8.5))[1:]
    shapes = layers.add_shapes(viewer, "region", "figures region")
    shapes.add_rectangles([[corner, (corner[0], other[1]), other, (other[0], corner[1])]])
    inside = pixels_in(shapes, image)
    expected = np.zeros((32, 32), bool)
    expected[10:15, 4:9] = True
    assert (inside & ~expected).sum() == 0 and inside[11:14, 5:8].all()
    labels = Labels(expected.astype(np.uint8), **Place.of(kdata).keywords(2))
    np.testing.assert_array_equal(pixels_in(labels, image), expected)
    line = Shapes([[corner, other]], shape_type="line")
    np.testing.assert_allclose(line_of(line), [corner, other])


def test_a_profile_has_the_values_under_the_line(qtbot, viewer, kdata):
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32), (kdata.n_slices, 32, 32)).copy()
    layers.show_image(viewer, ramp, name="ramp", role="result", place=Place.of(kdata))
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    ends = [in_world(kdata, (0, 12, x))[1:] for x in (4, 24)]
    viewer.add_shapes([ends], shape_type="line", name="cut")
    dock.tabs.setCurrentWidget(dock.profile)
    dock.profile.line.setCurrentText("cut")
    qtbot.waitUntil(lambda: bool(dock.profile.plot.lines), timeout=5000)
    (line,) = dock.profile.plot.lines
    np.testing.assert_allclose(line.y, 4 + line.x, atol=1e-4)  # a pixel is 1 mm wide


def test_swipe_and_its_line_lie_on_the_images(qtbot, viewer, kdata):
    images = [
        layers.show_image(
            viewer, np.full((kdata.n_slices, 32, 32), v, "f4"), name=n, role="result", place=Place.of(kdata)
        )
        for v, n in ((1, "a"), (2, "b"))
    ]
    modes = ViewModes(viewer)
    qtbot.addWidget(modes)
    modes.choose("swipe")
    modes.show_layers(None, images, (), ())
    modes.swipe.slider.setValue(modes.swipe.slider.maximum() // 4)
    (shown,), (line,) = ([x for x in viewer.layers if role_of(x) == role] for role in ("swipe", "swipe line"))
    assert lies(shown, kdata)
    edge = in_world(kdata, (0, 0, 7.5))[2]
    assert line.data[0, 0, 1] == pytest.approx(edge)
    end = in_world(kdata, (0, 0, 23.5))[2]
    ahead = [0.0] * (viewer.dims.ndim - 2) + [kdata.position[1] + 20]
    event = SimpleNamespace(type="mouse_press", position=(*ahead, edge))
    (drag,) = (x for x in viewer.mouse_drag_callbacks if getattr(x, "__self__", None) is modes._swipe)
    dragging = drag(viewer, event)
    next(dragging)
    event.type, event.position = "mouse_move", (*ahead, end)
    next(dragging)
    assert line.data[0, 0, 1] == pytest.approx(end, abs=0.1)
    assert (shown.data[..., :24] == 1).all() and (shown.data[..., 24:] == 2).all()
    modes.leave()


def test_difference_maps_lie_on_their_images(qtbot, viewer, kdata):
    result = result_layers.show_result(viewer, result_of(kdata), kdata)
    reference = result_layers.show_reference(viewer, kdata)
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    dock.reference.layer = reference
    dock.modes.buttons["side by side"].click()
    qtbot.waitUntil(lambda: any(role_of(x) == "difference" for x in viewer.layers), timeout=10_000)
    for layer in own(viewer):
        assert lies(layer, kdata)
    assert result in viewer.layers
    dock.modes.back.click()


def test_two_fields_of_view_of_one_patient_overlay(viewer, tmp_path):
    """A bright voxel at one place of the patient, in a small scan and a large one with finer pixels."""
    fine, coarse = oblique((2.5, 1.0, 0.5), (-40.0, 70.5, 33.0)), oblique((5.0, 2.0, 1.0), (-28.5, 60.0, 10.0))
    landmark = fine @ [4, 18, 30, 1]
    worlds = []
    for name, affine, shape in (("fine", fine, (10, 40, 60)), ("coarse", coarse, (16, 32, 48))):
        # On coarse pixels it falls between: the place of its nearest neighbours is weighed.
        index = np.linalg.solve(affine, landmark)[:3]
        volume = np.zeros(shape, np.float32)
        low = np.floor(index + 1e-9).astype(int)
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, index - low, 1 - (index - low)))
            if weight > 1e-9:
                volume[tuple(low + corner)] = weight
        image = nibabel.Nifti1Image(volume.T, affine[:, [2, 1, 0, 3]])
        nibabel.save(image, tmp_path / f"{name}.nii")
        (layer,) = opened(tmp_path / f"{name}.nii")
        viewer.add_layer(layer)
        viewer.dims.set_point(0, layer.data_to_world(low)[0])
        pixels = take_pixels(layer, viewer.dims, every_slice=True)
        kdata = simulate_pixels(pixels, SimulationParams(), name)
        np.testing.assert_allclose(kdata.affine, affine, atol=1e-4)
        for shown in (layer, *layers.add_kspace(viewer, kdata)[1:]):
            points = np.argwhere(shown.data > 0.01 * shown.data.max())
            weights = shown.data[tuple(points.T)]
            worlds.append(shown.data_to_world((weights[:, None] * points).sum(0) / weights.sum()))
    assert len(worlds) == 4
    np.testing.assert_allclose(worlds, [worlds[0]] * 4, atol=1e-4)
    np.testing.assert_allclose(worlds[0], oblique((1, 1, 1))[:3, :3].T @ landmark[:3], atol=1e-4)


def test_a_nifti_file_opens_where_its_voxels_are(tmp_path):
    affine = np.array([[-1.5, 0, 0, 90], [0, 2, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(np.ones((6, 5, 4), np.float32), affine), tmp_path / "a.nii")
    (layer,) = opened(tmp_path / "a.nii")
    # Rows run to posterior, so the last of the file's rows comes first.
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), (-72, 126 - 2 * 4, -90))
    np.testing.assert_allclose(layer.scale, (3, 2, 1.5))


@pytest.mark.parametrize("ndim", [2, 3])
def test_simulation_from_any_layer_lies_on_it(viewer, ndim):
    data = np.stack([shepp_logan(16)] * 4)[..., :12] * np.arange(1, 5, dtype="f4")[:, None, None]
    place = {"scale": (3.0, 2.0, 0.5), "translate": (-9.0, 20.0, 7.0)}
    layer = viewer.add_image(data if ndim == 3 else data[0], **{k: v[-ndim:] for k, v in place.items()})
    if ndim == 3:
        viewer.dims.set_point(0, -3.0)
    for every_slice in (True, False)[: ndim - 1]:
        kdata = simulate_pixels(take_pixels(layer, viewer.dims, every_slice=every_slice), SimulationParams(), "x")
        first = (0 if every_slice or ndim == 2 else 2, 0, 0)[-ndim:]
        np.testing.assert_allclose(kdata.position[-ndim:], layer.data_to_world(first))
        assert kdata.affine is None, "a layer of somebody else says nothing of the patient"
        image = layers.show_coil_image(viewer, kdata)
        shown = np.array((0, 5, 6))[-image.ndim :]
        np.testing.assert_allclose(
            image.data_to_world(shown), layer.data_to_world(np.add(first, (0, 5, 6)[-ndim:]))[-image.ndim :]
        )


def test_lengths_of_other_units_become_millimetres(viewer):
    layer = viewer.add_image(shepp_logan(16), scale=(200.0, 100.0), translate=(5000.0, -3000.0), units=("um", "um"))
    pixels = take_pixels(layer, viewer.dims)
    assert pixels.spacing[1:] == pytest.approx((0.2, 0.1)) and pixels.corner[1:] == pytest.approx((5.0, -3.0))


def test_a_layer_that_runs_backwards_is_taken_as_it_is_seen(viewer):
    data = shepp_logan(16)[:, :12].copy()
    data[3, 2] = 9
    layer = viewer.add_image(data, scale=(-2.0, 0.5), translate=(30.0, 7.0))
    kdata = simulate_pixels(take_pixels(layer, viewer.dims), SimulationParams(), "x")
    image = layers.show_coil_image(viewer, kdata)
    peak = np.unravel_index(image.data.argmax(), image.data.shape)
    np.testing.assert_allclose(image.data_to_world(peak), layer.data_to_world((3, 2)))
    assert kdata.position[1:] == (0.0, 7.0)


def test_a_turned_layer_says_that_it_is_straightened(viewer):
    layer = viewer.add_image(shepp_logan(16), scale=(2.0, 2.0), rotate=30, translate=(4.0, 5.0))
    pixels = take_pixels(layer, viewer.dims)
    assert "turned or sheared" in pixels.note
    assert pixels.spacing[1:] == pytest.approx((2.0, 2.0)) and pixels.corner[1:] == pytest.approx((4.0, 5.0))


def test_a_layer_that_was_moved_has_lost_its_patient(viewer, stack):
    result = layers.show_image(viewer, np.abs(stack.reference), name="r", role="result", place=Place.of(stack))
    viewer.dims.set_point(0, in_world(stack, (1, 0, 0))[0])
    one = take_pixels(result, viewer.dims)
    np.testing.assert_allclose(one.affine, stack.select(1).affine)
    np.testing.assert_allclose(one.corner, stack.select(1).position)
    result.translate = np.add(result.translate, (0, 3, 0))
    moved = take_pixels(result, viewer.dims)
    assert moved.affine is None
    np.testing.assert_allclose(moved.corner, np.add(one.corner, (0, 3, 0)))


def test_results_read_back_lie_there(tmp_path, stack):
    arrays = result_of(stack).arrays()
    np.savez(tmp_path / "whole.npz", **{**arrays, "spacing": stack.spacing, "affine": stack.affine})
    np.savez(tmp_path / "image.npz", image=arrays["image"], spacing=stack.spacing, affine=stack.affine)
    for name in ("whole", "image"):
        assert all(lies(layer, stack) for layer in opened(tmp_path / f"{name}.npz"))
    np.savez(tmp_path / "wrong.npz", image=arrays["image"], affine=np.eye(3))
    with pytest.raises(InvalidInput, match=r"affine in .*4 x 4"):
        opened(tmp_path / "wrong.npz")


@pytest.mark.parametrize("affine", [oblique(), None])
def test_recovered_results_lie_there(tmp_path, viewer, affine):
    kdata = scan(2) if affine is not None else replace(scan(2), affine=None, corner=(3.0, -4.0, 5.5))
    session = Session(Keeping(folder=tmp_path))
    place = Place.of(kdata)
    path = session.keep(session.number(), "kept", result_of(kdata), place.spacing, place.position, place.affine)
    result_layers.show_restored(viewer, restore(path))
    session.close()
    assert all(lies(layer, kdata) for layer in own(viewer))


def test_data_with_added_artefacts_stay_there(kdata):
    assert add_spike(kdata, (3, 4), 0.5, None, 0).position == kdata.position


def test_grid_of_a_scan_keeps_its_affine_through_a_file(tmp_path, viewer, kdata):
    data, attributes, _ = io.kspace_layers(kdata)[0]
    io.write_result(str(tmp_path / "k.npz"), data, attributes)
    below, _ = opened(tmp_path / "k.npz")
    assert lies(below, kdata)
    np.testing.assert_array_equal(kdata_of(below).affine, kdata.affine)


def test_the_dock_says_how_the_scan_lies(qtbot, viewer, kdata):
    layers.add_kspace(viewer, kdata)
    dock = KSpaceDock(viewer)
    qtbot.addWidget(dock)
    said = "Axial, oblique by 20.0°, rows run to posterior, columns to left, slices to superior."
    assert dock.view.summary.sentence.endswith(said)
    assert "rows run" not in describe_kdata(replace(kdata, affine=None))
