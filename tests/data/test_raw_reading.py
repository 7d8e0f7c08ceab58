"""Raw-data steps in the readers, for any format: what is kept of them, and that data can be read again with others."""

import numpy as np
import pytest

from napari_lossguide.data import samples
from napari_lossguide.data.formats.base import RawFormat
from napari_lossguide.data.formats.registry import FORMATS
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.raw.coil_compression import compress_coils
from napari_lossguide.data.raw.steps import RawSteps
from napari_lossguide.data.readers import open_scan, read, read_again
from napari_lossguide.data.writers import write_npz
from napari_lossguide.types import InvalidInput


@pytest.fixture
def scan():
    return simulate(np.stack([shepp_logan(16), shepp_logan(16)[::-1]]), n_coils=4)


@pytest.fixture
def path(tmp_path, scan):
    write_npz(tmp_path / "scan.npz", scan.arrays())
    return tmp_path / "scan.npz"


@pytest.mark.parametrize("method", ["svd", "gcc"])
def test_coils_of_any_format_are_compressed_with_their_maps(path, scan, method):
    data = read(path, steps=RawSteps(coils=3, compression=method))
    expected = compress_coils(scan, 3, method)
    np.testing.assert_array_equal(data.kspace, expected.kspace)
    np.testing.assert_array_equal(data.maps, expected.maps)
    np.testing.assert_array_equal(data.reference, scan.reference)
    assert data.source == f"{path}; 4 coils compressed to 3 ({method})"


def test_slices_are_those_of_the_whole(path):
    scan = open_scan(path, steps={"coils": 2})
    for index in range(2):
        np.testing.assert_array_equal(scan.read_slice(index).kspace[0], scan.read().kspace[index])


def test_without_steps_nothing_is_said(path, scan):
    data = read(path, steps={"prewhiten": True})
    np.testing.assert_array_equal(data.kspace, scan.kspace)
    assert data.origin.parameters == {} and data.source == str(path)


def test_the_origin_keeps_what_is_not_as_usual(path):
    data = read(path, steps=RawSteps(coils=2), variable="kspace")
    assert data.origin.parameters == {"variable": "kspace", "steps": {"coils": 2}}
    np.testing.assert_array_equal(read(path, **data.origin.parameters).kspace, data.kspace)


def test_reading_again_with_other_steps(path, scan, rng):
    mask = rng.random((16, 16)) < 0.7
    data = read(path, variable="kspace", steps={"coils": 3}).select(1).undersample(mask)
    again = read_again(data.origin, {"coils": 2})
    np.testing.assert_array_equal(again.kspace, read(path, steps={"coils": 2}).select(1).undersample(mask).kspace)
    assert again.origin.parameters == {"variable": "kspace", "steps": {"coils": 2}}
    whole = read_again(again.origin, {})
    assert whole.n_coils == 4 and whole.origin.parameters == {"variable": "kspace"} and whole.origin.slice == 1


def test_only_files_can_be_read_again():
    with pytest.raises(InvalidInput, match="“phantom” did not come from a file"):
        read_again(samples.phantom().origin, {})


def test_more_coils_than_there_are(path):
    with pytest.raises(InvalidInput, match="4 coils cannot be compressed to 5"):
        read(path, steps={"coils": 5})


def test_which_formats_are_raw():
    assert [form.name for form in FORMATS if isinstance(form, RawFormat)] == ["ISMRMRD .h5", "Siemens .dat"]
