"""Image series of ISMRMRD, also called MRD: `dataset/images_0` with `header`, `attributes` and `data` of each slice.

`position` is that of pixel n // 2 on both axes, the centre of the transforms, in patient coordinates that grow to the
left, posterior and superior, as in `formats.ismrmrd_space`.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.writers import write_bytes
from napari_lossguide.types import InvalidInput

GROUP, SERIES = "dataset", "images_0"
RECORD = "napari_lossguide"
"""Name of the meta attribute with the record."""
_LPS = np.array([-1.0, -1.0, 1.0])
_LARGEST = 65535  # pixels that a header can count
_MAGNITUDE, _REAL, _COMPLEX = 1, 3, 5  # image types
_FLOAT, _CXFLOAT = 5, 7  # data types
_PAIR = np.dtype([("real", "<f4"), ("imag", "<f4")])


class IsmrmrdImages:
    """One series, an image for each slice; the record is a meta attribute of the first image."""

    name = "ISMRMRD images .h5"
    suffixes: tuple[str, ...] = (".h5", ".mrd")

    def write(self, path: Path, export: Export) -> None:
        """Write exactly this file."""
        import h5py

        if max(export.images.shape) > _LARGEST:
            raise InvalidInput(
                f"{export.name} has shape {export.images.shape}, too large for {path}: headers of ISMRMRD images count "
                f"to {_LARGEST} on each axis."
            )
        texts = _attributes(export)
        is_complex = np.iscomplexobj(export.images)
        pixels = export.images.view(_PAIR) if is_complex else export.images.astype("<f4", copy=False)
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            group = file.create_group(f"{GROUP}/{SERIES}")
            group.create_dataset("header", data=_headers(export, texts), maxshape=(None,))
            group.create_dataset("attributes", data=texts, maxshape=(None,), dtype=h5py.string_dtype())
            data = pixels[:, None, None]  # (image, channel, z, y, x)
            group.create_dataset("data", data=data, maxshape=(None, *data.shape[1:]), chunks=(1, *data.shape[1:]))
        write_bytes(path, content.getvalue())


def _headers(export: Export, texts: list[str]) -> np.ndarray:
    from ismrmrd.hdf5 import image_header_dtype

    n, ny, nx = export.images.shape
    slice_mm, y_mm, x_mm = export.spacing
    heads = np.zeros(n, image_header_dtype)
    heads["version"], heads["channels"], heads["matrix_size"] = 1, 1, (nx, ny, 1)
    heads["field_of_view"] = nx * x_mm, ny * y_mm, slice_mm
    if np.iscomplexobj(export.images):
        heads["data_type"], heads["image_type"] = _CXFLOAT, _COMPLEX
    else:
        heads["data_type"] = _FLOAT
        heads["image_type"] = _REAL if (export.images < 0).any() else _MAGNITUDE
    heads["slice"] = np.arange(n)
    heads["image_index"] = np.arange(1, n + 1)
    heads["attribute_string_len"] = [len(text.encode()) for text in texts]
    if export.affine is not None:
        affine = export.affine.copy()
        affine[:3] *= _LPS[:, None]
        along, down, right = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T
        heads["read_dir"], heads["phase_dir"], heads["slice_dir"] = right, down, along
        centres = np.stack([np.arange(n), *(np.full(n, half) for half in (ny // 2, nx // 2, 1))])
        centres[3] = 1
        heads["position"] = (affine @ centres)[:3].T
    return heads


def _attributes(export: Export) -> list[str]:
    """Meta attributes of each image; those with the record are long, so they are there once."""
    from ismrmrd.meta import Meta

    own = {"DataRole": "Image", "ImageComments": export.name}
    first = Meta({**own, RECORD: export.record_json}).serialize()
    return [first, *[Meta(own).serialize()] * (len(export.images) - 1)]
