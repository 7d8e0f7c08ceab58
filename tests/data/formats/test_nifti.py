"""NIfTI: voxels as nibabel gives them, where they lie, and what is lazily read."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.testing import data_path

from napari_lossguide.data.formats.nifti import Nifti
from napari_lossguide.data.image_readers import read_image
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput

EVERYTHING = slice(None)


def bundled(name):
    return Path(data_path) / name


def volume(path, index=0):
    """(i, j, k) by nibabel itself, and its affine."""
    image = nibabel.load(path)
    voxels = image.get_fdata()
    return voxels.reshape(*voxels.shape[:3], -1, order="F")[..., index], image.affine


@pytest.mark.parametrize(
    ("file", "entry", "index"),
    [
        ("anatomical.nii", "images", 0),
        ("functional.nii", "volume 7", 7),
        ("example4d.nii.gz", "volume 1", 1),
        ("example_nifti2.nii.gz", "volume 1", 1),
        ("standard.nii.gz", "images", 0),
        ("reoriented_anat_moved.nii", "images", 0),
    ],
)
def test_every_voxel_is_where_nibabel_puts_it(file, entry, index):
    path = bundled(file)
    voxels, affine = volume(path, index)
    assert entry in [e.name for e in entries(path)]
    loaded = Nifti().load(path, entry, EVERYTHING)
    assert loaded.array.shape == voxels.shape[::-1] == next(e.shape for e in entries(path) if e.name == entry)
    np.testing.assert_allclose(np.sort(loaded.array, axis=None), np.sort(voxels, axis=None), rtol=1e-6)
    places = np.moveaxis(np.indices(loaded.array.shape), 0, -1).reshape(-1, 3)
    mm = places @ loaded.affine[:3, :3].T + loaded.affine[:3, 3]
    i, j, k = np.rint((mm - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T).astype(int).T
    np.testing.assert_allclose(loaded.array.ravel(), voxels[i, j, k], rtol=1e-6)
    np.testing.assert_allclose(loaded.spacing, nibabel.affines.voxel_sizes(affine)[::-1], rtol=1e-6)


def save(path, voxels, affine=None, **header):
    image = nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def test_upright(tmp_path):
    """A front that is stored last is shown first; one that is stored first stays; columns and slices stay."""
    voxels = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    for sign, expected in ((1, voxels[:, ::-1]), (-1, voxels)):
        for j in ([0, sign, 0], [0, 0, sign]):
            affine = np.eye(4)
            affine[:3, 1], affine[:3, 2] = j, np.abs(j[::-1]) if j[1] == 0 else [0, 0, 1]
            affine[:3, 0] = [1, 0, 0] if j[1] else [0, 1, 0]
            loaded = Nifti().load(save(tmp_path / "a.nii", voxels, affine), "images", EVERYTHING)
            np.testing.assert_array_equal(loaded.array, expected.T)


def test_unknown_orientation_is_not_made_up(tmp_path):
    voxels = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    image = nibabel.Nifti1Image(voxels, None)
    image.header.set_zooms((2, 3, 4))
    nibabel.save(image, tmp_path / "a.nii")
    loaded = Nifti().load(tmp_path / "a.nii", "images", EVERYTHING)
    assert loaded.affine is None and loaded.spacing == (4, 3, 2)
    np.testing.assert_array_equal(loaded.array, voxels.T)


def test_one_slice_reads_no_other(tmp_path, monkeypatch):
    voxels = np.arange(64 * 64 * 20, dtype=np.int32).reshape(64, 64, 20)
    scan = open_scan(save(tmp_path / "a.nii", voxels, np.diag([1, -1, 2, 1])))
    assert scan.n_slices == 20
    sizes = []
    original = nibabel.arrayproxy.fileslice

    def watched(*args, **kwargs):
        sizes.append((found := original(*args, **kwargs)).size)
        return found

    monkeypatch.setattr(nibabel.arrayproxy, "fileslice", watched)
    one = scan.read_slice(13)
    assert one.simulated and sizes == [64 * 64]
    np.testing.assert_array_equal(one.reference[0], voxels[..., 13].T)


def test_scale_of_numbers_and_units(tmp_path):
    image = nibabel.Nifti1Image(np.array([[[1], [2]], [[3], [4]]], np.int16), np.diag([1e-3, -2e-3, 3e-3, 1]))
    image.header.set_slope_inter(0.5, 10)
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii")
    voxels = nibabel.load(tmp_path / "a.nii").get_fdata()
    loaded = Nifti().load(tmp_path / "a.nii", "images", EVERYTHING)
    np.testing.assert_allclose(loaded.array, voxels.T)
    np.testing.assert_allclose(loaded.spacing, (3, 2, 1), rtol=1e-6)
    np.testing.assert_allclose(np.abs(np.diag(loaded.affine[:, [2, 1, 0, 3]])), (1, 2, 3, 1), rtol=1e-6)


def test_complex_voxels_and_two_axes(tmp_path, rng):
    voxels = (rng.standard_normal((5, 4)) + 1j * rng.standard_normal((5, 4))).astype(np.complex64)
    kdata = read(save(tmp_path / "a.nii.gz", voxels, np.diag([1, -1, 1, 1])))
    np.testing.assert_array_equal(kdata.reference[0], voxels.T)
    assert read_image(tmp_path / "a.nii.gz").dtype == np.complex64


def test_a_volume_must_be_chosen():
    with pytest.raises(InvalidInput, match=r"example4d\.nii\.gz holds 2 things to read.*volume 0.*volume 1"):
        read(bundled("example4d.nii.gz"))


def test_colours_are_no_images(tmp_path):
    voxels = np.zeros((4, 3, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(InvalidInput, match=r"a\.nii holds voxels .*accepted are numbers"):
        read(save(tmp_path / "a.nii", voxels))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated_and_garbled(tmp_path, rng, name):
    path = save(tmp_path / name, rng.integers(1, 1000, (16, 16, 4)).astype(np.int16))
    content = path.read_bytes()
    for n_bytes in (len(content) - 9, len(content) // 2, 370):
        path.write_bytes(content[:n_bytes])
        with pytest.raises(InvalidInput, match=r"a\.nii"):
            read(path)
    header = bytearray(gzip.decompress(content) if name.endswith("gz") else content)
    for at, value in ((70, b"\x63\x63"), (40, b"\xff\xff"), (42, b"\0\x80"), (108, b"\0\0\xc8\x7f")):
        damaged = header.copy()
        damaged[at : at + len(value)] = value
        path.write_bytes(gzip.compress(damaged) if name.endswith("gz") else damaged)
        with pytest.raises(InvalidInput, match=r"a\.nii"):
            read(path)
