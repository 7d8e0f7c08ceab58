"""Several images as one picture, and pictures as files."""

from __future__ import annotations

import io
import math
import os

import numpy as np

from napari_lossguide.data.writers import write_bytes


def montage(images: np.ndarray, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """Images side by side, row by row.

    Parameters
    ----------
    images : real, (n, ny, nx), at least one.
    columns : as near to a square as possible when None.
    gap : pixels between two images, filled with the largest value.

    Returns
    -------
    float32 (rows ny + gaps, columns nx + gaps); places without an image are filled like the gaps.
    """
    n, ny, nx = images.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    rows = math.ceil(n / columns)
    out = np.full((rows * (ny + gap) - gap, columns * (nx + gap) - gap), images.max(), np.float32)
    for i, image in enumerate(images):
        y, x = (i // columns) * (ny + gap), (i % columns) * (nx + gap)
        out[y : y + ny, x : x + nx] = image
    return out


def write_png(path: str | os.PathLike[str], image: np.ndarray, limits: tuple[float, float]) -> None:
    """Write a picture, whole or not at all.

    Parameters
    ----------
    path : file to write or replace.
    image : real (ny, nx), or uint8 (ny, nx, 3), which is written as it is.
    limits : values that become black and white.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    from PIL import Image

    if image.dtype != np.uint8:
        low, high = limits
        image = (255 * np.clip((image - low) / (high - low), 0, 1)).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    write_bytes(path, buffer.getvalue())
