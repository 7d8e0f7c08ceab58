"""Where napari shows the pixels of a layer, and which of its planes."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from napari.layers import Image, Layer

from napari_lossguide.data.kdata import KData

AXES = ("slice", "y", "x")
UNIT = "mm"
Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Place:
    """Where what is shown of a scan lies in napari's world, whose axes are the scan's own, in mm.

    A scan that is oblique in the patient is not turned in the world: napari's 2-D view cannot cut a layer along planes
    that are oblique to the world. Scans of one patient in one orientation lie to each other as they do in the patient.
    K-space lies on the grid of its image, so that it, the mask and the image can lie side by side or on top of each
    other under linked cameras; there its millimetres mean nothing.

    Attributes
    ----------
    spacing : (slice, y, x), distance of pixels.
    position : (slice, y, x), middle of the first pixel.
    affine : where the pixels are in the patient, see `KData.affine`, if known.
    """

    spacing: Triple = (1.0, 1.0, 1.0)
    position: Triple = (0.0, 0.0, 0.0)
    affine: np.ndarray | None = None

    @classmethod
    def of(cls, kdata: KData) -> Self:
        """The place of k-space, of its image, of its mask."""
        return cls(kdata.spacing, kdata.position, kdata.affine)

    @classmethod
    def like(cls, layer: Layer) -> Self:
        """The place of a layer that is there, as far as its last three axes say it."""
        step, start = ([float(mm) for mm in values[-3:]] for values in (layer.scale, layer.translate))
        missing = 3 - len(step)
        slice_mm, y_mm, x_mm = [1.0] * missing + step
        along_slice, y, x = [0.0] * missing + start
        return cls((slice_mm, y_mm, x_mm), (along_slice, y, x))

    def keywords(self, ndim: int, unit: str = UNIT) -> dict[str, Any]:
        """Scale, translation, units and labels of a layer (y, x), (slice, y, x) or (..., slice, y, x), for napari.

        Axes before these count from 0, in steps of 1, without a length.
        """
        more = max(0, ndim - 3)
        own = ndim - more
        return {
            "scale": (1.0,) * more + self.spacing[-own:],
            "translate": (0.0,) * more + self.position[-own:],
            "units": ("pixel",) * more + (unit,) * own,
            "axis_labels": tuple(f"axis {index}" for index in range(more)) + AXES[-own:],
        }

    def has(self, layer: Layer) -> bool:
        """Whether the layer lies here."""
        where = self.keywords(layer.ndim)
        return all(tuple(map(float, getattr(layer, name))) == where[name] for name in ("scale", "translate"))

    def move(self, layer: Layer) -> None:
        """Let a layer lie here."""
        if not self.has(layer):
            where = self.keywords(layer.ndim)
            layer.scale, layer.translate = where["scale"], where["translate"]

    def slice_at(self, mm: float) -> int:
        """The slice that is nearest to a place along the world's axis; it may be one that the scan does not have."""
        return round((mm - self.position[0]) / self.spacing[0])

    def of_slice(self, index: int) -> float:
        """Where a slice lies along the world's axis, in mm."""
        return self.position[0] + index * self.spacing[0]

    def facts(self) -> dict[str, Any]:
        """What a layer keeps of it beside scale and translation."""
        return {} if self.affine is None else {"affine": self.affine}


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
