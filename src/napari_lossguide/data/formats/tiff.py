"""OME-TIFF files: images that k-space is simulated from. Other TIFF files say too little about their axes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from napari_lossguide.data.exports.ome_tiff import CHANNELS, NAMESPACE
from napari_lossguide.data.exports.record import image_hash, read_record
from napari_lossguide.data.formats.base import Entry, Loaded, choose_entry, opening

if TYPE_CHECKING:
    import tifffile

_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF of both orders of bytes
_IN_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0, "µm": 1e-3, "nm": 1e-6, "Å": 1e-7}


@dataclass(frozen=True, eq=False)
class _Stack:
    """One entry: `planes` of a series, numbered (part, slice); parts are magnitude, real and imaginary, or one."""

    entry: Entry
    number: int
    planes: np.ndarray


class Tiff:
    """Each channel and time of each image; `images` if there is one. What our writer split is complex again."""

    name = "OME-TIFF"
    suffixes: tuple[str, ...] = (".ome.tif", ".ome.tiff")

    def recognises(self, path: Path, head: bytes) -> bool:
        """A TIFF file with OME's description."""
        if not head.startswith(_MARKS):
            return False
        with _tiff(path) as file:
            return bool(file.is_ome)

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Images with the axes T, C, Z, Y and X; no colours."""
        with _tiff(path) as file:
            return tuple(stack.entry for stack in _stacks(file))

    def choose(self, path: Path, variable: str | None) -> str:
        """The one that was named, or the only one."""
        return choose_entry(self.entries(path), path, variable)

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices; see `base.Format`. Those of our own writer are read whole, to tell whether they were changed."""
        with _tiff(path) as file:
            stack = next(stack for stack in _stacks(file) if stack.entry.name == name)
            root = ElementTree.fromstring(file.ome_metadata or "")
            pages, record = file.series[stack.number].pages, read_record(_record_text(root))
            chosen = stack.planes if record is not None else stack.planes[:, slices]
            parts = np.stack([[pages[int(n)].asarray() for n in part] for part in chosen])
            spacing = _spacing(root, stack.number)
        images = parts[0]
        if len(parts) > 1:
            images = np.empty(parts.shape[1:], np.complex64)
            images.real, images.imag = parts[1:]
        if record is None:
            return Loaded("images", images, spacing)
        if image_hash(images) == record.sha256 and record.agrees(spacing, record.affine):
            return Loaded("images", images[slices], record.spacing, affine=record.affine)
        return Loaded("images", images[slices], spacing)

    def record_text(self, path: Path) -> str | None:
        """That of our own writer, an annotation."""
        with _tiff(path) as file:
            return _record_text(ElementTree.fromstring(file.ome_metadata or ""))


@contextmanager
def _tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    import tifffile

    # tifffile lets through what unpacking of damaged headers raises.
    damage = (tifffile.TiffFileError, ElementTree.ParseError, AttributeError, ArithmeticError, struct.error)
    with opening(path, *damage), tifffile.TiffFile(path) as file:
        yield file


def _stacks(file: tifffile.TiffFile) -> list[_Stack]:
    root = ElementTree.fromstring(file.ome_metadata or "")
    stacks = []
    for number, series in enumerate(file.series):
        sizes = dict(zip(series.get_axes(squeeze=False), series.get_shape(squeeze=False), strict=True))
        if sizes.get("S") == 1:  # samples of a pixel; several are colours
            del sizes["S"]
        axes, shape = "".join(sizes), tuple(sizes.values())
        if axes[-2:] != "YX" or not set(axes) <= set("TCZYX") or len(series.pages) != np.prod(shape[:-2]):
            continue
        planes = np.arange(len(series.pages)).reshape(shape[:-2])
        order = [axes.index(axis) for axis in "TCZ" if axis in axes]
        planes = planes.transpose(order).reshape([sizes.get(axis, 1) for axis in "TCZ"])
        channels = _channels(root, number)
        split = channels == list(CHANNELS) and planes.shape[1] == len(CHANNELS)
        groups = planes[:, None] if split else planes[:, :, None]  # (time, channel, part, slice)
        dtype = "complex64" if split else str(series.dtype)
        image = f"image {number}" if len(file.series) > 1 else ""
        for time, channel in product(*map(range, groups.shape[:2])):
            words = [image] + [f"time {time}"] * (len(groups) > 1)
            if groups.shape[1] > 1:
                label = channels[channel] if len(set(channels)) == groups.shape[1] else ""
                words.append(label or f"channel {channel}")
            name = ", ".join(filter(None, words)) or "images"
            size = (groups.shape[-1], sizes["Y"], sizes["X"])
            stacks.append(_Stack(Entry(name, "images", size, dtype), number, groups[time, channel]))
    return stacks


def _pixels(root: ElementTree.Element, number: int) -> ElementTree.Element | None:
    found = root.findall("{*}Image/{*}Pixels")
    return found[number] if number < len(found) else None


def _channels(root: ElementTree.Element, number: int) -> list[str]:
    pixels = _pixels(root, number)
    return [] if pixels is None else [channel.get("Name", "") for channel in pixels.findall("{*}Channel")]


def _spacing(root: ElementTree.Element, number: int) -> tuple[float, ...]:
    """(slice, y, x); 1 where the file says nothing. OME's own unit is µm."""
    pixels = _pixels(root, number)
    if pixels is None:
        return 1.0, 1.0, 1.0
    sizes = []
    for axis in "ZYX":
        size = float(pixels.get(f"PhysicalSize{axis}", "nan"))
        size *= _IN_MM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), np.nan)
        sizes.append(size if 0 < size < np.inf else 1.0)
    return tuple(sizes)


def _record_text(root: ElementTree.Element) -> str | None:
    for note in root.iterfind("{*}StructuredAnnotations/{*}CommentAnnotation"):
        if note.get("Namespace") == NAMESPACE:
            return note.findtext("{*}Value")
    return None
