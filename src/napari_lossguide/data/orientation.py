"""How the axes of a scan lie in the patient: in words, and where along them the first pixel is."""

from __future__ import annotations

from itertools import permutations

import numpy as np

ENDS = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))
"""Where the axes of patient coordinates come from and run to."""
PLANES = ("sagittal", "coronal", "axial")
"""What slices are called that follow one another along each of these axes."""
STRAIGHT = 1.0  # degrees that are not worth a word


def directions(affine: np.ndarray) -> np.ndarray:
    """Unit vectors (3, 3) in patient coordinates, in columns, along which (slice, y, x) run."""
    steps = affine[:3, :3]
    out: np.ndarray = steps / np.linalg.norm(steps, axis=0)
    return out


def spacing_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Lengths in mm of the steps along (slice, y, x)."""
    along_slice, y, x = (float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0))
    return along_slice, y, x


def affine_from(affine: np.ndarray, index: int) -> np.ndarray:
    """That of a stack whose first slice is another one."""
    out: np.ndarray = affine.copy()
    out[:3, 3] += index * affine[:3, 0]
    return out


def position_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Where the first pixel lies, in mm along the scan's own (slice, y, x); see `KData.position`."""
    along_slice, y, x = (float(mm) for mm in directions(affine).T @ affine[:3, 3])
    return along_slice, y, x


def anatomical(affine: np.ndarray) -> tuple[str, str, str]:
    """Where (slice, y, x) run to: "left", "posterior" and so on, each the nearest that no other axis has."""
    along = directions(affine)
    axes = _nearest(along)
    slices, y, x = (ENDS[axis][int(along[axis, column] > 0)] for column, axis in enumerate(axes))
    return slices, y, x


def obliqueness(affine: np.ndarray) -> float:
    """Largest angle in degrees between an axis of the scan and the nearest of the patient's."""
    along = directions(affine)
    cosines = np.abs(along[_nearest(along), range(3)])
    return float(np.degrees(np.arccos(cosines.clip(0, 1))).max())


def in_words(affine: np.ndarray) -> str:
    """Plane and directions of a scan, such as "axial, rows run to posterior, columns to left, slices to superior".

    Parameters
    ----------
    affine : (4, 4), from indices (slice, y, x, 1) to mm; right, anterior and superior are positive.
    """
    angle = obliqueness(affine)
    oblique = f", oblique by {angle:.1f}°" if angle > STRAIGHT else ""
    slices, y, x = anatomical(affine)
    plane = PLANES[_nearest(directions(affine))[0]]
    return f"{plane}{oblique}, rows run to {y}, columns to {x}, slices to {slices}"


def _nearest(along: np.ndarray) -> list[int]:
    """The patient's axis that each of the scan's lies nearest to, none of them twice."""
    return list(max(permutations(range(3)), key=lambda axes: np.abs(along[list(axes), range(3)]).sum()))
