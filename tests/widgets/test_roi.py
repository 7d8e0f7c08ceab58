"""The pixels of an image inside what a person drew, wherever napari shows both."""

import numpy as np
import pytest
from napari.layers import Image, Labels, Shapes

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.roi import is_region, pixels_in
from napari_lossguide.widgets.views import KEY

IMAGE = Image(np.zeros((3, 20, 16)), scale=(5.0, 2.0, 0.5), translate=(0.0, 10.0, -3.0), name="head")


def box(y, x):
    """Corners in the world of a rectangle of pixels of the image."""
    (y0, y1), (x0, x1) = y, x
    corners = np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], float)
    return corners * (2.0, 0.5) + (10.0, -3.0)


def expected(y, x):
    out = np.zeros((20, 16), bool)
    out[y[0] : y[1] + 1, x[0] : x[1] + 1] = True
    return out


@pytest.mark.parametrize("dimension", [2, 3])
def test_shapes_are_found_where_they_are_seen(dimension):
    drawn = [box((4, 9), (2, 7)), box((12, 15), (8, 12))]
    if dimension == 3:
        drawn = [np.insert(d, 0, 5.0, axis=1) for d in drawn]
    got = pixels_in(Shapes(drawn, shape_type=["rectangle", "polygon"]), IMAGE)
    whole = expected((4, 9), (2, 7)) | expected((12, 15), (8, 12))
    assert got.shape == (20, 16)
    assert (got & whole).sum() > 0.75 * whole.sum() and not (got & ~whole).any()
    core = expected((5, 8), (3, 6)) | expected((13, 14), (9, 11))
    assert got[core].all()


def test_an_ellipse_is_one():
    got = pixels_in(Shapes([box((2, 16), (2, 12))], shape_type="ellipse"), IMAGE)
    y, x = np.mgrid[:20, :16]
    whole = ((y - 9) / 7) ** 2 + ((x - 7) / 5) ** 2 <= 1
    assert (got ^ whole).sum() < 0.15 * whole.sum()


def test_the_shapes_layer_may_have_a_scale_of_its_own():
    plain = pixels_in(Shapes([box((4, 9), (2, 7))]), IMAGE)
    scaled = Shapes([(box((4, 9), (2, 7)) - (1.0, 1.0)) / 0.25], scale=(0.25, 0.25), translate=(1.0, 1.0))
    np.testing.assert_array_equal(pixels_in(scaled, IMAGE), plain)


def test_a_turned_layer_is_found_where_it_is_seen():
    plain = pixels_in(Shapes([box((4, 9), (2, 7))]), IMAGE)
    turned = Shapes(rotate=90)
    turned.add_rectangles([[turned.world_to_data(corner) for corner in box((4, 9), (2, 7))]])
    assert np.abs(turned.data[0] - box((4, 9), (2, 7))).max() > 5
    np.testing.assert_array_equal(pixels_in(turned, IMAGE), plain)


@pytest.mark.parametrize("slices", [None, 3])
def test_labels_of_the_images_grid(slices):
    drawn = np.zeros((20, 16), int)
    drawn[4:8, 3:6] = 2
    data = drawn if slices is None else np.repeat(drawn[None], slices, 0)
    labels = Labels(data, scale=IMAGE.scale[-data.ndim :], translate=IMAGE.translate[-data.ndim :])
    np.testing.assert_array_equal(pixels_in(labels, IMAGE), drawn > 0)


def test_labels_of_another_grid():
    drawn = np.zeros((80, 16), int)
    drawn[20:40, 3:6] = 1  # a quarter of the image's pixels in y
    labels = Labels(drawn, scale=(0.5, 0.5), translate=(10.0, -3.0))
    np.testing.assert_array_equal(pixels_in(labels, IMAGE), expected((5, 9), (3, 5)))


@pytest.mark.parametrize(
    "layer",
    [Shapes(name="roi"), Shapes([box((40, 50), (2, 7))], name="roi"), Labels(np.zeros((20, 16), int), name="roi")],
)
def test_nothing_of_the_image_is_said(layer):
    with pytest.raises(InvalidInput, match="'roi' has no pixel of 'head'"):
        pixels_in(layer, IMAGE)


def test_lines_enclose_nothing():
    layer = Shapes([[(12.0, -2.0), (30.0, 4.0)]], shape_type="line", name="roi")
    with pytest.raises(InvalidInput, match="no pixel"):
        pixels_in(layer, IMAGE)


def test_what_is_a_region():
    assert is_region(Shapes()) and is_region(Labels(np.zeros((4, 4), int)))
    assert not is_region(IMAGE)
    assert not is_region(Labels(np.zeros((4, 4), int), metadata={KEY: {"role": "mask"}}))


def test_turned_labels_are_found_where_they_are_seen():
    drawn = np.zeros((60, 60), int)
    drawn[10:31, 20:41] = 1
    labels = Labels(drawn, scale=(0.5, 0.5), rotate=30, translate=(22.0, -14.0))
    got = pixels_in(labels, IMAGE)
    for y, x in np.ndindex(20, 16):
        at = np.round(labels.world_to_data(IMAGE.data_to_world((0, y, x))[-2:])).astype(int)
        inside = (at >= 0).all() and (at < 60).all() and bool(drawn[tuple(at)])
        assert got[y, x] == inside, (y, x)
    assert 20 < got.sum() < 300
