"""ISMRMRD files: images, slices, entries and volumes, from files written line by line."""

import h5py
import numpy as np
import pytest
from ismrmrd_files import COILS, NX, NY, close, draw, header, images_of, lines, oversampled, volume_lines, write

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput


@pytest.fixture
def image(rng):
    return draw(rng, COILS, NY, NX)


def test_oversampling_is_removed(tmp_path, image):
    data = read(write(tmp_path / "a.h5", lines(oversampled(image))))
    close(images_of(data)[0], image)
    assert data.spacing == (5, 3, 2) and data.fully_sampled


@pytest.mark.parametrize("layout", [{"chunks": (5,)}, {"chunks": (4,), "compression": "gzip"}, {}])
def test_however_the_records_are_stored(tmp_path, image, layout):
    path = write(tmp_path / "a.h5", lines(oversampled(image)))
    with h5py.File(path, "r+") as file:
        records = file["dataset/data"][:]
        dtype = file["dataset/data"].dtype
        del file["dataset/data"]
        file["dataset"].create_dataset("data", data=records, dtype=dtype, **layout)
    close(images_of(read(path))[0], image)


def test_headers_are_read_without_the_data(tmp_path, image, monkeypatch):
    """And a slice without the lines of the others."""
    stacks = [lines(oversampled(image), slice=n, position=(0, 0, n)) for n in range(3)]
    scan = open_scan(write(tmp_path / "a.h5", [acq for stack in stacks for acq in stack]))
    asked, get = [], h5py.Dataset.__getitem__

    def spy(dataset, key, *args, **kwargs):
        if dataset.name == "/dataset/data":
            asked.extend(range(len(dataset))[key])
        return get(dataset, key, *args, **kwargs)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    scan.read_slice(1)
    assert sorted(asked) == list(range(NY, 2 * NY))


def test_image_orientation(tmp_path):
    """Rows are phase encoding; a point at (y, x) is at (y, x)."""
    point = np.zeros((1, NY, NX), complex)
    point[0, 2, 11] = 1
    found = images_of(read(write(tmp_path / "a.h5", lines(oversampled(point)))))[0, 0]
    assert np.unravel_index(np.abs(found).argmax(), found.shape) == (2, 11)


def test_slices_lie_in_the_order_of_their_positions(tmp_path, rng):
    images = [draw(rng, COILS, NY, NX) for _ in range(3)]
    heights = [7.0, -1.0, 3.0]
    # Lines of all slices alternate in the file.
    stacks = [lines(oversampled(im), slice=n, position=(10, 20, heights[n])) for n, im in enumerate(images)]
    path = write(tmp_path / "a.h5", [acq for row in zip(*stacks, strict=True) for acq in row])
    scan = open_scan(path)
    assert scan.n_slices == 3
    for index, number in enumerate((1, 2, 0)):
        close(images_of(scan.read_slice(index))[0], images[number])
    loaded = scan.form.load(path, scan.entry, slice(1, 2))
    assert loaded.spacing == (4, 3, 2)
    # The centre of the first slice, from left, posterior, superior to right, anterior, superior.
    close(loaded.affine @ [0, NY // 2, NX // 2, 1], [-10, -20, -1, 1])
    close(loaded.affine @ [2, NY // 2 + 1, NX // 2 + 1, 1], [-12, -23, 7, 1])
    np.testing.assert_array_equal(scan.read().kspace[1], scan.read_slice(1).kspace[0])


def test_without_directions_there_is_no_affine(tmp_path, image):
    path = write(tmp_path / "a.h5", lines(oversampled(image), directions=False))
    scan = open_scan(path)
    assert scan.form.load(path, scan.entry, slice(None)).affine is None


def test_averages_are_averaged_line_by_line(tmp_path, rng):
    one, two = draw(rng, COILS, NY, NX), draw(rng, COILS, NY, NX)
    path = write(tmp_path / "a.h5", lines(oversampled(one)) + lines(oversampled(two), average=1)[:5])
    mean = fft2c(one)
    mean[:, :5] = (mean + fft2c(two))[:, :5] / 2
    close(read(path).kspace[0], mean)


def test_contrasts_and_sets_are_entries(tmp_path, rng):
    images = {(c, s): draw(rng, COILS, NY, NX) for c in (0, 1) for s in (0, 2)}
    path = write(
        tmp_path / "a.h5", [acq for (c, s), im in images.items() for acq in lines(oversampled(im), contrast=c, set=s)]
    )
    assert [entry.name for entry in entries(path)] == [f"contrast {c}, set {s}" for c, s in images]
    for (c, s), im in images.items():
        close(images_of(read(path, variable=f"contrast {c}, set {s}"))[0], im)
    with pytest.raises(InvalidInput, match="nothing named 'contrast 3'"):
        read(path, variable="contrast 3")


def test_encodings_and_groups_are_entries(tmp_path, rng):
    one, two = draw(rng, COILS, NY, NX), draw(rng, COILS, NY, NX)
    path = write(tmp_path / "a.h5", lines(oversampled(one)), name="first")
    write(path, lines(oversampled(two)) + lines(oversampled(one), encoding=1), header(encodings=2), name="second")
    assert [entry.name for entry in entries(path)] == ["first", "second: encoding 0", "second: encoding 1"]
    close(images_of(read(path, variable="second: encoding 0"))[0], two)


@pytest.mark.parametrize("nz", [6, 7])
def test_three_dimensions(tmp_path, rng, nz):
    volume = draw(rng, COILS, nz, NY, NX)
    acquisitions, _ = volume_lines(volume)
    limits = {1: (NY, NY // 2), 2: (nz, nz // 2)}
    path = write(tmp_path / "a.h5", acquisitions, header((nz, NY, NX), (4, NY, NX), limits))
    scan = open_scan(path)
    assert scan.n_slices == 4
    inner = volume[:, nz // 2 - 2 : nz // 2 + 2].swapaxes(0, 1)  # without the oversampling along z
    close(images_of(scan.read()), inner)
    close(images_of(scan.read_slice(3))[0], inner[3])
    loaded = scan.form.load(path, scan.entry, slice(0, 1))
    assert loaded.spacing == (5, 3, 2)
    close(loaded.affine @ [2, NY // 2, NX // 2, 1], [-1, -2, 3, 1])
    close(loaded.affine @ [3, NY // 2, NX // 2, 1], [-1, -2, 8, 1])


def test_elliptical_scan_is_zero_outside(tmp_path, rng):
    nz, volume = 6, draw(rng, 1, 6, NY, NX)

    def keep(z, y):
        return ((z - 3) / 3) ** 2 + ((y - 6) / 6) ** 2 <= 0.8

    acquisitions, kspace = volume_lines(volume, keep)
    limits = {1: (NY, NY // 2), 2: (nz, nz // 2)}
    data = read(write(tmp_path / "a.h5", acquisitions, header((nz, NY, NX), (nz, NY, NX), limits)))
    seen = np.array([[keep(z, y) for y in range(NY)] for z in range(nz)])
    cut = kspace[0] * seen[..., None]
    along = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(cut, axes=0), axis=0, norm="ortho"), axes=0)
    close(data.kspace[:, 0], along)
    np.testing.assert_array_equal(data.acquired.all(axis=1), seen.any(axis=0))


def test_fastmri_files_are_not_taken(tmp_path, rng):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = draw(rng, 2, COILS, NY, NX)
        file["ismrmrd_header"] = header()
    assert open_scan(tmp_path / "a.h5").form.name == "fastMRI .h5"
