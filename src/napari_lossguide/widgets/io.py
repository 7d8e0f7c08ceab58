"""napari's menus File > Open, Open Sample and Save: layers that carry their k-space, files that carry their recipe."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info

from napari_lossguide.data import image_readers, samples
from napari_lossguide.data.display import display_limits, view
from napari_lossguide.data.file_names import stem
from napari_lossguide.data.formats.array_file import spacing_of
from napari_lossguide.data.formats.base import opening
from napari_lossguide.data.formats.fastmri import FastMRI
from napari_lossguide.data.formats.numpy_files import Npy, Npz
from napari_lossguide.data.formats.registry import format_of, record_text
from napari_lossguide.data.image_readers import read_image
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.missing import missing_slices, missing_words
from napari_lossguide.data.orientation import position_of
from napari_lossguide.data.readers import entries, open_scan
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.restore import DAMAGED
from napari_lossguide.recon.uncertainty import spread_note
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.entry_choice import ask_entry
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.save import write_layer
from napari_lossguide.widgets.settings import read_settings
from napari_lossguide.widgets.views import (
    KEY,
    SAYS_LITTLE,
    image_picture,
    kspace_picture,
    picture_name,
    unstacked,
)

LayerData = tuple[np.ndarray | SliceWise, dict[str, Any], str]
Reader = Callable[[str], list[LayerData]]


def get_reader(path: str | list[str]) -> Reader | None:
    """Return a reader for k-space and images of every format in `data.formats`, and for results; else None.

    Real .npy arrays, and HDF5 and .npz files with nothing that is known, are left to others. Only names and headers are
    looked at here.
    """
    if not isinstance(path, str):
        return None
    try:
        form, found = format_of(path), entries(path)
        if isinstance(form, Npz):
            return {"kspace": read_entry, "result": read_result, "images": read_images}.get(_npz_holds(path))
    except (InvalidInput, *DAMAGED):
        return None  # not a file of ours; napari says that nothing can read it
    if isinstance(form, Npy | FastMRI):  # whose arrays may be anything, unless one of them is complex
        found = tuple(entry for entry in found if entry.kind == "kspace")
    return read_entry if found else None


def read_entry(path: str) -> list[LayerData]:
    """Layers of what a person chooses of a file: k-space and its inverse transform, or images as they are."""
    name = ask_entry(Path(path))
    form, found = format_of(path), entries(path)
    with opening(path):
        chosen = form.choose(Path(path), name)
    if next((entry.kind for entry in found if entry.name == chosen), "kspace") == "kspace":
        return kspace_layers(open_scan(path, variable=name).read_sparingly())
    loaded = image_readers.read_images(path, variable=name)
    return [_image_layer(loaded.array, stem(path), _place(loaded.spacing, loaded.affine), _recorded(path))]


def read_images(path: str) -> list[LayerData]:
    """Layer of the images of an .npz file; nothing is simulated. Samples of a prior keep their recipe."""
    facts = _facts(path)
    kept = {**facts, "role": "samples"} if "recipe" in facts else {}
    return [_image_layer(read_image(path), Path(path).stem, _place_of(path), kept)]


def read_result(path: str) -> list[LayerData]:
    """Layers of a saved reconstruction: zero-filled, standard deviation if there is one, and above them the image."""
    name, place = Path(path).stem, _place_of(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: np.asarray(file[key]) for key in ("zero_filled", "std") if key in file.files}
    facts = _facts(path)
    found, note = [], _spread_note(facts.get("recipe", ""))
    for key, array in arrays.items():
        own = {"role": "standard deviation", "note": note} if key == "std" else {}
        word = key.replace("_", "-") + (SAYS_LITTLE if own.get("note") else "")
        found.append(_image_layer(array, f"{word}: {name}", place, {**facts, **own}))
    return [*found, _image_layer(read_image(path), name, place, {**facts, "role": "result"})]


def _facts(path: str) -> dict[str, str]:
    """Recipe and facts of the run that a file holds, as JSON texts."""
    with np.load(path, allow_pickle=False) as file:
        return {key: str(file[key]) for key in ("recipe", "facts") if key in file.files}


def _recorded(path: str) -> dict[str, str]:
    """The same of a file for other programs, from its record."""
    held = json.loads(record_text(path) or "{}")
    return {key: json.dumps(held[key]) for key in ("recipe", "facts") if key in held}


def _spread_note(recipe: str) -> str:
    """Why the spread of a saved result says little, if it does; nothing is known of a recipe that cannot be read."""
    try:
        return spread_note(Recipe.from_json(recipe)) if recipe else ""
    except InvalidInput:
        return ""


def sample_phantom() -> list[LayerData]:
    """Shepp-Logan phantom with 8 simulated coils."""
    return kspace_layers(samples.phantom())


def sample_template() -> list[LayerData]:
    """Slices of the MNI152 T1 template with 8 simulated coils."""
    return kspace_layers(samples.template())


def sample_sigpy_brain() -> list[LayerData]:
    """SigPy tutorial's brain, really measured with 8 coils; fetched on first use."""
    return kspace_layers(samples.sigpy_brain(cache=read_settings().place("downloads")))


def kspace_layers(kdata: KData) -> list[LayerData]:
    """K-space and, above it, its inverse transform, as napari takes layers from a reader."""
    found: list[LayerData] = []
    place = Place.of(kdata)
    for picture, what in ((kspace_picture(kdata), "k-space"), (image_picture(kdata), "image")):
        name = picture_name(kdata, what)
        attributes = {
            "name": name,
            "metadata": {KEY: {**place.facts(), **picture.metadata, "name": name}},
            "contrast_limits": picture.limits,
            "colormap": picture.colormap,
            **place.keywords(picture.data.ndim),
        }
        found.append((picture.data, attributes, "image"))
    return found


def write_result(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write an image layer; the file's ending chooses the format, see `data.exports`.

    A reconstruction goes to .npz whole, and to the other formats as its complex image with its place in the patient,
    its recipe and its facts. A k-space layer goes to .npz or .cfl as its k-space. Any other layer is written as it is
    shown, with its spacing. An .npy file is the layer's array.

    Raises
    ------
    InvalidInput
        If the file cannot be written; an older one is then as it was.
    """
    array = np.asarray(data[0] if meta.get("multiscale") or isinstance(data, list) else data)
    return write_layer(path, array, meta)


def _npz_holds(path: str) -> str:
    with np.load(path, allow_pickle=False) as file:
        names = set(file.files)
    if "kspace" in names:
        return "kspace"
    if {"image", "recipe"} <= names:
        return "result"
    return "images" if names & {"images", "image"} else ""


def _place_of(path: str) -> Place:
    """Where the images of an .npz file lie, by its `spacing` or `pixel_mm`, and its `affine` or `position`."""
    with np.load(path, allow_pickle=False) as file:
        known = {
            key: np.asarray(file[key]) for key in ("spacing", "pixel_mm", "affine", "position") if key in file.files
        }
    spacing = spacing_of(known, Path(path))
    if not all(0 < mm < np.inf for mm in spacing):
        raise InvalidInput(f"The pixel size in {path} is {spacing}; accepted are one to three numbers above 0, in mm.")
    affine, position = known.get("affine"), known.get("position", np.zeros(3))
    if affine is not None and (affine.shape != (4, 4) or not np.isfinite(affine).all()):
        raise InvalidInput(f"The affine in {path} is {affine.tolist()}; it must be a matrix of 4 x 4 numbers.")
    if position.shape != (3,) or not np.isfinite(position).all():
        raise InvalidInput(f"The position in {path} is {position.tolist()}; it must be three numbers in mm.")
    return _place(spacing, affine, position.tolist())


def _place(spacing: Sequence[float], affine: np.ndarray | None, position: Sequence[float] = (0.0, 0.0, 0.0)) -> Place:
    slice_mm, y_mm, x_mm = (float(mm) for mm in spacing)
    along_slice, y, x = (float(mm) for mm in position) if affine is None else position_of(affine)
    return Place((slice_mm, y_mm, x_mm), (along_slice, y, x), affine)


def _image_layer(array: np.ndarray, name: str, place: Place, kept: Mapping[str, Any]) -> LayerData:
    shown = unstacked(view(array, "magnitude") if np.iscomplexobj(array) else array.astype(np.float32))
    missing = missing_slices(array)
    if missing:
        show_info(f"{name}: {missing_words(missing)}; such slices failed when the file was made.")
    low = min(float(np.nanmin(shown)), 0.0)
    attributes = {
        "name": name,
        "metadata": {KEY: {**place.facts(), **kept, "name": name}},
        "contrast_limits": (low, display_limits(shown, "magnitude")[1]),
        **place.keywords(shown.ndim),
    }
    return shown, attributes, "image"
