"""Prewhitening of ISMRMRD acquisitions by the noise scan of their file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.formats.ismrmrd_rows import is_noise, read_lines
from napari_lossguide.data.raw.prewhiten import dwell_scale, prewhitening_matrix
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import h5py


class Whitening:
    """What makes the noise of lines white and of variance 1.

    Parameters
    ----------
    matrix : complex (coil, coil); None leaves lines as they are.
    dwell : time per sample of the noise scan in us, 0 if unknown.
    bandwidth : effective share of the nominal bandwidth in which noise was received.
    """

    def __init__(self, matrix: np.ndarray | None = None, dwell: float = 0.0, bandwidth: float = 1.0) -> None:
        self.matrix, self._dwell, self._bandwidth = matrix, dwell, bandwidth

    @classmethod
    def of(cls, dataset: h5py.Dataset, rows: np.ndarray, coils: int, bandwidth: float, path: Path) -> Whitening:
        """From the noise scan with this number of coils, if there is one.

        Raises
        ------
        InvalidInput
            If the scan cannot be used.
        """
        numbers = np.flatnonzero(is_noise(rows) & (rows["coils"] == coils) & (rows["samples"] > 0))
        if numbers.size == 0:
            return cls()
        dwells = np.unique(rows["dwell"][numbers])
        if len(dwells) != 1:
            raise InvalidInput(f"The noise scans in {path} have dwell times {dwells.tolist()} us; accepted is one.")
        covariance, samples = np.zeros((coils, coils), np.complex128), 0
        for line in read_lines(dataset, numbers, rows, path):
            noise = line.astype(np.complex128)
            covariance += noise @ noise.conj().T
            samples += noise.shape[1]
        try:
            return cls(prewhitening_matrix(covariance / samples), float(dwells[0]), bandwidth)
        except InvalidInput as error:
            raise InvalidInput(f"The noise scan in {path} cannot be used: {error}") from error

    def apply(self, line: np.ndarray, row: np.void) -> np.ndarray:
        """A line (coil, sample) with header `row`, whitened."""
        if self.matrix is None:
            return line
        scale = dwell_scale(float(row["dwell"]), self._dwell, self._bandwidth)
        return np.asarray((scale * self.matrix) @ line, np.complex64)
