"""Who is who, and that nobody is on both sides."""

import pytest
from pydantic import ValidationError

from napari_lossguide.data.training.options import FolderOptions
from napari_lossguide.data.training.patients import name_patients, patient_of_file, validation_patients


def named(names, known=None, flat=(), **options):
    return name_patients(names, known or {}, flat, FolderOptions(**options))


def test_bids():
    names = ["study/sub-01/anat/sub-01_T1w.nii.gz", "study/sub-01/anat/sub-01_T2w.nii.gz", "study/sub-02/anat/x.nii.gz"]
    patients, warnings = named(names)
    assert list(patients.values()) == ["sub-01", "sub-01", "sub-02"] and warnings == []
    assert named(["sub-7_T1w.nii"])[0] == {"sub-7_T1w.nii": "sub-7"}


def test_a_folder_for_each_patient_below_what_all_share():
    names = ["all/images/anna/a.nii", "all/images/anna/late/b.nii", "all/images/ben/a.nii"]
    assert list(named(names)[0].values()) == ["anna", "anna", "ben"]


def test_files_of_one_folder_without_their_contrast():
    names = ["x/p01_T1.nii.gz", "x/p01-FLAIR.nii.gz", "x/p02_t1_ax.nii", "x/t1.nii"]
    assert list(named(names)[0].values()) == ["p01", "p01", "p02", "t1"]
    assert patient_of_file("IXI002-Guys-0828-T1.nii.gz") == "IXI002-Guys-0828"


def test_what_the_file_says_goes_first():
    assert named(["a.dcm", "b.nii"], {"a.dcm": "anna", "b.nii": ""})[0] == {"a.dcm": "anna", "b.nii": "b"}


def test_single_slices_belong_together_by_their_name():
    names = ["p1_001.npy", "p1_002.npy", "p2_001.npy"]
    assert list(named(names, flat=names)[0].values()) == ["p1", "p1", "p2"]
    patients, warnings = named(["img1.npy", "img2.npy"], flat=["img1.npy", "img2.npy"])
    assert len(set(patients.values())) == 2 and "folder.patient_pattern" in warnings[0]


def test_a_pattern():
    names = ["T1/case7.nii", "T2/case7.nii", "T2/case8.nii"]
    assert list(named(names, patient_pattern=r"(case\d+)")[0].values()) == ["case7", "case7", "case8"]
    with pytest.raises(ValidationError, match="has no group"):
        FolderOptions(patient_pattern="case")
    with pytest.raises(ValidationError, match="not a regular expression"):
        FolderOptions(patient_pattern="(case")


def test_names_that_repeat_across_folders_are_pointed_out():
    names = [f"{contrast}/p{k}.nii" for contrast in ("A", "B", "C") for k in range(2)]
    patients, warnings = named(names)
    assert set(patients.values()) == {"A", "B", "C"} and "folder.patient=file" in warnings[0]
    assert set(named(names, patient="file")[0].values()) == {"p0", "p1"}


def test_the_split_is_disjoint_stable_and_of_the_asked_size():
    patients = [f"p{k}" for k in range(50)]
    kept = validation_patients(patients * 3, 0.2)
    assert len(kept) == 10 and kept < set(patients)
    assert validation_patients(patients[::-1], 0.2) == kept
    more = validation_patients([*patients, "another"], 0.2)
    assert len(kept & more) >= 9


@pytest.mark.parametrize(("n", "share", "expected"), [(1, 0.2, 0), (2, 0.01, 1), (3, 0.9, 2), (10, 0.0, 0)])
def test_the_smallest_splits(n, share, expected):
    assert len(validation_patients([str(k) for k in range(n)], share)) == expected
