"""DICOM: files of one picture, folders of them, files of many frames. Images that k-space is simulated from.

Rows and columns are as they are stored. Slices follow the normal of the plane; their distance is that of their
positions, whatever the header says of their thickness. A stack in which slices are missing is several entries, and so
is one in which two pictures lie at the same place: one affine could not say where their slices lie.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.exports.dicom_private import exact_images
from napari_lossguide.data.exports.dicom_space import plane_axes
from napari_lossguide.data.exports.record import Record, read_record
from napari_lossguide.data.formats.base import Entry, Loaded, choose_entry
from napari_lossguide.data.formats.dicom_folder import holds_dicom, is_dicom
from napari_lossguide.data.formats.dicom_frames import Frame, header, headers, reading
from napari_lossguide.data.formats.dicom_stacks import Stack, stacks
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from pydicom.uid import UID

_SINGLE = 1e-3  # mm by which places may be off that a header says in decimals
_BLOCK = 4096  # bytes of an element above which it stays in the file until it is asked for


class Dicom:
    """One stack, `images`, or one for each series, orientation, echo, repetition and so on."""

    name = "DICOM"
    suffixes: tuple[str, ...] = (".dcm", ".dicom", ".ima")

    def recognises(self, path: Path, head: bytes) -> bool:
        """The mark behind the preamble, of a file or of one of the first files in a folder."""
        return holds_dicom(path) if path.is_dir() else is_dicom(head)

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Stacks of grey pictures; those with colours are left out, unless there are no others."""
        return tuple(stack.entry for stack in _stacks(path))

    def choose(self, path: Path, variable: str | None) -> str:
        """The one that was named, or the only one."""
        return choose_entry(self.entries(path), path, variable)

    def files(self, path: Path, name: str) -> tuple[Path, ...]:
        """Those with the frames of an entry, in the order of the slices."""
        return tuple(dict.fromkeys(frame.path for frame in _find(path, name).frames))

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read the pixels of these slices; see `base.Format`. Exact values of our own writer count while they fit."""
        stack = _find(path, name)
        chosen = stack.frames[slices]
        stored = _stored(chosen)
        record = _record(stack)
        array = None if record is None else _exact(chosen, stored)
        if array is None:
            array = np.stack([_values(frame, plane) for frame, plane in zip(chosen, stored, strict=True)])
        if record is not None and _agree(record, stack):
            return Loaded("images", array, record.spacing, affine=record.affine)
        return Loaded("images", array, stack.spacing, affine=stack.affine)

    def record_text(self, path: Path) -> str | None:
        """That of our own writer, a private element; a folder has none."""
        return None if path.is_dir() else header(path).record or None


def _stacks(path: Path) -> tuple[Stack, ...]:
    frames = [frame for one in headers(path) for frame in one.frames]
    grey = [frame for frame in frames if not frame.refused]
    if not grey:
        raise InvalidInput(frames[0].refused if frames else f"{path} is DICOM, but holds no pictures.")
    return stacks(grey)


def _find(path: Path, name: str) -> Stack:
    for stack in _stacks(path):
        if stack.entry.name == name:
            return stack
    raise InvalidInput(f"{path} no longer holds '{name}'; its files were changed.")


def _stored(frames: Sequence[Frame]) -> list[np.ndarray]:
    """Pixels as they are stored, without scale, of no more than these frames."""
    wanted: dict[Path, list[int]] = defaultdict(list)
    for frame in frames:
        if _picture(frame) not in wanted[frame.path]:
            wanted[frame.path].append(_picture(frame))
    found: dict[tuple[Path, int], np.ndarray] = {}
    for path, indices in wanted.items():
        with reading(path):
            found |= {(path, index): plane for index, plane in zip(indices, _planes(path, indices), strict=True)}
    planes = [_cut(found[frame.path, _picture(frame)], frame) for frame in frames]
    for frame, plane in zip(frames, planes, strict=True):
        if plane.shape != frame.shape:
            raise InvalidInput(f"{frame.path} holds pixels of another shape than its header says, {frame.shape}.")
    return planes


def _picture(frame: Frame) -> int:
    """The tiles of a mosaic are all in the first one."""
    return frame.index if frame.corner is None else 0


def _cut(plane: np.ndarray, frame: Frame) -> np.ndarray:
    if frame.corner is None:
        return plane
    (y, x), (ny, nx) = frame.corner, frame.shape
    return plane[y : y + ny, x : x + nx]


def _planes(path: Path, indices: list[int]) -> list[np.ndarray]:
    import pydicom
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels import iter_pixels
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax is None or not syntax.is_compressed:
        zipped = syntax == DeflatedExplicitVRLittleEndian  # as a whole, header and all
        return list(iter_pixels(pydicom.dcmread(path) if zipped else path, indices=indices, raw=True))
    programs = _decoders(path, syntax)
    try:
        return list(iter_pixels(path, indices=indices, raw=True))
    except RuntimeError as error:
        reason = " ".join(str(error).split()).rpartition("plugins: ")[2]
        raise InvalidInput(
            f"{path} is compressed as {syntax.name} and could not be decompressed ({reason}); it is damaged, or needs "
            f"another decoder{programs}."
        ) from error


def _decoders(path: Path, syntax: UID) -> str:
    """A clause: how to get decoders that are not installed; empty if there are no others.

    Raises
    ------
    InvalidInput
        If none is installed.
    """
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise InvalidInput(
            f"{path} is compressed as {syntax.name}, which nothing here decompresses; convert it to an uncompressed "
            "transfer syntax, with dcmdjpeg or gdcmconv for example."
        ) from None
    needs = [text.partition(" - requires ")[2].replace("numpy and ", "") for text in decoder.missing_dependencies]
    needs = [" ".join(f"'{part}'" for part in need.replace("gdcm>", "python-gdcm>").split(" and ")) for need in needs]
    programs = f": pip install {', or '.join(reversed(needs))}" if needs else ""
    if not decoder.is_available:
        raise InvalidInput(f"{path} is compressed as {syntax.name}, for which no decoder is installed{programs}.")
    return programs


def _values(frame: Frame, stored: np.ndarray) -> np.ndarray:
    """What the numbers mean: brightness upwards, then slope and intercept."""
    slope, intercept = frame.scale
    numbers = stored.astype(np.float64)
    if frame.mirror is not None:
        numbers = frame.mirror - numbers
    return (numbers * slope + intercept).astype(np.float32)


def _record(stack: Stack) -> Record | None:
    """That of our own writer, if this is all that it wrote to a file."""
    path = stack.frames[0].path
    if [(frame.path, frame.index) for frame in stack.frames] != [(path, n) for n in range(len(stack.frames))]:
        return None
    one = header(path)
    return read_record(one.record) if one.record and len(one.frames) == len(stack.frames) else None


def _exact(frames: Sequence[Frame], stored: Sequence[np.ndarray]) -> np.ndarray | None:
    import pydicom

    path = frames[0].path
    with reading(path):
        data = pydicom.dcmread(path, defer_size=_BLOCK)
        return exact_images(data, [f.index for f in frames], np.stack(stored), [f.scale for f in frames])


def _agree(record: Record, stack: Stack) -> bool:
    """Whether the header says the same as the record, as well as it can."""
    if not np.allclose(record.spacing, stack.spacing, rtol=1e-5):
        return False
    if record.affine is None or stack.affine is None:
        # A header has no place for pixels that are not at right angles.
        return stack.affine is None and (record.affine is None or plane_axes(record.affine) is None)
    corners = np.array([[*corner, 1] for corner in product(*((0, size - 1) for size in stack.entry.shape))]).T
    return bool(np.allclose(stack.affine @ corners, record.affine @ corners, rtol=0, atol=_SINGLE))
