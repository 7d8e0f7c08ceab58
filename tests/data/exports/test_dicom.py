"""DICOM that we write: what viewers see of it, what its header must say, and how exact values survive."""

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from nibabel.nicom.dicomwrappers import MultiframeWrapper
from pydicom import config
from pydicom.uid import RLELossless

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.exports.dicom import CLASSICAL, LEARNT, NOT_LEARNT, pixels_of
from napari_lossguide.data.exports.registry import export
from napari_lossguide.data.formats.dicom import Dicom
from napari_lossguide.data.image_readers import read_images
from napari_lossguide.recon.presets.classical import CLASSICAL as METHODS
from napari_lossguide.types import InvalidInput

SPACING = (3.3, 0.7, 0.9)
AFFINE = np.array([[0, 0, -0.9, 40], [0.33, 0.7 * np.sqrt(0.99), 0, -50], [0, 0, 0, 20], [0, 0, 0, 1.0]])
AFFINE[:3, 1] = 0, -0.7 * np.sqrt(0.99), 0.07
AFFINE[:3, 0] = 0, 0.33, 3.3 * np.sqrt(0.99)
RECIPE, FACTS = json.dumps({"method": "prox-mean", "prior": "brain", "note": "σ"}), json.dumps({"simulated": True})

# What the modules of the IOD need (PS3.3 A.8.4): Type 1, which must have a value, and Type 2, which may be empty.
TYPE_1 = {
    "General Study": ["StudyInstanceUID"],
    "General Series": ["Modality", "SeriesInstanceUID"],
    "Frame of Reference": ["FrameOfReferenceUID"],
    "SC Equipment": ["ConversionType"],
    "General Image": ["InstanceNumber"],
    "Image Pixel": [
        *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored"),
        *("HighBit", "PixelRepresentation", "PixelData"),
    ],
    "Multi-frame": ["NumberOfFrames", "FrameIncrementPointer"],
    "SC Multi-frame Image": [
        *("BurnedInAnnotation", "PresentationLUTShape", "RescaleIntercept", "RescaleSlope", "RescaleType"),
    ],
    "Multi-frame Functional Groups": [
        *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "InstanceNumber", "ContentDate"),
        *("ContentTime", "NumberOfFrames"),
    ],
    "Multi-frame Dimension": ["DimensionOrganizationSequence", "DimensionIndexSequence"],
    "SOP Common": ["SOPClassUID", "SOPInstanceUID", "SpecificCharacterSet"],
}
TYPE_2 = {
    "Patient": ["PatientName", "PatientID", "PatientBirthDate", "PatientSex"],
    "General Study": ["StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"],
    "General Series": ["SeriesNumber", "Laterality"],
    "Frame of Reference": ["PositionReferenceIndicator"],
    "General Equipment": ["Manufacturer"],
    "General Image": ["PatientOrientation"],
}


def images(rng, kind="complex"):
    values = rng.standard_normal((3, 5, 4)).astype(np.float32)
    return (values + 1j * rng.standard_normal(values.shape)).astype(np.complex64) if kind == "complex" else values


def written(tmp_path, what, name="a.dcm", title="a\\b", **more):
    fields = {"spacing": SPACING, "affine": AFFINE, "name": title, "recipe": RECIPE, "facts": FACTS, **more}
    return export(tmp_path / name, Export(what, **fields))


def changed(path, change):
    """The file after another program changed its dataset."""
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path, enforce_file_format=True)
    return path


def strip(data):
    data.remove_private_tags()


def load(path, slices=slice(None)):
    return Dicom().load(path, "images", slices)


@pytest.mark.parametrize("scale", [1, 1e-7, 3e-4, 1.0 / 3, 900, 65535, 1e9])
@pytest.mark.parametrize("kind", ["complex", "real", "positive"])
def test_what_others_see_is_off_by_half_a_step_at_most(tmp_path, rng, kind, scale):
    sent = np.abs(images(rng, "real")) if kind == "positive" else images(rng, kind)
    sent *= np.float32(scale)
    shown = np.abs(sent) if kind == "complex" else sent
    path = written(tmp_path, sent)
    data = pydicom.dcmread(path)
    slope = float(data.RescaleSlope)
    seen = data.pixel_array * slope + float(data.RescaleIntercept)
    assert np.abs(seen - shown).max() <= slope * 0.5001
    assert np.abs(shown).max() / slope > 16000  # at least half of the numbers are used
    assert np.isclose(np.log2(slope), round(np.log2(slope)), atol=1e-9)
    # Of the numbers alone the same file is written again.
    seen = load(changed(path, strip)).array
    again = pydicom.dcmread(written(tmp_path, seen, "b.dcm"))
    assert again.PixelData == data.PixelData
    assert (again.RescaleSlope, again.RescaleIntercept) == (data.RescaleSlope, data.RescaleIntercept)
    assert load(changed(tmp_path / "b.dcm", strip)).array.tobytes() == seen.tobytes()


def test_one_step_of_the_slope_less_would_not_fit():
    for largest in (65535.0, 65535.4, 65536.0, 32768.0, 1.0, 0.3):
        slope = float(pixels_of(np.full((1, 1, 1), largest, np.float32)).slope)
        assert round(largest / slope) <= 65535 < round(largest / (slope / 2))
    assert pixels_of(np.zeros((1, 2, 2), np.float32)).slope == "1.0"
    assert pixels_of(np.full((1, 1, 1), -2.0, np.float32)).scale == (2.0**-13, -4.0)


def test_exact_values_count_while_nothing_was_changed(tmp_path, rng):
    sent = images(rng)
    path = written(tmp_path, sent)
    shown = pixels_of(sent).numbers
    assert load(path).array.tobytes() == sent.tobytes()

    def compress(data):
        data.compress(RLELossless, generate_instance_uid=False)

    assert load(changed(path, compress)).array.tobytes() == sent.tobytes()  # the same numbers, packed otherwise

    def brighter(data):
        data.RescaleSlope = float(data.RescaleSlope) * 2

    slope = float(pixels_of(sent).slope)
    got = load(changed(written(tmp_path, sent), brighter))
    np.testing.assert_array_equal(got.array, (shown * slope * 2).astype(np.float32))

    def painted(data):
        pixels = data.pixel_array.copy()
        pixels[1, 2, 3] += 1
        data.PixelData = pixels.tobytes()

    path = changed(written(tmp_path, sent), painted)
    assert load(path).array.dtype == np.float32 and load(path).array[1, 2, 3] == (shown[1, 2, 3] + 1) * slope
    assert load(path, slice(2, 3)).array.tobytes() == sent[2:].tobytes()  # of which nothing was changed


def test_a_place_that_was_changed_counts(tmp_path, rng):
    def moved(data):
        for group in data.PerFrameFunctionalGroupsSequence:
            group.PlanePositionSequence[0].ImagePositionPatient[0] += 10

    got = load(changed(written(tmp_path, images(rng)), moved))
    expected = AFFINE.copy()
    expected[0, 3] -= 10  # to the left
    np.testing.assert_allclose(got.affine, expected, atol=1e-9)


def test_without_private_elements_the_place_is_still_there(tmp_path, rng):
    got = load(changed(written(tmp_path, images(rng)), strip))
    np.testing.assert_allclose(got.affine, AFFINE, atol=1e-9)
    np.testing.assert_allclose(got.spacing, SPACING, rtol=1e-9)
    left_handed = AFFINE @ np.diag([1.0, -1, 1, 1])
    got = load(changed(written(tmp_path, images(rng), affine=left_handed), strip))
    np.testing.assert_allclose(got.affine, left_handed, atol=1e-9)
    got = load(changed(written(tmp_path, images(rng), affine=None), strip))
    assert got.affine is None and got.spacing == SPACING


def test_nibabel_puts_every_voxel_where_it_lies(tmp_path, rng):
    sent = images(rng)
    witness = MultiframeWrapper(pydicom.dcmread(written(tmp_path, sent)))
    seen = np.moveaxis(witness.get_data(), 2, 0)[::-1]  # its slices follow the other side of the plane
    np.testing.assert_allclose(seen, np.abs(sent), atol=np.abs(sent).max() / 65000)
    for k, y, x in [(0, 0, 0), (2, 4, 3), (1, 0, 2)]:
        mm = (witness.affine @ [y, x, 2 - k, 1])[:3] * [-1, -1, 1]
        np.testing.assert_allclose(mm, (AFFINE @ [k, y, x, 1])[:3], atol=1e-6)


def test_pixels_that_are_not_at_right_angles_have_no_place_for_others(tmp_path, rng):
    skewed = AFFINE.copy()
    skewed[:3, 1] = (skewed[:3, 1] + 0.3 * skewed[:3, 2]) / np.linalg.norm(skewed[:3, 1] + 0.3 * skewed[:3, 2]) * 0.7
    path = written(tmp_path, images(rng), affine=skewed)
    assert load(path).affine.tobytes() == skewed.tobytes()
    assert "PlanePositionSequence" not in pydicom.dcmread(path).PerFrameFunctionalGroupsSequence[0]


def test_slices_that_failed(tmp_path, rng):
    sent = images(rng)
    sent[1] = np.nan
    path = written(tmp_path, sent)
    data = pydicom.dcmread(path)
    assert data.pixel_array[1].max() == 0 and data.pixel_array[0].max() > 0
    assert "Frames without an image, shown as 0: 2." in data.ImageComments
    said = ["FrameComments" in g.FrameContentSequence[0] for g in data.PerFrameFunctionalGroupsSequence]
    assert said == [False, True, False]
    assert load(path).array.tobytes() == sent.tobytes()
    assert read_images(path).array.tobytes() == sent.tobytes()


@pytest.fixture
def strict():
    """pydicom refuses values that the standard does not allow."""
    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.RAISE
    yield
    config.settings.writing_validation_mode, config.settings.reading_validation_mode = before


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("affine", [AFFINE, None])
def test_the_header_has_what_the_standard_asks_for(tmp_path, rng, affine):
    data = pydicom.dcmread(written(tmp_path, images(rng), affine=affine, title="ä\\" * 99))
    pydicom.dataset.validate_file_meta(data.file_meta)
    assert data.SOPClassUID == data.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.7.3"
    placeless = {"Frame of Reference"} if affine is None else set()
    for module, names in TYPE_1.items():
        missing = [name for name in names if data.get(name) in (None, "")]
        assert module in placeless or missing == []
    for module, names in TYPE_2.items():
        assert module in placeless or [name for name in names if name not in data] == []
    assert (data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation) == (16, 16, 15, 0)
    assert data.ImageType[:2] == ["DERIVED", "SECONDARY"] and data.LossyImageCompression == "00"
    assert str(data.PatientName) == data.PatientID == ""
    shared = data.SharedFunctionalGroupsSequence[0]
    assert ("PixelMeasuresSequence" in shared) == (affine is not None)  # which comes with a place, or not at all
    assert len(data.PerFrameFunctionalGroupsSequence) == data.NumberOfFrames == 3


@pytest.mark.parametrize(
    ("recipe", "said"),
    [(RECIPE, LEARNT), ("", LEARNT), (json.dumps({"method": "cg-sense", "prior": "brain"}), NOT_LEARNT)],
)
def test_it_says_where_it_is_seen_that_it_is_not_for_diagnosis(tmp_path, rng, recipe, said):
    data = pydicom.dcmread(written(tmp_path, images(rng), recipe=recipe))
    for name in ("ImageComments", "SeriesDescription", "StudyDescription", "DerivationDescription"):
        assert str(data[name].value).startswith(said)
    assert data.SeriesDescription == f"{said}: a/b"
    (maker,) = data.ContributingEquipmentSequence
    assert maker.Manufacturer == "napari-lossguide" and maker.SoftwareVersions
    assert "k-space that was simulated" in data.DerivationDescription
    assert ("prior brain" in data.DerivationDescription) == (recipe == RECIPE)


def test_the_methods_that_learnt_nothing_are_those():
    assert set(CLASSICAL) == {method.name for method in METHODS}


def test_the_record_is_a_private_element(tmp_path, rng):
    data = pydicom.dcmread(written(tmp_path, images(rng)))
    held = json.loads(data.private_block(0x0071, "napari-lossguide")[1].value)
    assert held["recipe"] == json.loads(RECIPE) and held["kind"] == "napari-lossguide image"


def test_each_writing_is_another_instance(tmp_path, rng):
    sent = images(rng)
    first, second = (pydicom.dcmread(written(tmp_path, sent)) for _ in range(2))
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert first[name].value != second[name].value and first[name].value.startswith("2.25.")


def test_too_large_for_a_header(tmp_path):
    with pytest.raises(InvalidInput, match="too large"):
        export(tmp_path / "a.dcm", Export(np.zeros((1, 1, 65536), np.float32)))


def test_a_file_that_is_cut_off_is_refused(tmp_path, rng):
    path = written(tmp_path, images(rng))
    good = path.read_bytes()
    for n in range(len(good) - 2, 132, -61):  # the last byte is a blank
        path.write_bytes(good[:n])
        with pytest.raises(InvalidInput, match=r"a\.dcm"):
            read_images(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom
def test_garbled_bytes_never_do_more_than_be_refused(tmp_path, rng):
    good = written(tmp_path, images(rng)).read_bytes()
    path = tmp_path / "b.dcm"
    for _ in range(100):
        content = bytearray(good)
        for where in rng.integers(132, len(good), 8):
            content[where] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            assert load(path).array.ndim == 3
        except InvalidInput as error:
            assert "b.dcm" in str(error)  # noqa: PT017


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="without dciodvfy (dicom3tools) the modules are only checked by our table"
)
@pytest.mark.parametrize("affine", [AFFINE, None])
def test_dciodvfy_finds_no_errors(tmp_path, rng, affine):
    path = written(tmp_path, images(rng), affine=affine)
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert "MultiframeGrayscaleWordSCImage" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
