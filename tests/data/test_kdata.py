import dataclasses

import numpy as np
import pytest

from napari_lossguide.data.checks import as_mask
from napari_lossguide.data.kdata import KData
from napari_lossguide.types import InvalidInput


@pytest.fixture
def kspace(rng) -> np.ndarray:
    return (rng.standard_normal((2, 3, 6, 5)) + 1j * rng.standard_normal((2, 3, 6, 5))).astype(np.complex64)


def columns(*kept: int) -> np.ndarray:
    mask = np.zeros((6, 5), bool)
    mask[:, kept] = True
    return mask


@pytest.mark.parametrize(("index", "shape"), [((0, 0), (1, 1, 6, 5)), ((0,), (1, 3, 6, 5)), ((), (2, 3, 6, 5))])
def test_from_array_takes_two_to_four_axes(kspace, index, shape):
    kdata = KData.from_array(kspace[index])
    assert kdata.kspace.shape == shape
    assert (kdata.n_slices, kdata.n_coils, kdata.image_shape) == (shape[0], shape[1], (6, 5))
    assert kdata.fully_sampled
    assert kdata.acceleration == 1
    np.testing.assert_array_equal(kdata.kspace.reshape(kspace[index].shape), kspace[index])


def test_without_a_mask_the_acquired_points_are_those_not_zero(kspace):
    kspace *= columns(0, 3)
    kspace[0, :, 2] = 0  # zero in one slice only
    kdata = KData.from_array(kspace)
    np.testing.assert_array_equal(kdata.acquired, columns(0, 3))
    assert not kdata.fully_sampled
    assert kdata.acceleration == 2.5


def test_points_outside_the_mask_are_set_to_zero_and_the_callers_array_is_left_alone(kspace):
    before = kspace.copy()
    kdata = KData.from_array(kspace, columns(1))
    np.testing.assert_array_equal(kdata.kspace, before * columns(1))
    np.testing.assert_array_equal(kspace, before)


def test_doubles_become_single_precision(kspace):
    kdata = KData.from_array(kspace.astype(np.complex128))
    assert kdata.kspace.dtype == np.complex64
    np.testing.assert_array_equal(kdata.kspace, kspace)


def test_undersample(kspace):
    kdata = KData.from_array(kspace, columns(0, 1, 2), name="scan", noise_std=0.5, reference=np.ones((2, 6, 5)))
    under = kdata.undersample(columns(2, 3))
    np.testing.assert_array_equal(under.acquired, columns(2))
    np.testing.assert_array_equal(under.kspace, kspace * columns(2))
    assert (under.name, under.noise_std) == ("scan", 0.5)
    assert under.reference is kdata.reference
    np.testing.assert_array_equal(kdata.acquired, columns(0, 1, 2))


def test_undersample_refuses_masks_that_do_not_fit(kspace):
    kdata = KData.from_array(kspace, columns(0, 1))
    with pytest.raises(InvalidInput, match=r"\(5, 6\).*\(6, 5\)"):
        kdata.undersample(np.ones((5, 6), bool))
    with pytest.raises(InvalidInput, match="empty"):
        kdata.undersample(np.zeros((6, 5), bool))
    with pytest.raises(InvalidInput, match="none of the points"):
        kdata.undersample(columns(4))


def test_select_one_slice(kspace):
    maps = kspace.copy()
    kdata = KData.from_array(kspace, maps=maps, reference=np.stack([np.zeros((6, 5)), np.ones((6, 5))]))
    one = kdata.select(1)
    np.testing.assert_array_equal(one.kspace, kspace[1:])
    np.testing.assert_array_equal(one.maps, maps[1:])
    np.testing.assert_array_equal(one.reference, np.ones((1, 6, 5), np.float32))
    for outside in (-1, 2):
        with pytest.raises(InvalidInput, match=f"Slice {outside} .* 0 to 1"):
            kdata.select(outside)


def test_the_calibration_follows_its_slice_and_is_not_undersampled(kspace):
    block = kspace[:, :, 1:5, 1:4].astype(complex)
    kdata = KData.from_array(kspace, calibration=block)
    assert kdata.calibration.dtype == np.complex64
    np.testing.assert_array_equal(kdata.select(1).calibration, block[1:])
    np.testing.assert_array_equal(kdata.undersample(columns(0)).calibration, block)
    np.testing.assert_array_equal(kdata.arrays()["calibration"], block)
    assert KData.from_array(kspace).select(0).calibration is None
    assert "calibration" not in KData.from_array(kspace).arrays()


def test_an_empty_slice_of_a_good_volume_can_be_selected(kspace):
    kspace[0] = 0
    assert not KData.from_array(kspace).select(0).kspace.any()


def test_maps_are_the_same_for_every_slice_if_given_once(kspace):
    kdata = KData.from_array(kspace, maps=np.ones((3, 6, 5)))
    assert kdata.maps.shape == (2, 3, 6, 5)
    assert kdata.maps.dtype == np.complex64


def test_reference_keeps_its_kind(kspace):
    assert KData.from_array(kspace, reference=np.ones((2, 6, 5))).reference.dtype == np.float32
    assert KData.from_array(kspace, reference=np.ones((2, 6, 5), complex)).reference.dtype == np.complex64


def test_it_is_frozen(kspace):
    with pytest.raises(dataclasses.FrozenInstanceError):
        KData.from_array(kspace).name = "other"


def with_nan(array):
    array = array.copy()
    array[..., 0, 0] = np.nan
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: k.real, "scan has real values .float32., which looks like an image"),
        (lambda k: k[0, 0, 0], r"scan has shape \(5,\)"),
        (lambda k: k[None], r"scan has shape \(1, 2, 3, 6, 5\)"),
        (lambda k: k[:, :, :0], "zero everywhere"),
        (with_nan, "scan holds NaN or infinity"),
        (lambda k: k * np.inf, "scan holds NaN or infinity"),
        (lambda k: k.astype(complex) * 1e40, "more than complex64 can hold"),
        (lambda k: k * 0, "scan is zero everywhere"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_bad_kspace_is_refused(kspace, change, message):
    with pytest.raises(InvalidInput, match=message):
        KData.from_array(change(kspace), name="scan")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mask": np.ones((6, 4))}, r"The mask of scan has shape \(6, 4\), but the k-space has \(6, 5\)"),
        ({"mask": np.zeros((6, 5))}, "The mask of scan is empty"),
        ({"mask": np.full((6, 5), 0.3)}, "values other than 0 and 1"),
        ({"mask": np.full((6, 5), np.nan)}, "values other than 0 and 1"),
        ({"mask": np.full((6, 5), 1j)}, "type complex128"),
        ({"mask": np.full((6, 5), "a")}, "type <U1"),
        ({"spacing": (1, 2)}, "three numbers"),
        ({"spacing": (1, 0, 1)}, "above 0"),
        ({"spacing": (1, np.nan, 1)}, "above 0"),
        ({"spacing": 3}, "three numbers"),
        ({"reference": np.ones((6, 5))}, r"reference of scan has shape \(6, 5\); it must be \(2, 6, 5\)"),
        ({"reference": np.full((2, 6, 5), np.inf)}, "reference of scan holds NaN"),
        ({"maps": np.ones((2, 6, 5))}, r"maps of scan have shape \(2, 6, 5\)"),
        ({"maps": np.full((3, 6, 5), np.nan)}, "maps of scan holds? NaN"),
        ({"calibration": np.ones((3, 4, 4), complex)}, r"calibration of scan has shape \(3, 4, 4\); it must be"),
        ({"calibration": np.ones((2, 2, 4, 4), complex)}, r"no more rows and columns than the k-space, \(2, 3, 6, 5\)"),
        ({"calibration": np.ones((2, 3, 4, 6), complex)}, r"calibration of scan has shape \(2, 3, 4, 6\)"),
        ({"calibration": np.ones((2, 3, 0, 5), complex)}, r"calibration of scan has shape \(2, 3, 0, 5\)"),
        ({"calibration": np.ones((2, 3, 4, 4))}, "calibration of scan has real values"),
        ({"noise_std": -1.0}, "noise_std of scan is -1"),
        ({"noise_std": np.nan}, "noise_std of scan is nan"),
    ],
)
def test_bad_companions_are_refused(kspace, fields, message):
    with pytest.raises(InvalidInput, match=message):
        KData.from_array(kspace, name="scan", **fields)


def test_a_mask_of_points_that_were_not_measured_is_refused(kspace):
    with pytest.raises(InvalidInput, match="zero at every point of the mask"):
        KData.from_array(kspace * columns(0), columns(1))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float16])
def test_as_mask_takes_bool_integers_and_zero_one(dtype):
    mask = as_mask(columns(1, 2).astype(dtype), (6, 5))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, columns(1, 2))


def test_as_mask_takes_labels_and_columns():
    np.testing.assert_array_equal(as_mask(columns(1) * 7, (6, 5)), columns(1))
    np.testing.assert_array_equal(as_mask(np.array([0, 1, 0, 0, 1]), (6, 5)), columns(1, 4))


def oblique(spacing):
    """An affine that turns the scan by 30 degrees about the x axis of the patient."""
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1], [sin, cos, 0], [cos, -sin, 0]]) * spacing
    affine[:3, 3] = 5, -7, 11
    return affine


def test_a_slice_lies_where_it_lay_in_the_stack():
    kspace = np.ones((3, 1, 4, 5), np.complex64)
    data = KData.from_array(kspace, spacing=(3, 2, 1), affine=oblique((3, 2, 1)))
    np.testing.assert_allclose(data.select(2).affine @ [0, 1, 4, 1], data.affine @ [2, 1, 4, 1])
    np.testing.assert_allclose(np.subtract(data.select(2).position, data.position), (6, 0, 0), atol=1e-12)
    # The position turned back into the patient is the place of the first pixel.
    np.testing.assert_allclose(data.affine[:3, :3] / (3, 2, 1) @ data.position, data.affine[:3, 3])


@pytest.mark.parametrize("affine", [np.eye(3), np.diag([3, 2, 0, 1]), np.diag([3, 2, np.inf, 1])])
def test_an_affine_that_is_none_is_refused(affine):
    with pytest.raises(InvalidInput, match=r"affine of scan is .*invertible matrix of 4 x 4"):
        KData.from_array(np.ones((4, 5), np.complex64), name="scan", spacing=(3, 2, 1), affine=affine)


def test_an_affine_of_other_steps_than_the_spacing_is_refused():
    with pytest.raises(InvalidInput, match=r"steps by \[3.0, 2.0, 1.0\] mm, but its spacing is \(3.0, 2.0, 2.0\)"):
        KData.from_array(np.ones((4, 5), np.complex64), spacing=(3, 2, 2), affine=np.diag([3, 2, 1, 1]))
