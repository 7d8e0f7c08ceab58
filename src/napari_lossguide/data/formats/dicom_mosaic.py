"""Siemens mosaics: the slices of a volume as tiles of one picture, row by row."""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Tile:
    """One slice: `corner` (y, x) of its first pixel in the picture, `position` of that pixel in the patient in mm."""

    corner: tuple[int, int]
    position: tuple[float, ...]


def is_mosaic(data: Dataset) -> bool:
    """By its type."""
    return "MOSAIC" in (data.get("ImageType") or ())


def tiles(data: Dataset) -> tuple[tuple[int, int], tuple[Tile, ...]]:
    """Size (ny, nx) of the tiles, and the tiles.

    How many they are, and where the slices go, only Siemens' own header says. What the file gives as the position is
    where the whole picture would begin if it had the pixels of the first slice in its middle.

    Raises
    ------
    ValueError
        If that header, or the place of the picture, is missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its readers experimental; of these only the header's is taken
        from nibabel.nicom.csareader import CSAReadError, get_csa_header, get_n_mosaic, get_slice_normal
    try:
        own = get_csa_header(data)
        count, normal = int(get_n_mosaic(own) or 0), np.array(get_slice_normal(own), float)
    except (CSAReadError, struct.error, TypeError, AttributeError, KeyError, ValueError) as error:
        raise ValueError("Siemens' header, which says how many slices a mosaic has, cannot be read") from error
    side = math.isqrt(max(count - 1, 0)) + 1
    if count < 1 or data.Rows % side or data.Columns % side or normal.shape != (3,):
        raise ValueError(f"a mosaic of {count} slices does not fit {data.Rows} x {data.Columns} pixels")
    ny, nx = data.Rows // side, data.Columns // side
    x, y = np.reshape(np.array(data.ImageOrientationPatient, float), (2, 3))
    y_mm, x_mm = (float(mm) for mm in data.PixelSpacing)
    first = np.array(data.ImagePositionPatient, float)
    first = first + y * y_mm * (data.Rows - ny) / 2 + x * x_mm * (data.Columns - nx) / 2
    step = normal * float(data.get("SpacingBetweenSlices") or data.SliceThickness)
    places = [tuple(float(mm) for mm in first + n * step) for n in range(count)]
    return (ny, nx), tuple(Tile((n // side * ny, n % side * nx), place) for n, place in enumerate(places))
