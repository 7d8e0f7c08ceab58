"""MATLAB's files: both versions, their axes, and what is not read of them."""

import contextlib
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from napari_lossguide.data.image_readers import read_image, read_mask
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput

VERSIONS = ("5", "5 compressed", "7.3")


def save(path, version, **arrays):
    """Arrays in MATLAB's order of axes."""
    if version != "7.3":
        scipy.io.savemat(path, arrays, do_compression="compressed" in version)
        return path
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            array = np.asarray(array).T
            if array.dtype.kind == "c":
                part = "<f4" if array.dtype == np.complex64 else "<f8"
                array = np.ascontiguousarray(array).view([("real", part), ("imag", part)])
            file[name] = array
            file[name].attrs["MATLAB_class"] = np.bytes_({"u": "uint8", "U": "char"}.get(array.dtype.kind, "double"))
        group = file.create_group("structure")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        file["text"] = np.zeros((4, 6), np.uint16)
        file["text"].attrs["MATLAB_class"] = np.bytes_("char")
        file["nothing"] = np.array([0, 5], np.uint64)
        file["nothing"].attrs.update({"MATLAB_class": np.bytes_("double"), "MATLAB_empty": 1})
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def noise(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("version", VERSIONS)
def test_four_axes(tmp_path, rng, version):
    stored = noise(rng, 6, 4, 2, 3)  # (ny, nx, coil, slice)
    scan = open_scan(save(tmp_path / "a.mat", version, kspace=stored))
    expected = stored.transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(scan.read().kspace, expected)
    np.testing.assert_array_equal(scan.read_slice(2).kspace, expected[2:])
    assert entries(tmp_path / "a.mat")[0].title == (
        "kspace: k-space, 3 slices, 2 coils, 6 x 4, complex64, axes taken as (ny, nx, coil, slice)"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_fewer_axes(tmp_path, rng, version):
    coils, volume = noise(rng, 6, 4, 2), rng.uniform(size=(6, 4, 3))
    path = save(tmp_path / "a.mat", version, one=coils[..., 0], coils=coils, volume=volume, image=volume[..., 0])
    found = {entry.name: entry for entry in entries(path)}
    assert {name: (entry.kind, entry.shape) for name, entry in found.items()} == {
        "one": ("kspace", (1, 1, 6, 4)),
        "coils": ("kspace", (1, 2, 6, 4)),
        "volume": ("images", (3, 6, 4)),
        "image": ("images", (1, 6, 4)),
    }
    assert "(ny, nx, coil)" in found["coils"].title and "(ny, nx, slice)" in found["volume"].title
    np.testing.assert_array_equal(read(path, variable="coils").kspace[0], coils.transpose(2, 0, 1))
    np.testing.assert_array_equal(read(path, variable="one").kspace[0, 0], coils[..., 0])
    images = open_scan(path, variable="volume").read_slice(1).reference
    np.testing.assert_allclose(images[0], volume[..., 1], rtol=1e-6)
    np.testing.assert_allclose(read_image(path)[0], volume[..., 0], rtol=1e-6)
    with pytest.raises(InvalidInput, match=r"no array named kspace or images; its arrays are: .*coils"):
        read(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_lies_beside(tmp_path, rng, version):
    stored, maps = noise(rng, 6, 4, 2, 3), noise(rng, 6, 4, 2, 3)
    mask = np.array([[1, 0, 1, 1]], np.uint8)
    path = save(tmp_path / "a.mat", version, kspace=stored, maps=maps, mask=mask, spacing=np.array([[5.0, 2.0, 1.0]]))
    assert [entry.name for entry in entries(path)] == ["kspace"]
    one = open_scan(path).read_slice(1)
    np.testing.assert_array_equal(one.maps[0], maps[..., 1].transpose(2, 0, 1))
    np.testing.assert_array_equal(one.acquired, np.broadcast_to(mask, (6, 4)) > 0)
    assert one.spacing == (5.0, 2.0, 1.0)
    assert read_mask(path, (6, 4)).sum() == 18


@pytest.mark.parametrize("version", VERSIONS)
def test_double_precision_and_short_names(tmp_path, rng, version):
    stored = noise(rng, 6, 4).astype(np.complex128)
    for name in ("k", "kdat", "a_longer_name"):
        path = save(tmp_path / f"{name}.mat", version, **{name: stored})
        assert entries(path)[0].name == name
        np.testing.assert_allclose(read(path).kspace[0, 0], stored, rtol=1e-6)


@pytest.mark.parametrize("version", VERSIONS[:2])
def test_only_numbers_are_looked_at(tmp_path, rng, version):
    others = {"text": "kspace", "cell": np.array([[1, "a"]], object), "structure": {"kspace": noise(rng, 6, 4)}}
    path = save(tmp_path / "a.mat", version, mine=noise(rng, 6, 4), **others)
    assert [entry.name for entry in entries(path)] == ["mine"]
    assert read(path).n_slices == 1
    with pytest.raises(InvalidInput, match="nothing named 'cell'; it holds: mine: k-space"):
        read(path, variable="cell")


def test_structures_and_empty_arrays_of_version_7(tmp_path, rng):
    path = save(tmp_path / "a.mat", "7.3", mine=noise(rng, 6, 4))
    assert [entry.name for entry in entries(path)] == ["mine"]


@pytest.mark.parametrize("version", VERSIONS)
def test_truncated(tmp_path, rng, version):
    path = save(tmp_path / "a.mat", version, kspace=noise(rng, 32, 32))
    content = path.read_bytes()
    for n_bytes in (len(content) - 1, len(content) // 2, 140, 128):
        path.write_bytes(content[:n_bytes])
        with pytest.raises(InvalidInput, match=r"a\.mat "):
            read(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_garbled(tmp_path, rng, version):
    path = save(tmp_path / "a.mat", version, kspace=noise(rng, 32, 32))
    content = bytearray(path.read_bytes())
    start = 512 if version == "7.3" else 128
    for seed in range(200):
        damaged, other = content.copy(), np.random.default_rng(seed)
        at = start + int(other.integers(0, 80))
        damaged[at : at + 4] = other.bytes(4)
        path.write_bytes(damaged)
        with contextlib.suppress(InvalidInput):  # many make other numbers, which nobody can tell
            read(path)


def test_big_endian(tmp_path):
    """A matrix 2 x 3 of doubles called `images`, as a big-endian machine writes it."""
    name, values = b"images\0\0", np.arange(1, 7, dtype=">f8")
    body = np.array([6, 8, 6, 0, 5, 8, 2, 3, 1, 6], ">u4").tobytes() + name
    body += np.array([9, 48], ">u4").tobytes() + values.tobytes()
    element = np.array([14, len(body)], ">u4").tobytes() + body
    packed = zlib.compress(element)
    for content in (element, np.array([15, len(packed)], ">u4").tobytes() + packed):
        (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + content)
        np.testing.assert_array_equal(read(tmp_path / "a.mat").reference[0], [[1, 3, 5], [2, 4, 6]])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["kspace", "images"])
def test_the_pixel_size_is_that_of_the_affine_where_nothing_else_says_it(tmp_path, rng, version, kind):
    affine = np.array([[0, 0, -1.0, 90], [0, -1.5, 0, 70], [4, 0, 0, -20], [0, 0, 0, 1]])
    array = noise(rng, 2, 3, 6, 5) if kind == "kspace" else rng.standard_normal((2, 6, 5))
    one = open_scan(save(tmp_path / "a.mat", version, **{kind: array, "affine": affine})).read_slice(1)
    assert one.spacing == (4, 1.5, 1)
    np.testing.assert_allclose(one.affine[:3, 3], [90, 70, -16])
