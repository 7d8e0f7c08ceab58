"""ISMRMRD, also called MRD: raw data line by line (Inati et al. 2017, doi 10.1002/mrm.26089).

Rows of the images are phase encoding and columns are readout, as `ismrmrd_recon_cartesian_2d` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_lossguide.data.formats.base import Entry, Loaded, choose_entry
from napari_lossguide.data.formats.fastmri import HDF5
from napari_lossguide.data.formats.ismrmrd_calibration import Block
from napari_lossguide.data.formats.ismrmrd_noise import Whitening
from napari_lossguide.data.formats.ismrmrd_rows import (
    DIMENSIONS,
    is_calibration_only,
    is_image,
    is_noise,
    is_other,
    is_phase_correction,
    is_reverse,
    read_rows,
)
from napari_lossguide.data.formats.ismrmrd_slice import assemble, one_number_of_coils
from napari_lossguide.data.formats.ismrmrd_space import Space, placement, slice_order
from napari_lossguide.data.raw.steps import USUAL, RawSteps
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True, eq=False)
class _Part:
    """One entry: its acquisitions are `rows[chosen]` of its group."""

    path: Path
    name: str
    group: str
    space: Space
    rows: np.ndarray
    chosen: np.ndarray
    order: np.ndarray
    bandwidth: float

    @cached_property
    def entry(self) -> Entry:
        nz, ny, nx = self.space.pixels
        coils = int(self.rows["coils"][self.chosen[0]])
        note = _note(self.rows, self.chosen, self.space, self.calibration)
        return Entry(self.name, "kspace", (len(self.order) * nz, coils, ny, nx), note)

    @cached_property
    def calibration(self) -> Block | None:
        return Block.of(self.rows, self.chosen, self.space, self.path)

    @cached_property
    def placement(self) -> tuple[tuple[float, float, float], np.ndarray | None]:
        return placement(self.space, self.rows[self.chosen], self.order)

    @cached_property
    def whitening(self) -> Whitening:
        import h5py

        coils = one_number_of_coils(self.rows[self.chosen], self.path)
        with h5py.File(self.path, "r") as file:
            return Whitening.of(file[self.group]["data"], self.rows, coils, self.bandwidth, self.path)


class ISMRMRD:
    """A group with `xml`, the header, and `data`, the acquisitions; `dataset` by default, any other name too."""

    name = "ISMRMRD .h5"
    suffixes: tuple[str, ...] = (".h5", ".mrd")

    def recognises(self, path: Path, head: bytes) -> bool:
        """An HDF5 file with such a group."""
        import h5py

        if not head.startswith(HDF5):
            return False
        with h5py.File(path, "r") as file:
            return bool(_groups(file))

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Each contrast, repetition, phase and set of each Cartesian encoding; averages are one."""
        return tuple(part.entry for part in _look(path))

    def choose(self, path: Path, variable: str | None) -> str:
        """The one that was named, or the only one."""
        return choose_entry(self.entries(path), path, variable)

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read the acquisitions of these slices; see `base.Format`. The affine is that of all slices."""
        return self.load_raw(path, name, slices, USUAL)

    def load_raw(self, path: Path, name: str, slices: slice, steps: RawSteps) -> Loaded:
        """As `load`, with these steps; see `base.RawFormat`."""
        import h5py

        part = next(part for part in _look(path, oversampled=not steps.remove_oversampling) if part.name == name)
        whitening = part.whitening if steps.prewhiten else Whitening()
        wanted = [(int(number), z) for number in part.order for z in range(part.space.pixels[0])][slices]
        ghosts, block = steps.phase_correction, None
        with h5py.File(path, "r") as file:
            data = file[part.group]["data"]
            kspace, mask, noise_std = assemble(
                data, part.rows, part.chosen, part.space, wanted, whitening, path, ghosts=ghosts
            )
            if part.calibration is not None:
                block = part.calibration.read(data, part.rows, part.space, wanted, whitening, path, ghosts=ghosts)
        spacing, affine = part.placement
        return Loaded("kspace", kspace, spacing, mask, calibration=block, noise_std=noise_std, affine=affine)


def _look(path: Path, *, oversampled: bool = False) -> tuple[_Part, ...]:
    """What can be read, as the file is now: a file that is read slice by slice is looked at once."""
    stat = path.stat()
    return _looked(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns), oversampled)


@lru_cache(maxsize=2)
def _looked(path: Path, _stamp: tuple[int, ...], oversampled: bool) -> tuple[_Part, ...]:
    import h5py

    with h5py.File(path, "r") as file:
        return tuple(_parts(file, path, oversampled))


def _groups(file: h5py.File) -> list[str]:
    import h5py

    found = []
    for name, item in file.items():
        if isinstance(item, h5py.Group) and all(isinstance(item.get(key), h5py.Dataset) for key in ("xml", "data")):
            found.append(str(name))
    return found


def _parts(file: h5py.File, path: Path, oversampled: bool) -> list[_Part]:
    """What can be read.

    Raises
    ------
    InvalidInput
        If there is nothing Cartesian.
    """
    groups = _groups(file)
    found: list[_Part] = []
    refused: set[str] = set()
    only = 0
    for group in groups:
        header = _header(file[group]["xml"], path)
        rows = read_rows(file[group]["data"], path)
        rows.flags.writeable = False  # it is kept
        only += int(is_calibration_only(rows).sum())
        usable = []
        for number, encoding in enumerate(header.encoding):
            trajectory = str(getattr(encoding.trajectory, "value", encoding.trajectory))
            if trajectory == "cartesian":
                usable.append((number, Space.of(encoding, path, oversampled=oversampled)))
            else:
                refused.add(trajectory)
        system = header.acquisitionSystemInformation
        bandwidth = (system.relativeReceiverNoiseBandwidth if system else None) or 1.0
        for number, space in usable:
            found += _of_encoding(path, group, number, space, rows, float(bandwidth))
    if not found:
        raise InvalidInput(_nothing(path, refused, only))
    return _named(found, len(groups) > 1)


def _nothing(path: Path, refused: set[str], only: int) -> str:
    """Why a file holds nothing to reconstruct: other trajectories, or only so many lines for calibration."""
    if refused:
        kinds = ", ".join(sorted(refused))
        return f"{path} has acquisitions along {kinds} trajectories, which are not read; accepted are Cartesian ones."
    but = f" but {only} lines for calibration alone" if only else ""
    return f"{path} has no acquisitions of an image{but}; accepted are ISMRMRD files with Cartesian imaging lines."


def _of_encoding(path: Path, group: str, number: int, space: Space, rows: np.ndarray, bandwidth: float) -> list[_Part]:
    chosen = np.flatnonzero(is_image(rows) & (rows["encoding"] == number) & (rows["samples"] > 0))
    keys = np.stack([rows[name][chosen].astype(int) for name in DIMENSIONS], axis=1)
    parts = []
    for key in np.unique(keys, axis=0):
        own = chosen[(keys == key).all(axis=1)]
        parts.append(_Part(path, "", group, space, rows, own, slice_order(rows[own]), bandwidth))
    return parts


def _named(parts: list[_Part], several_groups: bool) -> list[_Part]:
    """Names of what differs: 'contrast 1, repetition 0'; a part that is alone in its group has the group's name."""
    named = []
    for part in parts:
        same = [other for other in parts if other.group == part.group]
        values = {name: {int(p.rows[name][p.chosen[0]]) for p in same} for name in DIMENSIONS}
        first = part.rows[part.chosen[0]]
        words = ", ".join(f"{name} {int(first[name])}" for name in DIMENSIONS if len(values[name]) > 1)
        prefix = f"{part.group}: " if several_groups and words else ""
        named.append(replace(part, name=prefix + words if words else part.group))
    return named


def _note(rows: np.ndarray, chosen: np.ndarray, space: Space, calibration: Block | None) -> str:
    used = "for coil maps" if calibration is not None else "of the file left out"
    corrects = is_phase_correction(rows) & is_reverse(rows[chosen]).any()
    counts = {
        "noise scan": is_noise(rows),
        "phase-correction lines": corrects,
        f"calibration-only lines {used}": is_calibration_only(rows),
        "lines of navigators, phase correction or other kinds of the file left out": is_other(rows) & ~corrects,
    }
    words = ["3-D encoded"] if space.encoded[0] > 1 else []
    words += [what if what == "noise scan" else f"{n} {what}" for what, m in counts.items() if (n := int(m.sum()))]
    return ", ".join(words)


def _header(xml: h5py.Dataset, path: Path) -> Any:
    """The XML header.

    Raises
    ------
    InvalidInput
        If it is no ISMRMRD header.
    """
    import warnings

    from ismrmrd.xsd import CreateFromDocument

    text = np.ravel(xml[()])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numbers that are none: what they lead to is checked in `Space`
            header = CreateFromDocument(text[0])
        _ = [(int(s.matrixSize.x), float(s.fieldOfView_mm.x)) for e in header.encoding for s in _spaces(e)]
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInput(f"The ISMRMRD header (`xml`) in {path} is damaged ({reason}).") from error
    return header


def _spaces(encoding: Any) -> tuple[Any, Any]:
    return encoding.encodedSpace, encoding.reconSpace
