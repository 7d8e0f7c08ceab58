"""Slices that are read one by one: what they are as an array, and what is in memory of them."""

import pickle

import numpy as np
import pytest

from napari_lossguide.data.slice_wise import SliceWise

WHOLE = np.arange(5 * 4 * 3).reshape(5, 4, 3).astype(np.float32)


@pytest.fixture
def read():
    """Numbers of the slices that were read."""
    return []


@pytest.fixture
def stack(read):
    def one(index):
        read.append(index)
        return WHOLE[index]

    return SliceWise(one, WHOLE.shape, WHOLE.dtype)


@pytest.mark.parametrize(
    ("key", "slices"),
    [
        (2, [2]),
        (-1, [4]),
        (np.int64(1), [1]),
        ((2, 1), [2]),
        ((3, slice(1, 3), 0), [3]),
        ((3, ..., 0), [3]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2, 4]),
        ((slice(3, None), 1), [3, 4]),
        ((slice(4, 4), 1), []),
        (slice(0, 0), []),
        ((..., 1), [0, 1, 2, 3, 4]),
        ([0, 3], [0, 1, 2, 3, 4]),
        (WHOLE > 7, [0, 1, 2, 3, 4]),
    ],
    ids=str,
)
def test_it_is_indexed_as_the_array_and_reads_no_other_slices(stack, read, key, slices):
    found = stack[key]
    np.testing.assert_array_equal(found, WHOLE[key])
    assert np.shape(found) == WHOLE[key].shape
    assert read == slices


@pytest.mark.parametrize("index", [5, -6])
def test_a_slice_that_is_not_there_is_an_index_error(stack, index):
    with pytest.raises(IndexError, match=f"slice {index} of 5"):
        stack[index]


def test_it_knows_its_shape_and_type_without_reading(stack, read):
    assert (stack.shape, stack.ndim, stack.size, len(stack), stack.dtype) == ((5, 4, 3), 3, 60, 5, np.float32)
    assert not read


def test_numpy_takes_it_for_the_array(stack):
    np.testing.assert_array_equal(np.asarray(stack), WHOLE)
    np.testing.assert_array_equal(np.abs(stack), WHOLE)
    np.testing.assert_array_equal(stack * np.ones(3), WHOLE)
    assert np.asarray(stack, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="always new"):
        np.asarray(stack, copy=False)


def test_slices_come_one_after_another(stack, read):
    slices = iter(stack)
    np.testing.assert_array_equal(next(slices), WHOLE[0])
    assert read == [0]
    np.testing.assert_array_equal(np.stack([WHOLE[0], *slices]), WHOLE)


def test_what_is_done_to_each_slice_is_done_when_it_is_read(stack, read):
    doubled = stack.each(lambda plane: 2j * plane, np.complex64)
    assert not read
    np.testing.assert_array_equal(doubled[3], 2j * WHOLE[3])
    assert read == [3]
    assert doubled.dtype == np.complex64


def test_a_pickle_holds_the_array(stack):
    found = pickle.loads(pickle.dumps(stack))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, WHOLE)


def test_a_slice_of_another_size_is_an_error():
    with pytest.raises(ValueError, match=r"slice 1 has shape \(2, 3\), not \(4, 3\)"):
        SliceWise(lambda _: np.zeros((2, 3)), (5, 4, 3), np.float32)[1]
