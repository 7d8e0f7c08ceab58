"""A region of interest that a person drew, as Shapes or as Labels: the pixels of an image that lie in it."""

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.placement import finest, to_data, to_world
from napari_lossguide.widgets.views import role_of

AREAS = {"rectangle", "ellipse", "polygon"}
LINE = "profile line"  # role of Shapes that enclose nothing


def is_region(layer: Layer) -> bool:
    """Shapes other than the line of a profile, or Labels other than a sampling mask."""
    return (isinstance(layer, Shapes) and role_of(layer) != LINE) or (
        isinstance(layer, Labels) and role_of(layer) != "mask"
    )


def pixels_in(layer: Layer, image: Image) -> np.ndarray:
    """The pixels of an image, bool (ny, nx), inside any shape or on any label of a layer.

    Both lie where napari shows them: scale, translation, rotation and shear in the plane count.

    Raises
    ------
    InvalidInput
        If nothing is drawn, or nothing of it is in the image.
    """
    shape = tuple(finest(image).shape[-2:])
    if isinstance(layer, Shapes):
        inside = _inside_shapes(layer, image, shape)
    else:
        rows, columns = np.indices(shape)
        points = to_data(layer, to_world(image, np.stack([rows, columns], -1).reshape(-1, 2)))
        places = np.round(points).astype(int)
        drawn = np.asarray(finest(layer))
        labels: np.ndarray = drawn.reshape(-1, *drawn.shape[-2:]).max(0) > 0
        there = ((places >= 0) & (places < labels.shape)).all(1)
        inside = np.zeros(len(places), bool)
        inside[there] = labels[tuple(places[there].T)]
        inside = inside.reshape(shape)
    if not inside.any():
        raise InvalidInput(f"The region '{layer.name}' has no pixel of '{image.name}'; draw an area on the image.")
    return inside


def _inside_shapes(layer: Shapes, image: Image, shape: tuple[int, ...]) -> np.ndarray:
    moved, kinds = [], []
    for vertices, kind in zip(layer.data, layer.shape_type, strict=True):
        if kind in AREAS:
            moved.append(to_data(image, to_world(layer, vertices[:, -2:])))
            kinds.append("polygon" if kind == "rectangle" else kind)
    if not moved:
        return np.zeros(shape, bool)
    out: np.ndarray = Shapes(moved, shape_type=kinds).to_masks(mask_shape=shape).any(0)
    return out
