"""What a batch leaves beside its results: a table with a line for each slice, and a sheet of all images."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from napari_lossguide.data.image_readers import read_image
from napari_lossguide.data.montage import montage, write_png
from napari_lossguide.data.writers import write_text
from napari_lossguide.recon.batch import Line, relative

SUMMARY, SHEET = "summary.csv", "contact_sheet.png"
THUMBNAIL = 96  # pixels along the longer side
GAP = 2


def write_summary(folder: Path, lines: Sequence[Line]) -> Path:
    """Write the table; unknown figures are empty.

    Raises
    ------
    InvalidInput
        If it cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([field.name for field in fields(Line)])
    for line in lines:
        table.writerow([_cell(value) for value in asdict(relative(line, folder)).values()])
    write_text(folder / SUMMARY, text.getvalue())
    return folder / SUMMARY


def _cell(value: object) -> object:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def thumbnail(image: np.ndarray, side: int = THUMBNAIL) -> np.ndarray:
    """A small square picture of a magnitude, real (ny, nx): 0 is black and its 99.5 % quantile is white.

    Returns
    -------
    float32 (side, side) in [0, 1], the image in the middle.
    """
    from skimage.transform import resize

    bright = float(np.quantile(image, 0.995)) or 1.0
    scale = side / max(image.shape)
    shape = tuple(max(1, round(n * scale)) for n in image.shape)
    small = resize(np.clip(image / bright, 0, 1), shape, anti_aliasing=scale < 1).astype(np.float32)
    out = np.zeros((side, side), np.float32)
    y, x = ((side - n) // 2 for n in shape)
    out[y : y + shape[0], x : x + shape[1]] = small
    return out


def crossed(side: int = THUMBNAIL) -> np.ndarray:
    """The picture of a slice that has no image: grey, with a cross."""
    out = np.full((side, side), 0.25, np.float32)
    diagonal = np.abs(np.subtract.outer(np.arange(side), np.arange(side))) < 2
    out[diagonal | diagonal[:, ::-1]] = 0.6
    return out


def write_contact_sheet(folder: Path, lines: Sequence[Line]) -> Path | None:
    """Write a picture of all slices in the order of the table, row by row; None if there is no line.

    Raises
    ------
    InvalidInput
        If it cannot be written.
    """
    if not lines:
        return None
    pictures = []
    for line in lines:
        if not line.output:
            pictures.append(crossed())
            continue
        pictures.append(thumbnail(np.abs(read_image(line.output)[0])))
    write_png(folder / SHEET, montage(np.stack(pictures), gap=GAP), (0.0, 1.0))
    return folder / SHEET
