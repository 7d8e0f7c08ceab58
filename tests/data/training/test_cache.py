"""The cache of slices: made once, noticed when stale, whole or made again; and the report on it."""

import json
import os
import pickle

import numpy as np
import pytest
from scans import head, write_nifti

from napari_lossguide.data.training import cache as module
from napari_lossguide.data.training.cache import prepare
from napari_lossguide.data.training.options import FolderOptions
from napari_lossguide.data.training.report import contact_sheet, data_report, in_words
from napari_lossguide.data.training.sources import find_sources
from napari_lossguide.types import InvalidInput


@pytest.fixture
def data(tmp_path):
    """Four patients, one of them with two scans; a damaged file, a mask, a copy, a text."""
    folder = tmp_path / "data"
    folder.mkdir()
    for k in range(4):
        write_nifti(folder / f"p{k}_T1.nii.gz", head(seed=k))
    write_nifti(folder / "p0_T2.nii.gz", head(seed=9))
    (folder / "cut.nii.gz").write_bytes((folder / "p1_T1.nii.gz").read_bytes()[:-3000])
    write_nifti(folder / "mask.nii", (head() > 500).astype(np.int16))
    (folder / "copy.nii.gz").write_bytes((folder / "p2_T1.nii.gz").read_bytes())
    (folder / "README.txt").write_text("text")
    return folder


def make(data, **options):
    return prepare(find_sources(data), data.parent / "cache", FolderOptions(**options))


def test_nobody_is_on_both_sides_and_nothing_is_twice(data):
    cache, _ = make(data, validation_share=0.3)
    sides = {u.patient: {v.split for v in cache.units if v.patient == u.patient} for u in cache.units}
    assert all(len(s) == 1 for s in sides.values()) and set(sides) == {"p0", "p1", "p2", "p3", "copy"} - {"p2"}
    assert sum(s == {"validation"} for s in sides.values()) == 1
    assert {u.source for u in cache.units if u.patient == "p0"} == {"p0_T1.nii.gz", "p0_T2.nii.gz"}
    assert not set(cache.slices("train")) & set(cache.slices("validation"))


def test_slices_come_back_from_a_memory_map(data):
    cache, _ = make(data)
    assert isinstance(cache.values, np.memmap)
    for place in cache.slices("train")[::7]:
        s = cache.slice(*place)
        assert s.shape == (place[1], place[1]) and float(np.quantile(s, 0.995)) == pytest.approx(1, abs=0.01)


def test_a_worker_gets_the_place_of_the_slices_and_not_the_slices(data):
    cache, _ = make(data)
    pickled = pickle.dumps(cache)
    assert len(pickled) < 1000 < cache.values.nbytes
    np.testing.assert_array_equal(pickle.loads(pickled).values, cache.values)


def test_it_is_made_once(data, monkeypatch):
    first, _ = make(data)
    monkeypatch.setattr(module, "write", lambda *a: pytest.fail("it read the data again"))
    again, changes = make(data)
    assert changes == [] and again.units == first.units


def test_changed_bytes_are_noticed_though_size_and_time_are_the_same(data):
    make(data)
    path = data / "p3_T1.nii.gz"
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[6] ^= 1  # the time in gzip's header
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    _, changes = make(data)
    assert changes == ["The data have changed: 1 changed (p3_T1.nii.gz); the slices are made again."]


def test_new_and_missing_files_and_other_options_are_noticed(data):
    make(data)
    (data / "p3_T1.nii.gz").rename(data / "p8_T1.nii.gz")
    assert make(data)[1] == [
        "The data have changed: 1 new (p8_T1.nii.gz), 1 gone (p3_T1.nii.gz); the slices are made again."
    ]
    assert make(data, slices=5)[1] == ["The options for the data have changed; the slices are made again."]
    assert make(data, slices=5)[1] == []


def test_damaged_slices_are_made_again(data):
    first, _ = make(data)
    expected = np.array(first.values)
    path = data.parent / "cache" / "slices.f16"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    again, changes = make(data)
    assert changes == ["The slices in the cache are damaged; they are made again."]
    np.testing.assert_array_equal(again.values, expected)


def test_a_kill_while_it_is_made_leaves_nothing_that_passes_for_whole(data, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(done, total):
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        prepare(find_sources(data), data.parent / "cache", FolderOptions(), killed)
    cache, _ = make(data)
    assert len({u.source for u in cache.units}) == 5


def test_a_folder_without_images_says_why(tmp_path):
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "zero.npy", np.zeros((2, 8, 8)))
    with pytest.raises(InvalidInput, match=r"no slice to train on \(zero\.npy: all its values are 0\)"):
        make(tmp_path / "data")
    (tmp_path / "data" / "zero.npy").unlink()
    with pytest.raises(InvalidInput, match=r"no slice to train on\.$"):
        make(tmp_path / "data")


def test_the_report_counts_and_warns(data):
    cache, _ = make(data)
    report = data_report(cache, 32)
    json.dumps(report)
    assert report["files"] == 8 and report["other_files"] == 1 and report["patients"] == 4
    split = report["split"]
    assert report["slices"] == split["train"]["slices"] + split["validation"]["slices"] > 100
    assert {d["name"]: d["reason"].partition(":")[0] for d in report["dropped"]} == {
        "copy.nii.gz": "the same bytes as p2_T1.nii.gz",
        "cut.nii.gz": "unreadable",
        "mask.nii": "it has only a few different values",
    } or "p2_T1.nii.gz" in {d["name"] for d in report["dropped"]}
    warnings = "\n".join(report["warnings"])
    assert "Only 4 patients" in warnings and "1 file not used, unreadable: cut.nii.gz." in warnings
    assert "smaller than the views of 32 pixels" in warnings and '"size": 32,' in warnings
    text = in_words(report)
    assert "4 patients" not in text.splitlines()[0] and "validation" in text and "warning" in text
    assert set(report["sizes"]) == {"28 x 24", "20 x 24", "20 x 28"}


def test_enough_good_data_give_no_warning(tmp_path):
    (tmp_path / "data").mkdir()
    for k in range(12):
        write_nifti(tmp_path / "data" / f"p{k}.nii.gz", head((40, 44, 36), seed=k))
    cache, _ = make(tmp_path / "data")
    assert data_report(cache, 32)["warnings"] == []


def test_one_patient_is_not_split(tmp_path):
    (tmp_path / "data").mkdir()
    write_nifti(tmp_path / "data" / "p.nii.gz", head())
    cache, _ = make(tmp_path / "data")
    warnings = data_report(cache, 32)["warnings"]
    assert any(w.startswith("Only 1 patient:") for w in warnings) and any("No validation" in w for w in warnings)
    assert not cache.slices("validation")


def test_the_contact_sheet_frames_validation_slices(data):
    from skimage.io import imread

    cache, _ = make(data)
    path = data.parent / "sheet.png"
    contact_sheet(cache, path)
    sheet = imread(path)
    assert sheet.ndim == 2 and sheet.shape[1] == 8 * 98 + 2 and sheet.shape[0] % 98 == 2
    assert (sheet[2:98, 2:98] == 255).mean() < 0.5
    framed = [
        (r, c) for r in range(2, sheet.shape[0], 98) for c in range(2, 786, 98) if (sheet[r, c : c + 96] == 255).all()
    ]
    assert 0 < len(framed) < 30
