"""The only place that adds layers to a viewer or changes them.

A layer is known by its role and the name it was given, both kept in ``layer.metadata["lossguide"]``. Shown again, its
data are replaced in place: contrast, opacity and position stay, and a layer that was renamed is still found.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils import DirectLabelColormap

from napari_lossguide.data.display import display_limits, view
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.widgets.placement import UNIT, Place, finest, pixel_size
from napari_lossguide.widgets.run_facts import run_facts
from napari_lossguide.widgets.views import (
    KEY,
    Picture,
    held,
    image_picture,
    kspace_picture,
    picture_name,
    role_of,
    unstacked,
)

if TYPE_CHECKING:
    from napari_lossguide.recon.result import Result
    from napari_lossguide.recon.samples import Samples

COLOURS = {"mask": (0.21, 0.72, 1.0, 1.0), "region": (1.0, 0.62, 0.2, 1.0)}  # red, green, blue, opacity of what is set
SAMPLES = "Samples (preview)"


def find_layer(viewer: Any, role: str, name: str) -> Layer | None:
    """Layer of the plugin with this role that has, or was given, this name."""
    candidates = [layer for layer in viewer.layers if role_of(layer) == role]
    exact = [layer for layer in candidates if layer.name == name]
    return next(iter(exact or [layer for layer in candidates if held(layer).get("name") == name]), None)


def show_image(
    viewer: Any,
    data: np.ndarray | SliceWise,
    *,
    name: str,
    role: str,
    place: Place,
    metadata: Mapping[str, Any] | None = None,
    contrast_limits: tuple[float, float] | None = None,
    colormap: str = "gray",
    renew: bool = False,
) -> Image:
    """Show an array in the layer of this role and name, adding it if it is not there.

    Parameters
    ----------
    viewer : napari's viewer or viewer model.
    data : real, (ny, nx) or (slice, ny, nx), or a `SliceWise`; a single slice loses its axis.
    name, role : which layer; the name is also what the layer is called when it is added.
    place : where it lies.
    metadata : goes under ``layer.metadata["lossguide"]``, with role and name.
    contrast_limits, colormap : used when the layer is added, or if `renew`.
    renew : set contrast and colormap of a layer that is there already: it now shows another quantity.

    Returns
    -------
    Image
    """
    kept = {**place.facts(), **(metadata or {}), "role": role, "name": name}
    data = unstacked(data)
    layer = find_layer(viewer, role, name)
    if layer is not None and layer.ndim != data.ndim:
        viewer.layers.remove(layer)
        layer = None
    if layer is None:
        return viewer.add_image(
            data,
            name=name,
            metadata={KEY: kept},
            contrast_limits=contrast_limits or _limits(data),
            colormap=colormap,
            **place.keywords(data.ndim, _unit(viewer, kept)),
        )
    layer.metadata[KEY] = kept  # before the data, whose event others listen to
    layer.data = data
    place.move(layer)
    if renew:
        _set_contrast(layer, contrast_limits or _limits(data), colormap)
    return layer


def refill(layer: Image, data: np.ndarray) -> None:
    """Put other values, real (ny, nx), into a layer of the plugin of that shape: three times quicker than new data.

    Those who listen to ``layer.events.data`` are not told; emit it once the values stay.
    """
    layer.data[...] = data
    layer.refresh(highlight=False, extent=False)


def show_mask(
    viewer: Any,
    mask: np.ndarray,
    *,
    name: str,
    place: Place,
    recipe: MaskRecipe | None = None,
    metadata: Mapping[str, Any] | None = None,
    role: Literal["mask", "region"] = "mask",
) -> Labels:
    """Show a sampling mask as a Labels layer, whose label 1 is acquired; or a region of the image.

    Parameters
    ----------
    viewer : napari's viewer or viewer model.
    mask : bool (ny, nx).
    name : which layer; see `show_image`.
    place : where it lies.
    recipe : how it was made; None for a mask drawn by hand.
    metadata : more to keep in the layer.
    role : what it is.
    """
    kept = {**place.facts(), **(metadata or {}), "role": role, "name": name}
    if recipe is not None:
        kept["mask"] = recipe.model_dump()
    labels = mask.astype(np.uint8)
    layer = find_layer(viewer, role, name)
    if layer is None:
        colours = DirectLabelColormap(color_dict={0: (0, 0, 0, 0), None: COLOURS[role]})
        where = place.keywords(2, _unit(viewer, kept))
        return viewer.add_labels(labels, name=name, metadata={KEY: kept}, colormap=colours, opacity=0.8, **where)
    layer.metadata[KEY] = kept
    layer.data = labels
    place.move(layer)
    return layer


def show_points(
    viewer: Any, points: np.ndarray, *, name: str, role: str, place: Place, metadata: Mapping[str, Any] | None = None
) -> Layer:
    """Show points (n, axes), in pixels, as rings; those of the same role and name are replaced."""
    remove_layer(viewer, role, name)
    kept = {**(metadata or {}), "role": role, "name": name}
    where = place.keywords(points.shape[1], _unit(viewer, kept))
    look = {"face_color": "transparent", "border_color": "red", "size": 7}
    return viewer.add_points(points, name=name, metadata={KEY: kept}, **look, **where)


def add_shapes(viewer: Any, name: str, role: str) -> Shapes:
    """Add empty shapes to draw on the uppermost image: in its unit, with lines of its pixels' size."""
    image = next((x for x in reversed(viewer.layers) if isinstance(x, Image)), None)
    units = {} if image is None else {"units": image.units[-2:], "axis_labels": image.axis_labels[-2:]}
    look = {"edge_color": "#f2a541", "face_color": "transparent", "edge_width": _stroke(image)}
    return viewer.add_shapes(ndim=2, name=name, metadata={KEY: {"role": role, "name": name}}, **look, **units)


def mark_drawn(layer: Labels, metadata: Mapping[str, Any] | None = None) -> None:
    """Note that a mask layer no longer shows the mask of its parameters."""
    kept = {**held(layer), **(metadata or {})}
    kept.pop("mask", None)
    layer.metadata[KEY] = kept


def show_kspace(
    viewer: Any, kdata: KData, kind: str = "log-magnitude", coil: int | None = None, *, renew: bool = False
) -> Image:
    """Show k-space; see `views.kspace_picture` for the parameters. Contrast changes with the view, or if `renew`."""
    return _show_picture(viewer, kdata, kspace_picture(kdata, kind, coil), "k-space", renew)


def show_coil_image(
    viewer: Any, kdata: KData, kind: str = "magnitude", coil: int | None = None, *, renew: bool = False
) -> Image:
    """Show the inverse transform of k-space; see `views.image_picture` for the parameters."""
    return _show_picture(viewer, kdata, image_picture(kdata, kind, coil), "image", renew)


def add_kspace(viewer: Any, kdata: KData, pictures: tuple[Picture, Picture] | None = None) -> tuple[Image, Image]:
    """Show k-space and, above it, its inverse transform, each in its usual view, which a thread may have made."""
    kspace, image = pictures or (kspace_picture(kdata), image_picture(kdata))
    below = _show_picture(viewer, kdata, kspace, "k-space", renew=True)
    return below, _show_picture(viewer, kdata, image, "image", renew=True)


def add_result(
    viewer: Any, result: "Result", name: str, *, place: Place, metadata: Mapping[str, Any] | None = None
) -> Image:
    """Show the magnitude of a reconstruction; its layer carries everything needed to save it or to run it again.

    Parameters
    ----------
    viewer : napari's viewer or viewer model.
    result : the reconstruction.
    name : which layer; give a new name to keep an earlier result.
    place : where it lies.
    metadata : more to keep in the layer.
    """
    kept = {**(metadata or {}), "result": result, "residual": result.residual, **run_facts(result)}
    shown = view(result.image, "magnitude")
    return show_image(
        viewer, shown, name=name, role="result", place=place, metadata=kept, contrast_limits=_limits(shown)
    )


def update_preview(
    viewer: Any,
    image: np.ndarray,
    *,
    name: str,
    slice_index: int,
    n_slices: int,
    place: Place,
    contrast_limits: tuple[float, float] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Image:
    """Put the magnitude of one slice, float32 (ny, nx), into a preview layer, which is added by the first call."""
    shape = image.shape if n_slices == 1 else (n_slices, *image.shape)
    layer = find_layer(viewer, "preview", name)
    if layer is not None and layer.data.shape == shape and place.has(layer):
        layer.data[... if n_slices == 1 else slice_index] = image
        layer.refresh(highlight=False, extent=False)
        return layer
    stack = np.zeros((n_slices, *image.shape), np.float32)
    stack[slice_index] = image
    limits = contrast_limits or _limits(image)
    own: dict[str, Any] = {"name": name, "role": "preview", "place": place}
    return show_image(viewer, stack, metadata=metadata, contrast_limits=limits, **own)


def update_samples(viewer: Any, images: np.ndarray, *, first: int, count: int) -> Image:
    """Put magnitudes, float32 (B, ny, nx), into the preview of a stack of samples, which is added by the first call.

    Parameters
    ----------
    viewer : napari's viewer or viewer model.
    images : estimates of a batch.
    first : number of its first image in the stack.
    count : images in the stack.
    """
    layer = find_layer(viewer, "samples preview", SAMPLES)
    shape = images.shape[1:] if count == 1 else (count, *images.shape[1:])
    if layer is None or layer.data.shape != shape:
        stack = np.zeros((count, *images.shape[1:]), np.float32)
        own: dict[str, Any] = {"name": SAMPLES, "role": "samples preview", "place": Place()}
        layer = show_image(viewer, stack, contrast_limits=(0.0, 1.0), **own)
        if count > 1:
            viewer.dims.set_point(viewer.dims.ndim - 3, float(first))
    if count == 1:
        layer.data[...] = images[0]
    else:
        layer.data[first : first + len(images)] = images
    layer.refresh(highlight=False, extent=False)
    return layer


def add_samples(viewer: Any, samples: "Samples", name: str) -> Image:
    """Show the magnitudes of samples; the layer carries what is needed to save them or to draw them again.

    A preview becomes this layer, unless there is one of this name already.
    """
    preview = find_layer(viewer, "samples preview", SAMPLES)
    if preview is not None and find_layer(viewer, "samples", name) is None:
        held(preview).update(role="samples", name=name)
        preview.name = name
    elif preview is not None:
        viewer.layers.remove(preview)
    return show_samples(viewer, samples, name)


def show_samples(viewer: Any, samples: "Samples", name: str) -> Image:
    """As `add_samples`, whatever preview there is."""
    kept = {"result": samples, **run_facts(samples)}
    shown = view(samples.images, "magnitude")
    own: dict[str, Any] = {"name": name, "role": "samples", "place": Place()}
    return show_image(viewer, shown, metadata=kept, contrast_limits=(0.0, 1.0), **own)


def remove_layer(viewer: Any, role: str, name: str) -> None:
    """Remove a layer of the plugin if it is there."""
    layer = find_layer(viewer, role, name)
    if layer is not None:
        viewer.layers.remove(layer)


def _show_picture(viewer: Any, kdata: KData, picture: Picture, what: str, renew: bool) -> Image:
    name, role = picture_name(kdata, what), picture.metadata["role"]
    layer = find_layer(viewer, role, name)
    other_view = layer is not None and held(layer).get("view") != picture.metadata["view"]
    return show_image(
        viewer,
        picture.data,
        name=name,
        role=role,
        place=Place.of(kdata),
        metadata=picture.metadata,
        contrast_limits=picture.limits,
        colormap=picture.colormap,
        renew=renew or other_view,
    )


def _unit(viewer: Any, kept: Mapping[str, Any]) -> str:
    """Millimetres; but pixels for a simulation beside layers that know no length, for napari cannot show both."""
    lengthless = any(not unit.is_compatible_with(UNIT) for layer in viewer.layers for unit in layer.units)
    return "pixel" if kept.get("simulated") and lengthless else UNIT


def _limits(data: Any) -> tuple[float, float]:
    return display_limits(data[len(data) // 2] if isinstance(data, SliceWise) else data, "magnitude")


def _set_contrast(layer: Image, limits: tuple[float, float], colormap: str) -> None:
    # The range first: limits outside it would be cut.
    layer.contrast_limits_range = limits
    layer.contrast_limits = limits
    layer.colormap = colormap


def _stroke(image: Image | None) -> float:
    """A width that is seen on an image of any size."""
    if image is None:
        return 1.0
    size = np.multiply(finest(image).shape[-2:] if not image.rgb else finest(image).shape[:2], pixel_size(image))
    return float(size.max()) * 0.006
