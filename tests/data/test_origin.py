"""What k-space knows of where it comes from, and that it can be got again by that."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from napari_lossguide.data import samples
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import read


@pytest.fixture
def path(tmp_path):
    kdata = simulate(np.stack([shepp_logan(16), shepp_logan(16)[::-1]]), n_coils=2)
    np.savez(tmp_path / "scan.npz", kspace=kdata.kspace, other=kdata.kspace[:1])
    return tmp_path / "scan.npz"


def again(origin):
    """What the fields of an origin say, followed by hand."""
    kdata = read(origin.name, **origin.parameters)
    kdata = kdata if origin.slice is None else kdata.select(origin.slice)
    return kdata if origin.kept is None else kdata.undersample(origin.kept)


def test_a_file_is_known_by_its_absolute_path_and_its_bytes(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    origin = read("scan.npz", variable="other").origin
    assert (origin.kind, Path(origin.name)) == ("file", path.resolve())
    assert origin.parameters == {"variable": "other"}
    assert origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_slices_and_masks_are_kept_in_whatever_order_they_came(path, rng):
    first, second = (rng.random((16, 16)) < 0.7 for _ in range(2))
    kdata = read(path)
    for made in (
        kdata,
        kdata.select(1),
        kdata.select(1).select(0),
        kdata.undersample(first).select(1).undersample(second),
        kdata.select(1).undersample(first).undersample(second).select(0),
    ):
        np.testing.assert_array_equal(again(made.origin).kspace, made.kspace)
        np.testing.assert_array_equal(again(made.origin).acquired, made.acquired)
    assert kdata.origin.slice is None and kdata.origin.kept is None, "the whole is left alone"


def test_a_mask_of_columns_is_kept_as_points(path):
    columns = np.arange(16) % 2 == 0
    np.testing.assert_array_equal(read(path).undersample(columns).origin.kept, np.broadcast_to(columns, (16, 16)))


def test_samples_are_known_by_their_function():
    origin = samples.phantom().origin
    assert (origin.kind, origin.name, dict(origin.parameters)) == ("sample", "phantom", {})
    np.testing.assert_array_equal(getattr(samples, origin.name)().kspace, samples.phantom().kspace)


def test_the_fetched_sample_is_not_a_file_of_the_cache(tmp_path):
    kspace = simulate(shepp_logan(16), n_coils=2).kspace[0]
    np.save(tmp_path / "remote.npy", kspace)
    given = {
        "url": (tmp_path / "remote.npy").as_uri(),
        "cache": str(tmp_path / "cache"),
        "sha256": hashlib.sha256((tmp_path / "remote.npy").read_bytes()).hexdigest(),
    }
    (tmp_path / "cache").mkdir()
    np.save(tmp_path / "cache" / "cartesian_ksp.npy", kspace)
    origin = samples.sigpy_brain(**given).origin
    assert (origin.kind, origin.name, dict(origin.parameters)) == ("sample", "sigpy_brain", given)


def test_arrays_come_from_nowhere():
    assert KData.from_array(simulate(shepp_logan(16)).kspace).undersample(np.eye(16, dtype=bool)).origin is None
    assert Origin("image", "photo").select(2).slice == 2
