"""The plots of the Compare dock: error against the radius in k-space, profiles along a line."""

from types import SimpleNamespace

import numpy as np
import pytest
from widgets.compared import SCALE, TRUTH, of_role, settle, show

from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.phantoms import simulate, smooth_phase
from napari_lossguide.recon.result import Result
from napari_lossguide.recon.spectra import ring_error
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.line_plot import Line, LinePlot
from napari_lossguide.widgets.placement import Place


@pytest.fixture
def dock(compare_dock):
    return compare_dock


def result(image):
    """A result as far as the dock looks at it."""
    fields = dict.fromkeys(Result.__dataclass_fields__)
    recipe = SimpleNamespace(to_json=lambda: "{}", seed=0)
    return Result(
        **fields | {"image": image, "recipe": recipe, "provenance": {}, "simulated": True, "residual": np.nan}
    )


def open_page(qtbot, dock, page):
    dock.tabs.setCurrentWidget(page)
    assert dock.tabs.currentWidget() is page


def curves(qtbot, dock, names):
    qtbot.waitUntil(lambda: [line.name for line in dock.spectrum.plot.lines] == names, timeout=20_000)
    return dock.spectrum.plot.lines


def test_one_curve_of_each_image(qtbot, dock, images):
    dock.truth.click()
    open_page(qtbot, dock, dock.spectrum)
    lines = curves(qtbot, dock, ["bad", "good"])
    for line, image in zip(lines, images, strict=True):
        expected = ring_error(np.abs(TRUTH), np.abs(image.data))
        np.testing.assert_allclose(line.y, expected.relative, rtol=1e-4)
        np.testing.assert_allclose(line.x, expected.radius)
    assert lines[0].colour != lines[1].colour
    assert dock.spectrum.said.sentence == "Magnitudes are compared."
    dock.tick(images[0], False)
    curves(qtbot, dock, ["good"])


def test_an_error_in_one_ring_is_seen_there(qtbot, dock, viewer, images):
    radius = np.hypot(*np.mgrid[-16:16, -16:16])
    kspace = fft2c(TRUTH + 1.0) * np.where(np.abs(radius - 6) < 0.5, 0.5, 1)
    truth = show(viewer, "truth", TRUTH[None] + 1.0)
    show(viewer, "ring", ifft2c(kspace).real[None])
    dock.reference.layer = truth
    for image in images:
        dock.tick(image, False)
    open_page(qtbot, dock, dock.spectrum)
    (line,) = curves(qtbot, dock, ["ring"])
    assert line.y[6] == pytest.approx(0.25, rel=1e-3) and np.delete(line.y, 6).max() < 1e-6
    assert line.x[6] == pytest.approx(6 / 16)
    dock.spectrum.unit.setCurrentIndex(1)
    assert dock.spectrum.unit.currentText() == "1/mm"
    expected = ring_error(TRUTH[None] + 1.0, ifft2c(kspace).real[None], SCALE[1:])
    qtbot.waitUntil(lambda: np.allclose(dock.spectrum.plot.lines[0].x[:3], expected.radius[:3]), timeout=5000)
    np.testing.assert_allclose(dock.spectrum.plot.lines[0].y, expected.relative, rtol=0.02, atol=1e-8)


def test_the_phase_counts_where_both_have_one_and_that_is_said(qtbot, viewer):
    kdata = simulate(TRUTH, n_coils=1, phase=smooth_phase((32, 32), seed=0), name="head", spacing=SCALE)
    layers.add_kspace(viewer, kdata)
    turned = (kdata.reference * np.exp(0.5j)).astype(np.complex64)
    layers.add_result(viewer, result(turned), "turned", place=Place(SCALE))
    show(viewer, "plain", np.abs(turned) * 1.1)
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    dock.truth.click()
    settle(qtbot, dock)
    open_page(qtbot, dock, dock.spectrum)
    first = curves(qtbot, dock, ["turned", "plain"])[0]
    assert first.y[0] < 1e-9 and dock.spectrum.said.sentence == "Magnitudes are compared."
    dock.spectrum.phase.click()
    qtbot.waitUntil(lambda: dock.spectrum.plot.lines[0].y[0] > 1e-3, timeout=5000)
    np.testing.assert_allclose(dock.spectrum.plot.lines[0].y, abs(np.exp(0.5j) - 1) ** 2, rtol=1e-3)
    assert dock.spectrum.plot.lines[1].y[0] == pytest.approx(0.01, rel=1e-3)
    assert dock.spectrum.said.sentence == "Complex images of 'turned', of the others magnitudes."
    viewer.layers["turned"].data = viewer.layers["turned"].data * 1.1  # no longer the result's
    qtbot.waitUntil(lambda: dock.spectrum.said.sentence == "Magnitudes are compared.", timeout=5000)


def test_a_real_reference_means_magnitudes(qtbot, dock, viewer):
    layers.add_result(viewer, result((TRUTH[None] * 1j).astype(np.complex64)), "complex", place=Place(SCALE))
    dock.truth.click()
    dock.spectrum.phase.click()
    open_page(qtbot, dock, dock.spectrum)
    lines = curves(qtbot, dock, ["bad", "good", "complex"])
    assert np.nanmax(lines[2].y) < 1e-9 and dock.spectrum.said.sentence == "Magnitudes are compared."


def test_an_image_that_cannot_be_compared_is_named(qtbot, dock, viewer):
    dock.truth.click()
    show(viewer, "small", np.ones((1, 8, 8)))
    show(viewer, "holes", np.full((1, 32, 32), np.nan))
    open_page(qtbot, dock, dock.spectrum)
    curves(qtbot, dock, ["bad", "good"])
    qtbot.waitUntil(lambda: "'small': " in dock.spectrum.said.sentence, timeout=5000)
    assert "'holes': The image holds NaN" in dock.spectrum.said.sentence


def test_without_a_reference_there_is_no_spectrum(qtbot, dock, viewer):
    page = dock.tabs.indexOf(dock.spectrum)
    assert not dock.tabs.isTabEnabled(page) and "Needs a reference" in dock.tabs.tabToolTip(page)
    dock.truth.click()
    assert dock.tabs.isTabEnabled(page)
    open_page(qtbot, dock, dock.spectrum)
    curves(qtbot, dock, ["bad", "good"])
    viewer.layers.remove(dock.reference.layer)
    assert not dock.tabs.isTabEnabled(page) and dock.tabs.currentWidget() is not dock.spectrum


def ramp(viewer, name, shape, scale, translate, slope):
    """An image whose value is its place in the world along x, times a slope."""
    x = np.arange(shape[-1]) * scale[-1] + translate[-1]
    layer = viewer.add_image(
        np.broadcast_to(slope * x, shape).astype("f4"), name=name, scale=scale, translate=translate
    )
    layer.units = ("mm",) * len(shape)
    return layer


@pytest.fixture
def ramps(qtbot, viewer):
    """Two images of one place on different grids, and the dock with both."""
    a = ramp(viewer, "a", (40, 30), (2.0, 1.0), (0.0, 0.0), 1.0)
    b = ramp(viewer, "b", (50, 80), (1.5, 0.5), (1.0, -5.0), 2.0)
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    dock.tick(b)
    dock.reference.layer = a
    open_page(qtbot, dock, dock.profile)
    return dock


def profiles(qtbot, dock, count=2):
    qtbot.waitUntil(lambda: len(dock.profile.plot.lines) == count and not dock._line_soon.isActive(), timeout=5000)
    return dock.profile.plot.lines


def choose(dock, name):
    dock.profile.line.setCurrentIndex(dock.profile.line.findText(name))


@pytest.mark.parametrize("kind", ["line", "path"])
def test_profiles_of_images_on_different_grids(qtbot, ramps, viewer, kind):
    corners = [(10.0, 4.0), (10.0, 24.0)] if kind == "line" else [(10.0, 4.0), (30.0, 4.0), (30.0, 14.0)]
    viewer.add_shapes([corners], shape_type=kind, name="cut")
    choose(ramps, "cut")
    first, second = profiles(qtbot, ramps)
    assert (first.name, second.name) == ("a", "b")
    assert first.x[0] == 0 and first.x[-1] == pytest.approx(20 if kind == "line" else 30)
    expected = 4 + first.x if kind == "line" else 4 + np.clip(first.x - 20, 0, None)
    np.testing.assert_allclose(first.y, expected, atol=1e-4)
    np.testing.assert_allclose(second.y, 2 * expected, atol=1e-4)
    assert np.diff(first.x).max() <= 0.25 + 1e-9, "half of the smallest pixel"
    assert ramps.profile.plot._plot.getAxis("bottom").labelText == "distance (mm)"


def test_the_profile_follows_the_line_as_it_is_moved(qtbot, ramps, viewer):
    shapes = viewer.add_shapes([[(10.0, 4.0), (10.0, 24.0)]], shape_type="line", name="cut", scale=(1.0, 0.5))
    choose(ramps, "cut")
    assert profiles(qtbot, ramps)[0].x[-1] == pytest.approx(10)
    heard = []
    shapes.events.data.connect(heard.append)
    shapes._data_view.shift(0, (0, 6))  # as napari does while the mouse drags
    shapes.refresh()
    qtbot.waitUntil(lambda: ramps.profile.plot.lines[0].y[0] == pytest.approx(5), timeout=5000)
    assert not heard, "napari tells of the data only at the end of the drag"
    shapes.data = [[(0.0, 0.0), (20.0, 0.0)]]
    qtbot.waitUntil(lambda: ramps.profile.plot.lines[0].x[-1] == pytest.approx(20), timeout=5000)


def test_the_selected_line_counts_else_the_last(qtbot, ramps, viewer):
    shapes = viewer.add_shapes(
        [[(0.0, 0.0), (10.0, 0.0)], [(0.0, 0.0), (0.0, 7.0)], [(1, 1), (1, 5), (5, 5), (5, 1)]],
        shape_type=["line", "line", "rectangle"],
        name="cut",
    )
    choose(ramps, "cut")
    assert profiles(qtbot, ramps)[0].x[-1] == pytest.approx(7)
    shapes.selected_data = {0}
    qtbot.waitUntil(lambda: ramps.profile.plot.lines[0].x[-1] == pytest.approx(10), timeout=5000)


def test_the_profile_is_of_the_slice_that_is_shown(qtbot, viewer):
    volume = np.arange(5.0)[:, None, None] * np.ones((5, 20, 20))
    layers.show_image(viewer, volume.astype("f4"), name="v", role="result", place=Place((3.0, 1.0, 1.0)))
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    viewer.add_shapes([[(2.0, 2.0), (2.0, 12.0)]], shape_type="line", name="cut")
    open_page(qtbot, dock, dock.profile)
    choose(dock, "cut")

    def values():
        return {float(y) for line in dock.profile.plot.lines for y in line.y}

    for index in (3, 1, 4):
        viewer.dims.set_point(0, 3.0 * index)
        qtbot.waitUntil(lambda index=index: values() == {index}, timeout=5000)


def test_a_line_is_drawn_with_the_button(qtbot, ramps, viewer):
    ramps.profile.draw.click()
    layer = viewer.layers.selection.active
    assert layer.name == "Profile" and layer.mode == "add_line" and ramps.profile.line.layer is layer
    assert "has no line" in ramps.profile.said.sentence or not ramps.profile.plot.lines
    layer.add_lines([[(10.0, 4.0), (10.0, 24.0)]])
    assert profiles(qtbot, ramps)[0].x[-1] == pytest.approx(20)
    assert not ramps.profile.said.sentence
    ramps.profile.draw.click()
    assert len(of_role(viewer, "profile line")) == 1, "the layer that is there is taken"
    assert ramps.region.findText("Profile") < 0, "a line encloses nothing"
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not ramps.profile.plot.lines, timeout=5000)
    assert "draw a line" in ramps.profile.said.sentence


def test_drawing_leaves_the_grid_but_stays_on_other_views(qtbot, ramps, viewer):
    ramps.modes.buttons["side by side"].click()
    ramps.profile.draw.click()
    assert not viewer.canvas.grid.enabled and not ramps.modes.mode
    ramps.modes.buttons["flicker"].click()
    ramps.profile.draw.click()
    qtbot.wait(200)
    assert ramps.modes.mode == "flicker" and viewer.layers["Profile"].visible


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        ([], "has no line and no path"),
        ([[(5.0, 5.0), (5.0, 5.0)]], "has no length"),
        ([[(900.0, 5.0), (900.0, 9.0)]], "outside the images"),
    ],
)
def test_why_there_is_no_profile_is_said(qtbot, ramps, viewer, shapes, sentence):
    layer = viewer.add_shapes(name="cut")
    if shapes:
        layer.add_lines(shapes)
    choose(ramps, "cut")
    qtbot.waitUntil(lambda: sentence in ramps.profile.said.sentence, timeout=5000)
    assert not ramps.profile.plot.lines


def test_beside_an_image_the_profile_has_a_gap(qtbot, ramps, viewer):
    viewer.add_shapes([[(10.0, -4.9), (10.0, 29.0)]], shape_type="line", name="cut")
    choose(ramps, "cut")
    first, second = profiles(qtbot, ramps)
    assert np.isnan(first.y[0]) and np.isfinite(first.y[-1]) and np.isfinite(second.y).all()


def test_a_plot_follows_the_theme(qtbot, dock, viewer):
    def colour():
        return dock.profile.plot._plot.getAxis("left").textPen().color().name()

    before = colour()
    viewer.theme = "light"
    assert colour() != before


def test_a_logarithmic_plot_leaves_out_what_is_next_to_nothing(qtbot):
    plot = LinePlot("p", logarithmic=True)
    qtbot.addWidget(plot)
    plot.show_lines([Line("<a>", np.arange(4.0), np.array([1e-30, 0.0, 0.1, 1.0]), "#ff0000")], "x", "y")
    low, high = plot._plot.viewRange()[1]
    assert low > -6 and 0 < high < 1
    assert "&lt;a&gt;" in plot._legend.text()
