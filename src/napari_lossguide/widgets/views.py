"""What a layer shows of k-space or a reconstruction, and what a layer holds. Nothing here touches a viewer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_lossguide.data.display import decibels, display_limits, view
from napari_lossguide.data.fourier import ifft2c, rss
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.placement import finest

if TYPE_CHECKING:
    from napari_lossguide.recon.result import Result

SAYS_LITTLE = " (says little)"  # follows the name of a map whose samples are far closer together than the error
KEY = "lossguide"
COMBINED = ("log-magnitude", "magnitude")  # views that exist for the root sum of squares of the coils


@dataclass(frozen=True)
class Picture:
    """An array for the screen and how to show it.

    Attributes
    ----------
    data : float32 (slice, ny, nx), or (ny, nx) for one slice; of k-space that is lazy, so is this.
    limits : contrast limits.
    colormap : name of napari's colormap.
    metadata : what goes under ``layer.metadata["lossguide"]``.
    """

    data: np.ndarray | SliceWise
    limits: tuple[float, float]
    colormap: str
    metadata: Mapping[str, Any]


def kspace_picture(kdata: KData, kind: str = "log-magnitude", coil: int | None = None) -> Picture:
    """K-space of one coil, or of all as root sum of squares.

    Parameters
    ----------
    kdata : the data.
    kind : one of `data.display.VIEWS`.
    coil : from 0; None combines the coils.

    Raises
    ------
    InvalidInput
        If phase, real or imaginary part of combined coils is asked for, or a coil that is not there.
    """
    return _picture(kdata, kind, coil, "kspace")


def image_picture(kdata: KData, kind: str = "magnitude", coil: int | None = None) -> Picture:
    """Inverse transform of the k-space (points that were not acquired are zero); parameters as `kspace_picture`."""
    return _picture(kdata, kind, coil, "image")


def zero_filled(kdata: KData, mask: np.ndarray, slice_index: int) -> np.ndarray:
    """Magnitude of one slice with only the masked points, coils combined; float32 (ny, nx)."""
    images = ifft2c(kdata.kspace[slice_index] * mask)
    return (np.abs(images[0]) if len(images) == 1 else rss(images)).astype(np.float32)


def picture_name(kdata: KData, what: str) -> str:
    """Name of a layer; simulations say so. What it is comes first, because napari cuts long names in the middle."""
    return f"{what}: {kdata.name} (simulation)" if kdata.simulated else f"{what}: {kdata.name}"


def unstacked(array: Any) -> Any:
    """Drop the slice axis of a single slice, so that its layer is seen wherever other layers' sliders stand."""
    return array[0] if array.ndim == 3 and len(array) == 1 else array


def held(layer: Any) -> dict[str, Any]:
    """Return what the plugin keeps in a layer, empty for a layer of somebody else."""
    found = layer.metadata.get(KEY, {})
    return found if isinstance(found, dict) else {}


def role_of(layer: Any) -> str:
    """``"kspace"``, ``"image"``, ``"mask"``, ``"preview"``, ``"psf"``, ``"result"``, ... or nothing."""
    return str(held(layer).get("role", ""))


def kdata_of(layer: Any) -> KData | None:
    """K-space that a layer carries, if any."""
    found = held(layer).get("kdata")
    return found if isinstance(found, KData) else None


def result_of(layer: Any) -> "Result | None":
    """Reconstruction that a layer carries, if any."""
    return held(layer).get("result")


def mask_of(layer: Any) -> np.ndarray:
    """Sampling mask in a Labels layer: every label but 0 is acquired.

    Returns
    -------
    bool (ny, nx)

    Raises
    ------
    InvalidInput
        If the layer has more than two axes and its slices differ, or nothing is acquired.
    """
    points = np.asarray(finest(layer)) != 0
    first = points.reshape(-1, *points.shape[-2:])[0]
    if not (points == first).all():
        raise InvalidInput(f"The mask {layer.name!r} differs from slice to slice; one mask for all slices is accepted.")
    if not first.any():
        raise InvalidInput(f"The mask {layer.name!r} is empty; at least one point must be acquired.")
    return first


def mask_recipe_of(layer: Any) -> MaskRecipe:
    """How to make the mask of a Labels layer again: by its parameters, or point by point once it was drawn on.

    Raises
    ------
    InvalidInput
        As `mask_of`.
    """
    mask, found = mask_of(layer), held(layer).get("mask")
    if isinstance(found, Mapping):
        recipe = MaskRecipe(**found)
        # A person may have drawn on it while no dock was listening.
        if np.array_equal(recipe.make(mask.shape), mask):
            return recipe
    return MaskRecipe.drawn(mask)


def _picture(kdata: KData, kind: str, coil: int | None, role: str) -> Picture:
    if coil is None and kdata.n_coils > 1 and kind not in COMBINED:
        raise InvalidInput(f"The {kind} of combined coils does not exist; choose one coil, or {' or '.join(COMBINED)}.")
    metadata = {
        "role": role,
        "kdata": kdata,
        "view": kind,
        "coil": coil if coil is None else _coil(kdata, coil),
        "simulated": kdata.simulated,
    }
    colormap = "twilight_shifted" if kind == "phase" else "gray"
    if not kdata.lazy:
        array = _quantity(kdata.kspace, coil, role)
        return Picture(unstacked(_shown(kdata, array, kind, role)), display_limits(array, kind), colormap, metadata)
    usual = kdata.n_slices // 2  # what is seen of it decides how all are shown: nobody waits until all are read
    sample = _quantity(kdata.kspace[usual : usual + 1], coil, role)
    largest = float(np.abs(sample).max())

    def plane(index: int) -> np.ndarray:
        return _shown(kdata, _quantity(kdata.kspace[index : index + 1], coil, role), kind, role, largest)[0]

    stack = SliceWise(plane, (kdata.n_slices, *kdata.image_shape), np.float32)
    return Picture(stack, display_limits(sample, kind), colormap, metadata)


def _quantity(kspace: np.ndarray | SliceWise, coil: int | None, role: str) -> np.ndarray:
    """Of k-space (slice, coil, ny, nx), itself or its inverse transform, one coil or the root sum of squares of all."""
    chosen = np.asarray(kspace) if coil is None else kspace[:, coil : coil + 1]
    arrays = chosen if role == "kspace" else ifft2c(chosen)
    return arrays[:, 0] if arrays.shape[1] == 1 else rss(arrays)


def _shown(kdata: KData, array: np.ndarray, kind: str, role: str, largest: float | None = None) -> np.ndarray:
    out = decibels(np.abs(array), largest) if kind == "log-magnitude" else view(array, kind)
    if role == "kspace" and kind == "phase":  # a point that was not acquired has none; napari leaves NaN transparent
        out[..., ~kdata.acquired] = np.nan
    return out


def _coil(kdata: KData, coil: int) -> int:
    if not 0 <= coil < kdata.n_coils:
        raise InvalidInput(f"Coil {coil} is not in {kdata.name}; it has coils 0 to {kdata.n_coils - 1}.")
    return coil
