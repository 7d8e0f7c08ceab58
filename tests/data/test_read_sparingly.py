"""Large k-space that stays in its file: the same as when it is read whole, and no more of it in memory than needed."""

import dataclasses

import h5py
import nibabel
import numpy as np
import pytest

from napari_lossguide.data.artefacts import drop_points
from napari_lossguide.data.formats.fastmri import FastMRI
from napari_lossguide.data.readers import LARGE, open_scan, read
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.recon.cells import fingerprint
from napari_lossguide.recon.drive import last_of
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

N, COILS, NY, NX = 5, 3, 24, 20


def kspace(rng):
    return (rng.standard_normal((N, COILS, NY, NX)) + 1j * rng.standard_normal((N, COILS, NY, NX))).astype(np.complex64)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def scan(tmp_path, rng):
    """A fastMRI file with a mask and a true image."""
    mask = np.zeros(NX, bool)
    mask[5:16] = True
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"] = kspace(rng) * mask
        file["mask"] = mask
        file["reconstruction_rss"] = rng.random((N, NY, NX), np.float32)
    return tmp_path / "scan.h5"


@pytest.fixture
def loaded(monkeypatch):
    """Which slices were read from fastMRI files."""
    found, load = [], FastMRI.load

    def spy(self, path, name, slices):
        found.append(slices)
        return load(self, path, name, slices)

    monkeypatch.setattr(FastMRI, "load", spy)
    return found


def assert_same(sparing, whole):
    assert sparing.lazy
    assert not whole.lazy
    for field in dataclasses.fields(whole):
        a, b = getattr(sparing, field.name), getattr(whole, field.name)
        if isinstance(a, SliceWise):
            assert a.dtype == b.dtype
        if field.name == "origin":
            a, b = a.sha256, b.sha256
        if isinstance(b, np.ndarray):
            np.testing.assert_array_equal(np.asarray(a), b, err_msg=field.name)
        else:
            assert a == b, field.name


def test_fastmri_is_the_same_as_when_it_is_read_whole(scan):
    sparing = open_scan(scan).read_sparingly(0)
    assert isinstance(sparing.reference, SliceWise)
    assert_same(sparing, read(scan))


def test_maps_and_affine_are_the_same(tmp_path, rng):
    affine = np.array([[0, 0, 2, 5], [0, 3.0, 0, -7], [4, 0, 0, 11], [0, 0, 0, 1]])
    path = tmp_path / "scan.npz"
    np.savez(path, kspace=kspace(rng), maps=kspace(rng), spacing=(4, 3, 2), affine=affine)
    sparing = open_scan(path).read_sparingly(0)
    assert_same(sparing, read(path))
    np.testing.assert_allclose(sparing.select(3).affine[:3, 3], [5, -7, 11 + 3 * 4])


def test_a_simulation_from_images_is_the_same(tmp_path, rng):
    voxels = rng.random((NX, NY, N)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 2, 3, 1])), tmp_path / "head.nii")
    assert_same(open_scan(tmp_path / "head.nii").read_sparingly(0), read(tmp_path / "head.nii"))


@pytest.mark.parametrize("steps", [{"coils": 2}, {"coils": 2, "compression": "gcc"}])
def test_coils_are_compressed_as_when_it_is_read_whole(tmp_path, rng, steps):
    np.save(tmp_path / "scan.npy", kspace(rng))
    assert_same(
        open_scan(tmp_path / "scan.npy", steps=steps).read_sparingly(0), read(tmp_path / "scan.npy", steps=steps)
    )


def test_small_k_space_and_a_single_slice_are_read_whole(scan, tmp_path, rng):
    assert not open_scan(scan).read_sparingly().lazy
    assert not open_scan(scan).read_sparingly(N * COILS * NY * NX * 8).lazy
    assert open_scan(scan).read_sparingly(N * COILS * NY * NX * 8 - 1).lazy
    np.save(tmp_path / "one.npy", kspace(rng)[0])
    assert not open_scan(tmp_path / "one.npy").read_sparingly(0).lazy
    assert LARGE == 2**30


def test_slices_are_read_when_they_are_looked_at_and_a_few_are_kept(scan, loaded):
    kdata = open_scan(scan).read_sparingly(0)
    assert loaded == [slice(2, 3)]  # of the middle: how large, and which points
    loaded.clear()
    for _ in range(2):
        kdata.kspace[4]
        kdata.reference[4]
        kdata.select(4)
    assert loaded == [slice(4, 5)]
    list(kdata.kspace)
    kdata.kspace[0]
    assert len(loaded) == 1 + N + 1, "the first had to make room for the last three"


def test_what_is_done_to_it_leaves_it_in_its_file(scan, loaded):
    kdata = open_scan(scan).read_sparingly(0)
    loaded.clear()
    kept = np.zeros((NY, NX), bool)
    kept[:, 8:14] = True
    fewer = drop_points(kdata.undersample(kept), np.array([[3, 9]]))
    kept[3, 9] = False
    assert fewer.lazy
    assert not loaded
    np.testing.assert_array_equal(fewer.kspace, read(scan).kspace * kept)
    np.testing.assert_array_equal(fewer.acquired, kept)


def test_a_slice_may_lack_points_but_not_have_more(tmp_path, rng):
    values = kspace(rng)
    values[:, :, :, :4] = 0
    values[0] = 0
    values[1, :, :, :8] = 0
    np.save(tmp_path / "scan.npy", values)
    kdata = open_scan(tmp_path / "scan.npy").read_sparingly(0)
    np.testing.assert_array_equal(kdata.kspace, values)
    values[3, 0, 0, 0] = 1
    np.save(tmp_path / "scan.npy", values)
    kdata = open_scan(tmp_path / "scan.npy").read_sparingly(0)
    with pytest.raises(InvalidInput, match=r"A slice of .*scan\.npy has another size or other points"):
        kdata.kspace[3]
    np.testing.assert_array_equal(open_scan(tmp_path / "scan.npy").read_slice(3).kspace[0], values[3])


def test_a_slice_that_is_not_finite_is_found_when_it_is_read(tmp_path, rng):
    values = kspace(rng)
    values[3, 0, 0, 0] = np.nan
    np.save(tmp_path / "scan.npy", values)
    kdata = open_scan(tmp_path / "scan.npy").read_sparingly(0)
    np.testing.assert_array_equal(kdata.kspace[1], values[1])
    with pytest.raises(InvalidInput, match="NaN or infinity"):
        kdata.kspace[3]


def test_a_run_gives_the_same_image_and_the_same_hashes(scan, loaded):
    recipe = Recipe.for_method("zero-filled")
    whole, sparing = read(scan), open_scan(scan).read_sparingly(0)
    a, b = (last_of(reconstruction(kdata, recipe, maps=np.ones((COILS, NY, NX)))) for kdata in (whole, sparing))
    np.testing.assert_array_equal(a.image, b.image)
    assert a.provenance["input_sha256"] == b.provenance["input_sha256"]
    assert fingerprint(whole) == fingerprint(sparing)


def test_coil_images_and_true_images_are_the_same(tmp_path, scan, rng):
    whole, sparing = read(scan), open_scan(scan).read_sparingly(0)
    np.testing.assert_array_equal(sparing.true_images(), whole.reference)
    assert sparing.coil_images().dtype == whole.coil_images().dtype == np.float32
    np.testing.assert_array_equal(sparing.coil_images(), whole.coil_images())
    np.save(tmp_path / "full.npy", kspace(rng))
    np.testing.assert_array_equal(
        open_scan(tmp_path / "full.npy").read_sparingly(0).true_images(), read(tmp_path / "full.npy").coil_images()
    )


def test_it_is_saved_whole(scan):
    whole, sparing = read(scan).arrays(), open_scan(scan).read_sparingly(0).arrays()
    assert whole.keys() == sparing.keys()
    for name, array in sparing.items():
        assert type(array) is np.ndarray
        np.testing.assert_array_equal(array, whole[name])
