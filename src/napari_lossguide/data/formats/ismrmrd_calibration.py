"""Lines for parallel imaging's calibration that are not of the image: a block of k-space to make coil maps from.

They are measured separately, all of them neighbours, or embedded in the lines of the image, which then fill the gaps
between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.formats.ismrmrd_noise import Whitening
from napari_lossguide.data.formats.ismrmrd_rows import (
    DIMENSIONS,
    is_calibration_also,
    is_calibration_only,
    is_other,
)
from napari_lossguide.data.formats.ismrmrd_slice import Slab, one_number_of_coils, read_slab
from napari_lossguide.data.formats.ismrmrd_space import Space
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import h5py

FEWEST = 8  # rows and columns of a block; from a smaller one no maps are made


@dataclass(frozen=True, eq=False)
class Block:
    """The calibration of an entry.

    Attributes
    ----------
    numbers : int (acquisition,), ascending, by slice: which lines it is read from.
    rows, columns : of the centred k-space, that were measured whole in every slice.
    """

    numbers: dict[int, np.ndarray]
    rows: slice
    columns: slice

    @classmethod
    def of(cls, rows: np.ndarray, chosen: np.ndarray, space: Space, path: Path) -> Block | None:
        """The block of an entry, from the headers alone.

        None if a slice has no such lines, if they are too few, or do not fit the grid of the entry: off it, or with
        gaps along the partitions.

        Parameters
        ----------
        rows, chosen : headers of all acquisitions of the file, and which are of the entry.
        space : of the entry.
        path : for messages.
        """
        numbers, covered = {}, np.ones(space.pixels[1:], bool)
        for number in np.unique(rows["slice"][chosen]):
            try:
                found = _of_slice(rows, chosen, int(number), space, path)
                if found.size == 0:
                    return None
                covered &= Slab(rows, found, space, path).mask()
            except InvalidInput:
                return None
            numbers[int(number)] = found
        own = centred(covered[:, covered.shape[1] // 2])
        across = centred(np.asarray(covered[own].all(axis=0)))
        if min(own.stop - own.start, across.stop - across.start) < FEWEST:
            return None
        return cls(numbers, own, across)

    def read(
        self,
        dataset: h5py.Dataset,
        rows: np.ndarray,
        space: Space,
        wanted: list[tuple[int, int]],
        whitening: Whitening,
        path: Path,
        *,
        ghosts: bool,
    ) -> np.ndarray:
        """The block of slices; parameters as of `ismrmrd_slice.assemble`.

        Returns
        -------
        complex64 (slice, coil, row, column)
        """
        n_coils = one_number_of_coils(rows[next(iter(self.numbers.values()))], path)
        kspace = np.zeros((len(wanted), n_coils, *space.pixels[1:]), np.complex64)
        for number in dict.fromkeys(number for number, _ in wanted):
            read_slab(kspace, dataset, rows, self.numbers[number], space, wanted, whitening, path, ghosts=ghosts)
        return np.ascontiguousarray(kspace[:, :, self.rows, self.columns])


def _of_slice(rows: np.ndarray, chosen: np.ndarray, number: int, space: Space, path: Path) -> np.ndarray:
    """Lines of the calibration of a slice, those of the image among them that lie in gaps."""
    image = chosen[rows["slice"][chosen] == number]
    first = rows[image[0]]
    alike = (rows["slice"] == number) & (rows["encoding"] == first["encoding"]) & (rows["coils"] == first["coils"])
    only = np.flatnonzero(alike & is_calibration_only(rows) & ~is_other(rows) & (rows["samples"] > 0))
    if only.size == 0:
        return only
    # Those of the entry or, where it has none, of the first contrast, repetition and so on that has.
    keys = rows[list(DIMENSIONS)]
    same = keys[only] == keys[image[0]]
    only = only[same if same.any() else keys[only] == keys[only[0]]]
    flagged = image[is_calibration_also(rows[image])]
    calibration = np.concatenate([only, flagged])
    _, at = space.places(rows[calibration], path)
    _, y = space.places(rows[image], path)
    between = (y > at.min()) & (y < at.max()) & ~np.isin(y, at)
    return np.unique(np.concatenate([calibration, image[between]]))


def centred(covered: np.ndarray) -> slice:
    """The longest run of an axis, bool (n,), that is covered whole and whose index length // 2 is n // 2."""
    n = len(covered)
    runs = [slice(n // 2 - length // 2, n // 2 - length // 2 + length) for length in range(n + 1)]
    return max((run for run in runs if covered[run].all()), key=lambda run: run.stop - run.start)
