"""What a folder holds, by content; DICOM series in the order of their slices."""

import gzip

import numpy as np
import pytest
from scans import head, write_dicom, write_nifti

from napari_lossguide.data.training import sources
from napari_lossguide.data.training.sources import find_sources, listed_sources
from napari_lossguide.types import InvalidInput


def names(found):
    return {s.name: s.kind for s in found}


def test_kinds_are_found_by_content_whatever_the_files_are_called(tmp_path):
    import h5py

    write_nifti(tmp_path / "a.nii", head())
    (tmp_path / "a.nii").rename(tmp_path / "a.dat")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write_nifti(tmp_path / "deep" / "er" / "b.nii.gz", head())
    np.save(tmp_path / "c.npy", np.eye(8))
    np.savez(tmp_path / "d.npz", images=np.eye(8)[None])
    np.savez(tmp_path / "e.npz", labels=np.zeros((1, 8, 8, 8), np.uint8), freesurfer_id=np.array([0]))
    with h5py.File(tmp_path / "f.h5", "w") as f:
        f["reconstruction_rss"] = np.eye(8)[None]
    write_dicom(tmp_path / "g", np.eye(8), "p", "1.2")
    (tmp_path / "README").write_text("not a scan")
    (tmp_path / "notes.txt.gz").write_bytes(gzip.compress(b"not a scan either"))
    (tmp_path / ".hidden.npy").write_bytes(b"\x93NUMPY")
    found, dropped, others = find_sources(tmp_path)
    assert names(found) == {
        "a.dat": "nifti", "deep/er/b.nii.gz": "nifti", "c.npy": "npy", "d.npz": "npz", "e.npz": "labels", "f.h5": "h5",
        "g": "dicom",
    }  # fmt: skip
    assert dropped == [] and others == 2
    assert [s.name for s in found] == sorted(names(found))


def test_damaged_files_are_named_and_do_not_stop_the_rest(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.eye(8)[None])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:40])
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(b"x" * 500)[:12])
    found, dropped, _ = find_sources(tmp_path)
    assert names(found) == {"a.npz": "npz"}
    assert sorted(d.name for d in dropped) == ["cut.nii.gz", "cut.npz"]
    assert all(d.reason.startswith("unreadable") for d in dropped)


def test_dicom_is_grouped_by_patient_series_and_size_and_ordered_along_the_normal(tmp_path):
    for k, z in enumerate((7.5, -2.0, 3.0)):
        write_dicom(tmp_path / f"{k}.dcm", np.full((8, 8), k), "anna", "1.1", z)
    write_dicom(tmp_path / "other.dcm", np.eye(8), "anna", "1.2")
    write_dicom(tmp_path / "scout.dcm", np.eye(16), "anna", "1.1")
    write_dicom(tmp_path / "ben.dcm", np.eye(8), "ben", "1.3")
    write_dicom(tmp_path / "report.dcm", None, "anna", "1.4")
    found, dropped, _ = find_sources(tmp_path)
    groups = {s.name: (s.patient, [p.name for p in s.paths]) for s in found}
    assert groups == {
        "1.dcm": ("anna", ["1.dcm", "2.dcm", "0.dcm"]),
        "other.dcm": ("anna", ["other.dcm"]),
        "scout.dcm": ("anna", ["scout.dcm"]),
        "ben.dcm": ("ben", ["ben.dcm"]),
    }
    assert [(d.name, d.reason) for d in dropped] == [("report.dcm", "DICOM without an image (SR)")]


def test_a_missing_reader_is_named(tmp_path, monkeypatch):
    write_nifti(tmp_path / "a.nii", head())
    monkeypatch.setitem(sources.READERS, "nifti", "no_such_package")
    with pytest.raises(InvalidInput, match=r"nifti files are read with no_such_package, .*pip install no_such_package"):
        find_sources(tmp_path)


def test_listed_files_keep_their_share_and_side(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(8))
    np.save(tmp_path / "b.npy", np.eye(8))
    found = listed_sources(tmp_path, [("a.npy", 3.0)], ["b.npy"])
    assert [(s.name, s.share, s.split) for s in found] == [("a.npy", 3.0, "train"), ("b.npy", 1.0, "validation")]
    (tmp_path / "c.txt").write_text("text")
    with pytest.raises(InvalidInput, match=r"c\.txt is of another kind"):
        listed_sources(tmp_path, [("c.txt", 1.0)], [])


def test_the_checksum_of_a_series_is_that_of_all_its_files(tmp_path):
    for k in range(2):
        write_dicom(tmp_path / f"{k}.dcm", np.full((8, 8), k), "anna", "1.1", k)
    before = find_sources(tmp_path)[0][0].sha256()
    write_dicom(tmp_path / "1.dcm", np.full((8, 8), 5), "anna", "1.1", 1)
    assert find_sources(tmp_path)[0][0].sha256() != before
