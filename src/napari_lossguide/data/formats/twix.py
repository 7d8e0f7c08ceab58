"""Siemens raw data (.dat, "Twix"): Cartesian lines, translated to rows of ISMRMRD and assembled by its code.

Rows of the images are phase encoding and columns are readout.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.data.formats.base import Entry, Loaded, choose_entry
from napari_lossguide.data.formats.ismrmrd_calibration import Block
from napari_lossguide.data.formats.ismrmrd_noise import Whitening
from napari_lossguide.data.formats.ismrmrd_rows import (
    DIMENSIONS,
    is_calibration_only,
    is_image,
    is_noise,
    is_phase_correction,
    is_reverse,
)
from napari_lossguide.data.formats.ismrmrd_slice import assemble, one_number_of_coils
from napari_lossguide.data.formats.ismrmrd_space import Space, placement, slice_order
from napari_lossguide.data.formats.twix_header import Header, is_header
from napari_lossguide.data.formats.twix_lines import ROW, VB, VD, Layout, Lines, read_rows
from napari_lossguide.data.raw.steps import USUAL, RawSteps
from napari_lossguide.types import InvalidInput

_MOST = 64  # measurements of a file
_TABLE, _ENTRY = 8, 152  # bytes before the table of measurements, and of each of its lines
_BANDWIDTH = 0.793  # share of the nominal bandwidth in which noise comes through, as siemens_to_ismrmrd has it


@dataclass(frozen=True, eq=False)
class _File:
    """All lines of a file, and the header of each measurement."""

    path: Path
    layout: Layout
    rows: np.ndarray
    headers: dict[int, Header]

    def lines(self) -> Any:
        return Lines(_mapped(self.path), self.rows, self.layout)


@dataclass(frozen=True, eq=False)
class _Part:
    """One entry: its lines are `rows[chosen]` of the file."""

    file: _File
    name: str
    chosen: np.ndarray

    @cached_property
    def order(self) -> np.ndarray:
        return slice_order(self.file.rows[self.chosen])

    def space(self, oversampled: bool) -> Space:
        rows = self.file.rows[self.chosen]
        return self.file.headers[int(rows["encoding"][0])].space(rows, oversampled=oversampled)

    def calibration(self, oversampled: bool) -> Block | None:
        """Lines for the calibration of parallel imaging that are measured beside the image."""
        return Block.of(self.file.rows, self.chosen, self.space(oversampled), self.file.path)

    @cached_property
    def entry(self) -> Entry:
        nz, ny, nx = self.space(oversampled=False).pixels
        rows = self.file.rows
        used = "of the file left out" if self.calibration(oversampled=False) is None else "for coil maps"
        counts = {
            "3-D encoded": nz > 1,
            "noise scan": is_noise(rows).any(),
            "phase-correction lines": (is_phase_correction(rows).any() and is_reverse(rows[self.chosen]).any()),
            f"calibration-only lines {used}": is_calibration_only(rows).any(),
        }
        note = ", ".join(words for words, there in counts.items() if there)
        return Entry(self.name, "kspace", (len(self.order) * nz, int(rows["coils"][self.chosen[0]]), ny, nx), note)


class Twix:
    """Each contrast, repetition, phase and set of each Cartesian measurement; averages are averaged."""

    name = "Siemens .dat"
    suffixes: tuple[str, ...] = (".dat",)

    def recognises(self, path: Path, head: bytes) -> bool:
        """A measurement's header: at the start (VB), or where the table of measurements says (VD and later)."""
        if len(head) < _TABLE + _ENTRY:
            return False
        if is_header(head):
            return True
        found = _table(head)
        if not found:
            return False
        with open(path, "rb") as file:
            file.seek(found[0][0])
            return is_header(file.read(32))

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """What can be read; samples are not looked at."""
        return tuple(part.entry for part in _look(path))

    def choose(self, path: Path, variable: str | None) -> str:
        """The one that was named, or the only one."""
        return choose_entry(self.entries(path), path, variable)

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read the lines of these slices; see `base.Format`. The affine is that of all slices."""
        return self.load_raw(path, name, slices, USUAL)

    def load_raw(self, path: Path, name: str, slices: slice, steps: RawSteps) -> Loaded:
        """As `load`, with these steps; see `base.RawFormat`."""
        part = next(part for part in _look(path) if part.name == name)
        file, space = part.file, part.space(oversampled=not steps.remove_oversampling)
        lines, coils = file.lines(), one_number_of_coils(file.rows[part.chosen], path)
        whitening = Whitening.of(lines, file.rows, coils, _BANDWIDTH, path) if steps.prewhiten else Whitening()
        ghosts = steps.phase_correction
        wanted = [(number, z) for number in part.order for z in range(space.pixels[0])][slices]
        kspace, mask, noise_std = assemble(lines, file.rows, part.chosen, space, wanted, whitening, path, ghosts=ghosts)
        block, calibration = None, part.calibration(oversampled=not steps.remove_oversampling)
        if calibration is not None:
            block = calibration.read(lines, file.rows, space, wanted, whitening, path, ghosts=ghosts)
        spacing, affine = placement(space, file.rows[part.chosen], part.order)
        return Loaded("kspace", kspace, spacing, mask, calibration=block, noise_std=noise_std, affine=affine)


def _look(path: Path) -> tuple[_Part, ...]:
    """What can be read, as the file is now: a file that is read slice by slice is looked at once."""
    stat = path.stat()
    return _looked(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=2)
def _looked(path: Path, _stamp: tuple[int, ...]) -> tuple[_Part, ...]:
    file = _read(path)
    parts, refused = [], []
    for number, header in file.headers.items():
        chosen = np.flatnonzero(is_image(file.rows) & (file.rows["encoding"] == number) & (file.rows["samples"] > 0))
        if chosen.size and (why := header.refusal()):
            refused.append(why)
        elif chosen.size:
            keys = np.stack([file.rows[name][chosen] for name in DIMENSIONS], axis=1)
            parts += [_Part(file, "", chosen[(keys == key).all(axis=1)]) for key in np.unique(keys, axis=0)]
    if not parts:
        has = f"has {'; '.join(dict.fromkeys(refused))}" if refused else "has no lines of an image"
        raise InvalidInput(f"{path} {has}; accepted are Siemens files with Cartesian imaging lines.")
    return _named(parts)


def _named(parts: list[_Part]) -> tuple[_Part, ...]:
    """Names of what differs: 'measurement 1, contrast 0'; an entry that is alone is called kspace."""
    firsts = [part.file.rows[part.chosen[0]] for part in parts]
    differ = [name for name in DIMENSIONS if len({int(row[name]) for row in firsts}) > 1]
    titles = {"encoding": "measurement"}
    names = [", ".join(f"{titles.get(name, name)} {int(row[name])}" for name in differ) for row in firsts]
    return tuple(_Part(part.file, name or "kspace", part.chosen) for part, name in zip(parts, names, strict=True))


def _read(path: Path) -> _File:
    file = _mapped(path)
    single = is_header(file[:32].tobytes())
    layout, measurements = (VB, [(0, len(file))]) if single else (VD, _table(file[: _TABLE + _MOST * _ENTRY].tobytes()))
    rows, headers = [np.zeros(0, ROW)], {}
    for number, (start, length) in enumerate(measurements):
        end = start + length if length else len(file)
        if end > len(file):
            raise InvalidInput(
                f"{path} is incomplete: measurement {number} ends at byte {end}, but the file has {len(file)}."
            )
        if not is_header(file[start : start + 32].tobytes()):
            raise InvalidInput(f"Measurement {number} of {path} has no header at byte {start}; the file is damaged.")
        (size,) = struct.unpack("<I", file[start : start + 4].tobytes())
        if start + size > end:
            raise InvalidInput(f"{path} is incomplete: it ends in the header of measurement {number}.")
        headers[number] = Header.of(file[start : start + size].tobytes(), path)
        own = read_rows(file, start + size, end, layout, number, path)
        own["dwell"] = headers[number].dwell
        rows.append(own)
    whole = np.concatenate(rows)
    whole.flags.writeable = False  # it is kept
    return _File(path, layout, whole, headers)


def _mapped(path: Path) -> np.ndarray:
    return np.memmap(path, np.uint8, "r").view(np.ndarray)  # whose small slices are made sooner than those of memmap


def _table(head: bytes) -> list[tuple[int, int]]:
    """Start and length of each measurement; empty if it is no such table."""
    size, count = struct.unpack_from("<2I", head)
    if size >= 10000 or not 1 <= count <= _MOST:
        return []
    ends = [_TABLE + _ENTRY * (number + 1) for number in range(count)]
    found = [struct.unpack_from("<2Q", head, end - _ENTRY + 8) for end in ends if end <= len(head)]
    return [] if any(start < _TABLE + _ENTRY for start, _ in found) else [(int(a), int(b)) for a, b in found]
