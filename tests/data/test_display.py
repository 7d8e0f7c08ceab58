import numpy as np
import pytest

from napari_lossguide.data.display import FLOOR_DB, VIEWS, decibels, display_limits, view
from napari_lossguide.types import InvalidInput

ARRAY = np.array([[10, 1j, -0.1], [1e-9, 0, 3 - 4j]], np.complex64)


def test_log_magnitude_is_in_decibels_below_the_maximum():
    expected = [[0, -20, -40], [FLOOR_DB, FLOOR_DB, 20 * np.log10(0.5)]]
    np.testing.assert_allclose(view(ARRAY, "log-magnitude"), expected, atol=1e-4)


def test_log_magnitude_of_nothing_is_the_floor():
    np.testing.assert_array_equal(view(np.zeros((2, 3), np.complex64), "log-magnitude"), FLOOR_DB)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("magnitude", [[10, 1, 0.1], [1e-9, 0, 5]]),
        ("phase", [[0, np.pi / 2, np.pi], [0, 0, np.arctan2(-4, 3)]]),
        ("real", [[10, 0, -0.1], [1e-9, 0, 3]]),
        ("imaginary", [[0, 1, 0], [0, 0, -4]]),
    ],
)
def test_linear_views(kind, expected):
    np.testing.assert_allclose(view(ARRAY, kind), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", VIEWS)
def test_every_view_is_float32_and_has_limits(kind):
    for array in (ARRAY, ARRAY.real, np.zeros((2, 2), np.complex64), np.arange(6).reshape(2, 3)):
        shown = view(array, kind)
        assert shown.dtype == np.float32
        assert shown.shape == array.shape
        low, high = display_limits(array, kind)
        assert low < high


@pytest.mark.parametrize("kind", VIEWS)
def test_limits_of_the_array_and_of_its_view_agree(kind):
    assert display_limits(view(ARRAY, kind), kind) == display_limits(ARRAY, kind)


def test_one_bright_point_does_not_set_the_limits(rng):
    array = rng.uniform(0.5, 1, (100, 100)).astype(np.complex64)
    array[50, 50] = 1000
    assert display_limits(array, "magnitude")[1] < 2
    assert display_limits(array, "real") == pytest.approx((-1, 1), abs=0.01)


def test_unknown_view_names_the_accepted():
    with pytest.raises(InvalidInput, match=r"'colour'.*log-magnitude, magnitude"):
        view(ARRAY, "colour")
    with pytest.raises(InvalidInput, match="'colour'"):
        display_limits(ARRAY.real, "colour")


def test_phase_of_nothing_is_nought_whatever_its_sign():
    zeros = np.array([complex(-0.0, 0.0), complex(-0.0, -0.0), complex(0.0, -0.0)], np.complex64)
    np.testing.assert_array_equal(view(zeros, "phase"), 0)
    assert display_limits(zeros, "phase") == (-np.pi, np.pi)


def test_decibels_of_a_given_reference_keep_what_is_missing():
    shown = decibels(np.array([1.0, 10.0, np.nan, 0.0]), largest=10.0)
    np.testing.assert_allclose(shown, [-20, 0, np.nan, FLOOR_DB], atol=1e-5)
    assert decibels(np.array([2.0, np.nan]))[0] == 0
    np.testing.assert_array_equal(decibels(np.array([0.0, np.nan])), [FLOOR_DB, np.nan])
