"""DICOM series and enhanced files with places that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine(slice_mm: float = 3.0, y_mm: float = 1.5, x_mm: float = 0.75, turn: float = 20.0) -> np.ndarray:
    """From (slice, y, x, 1) to mm to the right, front and top: rows run to the left, columns to the back and down."""
    angle = np.deg2rad(turn)
    x, y = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), np.sin(angle)])  # left, posterior, superior
    out = np.eye(4)
    out[:3, :3] = np.stack([np.cross(x, y) * slice_mm, y * y_mm, x * x_mm], axis=1)
    out[:3, 3] = -40, -50, 60
    return LPS @ out


def item(**attributes) -> Dataset:
    """An item of a sequence."""
    out = Dataset()
    for name, value in attributes.items():
        setattr(out, name, value)
    return out


def place(where: np.ndarray, index: int) -> tuple[list[float], list[float], list[float]]:
    """Position, orientation and pixel spacing of a slice, as DICOM says them."""
    lps = LPS @ where
    y, x = lps[:3, 1], lps[:3, 2]
    axes = [*(x / np.linalg.norm(x)), *(y / np.linalg.norm(y))]
    spacing = [np.linalg.norm(y), np.linalg.norm(x)]
    return rounded((lps @ [index, 0, 0, 1])[:3]), rounded(axes), rounded(spacing)


def rounded(values) -> list[float]:
    return [round(float(value), 8) for value in values]


def base(pixels: np.ndarray, kind: str = MRImageStorage, **more) -> Dataset:
    """An image without a place: pixels (ny, nx) or (frame, ny, nx), of an integer type."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = kind, generate_uid(), "MR"
    data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber = "1.2.3", 1, 1
    data.Rows, data.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    for name, value in more.items():
        setattr(data, name, value)
    return data


def write_slice(path: Path, pixels: np.ndarray, where: np.ndarray | None = None, index: int = 0, **more) -> Path:
    """One slice of a series, at `index` of an affine."""
    data = base(pixels, InstanceNumber=index + 1)
    data.SliceThickness = 99.0  # is no distance
    if where is not None:
        data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing = place(where, index)
    for name, value in more.items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, volume: np.ndarray, where: np.ndarray, order=None, **more) -> Path:
    """Slices (slice, ny, nx) in files whose names and numbers do not follow their places."""
    order = range(len(volume)) if order is None else order
    for name, index in enumerate(order):
        number = {"InstanceNumber": name + 1}
        write_slice(folder / f"IM{name:04}", volume[index], where, index, **{**number, **more})
    return folder


def write_enhanced(path: Path, frames: np.ndarray, groups: list[dict], shared: dict | None = None, **more) -> Path:
    """Frames (frame, ny, nx) with functional groups, by macro: ``{"MREchoSequence": {"EffectiveEchoTime": 5.0}}``."""
    data = base(frames, EnhancedMRImageStorage, **more)

    def group(macros: dict) -> Dataset:
        return item(**{macro: [item(**attributes)] for macro, attributes in macros.items()})

    data.SharedFunctionalGroupsSequence = [group(shared or {})]
    data.PerFrameFunctionalGroupsSequence = [group(macros) for macros in groups]
    data.save_as(path, enforce_file_format=True)
    return path


def at(where: np.ndarray, index: int, **macros: dict) -> dict:
    """Functional groups of a frame that lies at `index` of an affine, for `write_enhanced`."""
    position, axes, spacing = place(where, index)
    return {
        "PlanePositionSequence": {"ImagePositionPatient": position},
        "PlaneOrientationSequence": {"ImageOrientationPatient": axes},
        "PixelMeasuresSequence": {"PixelSpacing": spacing, "SliceThickness": 99.0},
        **macros,
    }
