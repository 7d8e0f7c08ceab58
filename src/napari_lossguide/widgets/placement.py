"""Where napari shows the pixels of a layer, and which of its planes."""

from typing import Any

import numpy as np
from napari.layers import Image, Layer


def to_world(layer: Layer, points: np.ndarray) -> np.ndarray:
    """Points (n, 2) of a layer's plane, row and column, where napari shows them: rotation and shear included."""
    steps, origin = _plane(layer)
    out: np.ndarray = points @ steps + origin
    return out


def to_data(layer: Layer, points: np.ndarray) -> np.ndarray:
    """The inverse of `to_world`."""
    steps, origin = _plane(layer)
    out: np.ndarray = (points - origin) @ np.linalg.inv(steps)
    return out


def finest(layer: Layer) -> Any:
    """Data of an image or of labels; of several resolutions the finest. Not copied, and not read if they are lazy."""
    return layer.data[0] if layer.multiscale else layer.data


def pixel_size(layer: Layer) -> tuple[float, float]:
    """Length of a step along y and along x, in the layer's unit."""
    y, x = np.linalg.norm(_plane(layer)[0], axis=1)
    return float(y), float(x)


def unit_of(layer: Layer) -> str:
    """Short name of the unit of a layer's plane."""
    return f"{layer.units[-1]:~}" if layer.units else "pixel"


def shown_plane(layer: Image, dims: Any) -> int:
    """Which plane of (slice, ny, nx) stands at the viewer's sliders, the nearest if none; 0 of a single plane."""
    if layer.ndim < 3:
        return 0
    place = layer.world_to_data(dims.point[-layer.ndim :])[-3]
    return int(np.clip(round(float(place)), 0, finest(layer).shape[-3] - 1))


def place_like(layer: Layer, other: Layer) -> None:
    """Show a layer where another one of the same pixels is shown; it may lack the axis of a single slice."""
    n = min(layer.ndim, other.ndim)
    if layer.ndim != other.ndim:
        layer.scale = [1.0] * (layer.ndim - n) + [float(x) for x in other.scale[-n:]]
        layer.translate = [0.0] * (layer.ndim - n) + [float(x) for x in other.translate[-n:]]
        return
    for name in ("scale", "translate", "rotate", "shear", "affine"):
        setattr(layer, name, getattr(other, name))


def _plane(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Where napari shows a step along y and along x, (2, 2), and the origin, (2,)."""
    origin, y, x = (np.asarray(layer.data_to_world(p)[-2:], float) for p in ((0, 0), (1, 0), (0, 1)))
    return np.stack([y - origin, x - origin]), origin
