"""Where images lie, in DICOM's terms: left, posterior and superior are positive."""

from __future__ import annotations

import numpy as np

RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_PERPENDICULAR = 1e-4  # cosine between rows and columns that DICOM takes for a right angle


def plane_axes(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Unit vectors along which columns and rows are counted, (x, y); None if they are not at right angles.

    Parameters
    ----------
    affine : (4, 4), from indices (slice, y, x, 1) to mm; right, anterior and superior are positive.
    """
    y, x = (affine[:3, column] * RAS_TO_LPS for column in (1, 2))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    return (x, y) if abs(float(x @ y)) < _PERPENDICULAR else None


def positions(affine: np.ndarray, slices: int) -> np.ndarray:
    """(slice, 3), the middle of each slice's first pixel in mm."""
    out: np.ndarray = (affine[:3, 3] + np.arange(slices)[:, None] * affine[:3, 0]) * RAS_TO_LPS
    return out
