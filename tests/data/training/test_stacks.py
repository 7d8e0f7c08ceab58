"""Scans as slices: orientation, planes, what is done to values, what is refused."""

import h5py
import numpy as np
import pytest
from scans import head, write_dicom, write_nifti

from napari_lossguide.data.training.options import FolderOptions
from napari_lossguide.data.training.sources import find_sources
from napari_lossguide.data.training.stacks import magnitude, read_stacks
from napari_lossguide.types import InvalidInput


def stacks(folder, **options):
    (source,) = find_sources(folder)[0]
    return list(read_stacks(source, FolderOptions(**options)))


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR", "SAL"])
@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_slices_do_not_depend_on_how_a_volume_is_stored(tmp_path, orientation, suffix):
    volume = head()
    write_nifti(tmp_path / f"a.{suffix}", volume, (1.0, 1.1, 1.2), orientation)
    axial, coronal, sagittal = stacks(tmp_path)
    assert [s.plane for s in (axial, coronal, sagittal)] == ["axial", "coronal", "sagittal"]
    np.testing.assert_array_equal(axial.images[3], volume[:, ::-1, 3].T)
    np.testing.assert_array_equal(coronal.images[4], volume[:, 4, ::-1].T)
    np.testing.assert_array_equal(sagittal.images[5], volume[5, :, ::-1].T)
    assert [s.pixel_mm for s in (axial, coronal, sagittal)] == [
        pytest.approx(mm) for mm in ((1.1, 1.0), (1.2, 1.0), (1.2, 1.1))
    ]


@pytest.mark.parametrize(("mm", "plane"), [((1, 1, 5), "axial"), ((1, 4, 1), "coronal"), ((6, 1, 1), "sagittal")])
def test_thick_slices_are_cut_only_along_their_own_plane(tmp_path, mm, plane):
    write_nifti(tmp_path / "a.nii", head(), mm)
    assert [s.plane for s in stacks(tmp_path)] == [plane]
    assert [s.plane for s in stacks(tmp_path, plane="coronal")] == ["coronal"]
    assert len(stacks(tmp_path, plane="all")) == 3


def test_of_a_series_of_volumes_the_first_is_used_and_that_is_said(tmp_path):
    import nibabel

    volume = head()
    nibabel.save(nibabel.Nifti1Image(np.stack([volume, volume // 2], -1), np.eye(4)), tmp_path / "a.nii.gz")
    stack = stacks(tmp_path, plane="axial")[0]
    np.testing.assert_array_equal(stack.images[3], volume[:, ::-1, 3].T)
    assert stack.notes == ("only the first of 2 volumes is used",)


def test_nifti_version_two_and_scale_factors(tmp_path):
    import nibabel

    image = nibabel.Nifti2Image(head(), np.eye(4))
    image.header.set_slope_inter(2, 0)
    nibabel.save(image, tmp_path / "a.nii")
    stored = nibabel.load(tmp_path / "a.nii").get_fdata()
    np.testing.assert_allclose(stacks(tmp_path, plane="axial")[0].images[3], stored[:, ::-1, 3].T, rtol=1e-6)


def test_a_dicom_series_with_rescaling(tmp_path):
    pixels = np.arange(64).reshape(8, 8)
    for k in range(3):
        write_dicom(tmp_path / f"{k}.dcm", pixels + k, "anna", "1.1", -k, RescaleSlope=2, RescaleIntercept=1)
    (stack,) = stacks(tmp_path)
    np.testing.assert_array_equal(stack.images, np.stack([2 * (pixels + k) + 1 for k in (2, 1, 0)]))
    assert stack.pixel_mm == (1.5, 1.5) and stack.patient == "anna" and stack.plane == "native"


def test_inverted_dicom_is_turned_back(tmp_path):
    write_dicom(tmp_path / "a.dcm", np.arange(64).reshape(8, 8), "a", "1", PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(stacks(tmp_path)[0].images[0], 63 - np.arange(64).reshape(8, 8))


def test_an_npz_with_several_patients_is_several_stacks(tmp_path):
    images = np.random.default_rng(0).random((5, 8, 8))
    np.savez(tmp_path / "a.npz", images=images, patient=[3, 1, 3, 1, 3], pixel_mm=0.9)
    first, second = stacks(tmp_path)
    assert (first.patient, second.patient) == ("1", "3")
    np.testing.assert_allclose(first.images, images[[1, 3]], rtol=1e-6)
    assert first.pixel_mm == (0.9, 0.9)


def test_fastmri_and_named_datasets(tmp_path):
    images = np.random.default_rng(0).random((2, 8, 8))
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["reconstruction_rss"], f["group/other"] = images, 2 * images
        f.attrs["patient_id"] = "abc"
    (stack,) = stacks(tmp_path)
    np.testing.assert_allclose(stack.images, images, rtol=1e-6)
    assert stack.patient == "abc"
    np.testing.assert_allclose(stacks(tmp_path, dataset="group/other")[0].images, 2 * images, rtol=1e-6)
    with pytest.raises(InvalidInput, match=r"holds no nothing; its arrays are: group/other, reconstruction_rss"):
        stacks(tmp_path, dataset="nothing")


def test_kspace_is_not_taken_for_an_image(tmp_path):
    np.savez(tmp_path / "a.npz", kspace=np.random.default_rng(0).normal(size=(2, 8, 8)) + 0j)
    with pytest.raises(InvalidInput, match=r"holds no images or .*; its arrays are: kspace"):
        stacks(tmp_path)


def test_complex_images_become_magnitudes(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 8, 8)) * (1 + 1j)
    np.save(tmp_path / "a.npy", x)
    np.testing.assert_allclose(stacks(tmp_path)[0].images, abs(x), rtol=1e-6)


def test_nan_becomes_zero_and_that_is_said():
    x = np.random.default_rng(0).random((2, 8, 8))
    x[0, 0, 0], x[1, 2, 3] = np.nan, np.inf
    images, _, notes = magnitude(x)
    assert images[0, 0, 0] == 0 and images[1, 2, 3] == 0
    assert notes == ("1.6% of the values are NaN or infinite and were set to zero",)


def test_values_far_below_zero_are_shifted_and_slightly_negative_ones_cut():
    hounsfield = np.linspace(-1000, 1000, 128).reshape(2, 8, 8)
    images, extent, notes = magnitude(hounsfield)
    assert images.min() == 0 and images.max() == pytest.approx(2000) and extent == (-1000, 1000)
    assert "shifted to begin at zero" in notes[0]
    images, _, notes = magnitude(np.linspace(-10, 1000, 128).reshape(2, 8, 8))
    assert images.min() == 0 and images.max() == pytest.approx(1000) and notes == ()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 8, 8)), "all its values are 0"),
        (np.arange(128).reshape(2, 8, 8) % 5, "a mask or a label map"),
        (np.random.default_rng(0).random((2, 2, 8, 8)), "wanted is"),
        (np.array([["a", "b"]]), "type <U1"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, array, reason):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InvalidInput, match=reason):
        stacks(tmp_path)


def test_a_cut_off_volume_is_refused_with_a_reason(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", head())
    (tmp_path / "a.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes()[:-2000])
    with pytest.raises(InvalidInput, match=r"^unreadable: "):
        stacks(tmp_path)


def test_a_fault_of_our_own_is_not_called_a_damaged_file(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((2, 8, 8)))

    def broken(array, patient):
        raise AttributeError("ours")

    monkeypatch.setattr("napari_lossguide.data.training.stacks.from_array", broken)
    with pytest.raises(AttributeError, match="ours"):
        stacks(tmp_path)
