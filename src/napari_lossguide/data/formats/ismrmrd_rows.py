"""The acquisitions of an ISMRMRD dataset: what their headers say, and which of them make an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import h5py

DIMENSIONS = ("encoding", "contrast", "repetition", "phase", "set")
"""What tells one entry from another; slices, lines and averages belong together."""

_BLOCK = 4096  # headers that are in memory whole at one time
_RUN = 64  # lines that are read at one time

_HEAD = {
    "flags": "flags",
    "number_of_samples": "samples",
    "active_channels": "coils",
    "discard_pre": "before",
    "discard_post": "after",
    "center_sample": "centre",
    "encoding_space_ref": "encoding",
    "sample_time_us": "dwell",
    "position": "position",
    "read_dir": "read",
    "phase_dir": "phase_dir",
    "slice_dir": "slice_dir",
}
_COUNTERS = {
    "kspace_encode_step_1": "step1",
    "kspace_encode_step_2": "step2",
    "slice": "slice",
    "contrast": "contrast",
    "phase": "phase",
    "repetition": "repetition",
    "set": "set",
}

# Numbers of flags as ISMRMRD counts them, from 1.
_NOISE, _CALIBRATION, _REVERSE = 19, 20, 22
_CALIBRATION_AND_IMAGING = 21
_PHASE_CORRECTION = 24
# Navigators, phase correction, feedback, dummy scans, surface coil correction, phase stabilisation.
_OTHERS = (23, 24, 26, 27, 28, 29, 30, 31)
_COMPRESSED = (53, 54, 55, 56)


def read_rows(dataset: h5py.Dataset, path: Path) -> np.ndarray:
    """Headers of all acquisitions, without their data; only the fields that matter, and block by block.

    Returns
    -------
    structured (acquisition,)

    Raises
    ------
    InvalidInput
        If the dataset holds something else.
    """
    names = dataset.dtype.names or ()
    if dataset.ndim != 1 or not {"head", "data"} <= set(names):
        raise InvalidInput(f"'{dataset.name}' in {path} is no list of ISMRMRD acquisitions; is the file damaged?")
    head = dataset.dtype["head"]
    fields = [(to, head[name].base, head[name].shape) for name, to in _HEAD.items()]
    fields += [(to, head["idx"][name].base, head["idx"][name].shape) for name, to in _COUNTERS.items()]
    rows = np.empty(len(dataset), np.dtype(fields))
    for start, block in _head_blocks(dataset):
        own = slice(start, start + len(block))
        for name, to in _HEAD.items():
            rows[to][own] = block[name]
        for name, to in _COUNTERS.items():
            rows[to][own] = block["idx"][name]
    return rows


def _head_blocks(dataset: h5py.Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """First row and headers of each block.

    When h5py reads one field of a record it also reads the others, those of variable length included, and never frees
    them: the whole file would be in memory. So the records are taken as they are stored, where the place of the data
    stands instead of the data. Only where that cannot be (compressed records, no chunks), h5py's own way is taken.
    """
    plist = dataset.id.get_create_plist()
    if dataset.chunks is None or plist.get_nfilters():
        for start in range(0, len(dataset), _BLOCK):
            yield start, dataset[start : start + _BLOCK]["head"]
        return
    stored = dataset.id.get_type()
    index = stored.get_member_index(b"head")
    record = np.dtype(
        {
            "names": ["head"],
            "formats": [stored.get_member_type(index).dtype],
            "offsets": [stored.get_member_offset(index)],
            "itemsize": stored.get_size(),
        }
    )
    (size,) = dataset.chunks
    step = max(_BLOCK // size, 1) * size
    for start in range(0, len(dataset), step):
        stop = min(start + step, len(dataset))
        chunks = [dataset.id.read_direct_chunk((first,))[1] for first in range(start, stop, size)]
        yield start, np.frombuffer(b"".join(chunks), record)["head"][: stop - start]


def flagged(rows: np.ndarray | np.void, *flags: int) -> np.ndarray:
    """Which rows have any of these flags."""
    bits = np.uint64(sum(1 << (flag - 1) for flag in flags))
    return np.asarray((rows["flags"] & bits) != 0)


def is_noise(rows: np.ndarray) -> np.ndarray:
    """Scans without excitation, of the receivers' noise."""
    return flagged(rows, _NOISE)


def is_calibration_only(rows: np.ndarray) -> np.ndarray:
    """Lines for parallel imaging's calibration that are not of the image."""
    return flagged(rows, _CALIBRATION) & ~flagged(rows, _CALIBRATION_AND_IMAGING) & ~is_noise(rows)


def is_calibration_also(rows: np.ndarray) -> np.ndarray:
    """Lines of the image that are lines for calibration, too."""
    return flagged(rows, _CALIBRATION_AND_IMAGING) & ~is_noise(rows)


def is_other(rows: np.ndarray) -> np.ndarray:
    """Navigators, phase correction, dummy scans, feedback and the like."""
    return flagged(rows, *_OTHERS) & ~is_noise(rows)


def is_phase_correction(rows: np.ndarray) -> np.ndarray:
    """Lines without phase encoding that measure the phase between those read forwards and backwards."""
    return flagged(rows, _PHASE_CORRECTION) & ~is_noise(rows)


def is_image(rows: np.ndarray) -> np.ndarray:
    """Lines of the image's k-space."""
    return ~(is_noise(rows) | is_calibration_only(rows) | is_other(rows))


def is_reverse(rows: np.ndarray | np.void) -> np.ndarray:
    """Lines that were read from high to low k."""
    return flagged(rows, _REVERSE)


def read_lines(dataset: h5py.Dataset, numbers: np.ndarray, rows: np.ndarray, path: Path) -> Iterator[np.ndarray]:
    """Data of some acquisitions, one after another; few of them are in memory at one time.

    Parameters
    ----------
    dataset : of the file
    numbers : ascending (n,), which acquisitions
    rows : all headers

    Yields
    ------
    complex64 (coil, sample)

    Raises
    ------
    InvalidInput
        If an acquisition has not the data that its header says.
    """
    if flagged(rows[numbers], *_COMPRESSED).any():
        raise InvalidInput(f"The acquisitions in {path} are compressed, which is not read; accepted are plain ones.")
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
        for start in range(0, len(run), _RUN):
            part = run[start : start + _RUN]
            # Whole records, though only `data` is used: h5py frees those.
            for number, values in zip(part, dataset[int(part[0]) : int(part[-1]) + 1]["data"], strict=True):
                yield _line(values, rows[number], number, path)


def _line(values: np.ndarray, row: np.void, number: int, path: Path) -> np.ndarray:
    coils, samples = int(row["coils"]), int(row["samples"])
    if values.size != 2 * coils * samples:
        raise InvalidInput(
            f"Acquisition {number} in {path} has {values.size} numbers, but its header says {coils} coils of {samples} "
            "complex samples; the file is damaged."
        )
    return np.ascontiguousarray(values, np.float32).view(np.complex64).reshape(coils, samples)
