"""Reading images, masks and noise. What a file is, its contents say; `data.formats` knows each kind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_lossguide.data.checks import as_mask
from napari_lossguide.data.formats.array_file import read_array
from napari_lossguide.data.formats.base import ArrayFormat, Loaded, opening
from napari_lossguide.data.formats.fastmri import REFERENCES
from napari_lossguide.data.formats.registry import format_of
from napari_lossguide.data.missing import check_slices
from napari_lossguide.types import InvalidInput

_IMAGE_NAMES = ("image", "mean", "images", *REFERENCES)


def read_mask(path: str | os.PathLike[str], shape: tuple[int, int], *, what: str = "mask") -> np.ndarray:
    """Read a sampling mask or a region: an .npy file, or `mask` of an .npz or .h5 file (or the only array in it).

    Returns
    -------
    bool (ny, nx)

    Raises
    ------
    InvalidInput
        If the file cannot be read or its mask is empty or has another shape than `shape` (ny, nx).
    """
    array = _array(path, tuple(dict.fromkeys((what, "mask", "acquired"))), what)
    return as_mask(array, shape, f"The {what} in {path}")


def read_noise(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a scan of noise alone: an .npy file, or `noise` or `kspace` of an .npz or .h5 file (or its only array).

    Returns
    -------
    array as it is stored; `recon.problem.noise_from_scan` checks it.

    Raises
    ------
    InvalidInput
        If the file cannot be read or holds no such array.
    """
    return _array(path, ("noise", "kspace"), "noise")


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read images to compare: an .npy file, or `image`, `mean`, `images` or a fastMRI reconstruction, the first found.

    Returns
    -------
    complex64 or float32 (slice, ny, nx)
        uint8 is divided by 255. Slices that are missing are NaN; see `data.missing`.

    Raises
    ------
    InvalidInput
        If the file cannot be read or holds no image.
    """
    return _checked_images(_array(path, _IMAGE_NAMES, "image"), path)


def _checked_images(image: np.ndarray, path: str | os.PathLike[str]) -> np.ndarray:
    if image.dtype.kind not in "buifc" or image.ndim not in (2, 3) or image.size == 0:
        raise InvalidInput(
            f"The image in {path} has shape {image.shape} and type {image.dtype}; "
            "accepted are numbers of shape (ny, nx) or (slice, ny, nx)."
        )
    image = unit_range(image).astype(np.complex64 if np.iscomplexobj(image) else np.float32, copy=False)
    image = image.reshape(-1, *image.shape[-2:])
    check_slices(image, f"The image in {path}")
    return image


def read_images(path: str | os.PathLike[str], *, variable: str | None = None) -> Loaded:
    """Read images with what the file says of their place, for a viewer.

    Parameters
    ----------
    path : a file that holds images.
    variable : which of several; see `entries`.

    Returns
    -------
    Loaded
        Its array is complex64 or float32 (slice, ny, nx); uint8 is divided by 255. Slices that are missing are NaN.

    Raises
    ------
    InvalidInput
        If the file cannot be read, or what was chosen is k-space or holds other values that are not finite.
    """
    form = format_of(path)
    with opening(path):
        loaded = form.load(Path(path), form.choose(Path(path), variable), slice(None))
    if loaded.kind == "kspace":
        raise InvalidInput(f"{path} holds k-space where images were asked for.")
    return replace(loaded, array=_checked_images(loaded.array, path))


def _array(path: str | os.PathLike[str], preferred: Sequence[str], what: str) -> np.ndarray:
    """The first of these arrays that a file of named arrays has, or the images of another file."""
    form = format_of(path)
    with opening(path):
        if isinstance(form, ArrayFormat):
            return read_array(form, Path(path), preferred)
        loaded = form.load(Path(path), form.choose(Path(path), None), slice(None))
    if what == "image" and loaded.kind == "kspace":
        raise InvalidInput(f"{path} holds k-space, no image to compare with.")
    return loaded.array


def unit_range(image: np.ndarray) -> np.ndarray:
    """Images of bytes from 0 to 1; others as they are."""
    return image / np.float32(255) if image.dtype == np.uint8 else image
