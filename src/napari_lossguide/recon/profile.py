"""Values of an image along a line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.types import InvalidInput

MOST_POINTS = 20_000


def walk(corners: np.ndarray, step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points at equal distances along a path.

    Parameters
    ----------
    corners : (n, 2), the path goes straight from one to the next.
    step : distance between two points at most, in the unit of the corners.

    Returns
    -------
    distance : (points,), from the start, rising from 0 to the length of the path.
    points : (points, 2); the first and the last corner are among them.

    Raises
    ------
    InvalidInput
        If the path has no length.
    """
    corners = np.asarray(corners, np.float64)
    lengths = np.hypot(*np.diff(corners, axis=0).T)
    corner_at = np.concatenate([[0.0], np.cumsum(lengths)])
    whole = float(corner_at[-1])
    if not whole > 0:
        raise InvalidInput("The line has no length; its ends must lie apart.")
    distance = np.linspace(0, whole, min(int(np.ceil(whole / step)) + 1, MOST_POINTS))
    return distance, np.stack([np.interp(distance, corner_at, axis) for axis in corners.T], -1)


def values_at(image: np.ndarray, points: np.ndarray) -> NDArray[np.float64]:
    """Values between the pixels, linear in both directions.

    Parameters
    ----------
    image : real (ny, nx).
    points : (n, 2), row and column, from 0 at the middle of the first pixel.

    Returns
    -------
    (n,), not a number outside the pixels; up to their edges the outermost values hold.
    """
    from scipy.ndimage import map_coordinates

    edge = np.array(image.shape) - 1
    inside = ((points >= -0.5) & (points <= edge + 0.5)).all(1)
    found = map_coordinates(np.asarray(image, np.float64), np.clip(points, 0, edge).T, order=1)
    out: NDArray[np.float64] = np.where(inside, found, np.nan)
    return out
