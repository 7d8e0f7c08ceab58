"""Values along a line, of images that are linear or that have an edge."""

import numpy as np
import pytest

from napari_lossguide.recon.profile import values_at, walk
from napari_lossguide.types import InvalidInput


def test_a_path_is_walked_at_equal_distances():
    distance, points = walk(np.array([[0, 0], [3, 4], [3, 10]]), 0.5)
    assert distance[0] == 0 and distance[-1] == pytest.approx(11) and len(distance) == 23
    np.testing.assert_allclose(np.diff(distance), 0.5)
    np.testing.assert_allclose(points[0], (0, 0))
    np.testing.assert_allclose(points[10], (3, 4))
    np.testing.assert_allclose(points[-1], (3, 10))
    np.testing.assert_allclose(points[4], (1.2, 1.6))


def test_a_plane_is_interpolated_exactly(rng):
    y, x = np.mgrid[:12, :9]
    points = rng.uniform((0, 0), (11, 8), (50, 2))
    np.testing.assert_allclose(values_at(2 * y - 3 * x + 1, points), 2 * points[:, 0] - 3 * points[:, 1] + 1)


def test_beyond_the_edge_there_is_nothing():
    got = values_at(np.arange(12.0).reshape(3, 4), np.array([[0, -0.4], [0, -0.6], [2.4, 3.4], [2.6, 3], [50, 50]]))
    np.testing.assert_array_equal(got, [0, np.nan, 11, np.nan, np.nan])


@pytest.mark.parametrize("corners", [[[1, 1], [1, 1]], [[2, 2]]])
def test_a_point_is_no_line(corners):
    with pytest.raises(InvalidInput, match="no length"):
        walk(np.array(corners), 0.5)
