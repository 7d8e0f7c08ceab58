import numpy as np
import pytest

from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.masks import MASKS, achieved_acceleration, make_mask, point_spread
from napari_lossguide.types import InvalidInput

KINDS = list(MASKS)
SEEDED = [kind for kind in KINDS if "seed" in MASKS[kind].params.model_fields]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(64, 48), (63, 49), (24, 25)])
@pytest.mark.usefixtures("global_numpy_state_untouched")
def test_every_kind_makes_a_mask_of_the_shape(kind, shape):
    mask = make_mask(kind, shape)
    assert mask.dtype == bool
    assert mask.shape == shape
    assert mask[shape[0] // 2, shape[1] // 2]
    assert mask.flags.writeable


@pytest.mark.parametrize("kind", SEEDED)
def test_the_seed_decides(kind):
    first = make_mask(kind, (64, 65), seed=11)
    np.testing.assert_array_equal(make_mask(kind, (64, 65), seed=11), first)
    others = [make_mask(kind, (64, 65), seed=seed) for seed in range(6)]
    assert any((other != first).any() for other in others)


def test_the_kinds_of_the_first_release():
    assert set(KINDS) == {
        "random",
        "equispaced",
        "thesis",
        "gaussian-1d",
        "gaussian-2d",
        "uniform-2d",
        "poisson",
        "full",
    }
    assert make_mask("full", (5, 4)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_can_be_shown(kind):
    for field in MASKS[kind].params.model_fields.values():
        assert field.title
        assert field.description
    assert MASKS[kind].title


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("spiral", {}, "'spiral' is unknown; accepted are random, equispaced, thesis"),
        ("random", {"accelerate": 4}, "random has no parameter 'accelerate'; accepted are: acceleration"),
        ("full", {"acceleration": 4}, "full has no parameter 'acceleration'; accepted are: no parameters"),
        ("random", {"acceleration": 0.5}, "acceleration is 0.5: input should be greater than or equal to 1"),
        ("random", {"acceleration": float("nan")}, "acceleration is nan"),
        ("random", {"center_fraction": 1.5}, "center_fraction is 1.5"),
        ("random", {"seed": -1}, "seed is -1"),
        ("random", {"axis": "z"}, "axis is 'z': input should be 'x' or 'y'"),
        ("poisson", {"axis": "x"}, "poisson has no parameter 'axis'"),
        ("uniform-2d", {"ry": 0}, "ry is 0"),
    ],
)
def test_bad_parameters_are_named(kind, params, message):
    with pytest.raises(InvalidInput, match=message):
        make_mask(kind, (32, 32), **params)


def test_bad_shapes_and_empty_masks():
    with pytest.raises(InvalidInput, match=r"shape is \(0, 4\)"):
        make_mask("full", (0, 4))
    with pytest.raises(InvalidInput, match=r"random of shape .* came out empty"):
        make_mask("random", (8, 8), acceleration=64, center_fraction=0)


def test_achieved_acceleration():
    mask = np.zeros((6, 5), bool)
    mask[0, :4] = True
    assert achieved_acceleration(mask) == 7.5
    with pytest.raises(InvalidInput, match="empty"):
        achieved_acceleration(np.zeros((6, 5), bool))


@pytest.mark.parametrize("shape", [(32, 24), (31, 25)])
def test_the_point_spread_is_what_zero_filling_does_to_a_point(shape):
    mask = make_mask("random", shape, seed=4)
    point = np.zeros(shape)
    point[shape[0] // 2, shape[1] // 2] = 1
    image = np.abs(ifft2c(fft2c(point) * mask))
    spread = point_spread(mask)
    assert spread.dtype == np.float32
    assert spread[shape[0] // 2, shape[1] // 2] == 1
    assert spread.max() == 1
    np.testing.assert_allclose(spread, image / image.max(), atol=1e-6)


def test_the_point_spread_of_everything_is_a_point_and_of_every_second_column_two():
    np.testing.assert_array_equal(np.argwhere(point_spread(np.ones((7, 8))) > 1e-6), [[3, 4]])
    columns = np.zeros((8, 8), bool)
    columns[:, ::2] = True
    np.testing.assert_array_equal(np.argwhere(point_spread(columns) > 0.5), [[4, 0], [4, 4]])
