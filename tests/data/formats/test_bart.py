"""BART's files: as BART writes them, as it reads ours, and what a person can choose of them."""

import hashlib
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from napari_lossguide.data.formats.bart import write_cfl
from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput

needs_bart = pytest.mark.skipif(
    shutil.which("bart") is None,
    reason="without the program `bart` it is not shown that BART's own files are read rightly, nor that it reads ours",
)


def bart(folder, *words):
    done = subprocess.run(["bart", *map(str, words)], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def raw(path):
    """What BART's file holds, by BART's own order of axes."""
    dims = [int(n) for n in path.with_suffix(".hdr").read_text().splitlines()[1].split()]
    return np.fromfile(path.with_suffix(".cfl"), "<c8").reshape(dims, order="F")


def store(path, array):
    """An array with BART's order of axes."""
    dims = array.shape + (1,) * (16 - array.ndim)
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, dims))}\n")
    path.with_suffix(".cfl").write_bytes(array.astype("<c8").tobytes(order="F"))
    return path.with_suffix(".cfl")


def noise(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@needs_bart
@pytest.mark.parametrize("coils", [1, 8])
def test_images_are_those_of_bart(tmp_path, coils):
    bart(tmp_path, "phantom", "-x", 48, "-k", "-s", coils, "k")
    bart(tmp_path, "resize", "-c", 1, 32, "k", "k32")  # READ and PHS1 of different size
    bart(tmp_path, "fft", "-i", "-u", 3, "k32", "image")
    kdata = read(tmp_path / "k32")
    assert kdata.kspace.shape == (1, coils, 48, 32)
    image = raw(tmp_path / "image")[:, :, 0, :, *[0] * 12].transpose(2, 0, 1)
    ours = ifft2c(kdata.kspace[0])
    assert np.abs(ours - image).max() <= 1e-4 * np.abs(image).max()


@needs_bart
def test_the_picture_lies_as_in_bart(tmp_path):
    bart(tmp_path, "phantom", "-x", 64, "p")
    bart(tmp_path, "toimg", "p", "p.png")
    image = np.abs(read(tmp_path / "p.hdr", variable="images").reference[0])
    shown = np.asarray(Image.open(tmp_path / "p.png").convert("L"), float)
    assert np.corrcoef(image.ravel(), shown.ravel())[0, 1] > 0.99


@needs_bart
def test_3d_kspace_becomes_slices_as_in_bart(tmp_path):
    bart(tmp_path, "phantom", "-3", "-x", 16, "-k", "k")
    bart(tmp_path, "fft", "-i", "-u", 7, "k", "image")
    scan = open_scan(tmp_path / "k.cfl")
    assert scan.n_slices == 16
    image = raw(tmp_path / "image").reshape(16, 16, 16).transpose(2, 0, 1)
    whole = ifft2c(scan.read().kspace[:, 0])
    assert np.abs(whole - image).max() <= 1e-4 * np.abs(image).max()
    one = ifft2c(scan.read_slice(5).kspace[0, 0])
    assert np.abs(one - image[5]).max() <= 1e-4 * np.abs(image).max()


@needs_bart
def test_bart_reads_ours(tmp_path, rng):
    kspace = fft2c(noise(rng, 3, 2, 6, 4))
    write_cfl(tmp_path / "k", kspace)
    assert bart(tmp_path, "show", "-m", "k").split("AoD:")[1].split() == list("6412111111111311")
    bart(tmp_path, "fft", "-i", "-u", 3, "k", "image")
    bart(tmp_path, "slice", 13, 2, "image", "last")
    image = raw(tmp_path / "last").reshape(6, 4, 2).transpose(2, 0, 1)
    np.testing.assert_allclose(image, ifft2c(kspace[2]), atol=1e-5)


@pytest.mark.parametrize("name", ["k", "k.cfl", "k.hdr", "a.b"])
def test_what_is_written_is_read_bit_for_bit(tmp_path, rng, name):
    kspace = noise(rng, 3, 2, 6, 4)
    written = write_cfl(tmp_path / name, kspace)
    assert written.suffix == ".cfl" and sorted(p.suffix for p in tmp_path.iterdir()) == [".cfl", ".hdr"]
    scan = open_scan(tmp_path / name)
    np.testing.assert_array_equal(scan.read().kspace, kspace)
    np.testing.assert_array_equal(scan.read_slice(1).kspace, kspace[1:2])
    both = written.with_suffix(".hdr").read_bytes() + written.read_bytes()
    assert scan.origin.sha256 == hashlib.sha256(both).hexdigest()


def test_images_are_written_and_read(tmp_path, rng):
    images = noise(rng, 3, 6, 4)
    write_cfl(tmp_path / "i", images)
    assert [entry.name for entry in entries(tmp_path / "i")] == ["kspace", "images"]
    kdata = open_scan(tmp_path / "i", variable="images").read_slice(2)
    assert kdata.simulated
    np.testing.assert_array_equal(kdata.reference, images[2:])


def test_contrasts_and_repetitions_are_entries(tmp_path, rng):
    stored = noise(rng, 6, 4, 1, 2, 1, 2, 1, 1, 1, 1, 3)
    path = store(tmp_path / "k", stored)
    assert [entry.name for entry in entries(path)] == [f"te {a}, time {b}" for a in range(2) for b in range(3)]
    with pytest.raises(InvalidInput, match=r"k\.cfl holds 6 things to read; choose one by its name .*te 1, time 2"):
        read(path)
    kspace = read(path, variable="te 1, time 2").kspace
    np.testing.assert_array_equal(kspace[0], stored[..., 0, :, 0, 1, 0, 0, 0, 0, 2].transpose(2, 0, 1))
    with pytest.raises(InvalidInput, match="nothing named 'time 2'"):
        read(path, variable="time 2")


def test_images_of_each_time(tmp_path, rng):
    stored = noise(rng, 6, 4, *[1] * 8, 3)
    path = store(tmp_path / "k", stored)
    images = read(path, variable="images time 1").reference
    np.testing.assert_array_equal(images[0], stored[..., 1].reshape(6, 4))


def test_lines_without_some_partitions(tmp_path, rng):
    kspace = noise(rng, 4, 6, 8)
    kspace[:, 0, :2] = kspace[:, 3, 7:] = 0  # outer ones only: no aliasing
    assert read(store(tmp_path / "k", kspace)).n_slices == 8
    kspace[:, 2, 4] = 0
    with pytest.raises(InvalidInput, match=r"k\.cfl is undersampled along PHS2"):
        open_scan(store(tmp_path / "k", kspace)).read_slice(0)


def test_damaged_pairs(tmp_path, rng):
    path = store(tmp_path / "k", noise(rng, 6, 4))
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(InvalidInput, match=r"k\.cfl is damaged or incomplete: it has 184 bytes.*make 192"):
        read(path)
    path.write_bytes(content)
    for header in (
        "# Dimensions\nsix 4\n",
        "# Dimensions\n",
        "# Dimensions\n0 4\n",
        "# Command\nphantom\n",
        "\xff\x00",
    ):
        path.with_suffix(".hdr").write_text(header, encoding="latin1")
        with pytest.raises(InvalidInput, match=r"k\.hdr gives no dimensions"):
            read(path)
    path.with_suffix(".hdr").unlink()
    with pytest.raises(InvalidInput, match=r"k\.hdr does not exist; a \.cfl file and its \.hdr belong together"):
        read(path)
    store(path, noise(rng, 6, 4)).unlink()
    with pytest.raises(InvalidInput, match=r"k\.cfl does not exist"):
        read(path.with_suffix(".hdr"))


def test_what_cannot_be_written(tmp_path, rng):
    for array in (noise(rng, 6, 4), np.zeros((0, 6, 4)), np.array([[["a"]]])):
        with pytest.raises(InvalidInput, match="accepted are k-space"):
            write_cfl(tmp_path / "k", array)
    with pytest.raises(InvalidInput, match="could not be written"):
        write_cfl(tmp_path / "no folder" / "k", noise(rng, 1, 6, 4))
    assert not list(tmp_path.iterdir())


def test_the_old_pair_stays_if_one_file_cannot_be_written(tmp_path, rng, monkeypatch):
    old = noise(rng, 1, 1, 6, 4)
    path = write_cfl(tmp_path / "k", old)
    synced = []

    def full(number):
        synced.append(number)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InvalidInput, match=r"k\.hdr could not be written: No space left"):
        write_cfl(path, noise(rng, 2, 1, 6, 4))
    np.testing.assert_array_equal(read(path).kspace, old)
    assert len(list(tmp_path.iterdir())) == 2
