"""Looking into files and reading them slice by slice, whatever their format."""

import h5py
import numpy as np
import pytest

from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput


@pytest.fixture
def kspace(rng) -> np.ndarray:
    return (rng.standard_normal((3, 2, 6, 4)) + 1j * rng.standard_normal((3, 2, 6, 4))).astype(np.complex64)


def write(path, kspace, **others):
    if path.suffix == ".npy":
        np.save(path, kspace)
    elif path.suffix == ".npz":
        np.savez(path, kspace=kspace, **others)
    else:
        with h5py.File(path, "w") as file:
            for name, values in {"kspace": kspace, **others}.items():
                file[name] = values
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
def test_slices_are_those_of_the_whole(tmp_path, kspace, name):
    scan = open_scan(write(tmp_path / name, kspace))
    assert scan.n_slices == 3
    whole = read(tmp_path / name)
    for index in range(3):
        one = scan.read_slice(index)
        np.testing.assert_array_equal(one.kspace, whole.kspace[index : index + 1])
        assert (one.origin.slice, one.origin.sha256) == (index, whole.origin.sha256)
    np.testing.assert_array_equal(scan.read().kspace, whole.kspace)


@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
def test_what_lies_beside_is_cut_too(tmp_path, kspace, name, rng):
    maps, reference = kspace[::-1], rng.uniform(size=(3, 6, 4)).astype(np.float32)
    own = {"reference": reference, "simulated": True} if name == "a.npz" else {"reconstruction_rss": reference}
    scan = open_scan(write(tmp_path / name, kspace, maps=maps, mask=np.array([1, 0, 1, 1]), **own))
    one = scan.read_slice(2)
    np.testing.assert_array_equal(one.maps[0], maps[2])
    np.testing.assert_array_equal(one.reference[0], reference[2])
    assert not one.acquired[:, 1].any() and one.acquired[:, 0].all()


def test_one_slice_of_a_single_coil_file(tmp_path, kspace):
    scan = open_scan(write(tmp_path / "a.h5", kspace[:, 0]))
    assert scan.n_slices == 3
    np.testing.assert_array_equal(scan.read_slice(1).kspace, kspace[1:2, :1])


def test_no_such_slice(tmp_path, kspace):
    scan = open_scan(write(tmp_path / "a.npy", kspace))
    for index in (-1, 3):
        with pytest.raises(InvalidInput, match=rf"Slice {index} is not in .*a\.npy; it has slices 0 to 2"):
            scan.read_slice(index)


@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
def test_entries_name_what_can_be_chosen(tmp_path, kspace, name):
    path = write(tmp_path / name, kspace, hu=np.ones((3, 6, 4), np.float32), mask=np.ones((6, 4)), b=np.arange(3))
    found = {entry.name: entry for entry in entries(path)}
    assert set(found) == {"kspace", "hu"}
    assert (found["kspace"].kind, found["kspace"].shape) == ("kspace", (3, 2, 6, 4))
    assert (found["hu"].kind, found["hu"].shape) == ("images", (3, 6, 4))
    assert found["kspace"].title == "kspace: k-space, 3 slices, 2 coils, 6 x 4, complex64"
    assert open_scan(path, variable="hu").read_slice(1).simulated


def test_entries_of_npy(tmp_path, kspace):
    assert entries(write(tmp_path / "a.npy", kspace[0, 0]))[0].shape == (1, 1, 6, 4)
    np.save(tmp_path / "b.npy", np.zeros((6, 4)))
    assert entries(tmp_path / "b.npy")[0].kind == "images"
    np.save(tmp_path / "c.npy", np.zeros(3))
    assert entries(tmp_path / "c.npy") == ()
