"""The grid of an ISMRMRD encoding: where its lines belong in k-space, and where its pixels lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.types import InvalidInput

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_EVEN = 0.01  # by what share of a step the distances of slices may differ


@dataclass(frozen=True)
class Space:
    """A Cartesian encoding.

    Attributes
    ----------
    encoded : (nz, ny, nx) that was encoded, with oversampling.
    pixels : (nz, ny, nx) of the images: oversampling along x, unless it is kept, and z is removed; y stays as it was
        encoded.
    spacing : (z, y, x) in mm.
    centres : which steps 2 and 1 are k = 0.
    """

    encoded: tuple[int, int, int]
    pixels: tuple[int, int, int]
    spacing: tuple[float, float, float]
    centres: tuple[int, int]

    @classmethod
    def of(cls, encoding: Any, path: Path, *, oversampled: bool = False) -> Space:
        """From an encoding of the header; the readout oversampling is kept if `oversampled`.

        Raises
        ------
        InvalidInput
            If it has no sizes that can be.
        """
        matrix, field = _sizes(encoding.encodedSpace)
        wanted, inner = _sizes(encoding.reconSpace)
        if min(*matrix, *wanted) < 1 or max(matrix) > 65536:
            raise InvalidInput(f"The ISMRMRD header in {path} says a matrix of {matrix} (z, y, x) points.")
        if oversampled:
            wanted, inner = (*wanted[:2], matrix[2]), (*inner[:2], field[2])
        kept = [_kept(*sizes) for sizes in zip(matrix, field, wanted, inner, strict=True)]
        pixels = (kept[0], matrix[1], kept[2])
        # A field that the header does not give: 1 mm.
        mm = (inner[0] or field[0], field[1] or inner[1], inner[2] or field[2])
        spacing = tuple(f / n if f > 0 else 1.0 for f, n in zip(mm, pixels, strict=True))
        limits = encoding.encodingLimits
        centres = (
            _centre(limits.kspace_encoding_step_2, matrix[0]),
            _centre(limits.kspace_encoding_step_1, matrix[1]),
        )
        return cls(matrix, pixels, (spacing[0], spacing[1], spacing[2]), centres)

    def places(self, rows: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Indices (z, y) of lines on the centred grid that was encoded.

        Raises
        ------
        InvalidInput
            If one is off the grid.
        """
        found = []
        for axis, name, size, centre in zip((2, 1), ("step2", "step1"), self.encoded, self.centres, strict=False):
            steps = rows[name].astype(int)
            place = steps - centre + size // 2
            if place.size and (place.min() < 0 or place.max() >= size):
                raise InvalidInput(
                    f"Lines in {path} have kspace_encode_step_{axis} from {steps.min()} to {steps.max()} with centre "
                    f"{centre}, which do not fit the {size} steps of the encoded matrix."
                )
            found.append(place)
        return found[0], found[1]


def _sizes(space: Any) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    matrix, field = space.matrixSize, space.fieldOfView_mm
    millimetres = tuple(float(value) if np.isfinite(value) else 0.0 for value in (field.z, field.y, field.x))
    return (int(matrix.z), int(matrix.y), int(matrix.x)), (millimetres[0], millimetres[1], millimetres[2])


def _kept(points: int, field: float, wanted: int, inner: float) -> int:
    """Pixels of the encoded field of view that lie in the one of the image."""
    size = round(points * inner / field) if field > 0 and inner > 0 else wanted
    return min(max(size, 1), points)


def _centre(limit: Any, size: int) -> int:
    """Which step is k = 0; some writers leave 0 in place of the centre of all steps."""
    if limit is None or (limit.center == 0 and limit.minimum == 0 and limit.maximum == size - 1):
        return size // 2
    return int(limit.center)


def slice_order(rows: np.ndarray) -> np.ndarray:
    """Numbers of the slices, in their order along slice_dir; by number where the header gives no positions."""
    numbers, first = np.unique(rows["slice"], return_index=True)
    along = (rows["position"][first] * rows["slice_dir"][first[:1]]).sum(axis=1)
    return numbers[np.argsort(along, kind="stable")]


def placement(
    space: Space, rows: np.ndarray, order: np.ndarray
) -> tuple[tuple[float, float, float], np.ndarray | None]:
    """Spacing, and the affine from (slice, y, x, 1) to RAS+ mm; None where directions are not given or slices uneven.

    `position` is that of pixel n // 2 on every axis, the centre of the transforms. Patient coordinates of ISMRMRD grow
    to the left, posterior and superior.
    """
    first = rows[[int(np.flatnonzero(rows["slice"] == number)[0]) for number in order]]
    positions = first["position"].astype(float)
    read, phase, normal = (first[0][name].astype(float) for name in ("read", "phase_dir", "slice_dir"))
    given = all(abs(np.linalg.norm(v) - 1) < _EVEN for v in (read, phase, normal))
    thick, dy, dx = space.spacing
    step, even = thick * normal, len(order) == 1
    if len(order) > 1 and space.encoded[0] == 1:
        steps = np.diff(positions, axis=0)
        mean = steps.mean(axis=0)
        distance = float(np.linalg.norm(mean))
        even = distance > 0 and bool(np.abs(steps - mean).max() <= _EVEN * distance)
        if even:
            step, thick = mean, distance
    spacing = (thick, dy, dx)
    if not (given and even and np.isfinite(positions).all()):
        return spacing, None
    linear = np.stack([step, dy * phase, dx * read], axis=1)
    nz, ny, nx = space.pixels
    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ linear
    affine[:3, 3] = _LPS_TO_RAS @ (positions[0] - linear @ np.array([nz // 2, ny // 2, nx // 2]))
    return spacing, affine
