"""Saving an image layer: which of its things goes to a file, by what the layer carries and by the file's ending."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.exports.registry import ending_of, export, files_of
from napari_lossguide.data.formats.bart import header_of, write_cfl
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.writers import write_npy, write_npz
from napari_lossguide.recon.result import Result
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.views import KEY


def write_layer(path: str, array: np.ndarray, meta: Mapping[str, Any]) -> list[str]:
    """Write an image layer; see `io.write_result`.

    Parameters
    ----------
    path : its ending chooses the kind of file.
    array : what the layer shows.
    meta : of the layer, as napari gives it to writers.

    Returns
    -------
    list of str
        The files written.
    """
    kept = meta.get("metadata", {}).get(KEY, {})
    kdata, result = kept.get("kdata"), kept.get("result")
    if Path(path).suffix.lower() == ".npy":
        write_npy(path, array)
        return [path]
    ending = ending_of(path)
    if ending == ".npz" and result is not None:
        result.save(path)
    elif kept.get("role") == "kspace" and isinstance(kdata, KData):
        return _write_kspace(path, ending, kdata)
    elif ending == ".npz":
        affine = layer_export(array, meta).affine
        own = {"image": array, "spacing": np.asarray(meta.get("scale", (1.0,)), float)[-3:]}
        write_npz(path, own if affine is None else own | {"affine": affine})
    elif isinstance(result, Result) and kept.get("role") == "result":
        export(path, result.export(str(meta.get("name", "result"))))
    else:
        export(path, layer_export(array, meta))
    return [str(file) for file in files_of(path)]


def layer_export(array: np.ndarray, meta: Mapping[str, Any]) -> Export:
    """What a layer shows, with its size in mm, and its place in the patient if its k-space knows it.

    Raises
    ------
    InvalidInput
        If it has colours, or is no image.
    """
    name = str(meta.get("name", "image"))
    if meta.get("rgb"):
        raise InvalidInput(f"The layer '{name}' has colours; accepted are layers with one number for each pixel.")
    if array.ndim < 2:
        raise InvalidInput(f"The layer '{name}' has shape {array.shape}; accepted are two axes or more.")
    images = array.reshape(-1, *array.shape[-2:])
    kdata = meta.get("metadata", {}).get(KEY, {}).get("kdata")
    if isinstance(kdata, KData) and images.shape == (kdata.n_slices, *kdata.image_shape):
        return Export(images, kdata.spacing, kdata.affine, name)
    slice_mm, y, x = [1.0, *(abs(float(mm)) for mm in meta.get("scale", (1.0, 1.0)))][-3:]
    return Export(images, (slice_mm, y, x), None, name)


def _write_kspace(path: str, ending: str, kdata: KData) -> list[str]:
    if ending == ".npz":
        write_npz(path, kdata.arrays())
        return [path]
    if ending == ".cfl":
        numbers = write_cfl(Path(path).with_suffix(".cfl"), np.asarray(kdata.kspace))
        return [str(numbers), str(header_of(numbers))]
    raise InvalidInput(f"The k-space of {kdata.name} cannot be saved as {path}; accepted are .npz, .cfl and .npy.")
