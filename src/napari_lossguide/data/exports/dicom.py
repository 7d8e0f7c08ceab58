"""DICOM that every viewer opens: a Multi-frame Grayscale Word Secondary Capture, with each slice's place.

Viewers show 16-bit numbers, so the magnitude of an image is rounded to these; its exact values, complex or real, are in
a private element, see `dicom_private`. Float Pixel Data would be exact too, but secondary captures may not hold them,
hardly a viewer shows them, and they cannot be complex.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_lossguide import __version__
from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.exports.dicom_private import add_images, add_record
from napari_lossguide.data.exports.dicom_space import plane_axes, positions
from napari_lossguide.data.writers import write_bytes
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from pydicom import Dataset

CLASSICAL = ("zero-filled", "homodyne", "pocs", "cg-sense", "l1-wavelet", "tv", "bart-pics")
"""Methods without a prior that was learnt."""
LEARNT, NOT_LEARNT = "AI-reconstructed, not for diagnosis", "Reconstructed, not for diagnosis"
_SOFTWARE = "napari-lossguide"
_LARGEST = 65535  # of 16 bits: pixels along an axis, and their numbers
_MIDDLE = 32768  # number of the value 0, where values are negative too
_BYTES = 2**32 - 2  # that an element can hold
_BRIGHT = 99.5  # percentile of values that is shown white
_PER_FRAME = 0x52009230


class Dicom:
    """One file of all slices. Each writing is another instance in another series, so no two files are the same."""

    name = "DICOM"
    suffixes: tuple[str, ...] = (".dcm",)

    def write(self, path: Path, export: Export) -> None:
        """Write exactly this file."""
        if max(export.images.shape[1:]) > _LARGEST or export.images.nbytes > _BYTES:
            raise InvalidInput(
                f"{export.name} has shape {export.images.shape}, too large for {path}: DICOM counts to {_LARGEST} rows "
                f"and columns, and holds {_BYTES} bytes of pixels."
            )
        content = io.BytesIO()
        _dataset(export).save_as(content, enforce_file_format=True)
        write_bytes(path, content.getvalue())


@dataclass(frozen=True, eq=False)
class Pixels:
    """What viewers show: uint16 (slice, ny, nx), value = slope * number + intercept; `failed` slices are 0.

    The slope is the smallest power of two with which all values fit, as exactly as DICOM's 16 characters say it (to
    2^-17 exactly): values that were read from such numbers are written as the same numbers again.
    """

    numbers: np.ndarray
    slope: str
    intercept: str
    failed: tuple[int, ...]
    window: tuple[float, float]

    @property
    def scale(self) -> tuple[float, float]:
        """(slope, intercept) as a reader takes them."""
        return float(self.slope), float(self.intercept)


def pixels_of(images: np.ndarray) -> Pixels:
    """Round magnitudes, or real values, to 16 bits: by half a slope at most."""
    from pydicom.valuerep import format_number_as_ds

    values = np.abs(images).astype(np.float64) if np.iscomplexobj(images) else images.astype(np.float64)
    finite = np.isfinite(values)
    values[~finite] = 0
    signed = bool(values.min() < 0)
    room = _MIDDLE - 1 if signed else _LARGEST
    largest = float(np.abs(values).max())
    exponent = int(np.floor(np.log2(largest / room))) - 1 if largest else 0
    while round(largest / float(format_number_as_ds(2.0**exponent))) > room:
        exponent += 1
    slope = format_number_as_ds(2.0**exponent)
    intercept = format_number_as_ds(-_MIDDLE * 2.0**exponent) if signed else "0"
    numbers = np.rint((values - float(intercept)) / float(slope)).astype(np.uint16)
    low, high = min(float(values.min()), 0.0), float(np.percentile(values, _BRIGHT))
    failed = tuple(int(n) for n in np.flatnonzero(~finite.all(axis=(1, 2))))
    return Pixels(numbers, slope, intercept, failed, (low, high if high > low else low + float(slope) * room))


def statement(recipe: str) -> str:
    """What must be said where the images are shown; without a recipe nobody knows that nothing was learnt."""
    method = json.loads(recipe).get("method") if recipe else None
    return NOT_LEARNT if method in CLASSICAL else LEARNT


def _dataset(export: Export) -> Dataset:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid

    pixels, now = pixels_of(export.images), datetime.now()
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    data.SOPInstanceUID, data.StudyInstanceUID, data.SeriesInstanceUID = (generate_uid(prefix=None) for _ in range(3))
    axes = None if export.affine is None else plane_axes(export.affine)
    _add_series(data, export, now)
    _add_image(data, export, pixels)
    _add_place(data, export, axes)
    data.PerFrameFunctionalGroupsSequence = _per_frame(export, pixels, axes)
    _add_dimensions(data, generate_uid(prefix=None))
    add_record(data, export.record_json)
    add_images(data, export.images, pixels.numbers, pixels.scale)
    return data


def _add_series(data: Dataset, export: Export, now: datetime) -> None:
    """Patient, whom nobody knows here; study, series, and what made it."""
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(data, name, "")
    for name in ("StudyID", "AccessionNumber", "ReferringPhysicianName", "Laterality", "PatientOrientation"):
        setattr(data, name, "")
    day, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    data.StudyDate = data.SeriesDate = data.ContentDate = data.InstanceCreationDate = day
    data.StudyTime = data.SeriesTime = data.ContentTime = data.InstanceCreationTime = time
    said = statement(export.recipe)
    data.StudyDescription = said
    data.SeriesDescription = _line(f"{said}: {export.name}", 64)
    data.SeriesNumber = data.InstanceNumber = 1
    data.Modality, data.ConversionType = "MR", "WSD"
    data.Manufacturer = data.SecondaryCaptureDeviceManufacturer = _SOFTWARE
    data.ManufacturerModelName = data.SecondaryCaptureDeviceManufacturerModelName = _SOFTWARE
    data.SoftwareVersions = data.SecondaryCaptureDeviceSoftwareVersions = __version__
    purpose = _item(CodeValue="109102", CodingSchemeDesignator="DCM", CodeMeaning="Processing Equipment")
    maker = _item(
        PurposeOfReferenceCodeSequence=[purpose],
        Manufacturer=_SOFTWARE,
        ManufacturerModelName=_SOFTWARE,
        SoftwareVersions=__version__,
        ContributionDateTime=day + time,
        ContributionDescription=_line(_how(export), 1024),
    )
    data.ContributingEquipmentSequence = [maker]


def _add_image(data: Dataset, export: Export, pixels: Pixels) -> None:
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.DerivationDescription = _line(_how(export), 1024)
    said = [f"{statement(export.recipe)}."]
    if pixels.failed:
        said.append(f"Frames without an image, shown as 0: {', '.join(str(n + 1) for n in pixels.failed)}.")
    if np.iscomplexobj(export.images):
        said.append("Shown is the magnitude.")
    data.ImageComments = _line(" ".join(said), 10240)
    data.BurnedInAnnotation, data.LossyImageCompression = "NO", "00"
    data.NumberOfFrames, data.Rows, data.Columns = export.images.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = pixels.intercept, pixels.slope, "US"
    low, high = pixels.window
    data.WindowCenter, data.WindowWidth = _decimal((low + high) / 2), _decimal(high - low)
    data.PresentationLUTShape = "IDENTITY"
    if len(export.images) > 1:
        data.FrameIncrementPointer = _PER_FRAME
    data.PixelData = pixels.numbers.astype("<u2").tobytes()


def _add_place(data: Dataset, export: Export, axes: tuple[np.ndarray, np.ndarray] | None) -> None:
    """What all frames share. The macro of pixel sizes belongs to frames with a place; others have them in the file."""
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    slice_mm, y_mm, x_mm = (_decimal(mm) for mm in export.spacing)
    sizes = _item(PixelSpacing=[y_mm, x_mm], SpacingBetweenSlices=slice_mm, SliceThickness=slice_mm)
    shared = Dataset()
    if axes is None:
        data.update(sizes)
    else:
        cosines = [_decimal(number) for number in np.concatenate(axes)]
        shared = _item(PixelMeasuresSequence=[sizes], PlaneOrientationSequence=[_item(ImageOrientationPatient=cosines)])
        data.FrameOfReferenceUID, data.PositionReferenceIndicator = generate_uid(prefix=None), ""
    data.SharedFunctionalGroupsSequence = [shared]


def _per_frame(export: Export, pixels: Pixels, axes: tuple[np.ndarray, np.ndarray] | None) -> list[Dataset]:
    out = []
    for n in range(len(export.images)):
        content = _item(StackID="1", InStackPositionNumber=n + 1, DimensionIndexValues=[1, n + 1])
        if n in pixels.failed:
            content.FrameComments = "This slice has no image: its reconstruction failed."
        out.append(_item(FrameContentSequence=[content]))
    if axes is not None and export.affine is not None:
        for group, position in zip(out, positions(export.affine, len(out)), strict=True):
            group.PlanePositionSequence = [_item(ImagePositionPatient=[_decimal(mm) for mm in position])]
    return out


def _add_dimensions(data: Dataset, uid: str) -> None:
    """Frames are counted in one stack."""
    data.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=uid)]
    data.DimensionIndexSequence = [
        _item(DimensionOrganizationUID=uid, DimensionIndexPointer=pointer, FunctionalGroupPointer=0x00209111)
        for pointer in (0x00209056, 0x00209057)
    ]


def _how(export: Export) -> str:
    """How the images came about, for those who look at the header."""
    recipe, facts = (json.loads(text) if text else {} for text in (export.recipe, export.facts))
    parts = [f"{statement(export.recipe)}. Made with {_SOFTWARE} {__version__}"]
    if recipe.get("method"):
        parts.append(f"method {recipe['method']}")
    if recipe.get("prior") and statement(export.recipe) == LEARNT:
        parts.append(f"prior {recipe['prior']}")
    if facts.get("simulated"):
        parts.append("from k-space that was simulated")
    return ", ".join(parts) + "."


def _item(**attributes: Any) -> Dataset:
    from pydicom import Dataset

    out = Dataset()
    for name, value in attributes.items():
        setattr(out, name, value)
    return out


def _decimal(value: float) -> str:
    """The 16 characters that come nearest."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value) + 0.0)  # no -0


def _line(text: str, longest: int) -> str:
    """Without what separates values, and no longer than it may be."""
    return " ".join(text.replace("\\", "/").split())[:longest]
