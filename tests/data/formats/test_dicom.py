"""DICOM: every pixel where its header puts it, what is one stack and what is several, and what is read of the files."""

import gzip
import os
import shutil
from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_files import affine, at, base, place, write_enhanced, write_series, write_slice
from nibabel.nicom.dicomwrappers import wrapper_from_file
from pydicom.uid import RLELossless

from napari_lossguide.data.formats import dicom
from napari_lossguide.data.formats.dicom import Dicom
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
WITNESS = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
WHERE = affine()
EVERYTHING = slice(None)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, on its own test files


def volume(slices=5, kind=np.uint16):
    """No value twice."""
    return np.arange(slices * 4 * 6).reshape(slices, 4, 6).astype(kind)


def load(path, name=None, slices=EVERYTHING):
    return Dicom().load(path, Dicom().choose(path, name), slices)


def names(path):
    return [entry.name for entry in entries(path)]


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_padded.dcm",
        "CT_small.dcm",
        "693_J2KI.dcm",
        "JPEG2000.dcm",
        "image_dfl.dcm",
        "rtdose_rle.dcm",
    ],
)
def test_numbers_are_those_of_pydicom(name):
    data = pydicom.dcmread(BUNDLED / name)
    numbers = data.pixel_array * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
    loaded = load(BUNDLED / name)
    assert loaded.array.dtype == np.float32
    np.testing.assert_array_equal(loaded.array, numbers.reshape(loaded.array.shape).astype(np.float32))


def test_compression_and_order_of_bytes_change_nothing():
    same = ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm"]
    expected = load(BUNDLED / "MR_small.dcm")
    for name in same:
        loaded = load(BUNDLED / name)
        np.testing.assert_array_equal(loaded.array, expected.array)
        np.testing.assert_array_equal(loaded.affine, expected.affine)


def witnessed(path, ny, nx):
    """Where nibabel puts the corners of each slice, (slice, corner, 3)."""
    wrapper = wrapper_from_file(path)
    shape = wrapper.image_shape
    slices = shape[2] if len(shape) > 2 else 1
    corners = [[[y, x, k, 1] for y in (0, ny - 1) for x in (0, nx - 1)] for k in range(slices)]
    return (np.array(corners) @ wrapper.affine.T)[..., :3] * [-1, -1, 1]


@pytest.mark.parametrize(
    "file",
    [
        "decimal_rescale.dcm",
        "slicethickness_empty_string.dcm",
        "philips_mprage.dcm.gz",
        "siemens_dwi_1000.dcm.gz",  # a mosaic
        "MR_small",
        "CT_small",
    ],
)
def test_every_corner_is_where_nibabel_puts_it(tmp_path, file):
    path = tmp_path / "a.dcm"
    source = WITNESS / file if ".dcm" in file else BUNDLED / f"{file}.dcm"
    content = source.read_bytes()
    path.write_bytes(gzip.decompress(content) if file.endswith("gz") else content)
    loaded = load(path)
    slices, ny, nx = loaded.array.shape
    corners = [[[k, y, x, 1] for y in (0, ny - 1) for x in (0, nx - 1)] for k in range(slices)]
    found = (np.array(corners) @ loaded.affine.T)[..., :3]
    expected = witnessed(path, ny, nx)
    backwards = np.linalg.norm(found[0] - expected[0]) > 1  # nibabel's slices may follow the other side of the plane
    np.testing.assert_allclose(found, expected[::-1] if backwards else expected, atol=0.02)
    data = np.moveaxis(np.atleast_3d(wrapper_from_file(path).get_data()), 2, 0)
    np.testing.assert_allclose(loaded.array, data[::-1] if backwards else data, rtol=1e-6)
    np.testing.assert_array_equal(load(path, slices=slice(-1, None)).array, loaded.array[-1:])


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16])
def test_a_folder_is_its_series_in_the_order_of_the_slices(tmp_path, kind):
    pixels = volume(5, kind) - (50 if kind == np.int16 else 0)
    folder = write_series(tmp_path / "a", pixels.astype(kind), WHERE, order=[3, 0, 4, 1, 2])
    (entry,) = entries(folder)
    assert (entry.name, entry.shape, entry.kind) == ("images", (5, 4, 6), "images")
    loaded = load(folder)
    np.testing.assert_array_equal(loaded.array, pixels)
    np.testing.assert_allclose(loaded.affine, WHERE, atol=1e-6)
    np.testing.assert_allclose(loaded.spacing, (3, 1.5, 0.75), rtol=1e-7)
    assert [file.name for file in Dicom().files(folder, "images")] == ["IM0001", "IM0003", "IM0004", "IM0000", "IM0002"]
    assert names(folder / "IM0002") == ["images"]
    one = load(folder / "IM0002")
    np.testing.assert_array_equal(one.array[0], pixels[4])
    moved = WHERE @ [[1, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(one.affine[:, 1:], moved[:, 1:], atol=1e-6)


def test_kspace_is_simulated_with_its_place_and_checksum(tmp_path):
    folder = write_series(tmp_path / "a", volume(), WHERE, order=[3, 0, 4, 1, 2])
    scan = open_scan(folder)
    one = scan.read_slice(2)
    assert scan.n_slices == 5 and one.simulated and one.name == "a"
    np.testing.assert_array_equal(one.reference[0], volume()[2])
    np.testing.assert_allclose(one.affine[:3, 3], (WHERE @ [2, 0, 0, 1])[:3], atol=1e-6)
    before, stamp = scan.origin.sha256, scan.stamp()
    write_slice(folder / "IM0001", volume()[0] + 1, WHERE, 0)
    assert open_scan(folder).origin.sha256 != before and scan.stamp() != stamp


def test_only_the_pixels_that_are_asked_for(tmp_path, monkeypatch):
    folder = write_series(tmp_path / "a", volume(), WHERE)
    scan = open_scan(folder)
    for name in ("IM0000", "IM0002", "IM0004"):
        path = folder / name
        os.truncate(path, path.stat().st_size - 8)
    np.testing.assert_array_equal(scan.read_slice(3).reference[0], volume()[3])
    with pytest.raises(InvalidInput, match=r"IM0002 could not be read; it is damaged or incomplete"):
        scan.read_slice(2)
    headers = []
    original = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda *args, **kwargs: headers.append(args) or original(*args, **kwargs))
    entries(folder)
    assert headers == []  # they are remembered


def test_a_header_that_changed_is_read_again(tmp_path):
    path = write_slice(tmp_path / "a.dcm", volume(1)[0], WHERE)
    assert load(path).spacing[1:] == (1.5, 0.75)
    write_slice(path, volume(1)[0], affine(y_mm=2.5))
    assert load(path).spacing[1:] == (2.5, 0.75)


def test_many_frames_and_their_groups(tmp_path):
    """Echoes and orientations are entries; scale, place and spacing are those of each frame."""
    frames, groups = volume(9), []
    for n, index in enumerate([2, 0, 1]):
        for echo in (5.0, 10.0):
            scale = {"RescaleSlope": 2.0, "RescaleIntercept": float(n)}
            own = {"MREchoSequence": {"EffectiveEchoTime": echo}, "PixelValueTransformationSequence": scale}
            groups.append(at(WHERE, index, **own))
    other = affine(slice_mm=4.0, turn=110)
    groups += [at(other, index) for index in (0, 1, 2)]
    path = write_enhanced(tmp_path / "a.dcm", frames, groups)
    assert names(path) == ["axial oblique, TE 5.0", "axial oblique, TE 10.0", "coronal oblique"]
    second = "axial oblique, TE 10.0"
    loaded = load(path, second)
    np.testing.assert_array_equal(loaded.array, [2 * frames[3] + 1, 2 * frames[5] + 2, 2 * frames[1]])
    np.testing.assert_allclose(loaded.affine, WHERE, atol=1e-6)
    np.testing.assert_array_equal(load(path, second, slice(1, 2)).array[0], 2 * frames[5] + 2)
    np.testing.assert_allclose(load(path, "coronal oblique").spacing[0], 4)


def test_what_frames_share(tmp_path):
    _, axes, spacing = place(WHERE, 0)
    shared = {
        "PlaneOrientationSequence": {"ImageOrientationPatient": axes},
        "PixelMeasuresSequence": {"PixelSpacing": spacing},
        "PixelValueTransformationSequence": {"RescaleSlope": 0.5, "RescaleIntercept": -3},
    }
    groups = [{"PlanePositionSequence": {"ImagePositionPatient": place(WHERE, n)[0]}} for n in (4, 3, 2, 1, 0)]
    loaded = load(write_enhanced(tmp_path / "a.dcm", volume(), groups, shared))
    # Frames that follow one another stay as they are in the file, here against the normal.
    np.testing.assert_array_equal(loaded.array, volume() / 2 - 3)
    backwards = WHERE @ [[-1, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(loaded.affine, backwards, atol=1e-6)


def test_two_pictures_at_one_place_are_two_entries(tmp_path):
    for echo in (1, 2):
        write_series(tmp_path / "a" / str(echo), volume() + echo, WHERE, EchoTime=echo * 4.5)
    assert names(tmp_path / "a") == ["TE 4.5", "TE 9.0"]
    np.testing.assert_array_equal(load(tmp_path / "a", "TE 9.0").array, volume() + 2)
    for n in (1, 2):
        write_series(tmp_path / "b" / str(n), volume() + n, WHERE, InstanceNumber=n)
    assert names(tmp_path / "b") == ["repetition 1", "repetition 2"]
    np.testing.assert_array_equal(load(tmp_path / "b", "repetition 2").array, volume() + 2)
    for part in ("M", "P"):
        write_series(tmp_path / "c" / part, volume(), WHERE, ImageType=["ORIGINAL", "PRIMARY", part, "ND"])
    assert names(tmp_path / "c") == ["M ND", "P ND"]
    with pytest.raises(InvalidInput, match=r"holds 2 things to read.*M ND: images, 5 slices"):
        read(tmp_path / "c")


def test_a_copy_of_a_file_is_no_other_slice(tmp_path):
    folder = write_series(tmp_path / "a", volume(), WHERE)
    shutil.copy(folder / "IM0001", folder / "copy")
    assert [entry.shape for entry in entries(folder)] == [(5, 4, 6)]


def test_where_a_slice_is_missing_a_stack_ends(tmp_path):
    folder = write_series(tmp_path / "a", volume(7), WHERE, order=[0, 1, 2, 4, 5, 6])
    found = entries(folder)
    assert [(entry.name, entry.shape[0]) for entry in found] == [("part 1 of 2", 3), ("part 2 of 2", 3)]
    assert "slices are missing between the parts" in found[0].title
    second = load(folder, "part 2 of 2")
    np.testing.assert_array_equal(second.array, volume(7)[4:])
    np.testing.assert_allclose(second.affine[:3, 3], (WHERE @ [4, 0, 0, 1])[:3], atol=1e-6)
    np.testing.assert_allclose(second.spacing[0], 3)


def test_series_sizes_and_planes_are_entries(tmp_path):
    write_series(tmp_path / "a" / "1", volume(), WHERE, SeriesDescription="t1")
    more = {"SeriesInstanceUID": "1.2.4", "SeriesNumber": 2, "SeriesDescription": "loc"}
    write_series(tmp_path / "a" / "2", volume(2), WHERE, **more)
    write_series(tmp_path / "a" / "3", volume(2), affine(turn=100), **more)
    write_series(tmp_path / "a" / "4", volume(2)[:, :3], WHERE, **more)
    (tmp_path / "a" / "notes.txt").write_text("of no interest")
    write_slice(tmp_path / "a" / ".hidden" / "b", volume()[0], WHERE)
    with suppress(OSError):  # not everybody may make links on Windows
        (tmp_path / "a" / "gone").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path / "a") == [
        "series 1 t1",
        "series 2 loc, axial oblique, 4 x 6",
        "series 2 loc, coronal oblique, 4 x 6",
        "series 2 loc, axial oblique, 3 x 6",
    ]


def test_a_medium_is_opened_by_its_folder_or_its_index():
    found = entries(BUNDLED / "dicomdirtests")
    assert found == entries(BUNDLED / "dicomdirtests" / "DICOMDIR")
    assert ("series 5 SmartScore - Gated 0.5 sec", (5, 16, 16)) in [(entry.name, entry.shape) for entry in found]


def test_slices_under_a_tilted_gantry(tmp_path):
    """They are shifted against one another; the affine says so."""
    tilted = WHERE.copy()
    tilted[:3, 0] += 0.4 * tilted[:3, 1]
    loaded = load(write_series(tmp_path / "a", volume(), tilted))
    np.testing.assert_allclose(loaded.affine, tilted, atol=1e-6)
    np.testing.assert_allclose(loaded.spacing[0], np.linalg.norm(tilted[:3, 0]))


def test_pictures_without_a_place(tmp_path):
    for n in (2, 0, 1):
        more = {"PixelSpacing": [2.0, 1.0], "SpacingBetweenSlices": 4.0}
        write_slice(tmp_path / "a" / f"{9 - n}.dcm", volume()[n], index=n, **more)
    loaded = load(tmp_path / "a")
    np.testing.assert_array_equal(loaded.array, volume()[:3])
    assert loaded.affine is None and loaded.spacing == (4, 2, 1)
    assert "place unknown" in entries(tmp_path / "a")[0].title


def test_bright_small_numbers(tmp_path):
    more = {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": 2, "RescaleIntercept": 1}
    path = write_slice(tmp_path / "a.dcm", volume(1)[0], WHERE, BitsStored=12, HighBit=11, **more)
    np.testing.assert_array_equal(load(path).array[0], (4095.0 - volume(1)[0]) * 2 + 1)
    path = write_slice(tmp_path / "b.dcm", volume(1, np.int16)[0], WHERE, **more)
    np.testing.assert_array_equal(load(path).array[0], (-1.0 - volume(1)[0]) * 2 + 1)


def test_compressed_frames_are_decompressed_singly(tmp_path, monkeypatch):
    data = base(volume(3))
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert pydicom.dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID == RLELossless
    np.testing.assert_array_equal(load(tmp_path / "a.dcm").array, volume(3))
    read_frames = []
    original = dicom._planes
    monkeypatch.setattr(dicom, "_planes", lambda path, ns: read_frames.append(ns) or original(path, ns))
    np.testing.assert_array_equal(load(tmp_path / "a.dcm", slices=slice(2, 3)).array, volume(3)[2:])
    assert read_frames == [[2]]
