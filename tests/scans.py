"""Small made-up scans in the formats that training reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def head(shape=(24, 28, 20), seed: int = 0) -> np.ndarray:
    """An ellipsoid off its centre with a darker core and noise, int16 (x right, y anterior, z superior)."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    r = sum(
        ((g - n / 2 - rng.uniform(-1, 1)) / (0.42 * n * rng.uniform(0.9, 1.0))) ** 2
        for g, n in zip(grid, shape, strict=True)
    )
    values = 1000.0 * (r < 1) - rng.uniform(200, 400) * (r < 0.6) + rng.uniform(-200, 200) * (r < 0.2)
    values[:, : shape[1] // 3] *= 0.8  # anterior and posterior differ
    return np.abs(values + rng.normal(0, 10, shape)).astype(np.int16)


def write_nifti(path: Path, volume: np.ndarray, mm=(1.0, 1.0, 1.0), orientation: str = "RAS") -> None:
    """A volume with axes x right, y anterior, z superior, stored in another orientation."""
    import nibabel
    from nibabel.orientations import axcodes2ornt, ornt_transform

    image = nibabel.Nifti1Image(volume, np.diag([*mm, 1.0]))
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(tuple(orientation)))
    nibabel.save(image.as_reoriented(turn), path)


def write_dicom(path: Path, pixels: np.ndarray | None, patient: str, series: str, z: float = 0.0, **more) -> None:
    """One slice, uint16 (ny, nx); or a file without an image."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = MRImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.PatientID, data.SeriesInstanceUID, data.Modality = patient, series, "MR" if pixels is not None else "SR"
    if pixels is not None:
        data.Rows, data.Columns = pixels.shape
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.PixelSpacing = [1.5, 1.5]
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, z]
        data.PixelData = pixels.astype(np.uint16).tobytes()
    for name, value in more.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
