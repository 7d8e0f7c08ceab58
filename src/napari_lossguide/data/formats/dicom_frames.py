"""What the headers of DICOM files say of each frame. Files are read up to their pixels, once as long as they stay."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_lossguide.data.exports.dicom_private import private_text
from napari_lossguide.data.formats.base import opening
from napari_lossguide.data.formats.dicom_folder import files_below, has_mark
from napari_lossguide.data.formats.dicom_mosaic import is_mosaic, tiles
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from pydicom import Dataset

FILES = 16384
"""Files whose headers are remembered."""
_DIRECTORY = "1.2.840.10008.1.3.10"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_PERPENDICULAR = 1e-3  # how far axes may be from unit vectors at right angles


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes
    ----------
    path, index : file, and number in it.
    corner : (y, x) of its first pixel, of a tile of a mosaic; None: it is a picture of its own.
    uid : of the instance; the same file may be there twice.
    series : its UID; number : of the series; title : what a person knows it by.
    modality : such as MR.
    shape : (ny, nx).
    order : number of the instance and of the frame: their order where they have no place.
    pixel_mm : (y, x); None if the file does not say.
    slice_mm : distance of slices as the header says it; only used where slices have no place.
    position : middle of the first pixel, in mm; left, posterior and superior are positive.
    axes : unit vectors along which columns and rows are counted, (x, y), six numbers. None, as `position`, if unknown.
    scale : (slope, intercept) of the numbers.
    mirror : smallest plus largest number, of pixels whose small numbers are bright (MONOCHROME1); else None.
    marks : (what, value) that tell apart what lies at the same place: echo time, repetition.
    refused : why it cannot be read; empty if it can.
    """

    path: Path
    index: int
    corner: tuple[int, int] | None
    uid: str
    series: str
    number: int
    title: str
    modality: str
    shape: tuple[int, int]
    order: tuple[int, int]
    pixel_mm: tuple[float, float] | None
    slice_mm: float
    position: tuple[float, ...] | None
    axes: tuple[float, ...] | None
    scale: tuple[float, float]
    mirror: float | None
    marks: tuple[tuple[str, str], ...]
    refused: str


@dataclass(frozen=True)
class Header:
    """Of one file: its frames, none if it holds no images; the record of our own writer, or an empty text."""

    frames: tuple[Frame, ...] = ()
    record: str = ""


def headers(path: Path) -> tuple[Header, ...]:
    """Of a file; of all files of a folder and those below; of the medium whose index, DICOMDIR, is named.

    Raises
    ------
    InvalidInput
        If a DICOM file among them is damaged.
    """
    if path.name.upper() == "DICOMDIR":
        path = path.parent
    found = tuple(header(file) for file in (files_below(path) if path.is_dir() else [path]))
    return tuple(one for one in found if one.frames)


def header(path: Path) -> Header:
    """Of one file; empty if it holds no images."""
    stat = path.stat()
    return _header(str(path), stat.st_mtime_ns, stat.st_size)


def reading(path: Path) -> Any:
    """`opening`, with what pydicom lets through when headers are damaged."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return opening(path, InvalidDicomError, BytesLengthException, AttributeError, ArithmeticError, struct.error)


@lru_cache(maxsize=FILES)
def _header(name: str, _changed: int, _size: int) -> Header:
    """Time and size are there to be compared: a file that was changed is read again."""
    import pydicom

    path = Path(name)
    with reading(path):
        if not has_mark(path):
            return Header()
        data = pydicom.dcmread(path, stop_before_pixels=True)
        if "Rows" not in data or data.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
            return Header()
        frames = tuple(_frames(data, path))
        return Header(_tiles(data, frames[0]) if is_mosaic(data) else frames, private_text(data))


def _frames(data: Dataset, path: Path) -> Iterator[Frame]:
    count = int(data.get("NumberOfFrames") or 1)
    shared, own = data.get("SharedFunctionalGroupsSequence"), data.get("PerFrameFunctionalGroupsSequence")
    if not 0 < count <= path.stat().st_size:
        raise InvalidInput(f"{path} says that it holds {count} frames, which cannot be; it is damaged.")
    if own and len(own) < count:
        raise InvalidInput(f"{path} says that it holds {count} frames, but describes {len(own)}; it is damaged.")
    refused = _why_not(data, path)
    title = _words(data.get("SeriesDescription") or data.get("ProtocolName"))
    for index in range(count):
        values = _Values(data, [group for group in (own and own[index], shared and shared[0]) if group], count == 1)
        position, axes = _place(values)
        millimetres = (
            values.numbers("PixelMeasuresSequence", "PixelSpacing", 2)
            or values.numbers("", "ImagerPixelSpacing", 2)
            or values.numbers("", "NominalScannedPixelSpacing", 2)
        )
        number = int(values.numbers("", "InstanceNumber", 1, (0.0,))[0])
        yield Frame(
            path=path,
            index=index,
            corner=None,
            uid=str(data.get("SOPInstanceUID") or path),
            series=str(data.get("SeriesInstanceUID", "")),
            number=int(values.numbers("", "SeriesNumber", 1, (0.0,))[0]),
            title=title,
            modality=_words(data.get("Modality")) or "unknown modality",
            shape=(int(data.Rows), int(data.Columns)),
            order=(number, index),
            pixel_mm=(millimetres[0], millimetres[1]) if millimetres and min(millimetres) > 0 else None,
            slice_mm=_slice_mm(values),
            position=position,
            axes=axes,
            scale=_scale(values, path),
            mirror=_mirror(data),
            marks=tuple(_marks(values)),
            refused=refused,
        )


def _tiles(data: Dataset, picture: Frame) -> tuple[Frame, ...]:
    """The slices of a mosaic."""
    try:
        shape, found = tiles(data)
    except (ValueError, TypeError, AttributeError) as error:
        return (replace(picture, refused=f"{picture.path} is a Siemens mosaic that cannot be taken apart: {error}."),)
    return tuple(
        replace(picture, index=n, order=(picture.order[0], n), shape=shape, corner=tile.corner, position=tile.position)
        for n, tile in enumerate(found)
    )


class _Values:
    """Attributes of one frame: its own, those that frames share, then those of the file."""

    def __init__(self, data: Dataset, groups: list[Dataset], single: bool) -> None:
        self.data, self.groups, self.single = data, groups, single

    def get(self, macro: str, name: str) -> Any:
        for group in self.groups:
            items = group.get(macro) if macro else None
            if items and items[0].get(name) is not None:
                return items[0].get(name)
        return self.data.get(name)

    def numbers(self, macro: str, name: str, count: int, otherwise: tuple[float, ...] = ()) -> tuple[float, ...]:
        """So many finite numbers; `otherwise` if the file does not say them."""
        value = self.get(macro, name)
        try:
            found = tuple(float(n) for n in ([value] if np.ndim(value) == 0 else value))
        except (TypeError, ValueError):
            return otherwise
        return found if len(found) == count and np.isfinite(found).all() else otherwise


def _place(values: _Values) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Position and axes, both or none. What a file says as a whole is the place of its only frame."""
    if not values.single and not values.groups:
        return None, None
    position = values.numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    axes = values.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    if not position or not axes:
        return None, None
    pair = np.reshape(axes, (2, 3))
    return (position, axes) if np.allclose(pair @ pair.T, np.eye(2), atol=_PERPENDICULAR) else (None, None)


def _slice_mm(values: _Values) -> float:
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        found = values.numbers("PixelMeasuresSequence", name, 1)
        if found and found[0] > 0:
            return found[0]
    return 1.0


def _scale(values: _Values, path: Path) -> tuple[float, float]:
    macro = "PixelValueTransformationSequence"
    slope = values.numbers(macro, "RescaleSlope", 1, (1.0,))[0]
    intercept = values.numbers(macro, "RescaleIntercept", 1, (0.0,))[0]
    if slope == 0:
        raise InvalidInput(f"{path} says a rescale slope of 0, with which all its pixels are {intercept:g}.")
    return slope, intercept


def _mirror(data: Dataset) -> float | None:
    if data.get("PhotometricInterpretation") != _GREY[0]:
        return None
    return -1.0 if data.get("PixelRepresentation") else 2.0 ** int(data.get("BitsStored", 16)) - 1


def _marks(values: _Values) -> Iterator[tuple[str, str]]:
    """Of the most telling first."""
    kind = values.get("MRImageFrameTypeSequence", "FrameType") or values.data.get("ImageType") or ()
    part = values.get("MRImageFrameTypeSequence", "ComplexImageComponent")
    yield "", " ".join(_words(word) for word in [*([] if isinstance(kind, str) else kind[2:]), part] if word)
    for what, macro, name in (
        ("TE", "MREchoSequence", "EffectiveEchoTime"),
        ("TE", "", "EchoTime"),
        ("echo", "", "EchoNumbers"),
        ("time", "FrameContentSequence", "TemporalPositionIndex"),
        ("time", "TemporalPositionSequence", "TemporalPositionTimeOffset"),
        ("time", "", "TemporalPositionIdentifier"),
        ("b", "MRDiffusionSequence", "DiffusionBValue"),
        ("delay", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
        ("TI", "", "InversionTime"),
        ("flip angle", "MRTimingAndRelatedParametersSequence", "FlipAngle"),
        ("sequence", "", "SequenceName"),
        ("stack", "FrameContentSequence", "StackID"),
        ("acquisition", "FrameContentSequence", "FrameAcquisitionNumber"),
        ("acquisition", "", "AcquisitionNumber"),
    ):
        value = values.get(macro, name)
        yield what, "" if value is None else _words(value)


def _why_not(data: Dataset, path: Path) -> str:
    colours = data.get("PhotometricInterpretation")
    if colours not in _GREY or int(data.get("SamplesPerPixel", 1)) != 1:
        return f"{path} holds pixels of the kind {colours}; accepted are grey values, MONOCHROME1 and MONOCHROME2."
    if "ModalityLUTSequence" in data:
        return f"{path} has a table of values (Modality LUT), which is not read; accepted are slope and intercept."
    return ""


def _words(value: Any) -> str:
    return " ".join(str(value if value is not None else "").split())
