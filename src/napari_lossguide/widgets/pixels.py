"""Pixels of any image layer, as a stack of gray slices that can be transformed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_lossguide.data.orientation import position_of
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.placement import Triple, finest
from napari_lossguide.widgets.views import held

LUMINANCE = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
TURNED = (
    "The layer is turned or sheared in napari's world; what is made from it lies straight, from its first pixel on."
)
MOST_PIXELS = 2**26  # 0.5 GiB of complex k-space a coil


@dataclass(frozen=True)
class Pixels:
    """What was taken from a layer.

    Attributes
    ----------
    data : float32 (slice, ny, nx).
    spacing : (slice, y, x) in mm; a layer without a unit of length counts as millimetres.
    note : sentences on what had to be converted; empty if nothing.
    corner : (slice, y, x) in mm, where napari shows the first pixel.
    affine : where the pixels are in the patient, see `KData.affine`, if the layer knows it.
    """

    data: np.ndarray
    spacing: Triple
    note: str
    corner: Triple = (0.0, 0.0, 0.0)
    affine: np.ndarray | None = None


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
    source = finest(layer)
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
    axes = [*hidden[-1:], *plane]
    first = _first(layer, dims, kept)
    grid = _grid(layer, first, axes, kept)
    gray = np.flip(gray, tuple(kept.index(axis) for axis in grid.backwards))  # as the canvas shows it
    affine = _affine(layer, grid, first, axes)
    spacing = grid.spacing
    if affine is not None:
        slice_mm, y_mm, x_mm = (float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0))
        spacing = slice_mm, y_mm, x_mm
    notes = " ".join(filter(None, (note, "" if grid.straight else TURNED)))
    return Pixels(np.ascontiguousarray(gray.reshape(-1, *gray.shape[-2:])), spacing, notes, grid.corner, affine)


def _shown_axes(layer: Any, dims: Any) -> list[int]:
    """The two axes on the canvas, down and across, counted in the layer; its last two if the layer lacks them."""
    axes = [axis - (dims.ndim - layer.ndim) for axis in dims.order[-2:]]
    return axes if min(axes) >= 0 else [layer.ndim - 2, layer.ndim - 1]


def _selection(layer: Any, dims: Any, kept: list[int]) -> tuple[slice | int, ...]:
    """Everything along the kept axes, the place of the slider along the others."""
    first = _first(layer, dims, kept)
    return tuple(slice(None) if axis in kept else first[axis] for axis in range(layer.ndim))


def _first(layer: Any, dims: Any, kept: list[int]) -> list[int]:
    """Index of the first pixel taken."""
    place = layer.world_to_data(dims.point[-layer.ndim :])
    last = [int(n) - 1 for n in finest(layer).shape]
    return [0 if axis in kept else int(np.clip(round(place[axis]), 0, last[axis])) for axis in range(layer.ndim)]


@dataclass(frozen=True)
class _Grid:
    """Where napari shows the pixels that were taken.

    Attributes
    ----------
    spacing, corner : (slice, y, x) in mm, of the pixels in the order in which the world's axes grow.
    backwards : those of the layer's axes that run against the world's.
    straight : the layer's axes lie along the world's.
    """

    spacing: Triple
    corner: Triple
    backwards: tuple[int, ...]
    straight: bool


def _grid(layer: Any, first: list[int], axes: list[int], kept: list[int]) -> _Grid:
    """The grid of these axes of a layer, from the pixel of index `first` on."""
    origin = np.asarray(layer.data_to_world(first), float)
    steps = np.stack([layer.data_to_world(np.add(first, np.eye(layer.ndim)[axis])) - origin for axis in axes])
    lengths, along = np.linalg.norm(steps, axis=1), steps[range(len(axes)), axes]
    straight = bool(np.allclose(np.abs(along), lengths, rtol=1e-6))
    mm, size = [_millimetres(layer, axis) for axis in axes], finest(layer).shape
    backwards = [straight and axis in kept and step < 0 for axis, step in zip(axes, along, strict=True)]
    start = [
        origin[axis] + turned * step * (size[axis] - 1)
        for axis, step, turned in zip(axes, along, backwards, strict=True)
    ]
    slice_mm, y_mm, x_mm = [1.0, *(lengths * mm).tolist()][-3:]
    along_slice, y, x = [0.0, *np.multiply(start, mm).tolist()][-3:]
    turned_axes = tuple(axis for axis, turned in zip(axes, backwards, strict=True) if turned)
    return _Grid((slice_mm, y_mm, x_mm), (along_slice, y, x), turned_axes, straight)


def _affine(layer: Any, grid: _Grid, first: list[int], axes: list[int]) -> np.ndarray | None:
    """The affine that a layer of the plugin keeps, of the pixels taken; None if the layer was moved since."""
    found = held(layer).get("affine")
    if found is None or axes != list(range(layer.ndim)) or len(axes) > 3:
        return None
    start = np.eye(4)
    start[3 - len(axes) : 3, 3] = first
    affine: np.ndarray = found @ start
    place = np.linalg.norm(affine[:3, :3], axis=0), position_of(affine)
    own = (grid.spacing, grid.corner)
    there = all(np.allclose(x[-len(axes) :], y[-len(axes) :], atol=1e-3) for x, y in zip(place, own, strict=True))
    return affine if there else None


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
    """Length of the unit of an axis."""
    unit = (1 * layer.units[axis]) if layer.units else None
    length = unit.to("mm").magnitude if unit is not None and unit.is_compatible_with("mm") else 1.0
    return float(length)
