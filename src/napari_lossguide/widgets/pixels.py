"""Pixels of any image layer, as a stack of gray slices that can be transformed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_lossguide.types import InvalidInput

LUMINANCE = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
MOST_PIXELS = 2**26  # 0.5 GiB of complex k-space a coil


@dataclass(frozen=True)
class Pixels:
    """What was taken from a layer.

    Attributes
    ----------
    data : float32 (slice, ny, nx).
    spacing : (slice, y, x) in mm; a layer without a unit of length counts as millimetres.
    note : sentences on what had to be converted; empty if nothing.
    """

    data: np.ndarray
    spacing: tuple[float, float, float]
    note: str


def take_pixels(layer: Any, dims: Any, *, every_slice: bool = False) -> Pixels:
    """Take the plane of an image layer that the viewer shows, or the stack along the axis before it.

    Only the part that is needed is read from lazy (Dask, zarr) data.

    Parameters
    ----------
    layer : napari Image layer: any number type, RGB or multiscale.
    dims : the viewer's ``dims``: which axes are shown and where the sliders stand.
    every_slice : take all slices of the last axis that is not shown.

    Raises
    ------
    InvalidInput
        If the layer has fewer than two axes or more pixels than fit.
    """
    if layer.ndim < 2:
        raise InvalidInput(f"The layer {layer.name!r} has {layer.ndim} axis; at least two are needed.")
    source = layer.data[0] if layer.multiscale else layer.data
    plane = _shown_axes(layer, dims)
    hidden = [axis for axis in range(layer.ndim) if axis not in plane]
    kept = [*hidden[-1:], *plane] if every_slice else plane
    count = int(np.prod([source.shape[axis] for axis in kept]))
    if count > MOST_PIXELS:
        raise InvalidInput(
            f"The layer {layer.name!r} would give {count:.3g} points of k-space per coil; at most {MOST_PIXELS:.3g} "
            "are accepted: crop it, or take one slice."
        )
    array = np.asarray(source[_selection(layer, dims, kept)])
    order = sorted(kept)
    array = np.transpose(array, [*(order.index(axis) for axis in kept), *([len(kept)] if layer.rgb else [])])
    gray, note = _gray(array, layer)
    sizes = [_millimetres(layer, axis) for axis in [*hidden[-1:], *plane]]
    spacing = (sizes[0] if hidden else 1.0, sizes[-2], sizes[-1])
    return Pixels(gray.reshape(-1, *gray.shape[-2:]), spacing, note)


def _shown_axes(layer: Any, dims: Any) -> list[int]:
    """The two axes on the canvas, down and across, counted in the layer; its last two if the layer lacks them."""
    axes = [axis - (dims.ndim - layer.ndim) for axis in dims.order[-2:]]
    return axes if min(axes) >= 0 else [layer.ndim - 2, layer.ndim - 1]


def _selection(layer: Any, dims: Any, kept: list[int]) -> tuple[slice | int, ...]:
    """Everything along the kept axes, the place of the slider along the others."""
    place = layer.world_to_data(dims.point[-layer.ndim :])
    last = [int(n) - 1 for n in (layer.data[0] if layer.multiscale else layer.data).shape]
    return tuple(
        slice(None) if axis in kept else int(np.clip(round(place[axis]), 0, last[axis])) for axis in range(layer.ndim)
    )


def _gray(array: np.ndarray, layer: Any) -> tuple[np.ndarray, str]:
    notes = []
    if layer.multiscale:
        notes.append("The finest resolution of the multiscale image was taken.")
    if layer.rgb:
        array = array[..., :3] @ np.array(LUMINANCE, np.float32)
        notes.append("The colours were converted to gray (their luminance).")
    elif array.dtype.kind in "bui":
        notes.append(f"The {array.dtype} values were taken as they are.")
    return array.astype(np.float32), " ".join(notes)


def _millimetres(layer: Any, axis: int) -> float:
    unit = (1 * layer.units[axis]) if layer.units else None
    length = unit.to("mm").magnitude if unit is not None and unit.is_compatible_with("mm") else 1.0
    return float(abs(layer.scale[axis]) * length)
