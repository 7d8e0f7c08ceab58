"""Scans as stacks of slices, one file or series at a time."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from napari_lossguide.data.training.options import PLANES, FolderOptions
from napari_lossguide.data.training.sources import Source, parsing
from napari_lossguide.types import InvalidInput

ARRAYS = ("images", "reconstruction_rss", "reconstruction_esc")
NEARLY_CUBIC = 1.5  # longest over shortest voxel side up to which all planes are cut
FEWEST_VALUES = 16  # a volume of fewer values is a mask or a label map


@dataclass
class Stack:
    """Slices of one plane of one scan.

    Attributes
    ----------
    images : float32 (n, ny, nx), magnitudes, finite and not negative.
    pixel_mm : (y, x).
    volume : neighbours are next to each other in a body, not in a collection.
    patient : what the file says, or empty.
    notes : what was done to the values, in words.
    """

    images: np.ndarray
    pixel_mm: tuple[float, float] = (1.0, 1.0)
    plane: str = "native"
    volume: bool = False
    patient: str = ""
    range: tuple[float, float] = (0.0, 0.0)
    notes: tuple[str, ...] = field(default=())


def read_stacks(source: Source, options: FolderOptions) -> Iterator[Stack]:
    """Read one source.

    Raises
    ------
    InvalidInput
        If nothing in it can be used; the sentence is the reason.
    """
    readers = {"nifti": read_nifti, "dicom": read_dicom, "npy": read_npy, "npz": read_npz, "h5": read_h5}
    try:
        for stack in readers[source.kind](source, options):
            if source.split == "auto" and few_values(
                stack.images
            ):  # a file that is asked for by name is taken as it is
                raise InvalidInput("it has only a few different values: a mask or a label map?")
            yield stack
    except MemoryError as error:
        raise InvalidInput(f"it needs more memory than there is ({error})") from error


def read_nifti(source: Source, options: FolderOptions) -> Iterator[Stack]:
    """Slices along the chosen planes, upright, whatever way the volume is stored."""
    import nibabel
    from nibabel.affines import voxel_sizes

    path = source.paths[0]
    with parsing(), open(path, "rb") as f:
        zipped = f.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else open(path, "rb") as stream:
        with parsing():
            second = stream.read(8)[4:8] == b"n+2\0"
            stream.seek(0)
            stored = (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_stream(stream)
            shape, kind = stored.shape, stored.get_data_dtype()
        if len(shape) < 2 or kind.kind not in "iufc":
            raise InvalidInput(f"its data have shape {shape} and type {kind}")
        first = (..., *(0,) * (len(shape) - 3))
        with parsing():
            values = np.asarray(stored.dataobj[first])
    volumes = int(np.prod(shape[3:]))
    notes = (f"only the first of {volumes} volumes is used",) if volumes > 1 else ()
    volume, extent, more = magnitude(values.reshape(*values.shape, *(1,) * (3 - values.ndim)))
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume, stored.affine))
    volume, mm = np.asarray(image.dataobj), tuple(float(z) or 1.0 for z in voxel_sizes(image.affine))
    for plane in planes(mm, volume.shape, options):
        images, pixel = cut(volume, mm, plane)
        yield Stack(images, pixel, plane, True, source.patient, extent, (*notes, *more))


def planes(mm: tuple[float, ...], shape: tuple[int, ...], options: FolderOptions) -> tuple[str, ...]:
    """Planes to cut from a volume with axes x, y, z."""
    if options.plane == "all":
        return PLANES
    if options.plane != "auto":
        return (options.plane,)
    if min(shape) > 1 and max(mm) <= NEARLY_CUBIC * min(mm):
        return PLANES
    through = int(np.argmin(shape)) if min(shape) == 1 else int(np.argmax(mm))
    return (("sagittal", "coronal", "axial")[through],)


def cut(volume: np.ndarray, mm: tuple[float, ...], plane: str) -> tuple[np.ndarray, tuple[float, float]]:
    """Slices (n, ny, nx) of a volume (x right, y anterior, z superior), head or forehead up; and their pixels."""
    if plane == "axial":
        return volume[:, ::-1].transpose(2, 1, 0), (mm[1], mm[0])
    if plane == "coronal":
        return volume[:, :, ::-1].transpose(1, 2, 0), (mm[2], mm[0])
    return volume[:, :, ::-1].transpose(0, 2, 1), (mm[2], mm[1])


def read_dicom(source: Source, _: FolderOptions) -> Iterator[Stack]:
    """The slices of a series as they were acquired."""
    import pydicom
    from pydicom.pixels import apply_rescale

    frames = []
    for path in source.paths:
        with parsing():
            data = pydicom.dcmread(path)
        if data.get("SamplesPerPixel", 1) != 1:
            raise InvalidInput("its pixels have colours")
        with parsing():
            pixels = np.asarray(apply_rescale(data.pixel_array, data), np.float32)
        if data.get("PhotometricInterpretation") == "MONOCHROME1":
            pixels = pixels.max() - pixels
        frames.append(pixels.reshape(-1, *pixels.shape[-2:]))
    spacing = data.get("PixelSpacing") or (1.0, 1.0)
    images, extent, notes = magnitude(np.concatenate(frames))
    pixel = (float(spacing[0]), float(spacing[1]))
    yield Stack(images, pixel, "native", True, source.patient, extent, notes)


def read_npy(source: Source, _: FolderOptions) -> Iterator[Stack]:
    """Slices (n, ny, nx), or one of them."""
    with parsing():
        array = np.load(source.paths[0], allow_pickle=False, mmap_mode="r")
    yield from from_array(array, source.patient)


def read_npz(source: Source, options: FolderOptions) -> Iterator[Stack]:
    """`images`, or the named or only array; `pixel_mm` and `patient`, one or one a slice, beside it."""
    with parsing():
        file = np.load(source.paths[0], allow_pickle=False)
    with file:
        name = wanted(file.files, options)
        with parsing():
            array = file[name]
            patients = file["patient"] if "patient" in file.files else None
            pixel = np.ravel(file["pixel_mm"]) if "pixel_mm" in file.files else np.ones(1)
    mm = (float(pixel[0]), float(pixel[1 if pixel.size == 2 else 0]))
    if patients is None or array.ndim != 3 or patients.shape != array.shape[:1]:
        yield from from_array(array, str(patients) if patients is not None and patients.ndim == 0 else "", mm)
        return
    for patient in np.unique(patients):
        yield from from_array(array[patients == patient], str(patient), mm)


def read_h5(source: Source, options: FolderOptions) -> Iterator[Stack]:
    """A fastMRI reconstruction, or the named or only dataset. Pixels are taken as square, as fastMRI's are."""
    import h5py

    with parsing():
        file = h5py.File(source.paths[0], "r")
    with file:
        names: list[str] = []
        with parsing():
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = wanted(names, options)
        with parsing():
            array = np.asarray(file[name][()])
            patient = str(file.attrs.get("patient_id", ""))
    yield from from_array(array, patient)


def wanted(names: list[str], options: FolderOptions) -> str:
    """The array to read."""
    for name in (options.dataset,) if options.dataset else (*ARRAYS, *(names if len(names) == 1 else ())):
        if name in names and ("kspace" not in name.lower() or options.dataset):
            return name
    raise InvalidInput(
        f"it holds no {options.dataset or ' or '.join(ARRAYS)}; its arrays are: {', '.join(names) or 'none'}"
    )


def from_array(array: np.ndarray, patient: str, mm: tuple[float, float] = (1.0, 1.0)) -> Iterator[Stack]:
    """A stack of an array (n, ny, nx) or (ny, nx)."""
    if array.ndim not in (2, 3) or array.dtype.kind not in "buifc":
        raise InvalidInput(f"its array has shape {array.shape} and type {array.dtype}; wanted is (slice, ny, nx)")
    images, extent, notes = magnitude(np.asarray(array).reshape(-1, *array.shape[-2:]))
    yield Stack(images, mm, "native", False, patient, extent, notes)


def magnitude(values: np.ndarray) -> tuple[np.ndarray, tuple[float, float], tuple[str, ...]]:
    """Finite values that are not negative, their original range, and what was done to them.

    Raises
    ------
    InvalidInput
        If they are all alike.
    """
    notes = []
    x: np.ndarray = np.abs(values).astype(np.float32) if np.iscomplexobj(values) else values.astype(np.float32)
    bad = ~np.isfinite(x)
    if bad.any():
        notes.append(f"{bad.mean():.1%} of the values are NaN or infinite and were set to zero")
        x[bad] = 0
    low, high = float(x.min()), float(x.max())
    if low == high:
        raise InvalidInput(f"all its values are {low:g}")
    if low < -0.05 * high and float((x < -0.05 * high).mean()) > 0.05:
        notes.append(f"its values begin at {low:g} and were shifted to begin at zero")
        x -= low
    return np.maximum(x, 0, out=x), (low, high), tuple(notes)


def few_values(images: np.ndarray) -> bool:
    """Whether there are so few different values that they are labels; of large stacks a part is looked at."""
    return np.unique(images.ravel()[:: max(1, images.size // 1_000_000)]).size <= FEWEST_VALUES
