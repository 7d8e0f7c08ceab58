"""The lines of Siemens raw data files (.dat, "Twix"), as rows and values that the code of ISMRMRD takes.

A file of VD and later begins with a table of its measurements; each has a header of texts, then one scan header of 192
bytes for every line, with the samples of all coils, each behind 32 bytes of its own. A file of VB is one measurement,
whose lines have a header of 128 bytes for every coil.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.types import InvalidInput

_COUNTERS = ("lin", "ave", "sli", "par", "eco", "phs", "rep", "set", "seg", "ida", "idb", "idc", "idd", "ide")
_FIELDS: dict[str, Any] = {
    "flags": "<u8", "samples": "<u2", "coils": "<u2", "counter": [(name, "<u2") for name in _COUNTERS],
    "before": "<u2", "after": "<u2", "centre": "<u2", "centre_lin": "<u2", "centre_par": "<u2",
    "position": ("<f4", 3), "quaternion": ("<f4", 4),
}  # fmt: skip
_VD = (40, 48, 50, 52, 80, 82, 84, 96, 98, 100, 112)
_VB = (20, 28, 30, 32, 60, 62, 64, 76, 78, 96, 108)

# Numbers of Siemens' bits, from 0, and of the flags of ISMRMRD, from 1, that say the same.
_FLAGS = {
    1: 28, 2: 26,  # feedback
    14: 30, 15: 31,  # phase stabilisation
    21: 24,  # phase correction
    22: 20, 23: 21,  # calibration; that is of the image too
    24: 22,  # read backwards
    25: 19,  # noise
    38: 23, 39: 23, 44: 23,  # single bands of several, their phase correction, navigators
    51: 27,  # dummy
}  # fmt: skip
_END, _SYNC = 1 << 0, 1 << 5
_LENGTH = (1 << 25) - 1  # bits of the first number that are bytes of the line

_WHOLE = "samples coils before after centre encoding step1 step2 slice contrast phase repetition set centre1 centre2"
_VECTORS = ("position", "read", "phase_dir", "slice_dir")
_ROW: list[Any] = [("flags", "<u8"), ("start", "<u8"), ("dwell", "<f4")]
_ROW += [(name, "<i4") for name in _WHOLE.split()] + [(name, "<f4", 3) for name in _VECTORS]
ROW = np.dtype(_ROW)
"""A line: the fields that ISMRMRD's rows have, where it stands, and which steps are k = 0."""


@dataclass(frozen=True)
class Layout:
    """How a version of the scanner's software writes lines.

    Attributes
    ----------
    head : bytes of a line before its coils.
    coil : bytes before the samples of each coil.
    fields : of the header of a line.
    """

    head: int
    coil: int
    fields: np.dtype

    @classmethod
    def of(cls, head: int, coil: int, offsets: tuple[int, ...]) -> Layout:
        """From where the fields stand."""
        size = head or coil
        fields: Any = {"names": list(_FIELDS), "formats": [*_FIELDS.values()], "offsets": offsets, "itemsize": size}
        return cls(head, coil, np.dtype(fields))

    def line(self, samples: int, coils: int) -> int:
        """Bytes of a line."""
        return self.head + coils * (self.coil + 8 * samples)


VD, VB = Layout.of(192, 32, _VD), Layout.of(0, 128, _VB)


def read_rows(file: np.ndarray, start: int, end: int, layout: Layout, measurement: int, path: Path) -> np.ndarray:
    """The lines of one measurement, without their samples.

    Parameters
    ----------
    file : uint8, all its bytes; not more of them are read than are needed.
    start, end : where its lines begin, and where the measurement ends.
    layout : of its lines.
    measurement : its number.
    path : for messages.

    Raises
    ------
    InvalidInput
        If the file ends in the middle of a line.
    """
    where, heads, place = [], bytearray(), start
    size = layout.fields.itemsize
    counts = layout.fields.fields["samples"][1], layout.fields.fields["flags"][1]  # type: ignore[index]
    while place + size <= end:
        head = file[place : place + size].tobytes()
        (flags,) = struct.unpack_from("<Q", head, counts[1])
        if flags & _END:
            break
        if flags & _SYNC:
            length = struct.unpack_from("<I", head)[0] & _LENGTH
        else:
            length = layout.line(*struct.unpack_from("<2H", head, counts[0]))
            where.append(place)
            heads += head
        if length < size or place + length > end:
            raise InvalidInput(f"{path} ends in the middle of a line, at byte {place} of {end}; is it all of the file?")
        place += length
    return _rows(np.frombuffer(bytes(heads), layout.fields), np.array(where, np.uint64), measurement)


def _rows(heads: np.ndarray, where: np.ndarray, measurement: int) -> np.ndarray:
    rows = np.zeros(len(heads), ROW)
    rows["start"], rows["encoding"] = where, measurement
    for theirs, ours in _FLAGS.items():
        rows["flags"] |= ((heads["flags"] >> np.uint64(theirs)) & np.uint64(1)) << np.uint64(ours - 1)
    for name in ("samples", "coils", "before", "after", "centre", "position"):
        rows[name] = heads[name]
    rows["centre1"], rows["centre2"] = heads["centre_lin"], heads["centre_par"]
    names = {"lin": "step1", "par": "step2", "sli": "slice", "eco": "contrast", "phs": "phase", "rep": "repetition"}
    for theirs_, ours_ in {**names, "set": "set"}.items():
        rows[ours_] = heads["counter"][theirs_]
    rows["phase_dir"], rows["read"], rows["slice_dir"] = _directions(heads["quaternion"].astype(float))
    return rows


def _directions(quaternions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along which phase encoding, readout and slices run, in patient coordinates to the left, back and head.

    The quaternion (w, x, y, z) turns (phase, read, slice) into the patient; the images that an inverse transform makes
    of the samples run against phase and read.
    """
    w, x, y, z = quaternions.T
    phase = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], axis=-1)
    read = np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], axis=-1)
    along = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=-1)
    return -phase, -read, along


class Lines:
    """Samples of lines, as `formats.ismrmrd_rows.read_lines` asks for them.

    Parameters
    ----------
    file : uint8, all its bytes.
    rows : of its lines.
    layout : of them.
    """

    def __init__(self, file: np.ndarray, rows: np.ndarray, layout: Layout) -> None:
        self._file, self._rows, self._layout = file, rows, layout

    def __getitem__(self, chosen: slice) -> dict[str, list[np.ndarray]]:
        return {"data": [self._values(row) for row in self._rows[chosen]]}

    def _values(self, row: np.void) -> np.ndarray:
        """float32 (coil, sample, 2), flat."""
        coils, samples = int(row["coils"]), int(row["samples"])
        first = int(row["start"]) + self._layout.head
        block = self._file[first : first + coils * (self._layout.coil + 8 * samples)].reshape(coils, -1)
        return np.ascontiguousarray(block[:, self._layout.coil :]).view("<f4").ravel()
