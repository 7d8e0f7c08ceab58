import numpy as np
import pytest

from napari_lossguide.masks import achieved_acceleration, make_mask
from napari_lossguide.types import InvalidInput

KINDS = ["random", "equispaced", "thesis", "gaussian-1d"]


def lines(kind, n, **params):
    """Which of n columns are acquired."""
    return make_mask(kind, (3, n), **params)[0]


def middle(n, width):
    return np.arange(n)[(n - width + 1) // 2 :][:width]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(24, 40), (25, 41)])
def test_whole_lines_along_either_axis(kind, shape):
    along_y = make_mask(kind, shape, axis="x", seed=2)
    np.testing.assert_array_equal(along_y, np.tile(along_y[0], (shape[0], 1)))
    along_x = make_mask(kind, shape, axis="y", seed=2)
    np.testing.assert_array_equal(along_x, np.tile(along_x[:, :1], (1, shape[1])))
    # The rule depends on the number of lines only.
    np.testing.assert_array_equal(make_mask(kind, shape[::-1], axis="y", seed=2), along_y.T)


@pytest.mark.parametrize("kind", ["random", "equispaced", "gaussian-1d"])
@pytest.mark.parametrize(("n", "fraction"), [(128, 0.08), (129, 0.08), (127, 0.04), (320, 0.1), (64, 0.05)])
def test_the_centre_is_a_fraction_of_all_lines_around_the_origin(kind, n, fraction):
    acquired = lines(kind, n, center_fraction=fraction, acceleration=8, seed=1)
    centre = middle(n, round(n * fraction))
    assert n // 2 in centre
    assert abs((centre[0] + centre[-1]) / 2 - n // 2) <= 0.5
    assert acquired[centre].all()


@pytest.mark.parametrize("acceleration", [2, 4, 8])
@pytest.mark.parametrize("n", [128, 129])
def test_random_lines_meet_the_acceleration_on_average(acceleration, n):
    counts = [lines("random", n, acceleration=acceleration, center_fraction=0.04, seed=s).sum() for s in range(400)]
    # 400 draws of a binomial with a standard deviation of at most 5.7 lines: the mean is known to 0.3 lines.
    assert np.mean(counts) == pytest.approx(n / acceleration, abs=1.0)
    assert np.std(counts) > 1


def test_random_lines_outside_the_centre_are_equally_likely():
    n = 64
    often = np.mean([lines("random", n, acceleration=4, center_fraction=0.1, seed=s) for s in range(2000)], axis=0)
    centre = middle(n, 6)
    np.testing.assert_array_equal(often[centre], 1)
    np.testing.assert_allclose(np.delete(often, centre), (16 - 6) / (64 - 6), atol=0.05)


@pytest.mark.parametrize("n", [128, 131, 320])
@pytest.mark.parametrize(("acceleration", "fraction"), [(4, 0.08), (8, 0.04), (2, 0.1), (4, 0)])
def test_equispaced_lines_keep_their_distance_and_meet_the_acceleration(n, acceleration, fraction):
    for seed in range(5):
        acquired = lines("equispaced", n, acceleration=acceleration, center_fraction=fraction, seed=seed)
        assert acquired.sum() == pytest.approx(n / acceleration, abs=2)
        in_centre = round(n * fraction)
        distance = (n - in_centre) / (n / acceleration - in_centre)
        left = np.flatnonzero(acquired[: (n - in_centre + 1) // 2])
        assert set(np.diff(left)) <= {int(distance), int(np.ceil(distance))}
    on_average = [
        lines("equispaced", n, acceleration=acceleration, center_fraction=fraction, seed=s).sum() for s in range(200)
    ]
    assert np.mean(on_average) == pytest.approx(n / acceleration, abs=0.5)


def test_equispaced_offset_is_drawn():
    masks = {lines("equispaced", 64, center_fraction=0, acceleration=4, seed=s).tobytes() for s in range(40)}
    assert len(masks) == 4


@pytest.mark.parametrize(
    ("fraction", "acceleration", "kept", "rounded", "exact"),
    [(0.10, 4, 41, 3.1, 3.12), (0.07, 8, 23, 5.6, 5.57), (0.04, 16, 11, 11.6, 11.64)],
)
@pytest.mark.parametrize("seed", range(5))
def test_the_thesis_masks(fraction, acceleration, kept, rounded, exact, seed):
    mask = make_mask("thesis", (128, 128), center_fraction=fraction, acceleration=acceleration, seed=seed)
    assert mask[0].sum() == kept
    achieved = achieved_acceleration(mask)
    assert round(achieved, 1) == rounded
    assert achieved == pytest.approx(exact, abs=0.006)
    half = int(128 * fraction / 2)
    assert mask[:, 64 - half : 64 + half].all()


def test_the_thesis_draws_every_other_line_equally_often():
    often = np.mean([lines("thesis", 65, acceleration=4, center_fraction=0.1, seed=s) for s in range(2000)], axis=0)
    centre = np.arange(32 - 3, 32 + 3)
    np.testing.assert_array_equal(often[centre], 1)
    np.testing.assert_allclose(np.delete(often, centre), 14 / 59, atol=0.05)


@pytest.mark.parametrize("n", [128, 129])
@pytest.mark.parametrize("acceleration", [1, 2, 4, 8])
def test_gaussian_lines_have_exactly_the_asked_number(n, acceleration):
    for seed in range(5):
        assert lines("gaussian-1d", n, acceleration=acceleration, seed=seed).sum() == round(n / acceleration)


def test_gaussian_lines_have_a_gaussian_density():
    n, width = 256, 0.15
    draws = [lines("gaussian-1d", n, acceleration=16, center_fraction=0, width=width, seed=s) for s in range(2000)]
    positions = np.concatenate([np.flatnonzero(d) for d in draws]) - n // 2
    assert positions.mean() == pytest.approx(0, abs=1)
    # Drawn without putting back, so a little wider than the density itself.
    assert positions.std() == pytest.approx(width * n, rel=0.1)


def test_a_narrow_gaussian_still_fills_up():
    assert lines("gaussian-1d", 512, acceleration=1.5, width=0.01).sum() == round(512 / 1.5)


@pytest.mark.parametrize("kind", ["random", "equispaced", "gaussian-1d"])
def test_a_centre_larger_than_the_acceleration_allows_is_refused(kind):
    with pytest.raises(InvalidInput, match=r"center_fraction 0.4 alone keeps 51 of 128, .* 4 allows only 32"):
        make_mask(kind, (128, 128), acceleration=4, center_fraction=0.4)


@pytest.mark.parametrize("kind", ["random", "equispaced"])
def test_a_centre_of_just_the_right_size_is_all(kind):
    acquired = lines(kind, 128, acceleration=4, center_fraction=0.25)
    np.testing.assert_array_equal(np.flatnonzero(acquired), middle(128, 32))


@pytest.mark.parametrize("kind", KINDS)
def test_acceleration_one_is_everything(kind):
    assert make_mask(kind, (7, 33), acceleration=1).all()
