import errno
import os

import numpy as np
import pytest

from napari_lossguide.data.writers import write_npy, write_npz
from napari_lossguide.types import InvalidInput

OLD = b"what was there before"


def test_npz_round_trip(tmp_path):
    path = tmp_path / "out.npz"
    image = np.arange(6, dtype=np.complex64).reshape(1, 2, 3)
    assert write_npz(path, {"image": image, "mask": image[0].real > 2, "recipe": '{"prior": "brain", "σ": 1}'}) == path
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {"image", "mask", "recipe"}
        np.testing.assert_array_equal(file["image"], image)
        assert file["image"].dtype == np.complex64
        assert file["mask"].dtype == bool
        assert file["recipe"].item() == '{"prior": "brain", "σ": 1}'
    assert os.listdir(tmp_path) == ["out.npz"]


def test_npy_round_trip_and_replacing(tmp_path):
    path = tmp_path / "mask.npy"
    path.write_bytes(OLD)
    write_npy(str(path), np.eye(3, dtype=bool))
    np.testing.assert_array_equal(np.load(path), np.eye(3, dtype=bool))
    assert os.listdir(tmp_path) == ["mask.npy"]


def test_the_name_is_taken_as_it_is(tmp_path):
    write_npz(tmp_path / "result.part1", {"a": np.ones(2)})
    assert os.listdir(tmp_path) == ["result.part1"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real.npy").write_bytes(OLD)
    (tmp_path / "link.npy").symlink_to(tmp_path / "real.npy")
    write_npy(tmp_path / "link.npy", np.ones(2))
    assert (tmp_path / "link.npy").is_symlink()
    np.testing.assert_array_equal(np.load(tmp_path / "real.npy"), np.ones(2))


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_then_no_space(file, *args, **kwargs):
    file.write(b"half of it")
    no_space()


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize(
    ("name", "replacement"),
    [("numpy.savez", half_then_no_space), ("os.fsync", no_space), ("os.replace", no_space)],
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, existing, name, replacement):
    path = tmp_path / "out.npz"
    if existing:
        path.write_bytes(OLD)
    monkeypatch.setattr(name, replacement)
    with pytest.raises(InvalidInput, match=r"out\.npz could not be written: No space left on device\."):
        write_npz(path, {"a": np.ones(4)})
    monkeypatch.undo()
    assert os.listdir(tmp_path) == (["out.npz"] if existing else [])
    assert not existing or path.read_bytes() == OLD


@pytest.mark.skipif(os.name != "posix", reason="no setrlimit: a full disk is not tested")
@pytest.mark.parametrize("write", [lambda p, a: write_npz(p, {"a": a}), write_npy])
def test_a_write_that_the_system_stops_half_way(tmp_path, write):
    import resource

    path = tmp_path / "out"
    path.write_bytes(OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(InvalidInput, match=r"out could not be written: .*(too large|full)"):
            write(path, np.ones(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["out"]
    assert path.read_bytes() == OLD


def test_an_interrupt_leaves_no_part(tmp_path, monkeypatch):
    def interrupted(file, *args, **kwargs):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("numpy.save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_npy(tmp_path / "a.npy", np.ones(2))
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_and_a_folder_as_target(tmp_path):
    with pytest.raises(InvalidInput, match=r"nowhere.*could not be written: No such file or directory"):
        write_npy(tmp_path / "nowhere" / "a.npy", np.ones(2))
    with pytest.raises(InvalidInput, match="could not be written"):
        write_npy(tmp_path, np.ones(2))
    assert os.listdir(tmp_path) == []


def test_objects_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="'a' holds Python objects"):
        write_npz(tmp_path / "a.npz", {"a": np.array([{}, None])})
    assert os.listdir(tmp_path) == []
