"""Private elements of our own DICOM files: the record, and the images as they were before they became 16-bit numbers.

Other programs pass over them. The record stands before the pixels, the exact images behind them, where nobody reads who
only wants the header.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

CREATOR = "napari-lossguide"
_HEADER, _BEHIND = 0x0071, 0x7FE1  # private groups before and behind the pixels, (7FE0,0010)
_RECORD, _IMAGES, _INDEX = 0x01, 0x01, 0x02


def add_record(data: Dataset, record: str) -> None:
    """Put the record into a file's header."""
    data.private_block(_HEADER, CREATOR, create=True).add_new(_RECORD, "UT", record)


def private_text(data: Dataset) -> str:
    """The record of a header; empty if there is none."""
    return str(_element(data, _HEADER, _RECORD) or "")


def add_images(data: Dataset, images: np.ndarray, stored: np.ndarray, scale: tuple[float, float]) -> None:
    """Put the exact images into a file.

    Parameters
    ----------
    data : the file.
    images : complex64 or float32 (slice, ny, nx).
    stored : the pixels (slice, ny, nx) that everybody sees.
    scale : (slope, intercept) of these.
    """
    planes = [np.ascontiguousarray(plane, plane.dtype.newbyteorder("<")).tobytes() for plane in images]
    parts = [_packed(plane) for plane in planes]
    hashes = [_bound(plane, pixels, scale) for plane, pixels in zip(planes, stored, strict=True)]
    index = {"type": str(images.dtype), "bytes": [len(part) for part in parts], "sha256": hashes}
    block = data.private_block(_BEHIND, CREATOR, create=True)
    whole = b"".join(parts)
    block.add_new(_IMAGES, "OB", whole + b"\0" * (len(whole) % 2))
    block.add_new(_INDEX, "UT", json.dumps(index))


def exact_images(
    data: Dataset, frames: list[int], stored: np.ndarray, scales: list[tuple[float, float]]
) -> np.ndarray | None:
    """The exact images of some frames.

    Parameters
    ----------
    data : the file.
    frames : their numbers in it.
    stored : their pixels (frame, ny, nx), as the file has them now.
    scales : (slope, intercept) of each.

    Returns
    -------
    complex64 or float32 (frame, ny, nx); None if a pixel, a scale or they themselves were changed.

    Raises
    ------
    ValueError
        If they are missing or cut off.
    """
    block, text = _element(data, _BEHIND, _IMAGES), _element(data, _BEHIND, _INDEX)
    if block is None or text is None:
        raise ValueError("the exact images behind its pixels are missing")
    index: dict[str, Any] = json.loads(text)
    dtype = np.dtype({"complex64": "<c8", "float32": "<f4"}[index["type"]])
    ends = np.cumsum(index["bytes"], dtype=np.int64).tolist()
    planes = []
    for frame, pixels, scale in zip(frames, stored, scales, strict=True):
        part, size = block[ends[frame] - index["bytes"][frame] : ends[frame]], pixels.size * dtype.itemsize
        try:
            plane = zlib.decompressobj().decompress(part, size)  # no more, whatever a damaged file says
        except zlib.error:
            return None
        if len(plane) != size or _bound(plane, pixels, scale) != index["sha256"][frame]:
            return None
        planes.append(np.frombuffer(plane, dtype).reshape(pixels.shape))
    return np.stack(planes).astype(dtype.newbyteorder("="))


def _packed(plane: bytes) -> bytes:
    """By zlib, but looking for runs alone: noise repeats nothing else, and this is twice as fast."""
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    return packer.compress(plane) + packer.flush()


def _bound(plane: bytes, pixels: np.ndarray, scale: tuple[float, float]) -> str:
    """SHA-256 over an exact plane and what stands for it; whoever changes one of them changes it."""
    digest = hashlib.sha256(plane)
    digest.update(np.ascontiguousarray(pixels, "<u2").tobytes())
    digest.update(np.array(scale, "<f8").tobytes())
    return digest.hexdigest()


def _element(data: Dataset, group: int, number: int) -> Any:
    try:
        return data.private_block(group, CREATOR)[number].value
    except KeyError:
        return None
