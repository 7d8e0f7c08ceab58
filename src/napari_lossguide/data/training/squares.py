"""From a stack to training slices: empty ones dropped, square pixels, square frame, reference quantile at one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_lossguide.data.training.options import REFERENCE_QUANTILE, FolderOptions
from napari_lossguide.data.training.stacks import Stack

EMPTY = 0.15  # of the median slice's reference quantile: below it a slice shows nothing
LEAST_AREA = 0.02  # part of a slice that must show something
BRIGHTEST = 100.0  # in units of the reference quantile; no image needs more, and float16 holds it


@dataclass
class Cut:
    """What became of one stack.

    Attributes
    ----------
    slices : float16 (n, n) each, all of one size.
    pixel_mm : side of their square pixels.
    empty : slices that show nothing.
    left_out : slices between those that were taken.
    """

    slices: list[np.ndarray]
    pixel_mm: float
    empty: int
    left_out: int


def cut_slices(stack: Stack, options: FolderOptions) -> Cut:
    """Choose, resample, pad and scale the slices of a stack.

    A slice is resampled to square pixels of the finer side's size, padded with zeros around its middle to a square, and
    resampled down if that is larger than ``options.largest``; nothing is cropped.
    """
    tops = np.array([np.quantile(image, REFERENCE_QUANTILE) for image in stack.images])
    typical = float(np.median(tops[tops > 0])) if (tops > 0).any() else 0.0
    area = np.array([(image > 0.1 * typical).mean() for image in stack.images])
    shown = np.flatnonzero((tops > EMPTY * typical) & (area > LEAST_AREA))
    chosen = shown[spread(len(shown), options.slices if stack.volume else len(shown))]
    level = (
        float(np.quantile(stack.images[shown], REFERENCE_QUANTILE)) if options.scale == "volume" and len(shown) else 0
    )
    slices, pixel = [], min(stack.pixel_mm)
    for i in chosen:
        image, pixel = to_square(stack.images[i], stack.pixel_mm, options.largest)
        scaled = np.clip(image / (level or tops[i]), 0, BRIGHTEST)
        slices.append(scaled.astype(np.float16))
    return Cut(slices, pixel, len(tops) - len(shown), len(shown) - len(chosen))


def spread(n: int, most: int) -> np.ndarray:
    """At most so many of ``n`` positions, evenly spread."""
    return np.unique(np.linspace(0, max(n - 1, 0), min(n, most)).round().astype(int))


def to_square(image: np.ndarray, pixel_mm: tuple[float, float], largest: int) -> tuple[np.ndarray, float]:
    """Square pixels in a square frame of even side; and the pixel's side in mm."""
    ny, nx = image.shape
    pixel = min(pixel_mm)
    height, width = ny * pixel_mm[0] / pixel, nx * pixel_mm[1] / pixel
    shrink = max(1.0, max(height, width) / largest)
    shape = max(1, round(height / shrink)), max(1, round(width / shrink))
    if shape != (ny, nx):
        from skimage.transform import resize

        image = resize(image, shape, order=3, mode="edge", anti_aliasing=True, preserve_range=True)
    side = max(shape) + max(shape) % 2
    before = [(side - n) // 2 for n in shape]
    margins = [(b, side - n - b) for b, n in zip(before, shape, strict=True)]
    return np.pad(np.maximum(image, 0), margins), pixel * shrink
