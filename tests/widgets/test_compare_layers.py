"""The Compare dock beside layers of every kind: the right thing, or a sentence."""

import threading

import dask.array
import numpy as np
import pytest
from widgets.compared import of_role, show

from napari_lossguide.recon import metrics
from napari_lossguide.widgets.compare_dock import CompareDock
from napari_lossguide.widgets.difference_maps import as_magnitude

RNG = np.random.default_rng(3)
PLANE = RNG.uniform(0, 200, (24, 20)).astype("f4")
VOLUME = RNG.uniform(0, 200, (3, 24, 20)).astype("f4")


def two(viewer, kind):
    """A reference and an image of one kind."""
    first, second = (VOLUME if "3" in kind else PLANE) + 20, (VOLUME if "3" in kind else PLANE)[..., ::-1] + 20
    options = {"scale": (4.0, 0.5, 2.0)[-first.ndim :]} if "anisotropic" in kind else {}
    if "multiscale" in kind:
        return [
            viewer.add_image([x, x[..., ::2, ::2]], name=name, multiscale=True)
            for name, x in (("ref", first), ("img", second))
        ]
    if "dask" in kind:
        first, second = (dask.array.from_array(x, chunks=10) for x in (first, second))
    for word in ("uint16", "int16", "uint8", "float64"):
        if word in kind:
            first, second = first.astype(word), second.astype(word)
    if "turned" in kind:
        options = {"rotate": 30, "translate": (3.0, -7.0), "shear": [0.2]}
    return [viewer.add_image(first, name="ref", **options), viewer.add_image(second, name="img", **options)]


KINDS = [
    "2-D",
    "3-D",
    "2-D uint8",
    "3-D uint16",
    "2-D int16",
    "2-D float64",
    "2-D dask",
    "3-D dask",
    "2-D multiscale",
    "3-D multiscale",
    "2-D anisotropic",
    "3-D anisotropic",
    "2-D turned",
]


def opened(qtbot, viewer, reference, image):
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    dock.tick(image)
    dock.reference.layer = reference
    qtbot.waitUntil(lambda: bool(dock.table.rows) and "psnr" in dock.table.rows[0].figures, timeout=20_000)
    return dock


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image(qtbot, viewer, kind):
    reference, image = two(viewer, kind)
    dock = opened(qtbot, viewer, reference, image)
    truth, estimate = (as_magnitude(x.data[0] if x.multiscale else x.data).astype(float) for x in (reference, image))
    expected = metrics.evaluate(truth, estimate)
    assert {k: dock.table.rows[0].figures[k] for k in expected} == pytest.approx(expected, rel=1e-5)
    dock.modes.buttons["side by side"].click()
    qtbot.waitUntil(lambda: len(of_role(viewer, "difference")) == 1, timeout=5000)
    (layer,) = of_role(viewer, "difference")
    np.testing.assert_allclose(as_magnitude(layer.data), np.abs(estimate - truth), rtol=1e-5)
    for point in ((0.0, 0.0), (20.0, 3.0)):
        np.testing.assert_allclose(layer.data_to_world(point)[-2:], image.data_to_world(point)[-2:])
    dock.modes.buttons["swipe"].click()
    qtbot.waitUntil(lambda: bool(of_role(viewer, "swipe")), timeout=5000)
    (swipe,) = of_role(viewer, "swipe")
    np.testing.assert_array_equal(as_magnitude(swipe.data)[..., :10], truth[..., :10].astype("f4"))
    np.testing.assert_array_equal(as_magnitude(swipe.data)[..., 10:], estimate[..., 10:].astype("f4"))
    np.testing.assert_allclose(swipe.data_to_world((20.0, 3.0))[-2:], image.data_to_world((20.0, 3.0))[-2:])
    dock.modes.buttons["flicker"].click()
    assert not dock.status.sentence and image.visible != reference.visible
    dock.tabs.setCurrentWidget(dock.spectrum)
    qtbot.waitUntil(lambda: len(dock.spectrum.plot.lines) == 1, timeout=5000)
    corners = [image.data_to_world((12.0, x))[-2:] for x in (1.0, 18.0)]
    viewer.add_shapes([corners], shape_type="line", name="cut")
    dock.tabs.setCurrentWidget(dock.profile)
    dock.profile.line.setCurrentIndex(dock.profile.line.findText("cut"))
    qtbot.waitUntil(lambda: len(dock.profile.plot.lines) == 2, timeout=5000)
    index = round(float(image.world_to_data(viewer.dims.point[-image.ndim :])[0])) if image.ndim == 3 else 0
    for line, data in zip(dock.profile.plot.lines, (truth, estimate), strict=True):
        assert line.y[0] == pytest.approx(data[index, 12, 1], rel=1e-4)
        assert line.y[-1] == pytest.approx(data[index, 12, 18], rel=1e-4)
    dock.modes.back.click()
    assert image.visible and reference.visible and not of_role(viewer, "swipe")


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (np.zeros((24, 20, 3), "u1"), {"rgb": True}, "'odd' (colours)"),
        (np.zeros((2, 3, 24, 20), "f4"), {}, "'odd' (4 axes)"),
        ([np.zeros((2, 3, 24, 20), "f4"), np.zeros((2, 3, 12, 10), "f4")], {"multiscale": True}, "'odd' (4 axes)"),
    ],
)
def test_what_cannot_be_compared_is_named(qtbot, viewer, data, options, words):
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    assert dock.skipped.isHidden()
    layer = viewer.add_image(data, name="odd", **options)
    assert not dock.list.images and words in dock.skipped.sentence
    viewer.layers.remove(layer)
    assert dock.skipped.isHidden()


@pytest.mark.parametrize("mode", ["side by side", "swipe", "flicker"])
def test_without_layers_nothing_breaks(qtbot, viewer, mode):
    dock = CompareDock(viewer)
    qtbot.addWidget(dock)
    dock.modes.buttons[mode].click()
    qtbot.wait(150)
    assert dock.modes.back.isEnabled()
    assert ("needs two images" in dock.status.sentence) == (mode != "side by side")
    dock.figures.save.click()
    assert "The table is empty" in dock.status.sentence
    for page in (dock.profile, dock.figures):
        dock.tabs.setCurrentWidget(page)
    dock.modes.back.click()
    qtbot.wait(150)
    assert not viewer.layers and not dock.status.sentence


@pytest.mark.parametrize("mode", ["side by side", "swipe", "flicker"])
def test_other_kinds_of_layers_do_not_disturb(qtbot, viewer, mode):
    reference, image = two(viewer, "3-D")
    viewer.add_points(np.zeros((3, 3)))
    viewer.add_labels(np.ones((3, 24, 20), int))
    viewer.add_shapes([np.zeros((2, 2))], shape_type="line")
    viewer.add_vectors(np.zeros((1, 2, 2)))
    viewer.add_surface((np.zeros((3, 3)), np.array([[0, 1, 2]])))
    viewer.add_image(np.zeros((24, 20, 3), "u1"), rgb=True)
    dock = opened(qtbot, viewer, reference, image)
    before = [layer.visible for layer in viewer.layers]
    dock.modes.buttons[mode].click()
    assert not dock.status.sentence
    dock.modes.back.click()
    assert [layer.visible for layer in viewer.layers] == before


@pytest.mark.parametrize("kind", ["absolute", "ssim"])
def test_layers_removed_and_renamed_while_figures_are_computed(qtbot, viewer, kind, monkeypatch):
    """The thread is held until the layers have changed."""
    reference, image = two(viewer, "3-D dask")
    other = show(viewer, "other", VOLUME)
    dock = opened(qtbot, viewer, reference, image)
    dock.differences.form.set_values({"kind": kind})
    gate, plain = threading.Event(), metrics._magnitudes
    monkeypatch.setattr(metrics, "_magnitudes", lambda *args: (gate.wait(10), plain(*args))[1])
    dock.modes.buttons["side by side"].click()
    viewer.layers.remove(image)
    other.name = "renamed"
    gate.set()
    qtbot.waitUntil(lambda: [row.name for row in dock.table.rows] == ["renamed"], timeout=20_000)

    def shown():
        return [x.name.rpartition(" ")[2] for x in of_role(viewer, "difference")]

    qtbot.waitUntil(lambda: shown() == ["renamed"], timeout=20_000)
    assert not dock.status.sentence
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not dock.table.rows, timeout=20_000)
    assert not viewer.layers


def test_lazy_data_that_cannot_be_read_are_a_sentence(qtbot, viewer):
    reference, _ = two(viewer, "2-D")

    gone = []

    def read(block):
        if gone:
            raise OSError("the file is gone")
        return block

    lazy = dask.array.from_array(PLANE, chunks=24).map_blocks(read, dtype="f4", meta=np.zeros((0, 0), "f4"))
    broken = viewer.add_image(lazy, name="broken")
    viewer.add_shapes([[(2.0, 2.0), (2.0, 12.0)]], shape_type="line", name="cut")
    dock = opened(qtbot, viewer, reference, broken)
    gone.append(True)
    dock.tick(broken, False)
    dock.tick(broken)
    qtbot.waitUntil(lambda: "the file is gone" in dock.status.sentence, timeout=20_000)
    for mode in ("side by side", "swipe"):
        dock.modes.buttons[mode].click()
        qtbot.waitUntil(lambda: "the file is gone" in dock.status.sentence, timeout=20_000)
    dock.tabs.setCurrentWidget(dock.spectrum)
    qtbot.waitUntil(lambda: "the file is gone" in dock.spectrum.said.sentence, timeout=20_000)
    dock.profile.line.setCurrentIndex(dock.profile.line.findText("cut"))
    dock.tabs.setCurrentWidget(dock.profile)
    qtbot.waitUntil(lambda: "the file is gone" in dock.profile.said.sentence, timeout=20_000)
    gone.clear()
    dock.modes.back.click()
    assert not of_role(viewer, "swipe")


class Slow:
    """Data that come from far away: while `held`, nothing of them is read before `gate` opens."""

    def __init__(self):
        self.gate, self.held, self.waits = threading.Event(), False, 0

    def array(self, data):
        return dask.array.from_array(data, chunks=24).map_blocks(
            self._read, dtype="f4", meta=np.zeros((0,) * data.ndim, "f4")
        )

    def _read(self, block):
        if self.held:
            self.waits += 1
            self.gate.wait(3)
        return block


def held_dock(qtbot, viewer):
    """A dock with a reference in memory, and an image whose data are not to be had for now."""
    slow, reference = Slow(), show(viewer, "ref", PLANE + 20)
    image = viewer.add_image(slow.array(PLANE), name="far", scale=reference.scale)
    dock = opened(qtbot, viewer, reference, image)
    slow.held = True
    return dock, slow


def test_a_swipe_reads_in_a_thread_and_drops_what_is_not_wanted_any_more(qtbot, viewer):
    dock, slow = held_dock(qtbot, viewer)
    note = dock.modes.swipe.note
    dock.modes.buttons["swipe"].click()
    assert note.sentence == "Reading 'ref' and 'far'…" and not of_role(viewer, "swipe")
    qtbot.waitUntil(lambda: slow.waits > 0, timeout=2000)
    dock.modes.back.click()
    assert not note.sentence
    slow.gate.set()
    qtbot.wait(300)
    assert not of_role(viewer, "swipe") and not dock.status.sentence
    slow.gate.clear()
    dock.modes.buttons["swipe"].click()
    assert "Reading" in note.sentence and not of_role(viewer, "swipe")
    slow.gate.set()
    qtbot.waitUntil(lambda: bool(of_role(viewer, "swipe")), timeout=5000)
    (swipe,) = of_role(viewer, "swipe")
    np.testing.assert_array_equal(swipe.data[:, 10:], PLANE[:, 10:])
    waits = slow.waits
    qtbot.wait(400)
    assert not note.sentence and slow.waits <= waits + 2, "it is not read again and again"


def test_a_profile_reads_in_a_thread(qtbot, viewer):
    dock, slow = held_dock(qtbot, viewer)
    cut = viewer.add_shapes([[(4.0, 2.0), (4.0, 12.0)]], shape_type="line", name="cut")
    page = dock.profile
    dock.tabs.setCurrentWidget(page)
    page.line.layer = cut
    qtbot.wait(500)  # the dock looks at the new layer once more, which forgets what was read
    qtbot.waitUntil(lambda: page.said.sentence == "Reading 'far'…", timeout=2000)
    assert [line.name for line in page.plot.lines] == ["ref"], "what is in memory is drawn at once"
    slow.gate.set()
    qtbot.waitUntil(lambda: len(page.plot.lines) == 2, timeout=5000)
    assert [line.name for line in page.plot.lines] == ["ref", "far"] and not page.said.sentence
    ref, far = page.plot.lines
    np.testing.assert_allclose(ref.y - 20, far.y, rtol=1e-4)
    waits = slow.waits
    cut.data = [np.array([(6.0, 2.0), (6.0, 12.0)])]
    qtbot.waitUntil(lambda: not np.array_equal(page.plot.lines[1].y, far.y), timeout=5000)
    assert slow.waits == waits, "the plane is read once"


def test_the_smallest_whole_number_has_a_magnitude():
    np.testing.assert_array_equal(as_magnitude(np.array([[-128, 127]], np.int8)), [[[128, 127]]])
    np.testing.assert_array_equal(as_magnitude(np.array([[True, False]])), [[[1, 0]]])
    np.testing.assert_array_equal(as_magnitude(np.array([[3 + 4j]])), [[[5]]])
