"""What is written is read back bit for bit, and is what other programs take it for."""

import gzip
import json
import shutil
import subprocess
from dataclasses import replace

import h5py
import ismrmrd
import nibabel
import numpy as np
import pytest
import tifffile

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.exports.registry import WRITERS, endings, export, writer_of
from napari_lossguide.data.formats.registry import format_of
from napari_lossguide.data.image_readers import read_images
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput

ENDINGS = [".npz", ".nii", ".nii.gz", ".cfl", ".h5", ".mrd", ".ome.tif", ".tiff", ".dcm"]
RECIPE = json.dumps({"method": "daps", "note": "σ ≤ 3 <&>"})
FACTS = json.dumps({"residual": float("nan"), "provenance": {"versions": {"numpy": np.__version__}}})
SPACING = (3.3, 0.7, 0.9)


def oblique(spacing=SPACING, sheared=False):
    """Axes that are not those of the patient; no number in it is one of single precision."""
    a, b = np.deg2rad(17), np.deg2rad(-31)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn = turn @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    if sheared:
        turn[:, 0] = turn[:, 0] + 0.2 * turn[:, 1]
        turn[:, 0] /= np.linalg.norm(turn[:, 0])
    affine = np.eye(4)
    affine[:3, :3] = turn[:, [2, 1, 0]] * np.array(spacing) if not sheared else turn * np.array(spacing)
    affine[:3, 3] = -91.3, 120.7, 33.1
    return affine


def upside_down(affine):
    return affine @ np.diag([1.0, -1, 1, 1])


PLACES = {
    "unknown": None,
    "oblique": oblique(),
    "rows to the front": upside_down(oblique()),
    "sheared": oblique(sheared=True),
}


def images(rng, kind="complex", shape=(3, 5, 4)):
    values = rng.standard_normal(shape).astype(np.float32)
    return (values + 1j * rng.standard_normal(shape)).astype(np.complex64) if kind == "complex" else values


def what(rng, kind="complex", affine=None, **more):
    own = {"images": images(rng, kind), "spacing": SPACING, "affine": affine, "name": "zero-filled: brain"}
    return Export(**{**own, "recipe": RECIPE, "facts": FACTS, **more})


def loaded(path, slices=slice(None)):
    """The images of a file, by our own reader."""
    names = [entry.name for entry in entries(path) if entry.kind == "images" or entry.name == "image"]
    assert len(names) == 1
    return format_of(path).load(path, names[0], slices)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["complex", "real"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_round_trip_is_exact(tmp_path, rng, ending, kind, place):
    sent = what(rng, kind, PLACES[place])
    sent.images[1] = np.nan  # a slice that failed
    path = export(tmp_path / f"a.b{ending}", sent)
    got = loaded(path)
    assert got.array.dtype == sent.images.dtype
    assert got.array.tobytes() == sent.images.tobytes()
    assert got.spacing == SPACING
    if sent.affine is None:
        assert got.affine is None
    else:
        assert got.affine.tobytes() == sent.affine.tobytes()
    assert loaded(path, slice(2, 3)).array.tobytes() == sent.images[2:].tobytes()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 3, 3), (3, 1, 1), (1, 1, 1), (4, 7, 3)])
def test_no_shape_is_taken_for_another(tmp_path, rng, ending, shape):
    for kind in ("complex", "real"):
        sent = Export(images(rng, kind, shape), SPACING, oblique())
        assert loaded(export(tmp_path / f"a{ending}", sent)).array.tobytes() == sent.images.tobytes()


@pytest.mark.parametrize("ending", [e for e in ENDINGS if e != ".npz"])
def test_kspace_is_simulated_from_what_was_written(tmp_path, rng, ending):
    sent = what(rng, affine=oblique())
    path = export(tmp_path / f"a{ending}", sent)
    variable = next(entry.name for entry in entries(path) if entry.kind == "images")
    kdata = read(path, variable=variable)
    np.testing.assert_array_equal(kdata.reference, sent.images)
    np.testing.assert_array_equal(kdata.affine, sent.affine)
    one = open_scan(path, variable=variable).read_slice(1)
    np.testing.assert_array_equal(one.reference, sent.images[1:2])
    np.testing.assert_allclose(one.affine[:3, 3], sent.affine[:3, :] @ [1, 0, 0, 1])


@pytest.mark.parametrize("ending", [e for e in ENDINGS if e != ".dcm"])  # each of which is another instance
def test_the_same_images_make_the_same_file(tmp_path, rng, ending):
    sent = what(rng, affine=oblique())
    first = export(tmp_path / f"a{ending}", sent).read_bytes()
    assert export(tmp_path / f"b{ending}", sent).read_bytes() == first


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, rng, ending, monkeypatch):
    path = export(tmp_path / f"a{ending}", what(rng))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_lossguide.data.writers.os.fsync", full)
    with pytest.raises(InvalidInput, match="could not be written: No space left"):
        export(path, what(rng, "real"))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_ending_chooses():
    assert set(ENDINGS) <= set(endings())
    assert writer_of("x/IMAGE.NII.GZ").name == "NIfTI"
    assert writer_of("a.ome.tiff").name == "OME-TIFF"
    assert len({suffix for writer in WRITERS for suffix in writer.suffixes}) == len(endings())
    with pytest.raises(InvalidInput, match=r"a\.png has an ending that no writer has; accepted are \.npz, \.nii"):
        writer_of("a.png")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"images": np.zeros((4, 4), np.float32)}, r"shape \(4, 4\)"),
        ({"images": np.zeros((0, 4, 4), np.float32)}, r"shape \(0, 4, 4\)"),
        ({"affine": oblique((1, 1, 1))}, r"its spacing is \(3\.3, 0\.7, 0\.9\)"),
    ],
)
def test_what_cannot_be_written_is_refused(rng, fields, says):
    with pytest.raises(InvalidInput, match=says):
        replace(what(rng), **fields)


@pytest.mark.parametrize("ending", [".nii", ".h5", ".ome.tif"])
def test_damaged_files_are_refused_in_one_sentence(tmp_path, rng, ending):
    good = export(tmp_path / f"a{ending}", what(rng, affine=oblique())).read_bytes()
    path, refused = tmp_path / f"b{ending}", 0
    for n in range(120):
        content = bytearray(good)
        for place in rng.integers(0, len(good), 10):
            content[place] = rng.integers(0, 256)
        # Bytes changed at random make the HDF5 library itself write where it must not; its files are cut short.
        cut = n % 2 or ending == ".h5"
        path.write_bytes(good[: int(rng.integers(0, len(good)))] if cut else content)
        try:
            for entry in entries(path):
                if entry.kind == "images":
                    read_images(path, variable=entry.name)
        except InvalidInput:
            refused += 1
    assert refused > 60


class TestNifti:
    def test_nibabel_puts_every_voxel_where_it_lies(self, tmp_path, rng):
        for name, affine in PLACES.items():
            sent = what(rng, affine=affine)
            image = nibabel.load(export(tmp_path / f"{name}.nii.gz", sent))
            np.testing.assert_array_equal(np.asarray(image.dataobj).T, sent.images)
            assert image.header.get_xyzt_units()[0] == "mm"
            np.testing.assert_allclose(image.header.get_zooms(), SPACING[::-1], rtol=1e-6)
            if affine is None:
                assert (image.header["sform_code"], image.header["qform_code"]) == (0, 0)
                continue
            assert image.header["sform_code"] == 1
            assert image.header["qform_code"] == (0 if name == "sheared" else 1)
            for index in [(0, 0, 0), (2, 4, 3), (1, 0, 2)]:
                mm = affine @ [*index, 1]
                np.testing.assert_allclose(image.affine @ [*index[::-1], 1], mm, atol=1e-4)
                if name != "sheared":
                    np.testing.assert_allclose(image.get_qform() @ [*index[::-1], 1], mm, atol=1e-3)

    def test_the_recipe_is_a_comment_of_the_header(self, tmp_path, rng):
        path = export(tmp_path / "a.nii", what(rng))
        (extension,) = nibabel.load(path).header.extensions
        assert extension.get_code() == 6
        held = json.loads(bytes(extension.get_content()).rstrip(b"\0"), parse_constant=pytest.fail)
        assert held["recipe"] == json.loads(RECIPE) and held["name"] == "zero-filled: brain"
        assert held["facts"]["residual"] is None  # JSON has no NaN
        assert nibabel.Nifti1Header.diagnose_binaryblock(path.read_bytes()[:348]) == ""

    def test_a_header_that_was_changed_counts(self, tmp_path, rng):
        sent = what(rng, affine=oblique())
        image = nibabel.load(export(tmp_path / "a.nii", sent))
        moved = image.affine.copy()
        moved[0, 3] += 10
        other = nibabel.Nifti1Image(np.asarray(image.dataobj), moved, image.header)
        other.set_sform(moved, 1)
        nibabel.save(other, tmp_path / "b.nii")
        assert nibabel.load(tmp_path / "b.nii").header.extensions  # the record came along
        got = loaded(tmp_path / "b.nii")
        corner = sorted((got.affine @ [i, j, k, 1])[0] for i in (0, 2) for j in (0, 4) for k in (0, 3))
        true = sorted((moved @ [i, j, k, 1])[0] for i in (0, 3) for j in (0, 4) for k in (0, 2))
        np.testing.assert_allclose(corner, true, atol=1e-4)

    def test_gz_is_zipped_and_nii_is_not(self, tmp_path, rng):
        sent = what(rng)
        plain = export(tmp_path / "a.nii", sent).read_bytes()
        assert gzip.decompress(export(tmp_path / "a.NII.GZ", sent).read_bytes()) == plain


class TestBart:
    def test_the_record_lies_beside_it(self, tmp_path, rng):
        export(tmp_path / "a.b.cfl", what(rng))
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a.b.cfl", "a.b.hdr", "a.b.json"]
        assert json.loads((tmp_path / "a.b.json").read_text("utf-8"))["recipe"] == json.loads(RECIPE)

    def test_a_record_of_older_numbers_says_nothing(self, tmp_path, rng):
        path = export(tmp_path / "a.cfl", what(rng, affine=oblique()))
        numbers = np.fromfile(path, "<c8")
        numbers[0] += 1
        numbers.tofile(path)
        assert loaded(path).affine is None and loaded(path).spacing == (1, 1, 1)

    @pytest.mark.skipif(shutil.which("bart") is None, reason="without `bart` it is not shown that it reads our images")
    def test_bart_reads_it(self, tmp_path, rng):
        sent = what(rng)
        export(tmp_path / "a.cfl", sent)
        subprocess.run(["bart", "slice", "13", "2", "a", "last"], cwd=tmp_path, check=True, capture_output=True)
        last = np.fromfile(tmp_path / "last.cfl", "<c8").reshape(5, 4, order="F")
        np.testing.assert_array_equal(last, sent.images[2])
        shown = subprocess.run(
            ["bart", "show", "-m", "a"], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout
        assert shown.split("AoD:")[1].split() == ["5", "4", *["1"] * 11, "3", "1", "1"]


class TestISMRMRD:
    @pytest.mark.parametrize("kind", ["complex", "real"])
    def test_ismrmrd_reads_it(self, tmp_path, rng, kind):
        sent = what(rng, kind, oblique())
        export(tmp_path / "a.h5", sent)
        with ismrmrd.Dataset(tmp_path / "a.h5", "dataset", mode="r") as file:
            assert file.number_of_images("images_0") == 3
            for n in range(3):
                image = file.read_image("images_0", n)
                np.testing.assert_array_equal(image.data[0, 0], sent.images[n])
                assert tuple(image.matrix_size) == (4, 5, 1)
                assert (image.slice, image.image_index, image.channels) == (n, n + 1, 1)
                assert image.image_type == (ismrmrd.IMTYPE_COMPLEX if kind == "complex" else ismrmrd.IMTYPE_REAL)
                np.testing.assert_allclose(list(image.field_of_view), [3.6, 3.5, 3.3], rtol=1e-6)
                centre = (oblique() @ [n, 2, 2, 1])[:3] * [-1, -1, 1]
                np.testing.assert_allclose(list(image.position), centre, atol=1e-4)
                right = oblique()[:3, 2] / 0.9 * [-1, -1, 1]
                np.testing.assert_allclose(list(image.read_dir), right, atol=1e-6)
                assert image.meta["ImageComments"] == "zero-filled: brain"
            held = json.loads(file.read_image("images_0", 0).meta["napari_lossguide"])
        assert held["recipe"] == json.loads(RECIPE)

    def test_without_the_record_the_header_says_where(self, tmp_path, rng):
        sent = what(rng, affine=oblique())
        export(tmp_path / "a.h5", sent)
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            file["dataset/images_0/attributes"][0] = ""
        got = loaded(tmp_path / "a.h5")
        np.testing.assert_allclose(got.spacing, SPACING, rtol=1e-5)
        np.testing.assert_allclose(got.affine, oblique(), atol=1e-4)

    def test_images_of_others_are_read(self, tmp_path, rng):
        stored = images(rng, shape=(2, 2, 3, 1, 5, 4))  # repetition, slice from above, channel, z, y, x
        with ismrmrd.Dataset(tmp_path / "a.h5", "dataset") as file:
            for repetition in range(2):
                for number in range(2):
                    image = ismrmrd.Image.from_array(stored[repetition, number], field_of_view=(40, 50, 3))
                    image.repetition, image.slice = repetition, number
                    image.read_dir, image.phase_dir, image.slice_dir = (1, 0, 0), (0, 1, 0), (0, 0, 1)
                    image.position = (0, 0, -5 * number)
                    file.append_image("images_7", image)
        assert [e.name for e in entries(tmp_path / "a.h5")][:2] == [
            "images_7: repetition 0, channel 0",
            "images_7: repetition 0, channel 1",
        ]
        got = format_of(tmp_path / "a.h5").load(tmp_path / "a.h5", "images_7: repetition 1, channel 2", slice(None))
        np.testing.assert_array_equal(got.array, stored[1, ::-1, 2, 0])
        np.testing.assert_allclose(got.spacing, (5, 10, 10))
        np.testing.assert_allclose(got.affine @ [0, 2, 2, 1], [0, 0, -5, 1])
        np.testing.assert_allclose(got.affine @ [1, 2, 3, 1], [-10, 0, 0, 1])

    def test_too_large_for_a_header(self, tmp_path):
        with pytest.raises(InvalidInput, match="too large"):
            export(tmp_path / "a.h5", Export(np.zeros((1, 1, 65536), np.float32)))


class TestOmeTiff:
    def test_complex_images_are_three_channels(self, tmp_path, rng):
        sent = what(rng)
        export(tmp_path / "a.ome.tif", sent)
        with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
            assert file.is_ome and file.series[0].axes == "CZYX"
            magnitude, real, imaginary = file.asarray()
            xml = tifffile.xml2dict(file.ome_metadata)["OME"]
        np.testing.assert_array_equal(magnitude, np.abs(sent.images))
        np.testing.assert_array_equal(real, sent.images.real)
        np.testing.assert_array_equal(imaginary, sent.images.imag)
        pixels = xml["Image"]["Pixels"]
        assert [c["Name"] for c in pixels["Channel"]] == ["magnitude", "real", "imaginary"]
        assert [pixels[f"PhysicalSize{a}"] for a in "ZYX"] == list(SPACING)
        assert [pixels[f"PhysicalSize{a}Unit"] for a in "ZYX"] == ["mm"] * 3
        assert pixels["Type"] == "float"
        held = json.loads(xml["StructuredAnnotations"]["CommentAnnotation"]["Value"])
        assert held["recipe"] == json.loads(RECIPE)

    def test_real_images_are_one(self, tmp_path, rng):
        sent = what(rng, "real")
        export(tmp_path / "a.tif", sent)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), sent.images)

    def test_values_that_were_changed_have_no_place(self, tmp_path, rng):
        path = export(tmp_path / "a.tif", what(rng, "real", oblique()))
        pixels = tifffile.memmap(path, mode="r+")
        pixels[0, 0, 0] += 1
        pixels.flush()
        assert loaded(path).affine is None and loaded(path).spacing == SPACING

    def test_files_of_others_are_read(self, tmp_path, rng):
        stored = rng.integers(0, 200, (2, 3, 2, 5, 4), np.uint8)  # time, slice, channel
        metadata = {"axes": "TZCYX", "PhysicalSizeX": 0.25, "PhysicalSizeZ": 2, "PhysicalSizeZUnit": "mm"}
        metadata["Channel"] = {"Name": ["red", "blue"]}
        tifffile.imwrite(tmp_path / "a.ome.tif", stored, ome=True, photometric="minisblack", metadata=metadata)
        names = [entry.name for entry in entries(tmp_path / "a.ome.tif")]
        assert names == ["time 0, red", "time 0, blue", "time 1, red", "time 1, blue"]
        got = format_of(tmp_path / "a.ome.tif").load(tmp_path / "a.ome.tif", "time 1, blue", slice(1, 3))
        np.testing.assert_array_equal(got.array, stored[1, 1:, 1])
        assert got.spacing == (2, 1, 0.00025)

    def test_other_tiff_files_are_left_alone(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 4), np.uint8))
        with pytest.raises(InvalidInput, match="of another kind"):
            read(tmp_path / "a.tif")
