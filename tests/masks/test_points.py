import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_lossguide.masks import achieved_acceleration, make_mask
from napari_lossguide.masks.poisson import _relative_radius
from napari_lossguide.types import InvalidInput

SHAPES = [(64, 64), (65, 48), (51, 77)]


def centre_block(shape, fraction):
    return tuple(slice((n - w + 1) // 2, (n - w + 1) // 2 + w) for n in shape for w in [round(n * fraction)])


@pytest.mark.parametrize("kind", ["gaussian-2d", "uniform-2d", "poisson"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_centre_is_fully_sampled(kind, shape):
    mask = make_mask(kind, shape, center_fraction=0.15, seed=1)
    block = centre_block(shape, 0.15)
    assert mask[block].all()
    assert all(b.start <= n // 2 < b.stop for b, n in zip(block, shape, strict=True))


@pytest.mark.parametrize("kind", ["gaussian-2d", "poisson"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("acceleration", [1, 1.3, 2, 4, 8, 12.5])
def test_the_acceleration_is_met_exactly(kind, shape, acceleration):
    mask = make_mask(kind, shape, acceleration=acceleration, seed=3)
    assert mask.sum() == round(mask.size / acceleration)
    assert achieved_acceleration(mask) == pytest.approx(acceleration, rel=0.01)


@pytest.mark.parametrize("kind", ["gaussian-2d", "poisson"])
def test_a_centre_larger_than_the_acceleration_allows_is_refused(kind):
    with pytest.raises(InvalidInput, match=r"center_fraction 0.5 alone keeps 1024 of 4096, .* 8 allows only 512"):
        make_mask(kind, (64, 64), acceleration=8, center_fraction=0.5)


def test_gaussian_points_have_a_gaussian_density_on_both_axes():
    mask = np.mean(
        [make_mask("gaussian-2d", (96, 64), acceleration=40, center_fraction=0, seed=s) for s in range(40)], 0
    )
    for axis, n in ((0, 96), (1, 64)):
        profile = mask.sum(axis=1 - axis)
        position = np.arange(n) - n // 2
        mean = (profile * position).sum() / profile.sum()
        assert mean == pytest.approx(0, abs=1)
        # Truncated at 2.5 standard deviations, drawn without putting back.
        assert np.sqrt((profile * position**2).sum() / profile.sum()) == pytest.approx(0.2 * n, rel=0.1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("ry", "rx"), [(2, 2), (1, 3), (4, 1), (3, 2), (1, 1)])
def test_the_grid_is_regular(shape, ry, rx):
    for seed in range(4):
        mask = make_mask("uniform-2d", shape, ry=ry, rx=rx, center_fraction=0, seed=seed)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert set(np.diff(rows)) == {ry}
        assert set(np.diff(columns)) == {rx}
        assert rows[0] < ry
        assert columns[0] < rx
        assert mask[np.ix_(rows, columns)].all()
        assert mask.sum() == len(rows) * len(columns)


def test_a_grid_coarser_than_the_image_keeps_a_point():
    for seed in range(20):
        assert make_mask("uniform-2d", (3, 4), ry=30, rx=30, center_fraction=0, seed=seed).sum() == 1


def nearest_distances(mask):
    points = np.argwhere(mask)
    distances, _ = cKDTree(points).query(points, k=2)
    return points, distances[:, 1]


@pytest.mark.parametrize("acceleration", [6, 10])
def test_poisson_points_keep_their_distance(acceleration):
    mask = make_mask("poisson", (128, 128), acceleration=acceleration, center_fraction=0, falloff=0, seed=5)
    _, distances = nearest_distances(mask)
    # Discs packed at random have 0.696 / d^2 points per area; on the grid d can only be 2, 2.24, 2.83, 3 ...
    assert distances.min() > 0.8 * np.sqrt(0.696 * acceleration)
    by_chance = make_mask("gaussian-2d", (128, 128), acceleration=acceleration, center_fraction=0, width=2, seed=5)
    assert nearest_distances(by_chance)[1].min() == 1


def test_poisson_fills_every_gap():
    acceleration = 8
    mask = make_mask("poisson", (128, 128), acceleration=acceleration, center_fraction=0, falloff=0, seed=5)
    everywhere = np.argwhere(np.ones_like(mask))
    to_mask, _ = cKDTree(np.argwhere(mask)).query(everywhere)
    # Discs no larger than 1.15 times the last ones were tried everywhere.
    assert to_mask.max() < 1.25 * np.sqrt(0.696 * acceleration)


def test_poisson_distance_grows_outwards_with_the_falloff():
    mask = make_mask("poisson", (192, 192), acceleration=12, center_fraction=0, falloff=2, seed=5)
    points, distances = nearest_distances(mask)
    relative = distances / _relative_radius(mask.shape, 2)[tuple(points.T)]
    from_centre = np.hypot(*(points - 96).T)
    assert distances[from_centre > 80].mean() > 1.8 * distances[from_centre < 20].mean()
    # In units of its own disc each point is about equally far from its neighbour.
    assert relative.min() > 0.6 * np.median(relative)


@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_poisson_reaches_the_corners(corner):
    mask = make_mask("poisson", (96, 96), acceleration=8, seed=0)
    quarter = mask[:12] if corner[0] == 0 else mask[-12:]
    quarter = quarter[:, :12] if corner[1] == 0 else quarter[:, -12:]
    assert quarter.sum() >= 3
