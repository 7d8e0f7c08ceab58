"""Slices of k-space from the lines of an ISMRMRD dataset: no more lines are read than the slices need.

A 3-D encoding is transformed along its partitions, so that its slices can be reconstructed one by one. That is exact
where all partitions of a row were measured; where the outer ones were not (elliptical scanning, partial Fourier), they
are zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.formats.ismrmrd_noise import Whitening
from napari_lossguide.data.formats.ismrmrd_rows import DIMENSIONS, is_phase_correction, is_reverse, read_lines
from napari_lossguide.data.formats.ismrmrd_space import Space
from napari_lossguide.data.raw.oversampling import remove_oversampling
from napari_lossguide.data.raw.partial_fourier import columns
from napari_lossguide.data.raw.phase_correction import correct_phase, linear_phase
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import h5py


def assemble(
    dataset: h5py.Dataset,
    rows: np.ndarray,
    chosen: np.ndarray,
    space: Space,
    wanted: list[tuple[int, int]],
    whitening: Whitening,
    path: Path,
    *,
    ghosts: bool,
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """K-space of slices, (number, partition) each.

    Lines that were measured more than once are averaged.

    Parameters
    ----------
    dataset, rows, chosen : the acquisitions of the file, all their headers, and which are of the entry
    space : of the entry
    wanted : the slices
    whitening : of the coils
    path : for messages
    ghosts : take off the phase of lines that were read backwards, where phase-correction lines say it

    Returns
    -------
    complex64 (slice, coil, ny, nx), bool mask (ny, nx), noise_std or None

    Raises
    ------
    InvalidInput
        If lines are damaged or off the grid, coils change, or the slices were not sampled alike.
    """
    n_coils = one_number_of_coils(rows[chosen], path)
    kspace = np.zeros((len(wanted), n_coils, *space.pixels[1:]), np.complex64)
    masks, repeats = [], []
    for number in dict.fromkeys(number for number, _ in wanted):
        own = chosen[rows["slice"][chosen] == number]
        slab = read_slab(kspace, dataset, rows, own, space, wanted, whitening, path, ghosts=ghosts)
        masks.append(slab.mask())
        repeats.append(slab.repeats())
    if any((mask != masks[0]).any() for mask in masks):
        raise InvalidInput(f"The slices in {path} were not sampled along the same lines; read them one by one.")
    same = set(repeats)
    only = same.pop() if len(same) == 1 else None
    noise_std = float(1 / np.sqrt(only)) if whitening.matrix is not None and only else None
    return kspace, masks[0], noise_std


def read_slab(
    kspace: np.ndarray,
    dataset: h5py.Dataset,
    rows: np.ndarray,
    own: np.ndarray,
    space: Space,
    wanted: list[tuple[int, int]],
    whitening: Whitening,
    path: Path,
    *,
    ghosts: bool,
) -> Slab:
    """Read the lines of one slice, or of the slab of a 3-D encoding, into the slices of it that are wanted.

    Parameters
    ----------
    kspace : complex64 (slice, coil, ny, nx), which is filled.
    own : which acquisitions, all of one slice.
    dataset, rows, space, wanted, whitening, path, ghosts : as of `assemble`.
    """
    _, n_coils, _, nx = kspace.shape
    where = [index for index, (number, _) in enumerate(wanted) if number == rows["slice"][own[0]]]
    slab = Slab(rows, own, space, path)
    weights = slab.weights([wanted[index][1] for index in where])
    turn = _Turn.of(dataset, rows, own, slab, path) if ghosts else _Turn(None)
    for y in np.unique(slab.y):
        at = np.flatnonzero(slab.y == y)
        lines = np.zeros((len(at), n_coils, nx), np.complex64)
        read = read_lines(dataset, own[at], rows, path)
        for index, (line, row) in enumerate(zip(read, rows[own[at]], strict=True)):
            lines[index] = whitening.apply(turn.apply(slab.on_grid(line, row), row), row)
        kspace[where, :, y] = np.tensordot(weights[:, at], lines, 1)
    return slab


def one_number_of_coils(rows: np.ndarray, path: Path) -> int:
    """How many coils acquisitions have.

    Raises
    ------
    InvalidInput
        If they have no coil, or not all the same number.
    """
    coils = np.unique(rows["coils"])
    if len(coils) != 1 or coils[0] == 0:
        raise InvalidInput(f"The acquisitions in {path} have {coils.tolist()} coils; accepted is one number above 0.")
    return int(coils[0])


class _Turn:
    """Phase of the lines of a slice that were read backwards, over that of the others: constant and slope, or None."""

    def __init__(self, phase: tuple[float, float] | None) -> None:
        self._phase = phase

    @classmethod
    def of(cls, dataset: h5py.Dataset, rows: np.ndarray, own: np.ndarray, slab: Slab, path: Path) -> _Turn:
        """From the phase-correction lines of the slice: those of the entry or, where it has none, of the others."""
        if not is_reverse(rows[own]).any():
            return cls(None)
        first, several = rows[own[0]], is_phase_correction(rows) & (rows["coils"] == rows["coils"][own[0]])
        several &= (rows["slice"] == first["slice"]) & (rows["encoding"] == first["encoding"])
        alike = several & np.logical_and.reduce([rows[name] == first[name] for name in DIMENSIONS])
        numbers = np.flatnonzero(alike if alike.any() else several)
        if numbers.size == 0:
            return cls(None)
        read = zip(read_lines(dataset, numbers, rows, path), rows[numbers], strict=True)
        lines = [slab.on_grid(line, row) for line, row in read]
        back = is_reverse(rows[numbers])
        try:
            return cls(linear_phase(np.array(lines)[~back], np.array(lines)[back]))
        except InvalidInput as error:
            raise InvalidInput(f"The phase-correction lines in {path} cannot be used: {error}") from error

    def apply(self, line: np.ndarray, row: np.void) -> np.ndarray:
        return line if self._phase is None or not is_reverse(row) else correct_phase(line, *self._phase)


class Slab:
    """Lines of one slice, or of the slab of a 3-D encoding, and where they belong."""

    def __init__(self, rows: np.ndarray, own: np.ndarray, space: Space, path: Path) -> None:
        self._space, self._path, self._rows = space, path, rows[own]
        self.z, self.y = space.places(self._rows, path)
        self.counts = np.zeros(space.encoded[:2], int)
        np.add.at(self.counts, (self.z, self.y), 1)
        self._check_partitions()

    def _check_partitions(self) -> None:
        """Slices can be told apart only where the partitions of a row have no gaps."""
        seen = self.counts > 0
        edges = np.diff(np.pad(seen, ((1, 1), (0, 0))).astype(int), axis=0)
        if ((edges == 1).sum(axis=0) > 1).any():
            raise InvalidInput(
                f"{self._path} is undersampled along its partitions (kspace_encode_step_2), so its slices cannot be "
                "told apart; accepted are 3-D scans that are undersampled along kspace_encode_step_1 only."
            )

    def weights(self, partitions: list[int]) -> np.ndarray:
        """Complex (slice, line): averages, and the centred inverse transform along the partitions."""
        full, kept = self._space.encoded[0], self._space.pixels[0]
        z = np.asarray(partitions) - kept // 2
        k = self.z - full // 2
        wave = np.exp(2j * np.pi * np.outer(z, k) / full) / np.sqrt(full)
        return np.asarray(wave / self.counts[self.z, self.y], np.complex64)

    def on_grid(self, line: np.ndarray, row: np.void) -> np.ndarray:
        """A line (coil, nx) without oversampling, zero where a partial echo has none."""
        first, last = int(row["before"]), line.shape[1] - int(row["after"])
        filled = np.zeros((len(line), self._space.encoded[2]), np.complex64)
        filled[:, self._places(row)] = line[:, first:last]
        return remove_oversampling(filled, self._space.pixels[2])

    def _places(self, row: np.void) -> np.ndarray:
        samples, full = int(row["samples"]), self._space.encoded[2]
        first, last = int(row["before"]), samples - int(row["after"])
        # Some writers leave 0 in place of the centre of a whole line.
        centre = int(row["centre"]) or (samples // 2 if samples == full else 0)
        try:
            return columns(last - first, full, centre - first, reverse=bool(is_reverse(row)))
        except InvalidInput as error:
            raise InvalidInput(f"{self._path} has a line that cannot be placed: {error}") from error

    def mask(self) -> np.ndarray:
        """Bool (ny, nx): points near which samples were measured."""
        (_, ny, nx), full = self._space.pixels, self._space.encoded[2]
        mask = np.zeros((ny, nx), bool)
        # Column c without oversampling lies at this k of the line as it was measured.
        k = np.round((np.arange(nx) - nx // 2) * (full / nx)).astype(int)
        names = ["samples", "before", "after", "centre", "flags"]
        _, firsts, kinds = np.unique(self._rows[names], return_index=True, return_inverse=True)
        for kind, first in enumerate(firsts):
            measured = np.zeros(full, bool)
            measured[self._places(self._rows[first])] = True
            mask[np.unique(self.y[kinds == kind])] |= measured[np.clip(k + full // 2, 0, full - 1)]
        return mask

    def repeats(self) -> int | None:
        """How often each line was measured; None where that differs or partitions are missing."""
        counts = self.counts[:, self.counts.any(axis=0)]
        return int(counts.flat[0]) if counts.size and (counts == counts.flat[0]).all() else None
