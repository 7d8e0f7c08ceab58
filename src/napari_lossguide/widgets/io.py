"""napari's menus File > Open, Open Sample and Save: layers that carry their k-space, files that carry their recipe."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.data import readers, samples
from napari_lossguide.data.display import display_limits, view
from napari_lossguide.data.file_names import stem
from napari_lossguide.data.formats.ismrmrd import ISMRMRD
from napari_lossguide.data.formats.registry import format_of
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.readers import entries, read, read_image
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.uncertainty import spread_note
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.entry_choice import ask_entry
from napari_lossguide.widgets.save import write_layer
from napari_lossguide.widgets.settings import read_settings
from napari_lossguide.widgets.views import (
    KEY,
    SAYS_LITTLE,
    image_picture,
    kspace_picture,
    picture_name,
    placed,
    unstacked,
)

LayerData = tuple[np.ndarray, dict[str, Any], str]
Reader = Callable[[str], list[LayerData]]
Spacing = tuple[float, float, float]


def get_reader(path: str | list[str]) -> Reader | None:
    """Return a reader for k-space and images of every format in `data.formats`, and for results; else None.

    Real .npy arrays are left to napari. Only names and headers are looked at here.
    """
    if not isinstance(path, str):
        return None
    if Path(path).suffix.lower() not in (".npy", ".npz", ".h5"):
        return _other_reader(path)
    looks = {".npy": _npy_holds, ".npz": _npz_holds, ".h5": _h5_holds}
    look = looks.get(Path(path).suffix.lower())
    ours: dict[str, Reader] = {
        "kspace": read_kspace,
        "entry": read_entry,
        "result": read_result,
        "images": read_images,
    }
    try:
        return ours.get(look(path)) if look is not None else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None  # not a file of ours; napari says that nothing can read it


def _other_reader(path: str) -> Reader | None:
    try:
        return read_entry if entries(path) else None
    except InvalidInput:
        return None


def read_entry(path: str) -> list[LayerData]:
    """Layers of what a person chooses of a file: k-space and its inverse transform, or images as they are."""
    name = ask_entry(Path(path))
    kind = next(e.kind for e in entries(path) if name in (None, e.name))
    if kind == "kspace":
        return kspace_layers(read(path, variable=name))
    loaded = readers.read_images(path, variable=name)
    slice_mm, y, x = loaded.spacing
    return [_image_layer(loaded.array, stem(path), (slice_mm, y, x), {})]


def read_kspace(path: str) -> list[LayerData]:
    """Layers of k-space and its inverse transform."""
    return kspace_layers(read(path, variable=ask_entry(Path(path))))


def read_images(path: str) -> list[LayerData]:
    """Layer of the images of an .npz file; nothing is simulated. Samples of a prior keep their recipe."""
    facts = _facts(path)
    kept = {**facts, "role": "samples"} if "recipe" in facts else {}
    return [_image_layer(read_image(path), Path(path).stem, _spacing(path), kept)]


def read_result(path: str) -> list[LayerData]:
    """Layers of a saved reconstruction: zero-filled, standard deviation if there is one, and above them the image."""
    name, spacing = Path(path).stem, _spacing(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: np.asarray(file[key]) for key in ("zero_filled", "std") if key in file.files}
    facts = _facts(path)
    found, note = [], _spread_note(facts.get("recipe", ""))
    for key, array in arrays.items():
        own = {"role": "standard deviation", "note": note} if key == "std" else {}
        word = key.replace("_", "-") + (SAYS_LITTLE if own.get("note") else "")
        found.append(_image_layer(array, f"{word}: {name}", spacing, {**facts, **own}))
    return [*found, _image_layer(read_image(path), name, spacing, {**facts, "role": "result"})]


def _facts(path: str) -> dict[str, str]:
    """Recipe and facts of the run that a file holds, as JSON texts."""
    with np.load(path, allow_pickle=False) as file:
        return {key: str(file[key]) for key in ("recipe", "facts") if key in file.files}


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
    for picture, what in ((kspace_picture(kdata), "k-space"), (image_picture(kdata), "image")):
        name = picture_name(kdata, what)
        attributes = {
            "name": name,
            "metadata": {KEY: {**picture.metadata, "name": name}},
            "contrast_limits": picture.limits,
            "colormap": picture.colormap,
            **placed(kdata.spacing, picture.data.ndim),
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


def _npy_holds(path: str) -> str:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return "kspace" if np.iscomplexobj(array) and array.ndim in (2, 3, 4) else ""


def _npz_holds(path: str) -> str:
    with np.load(path, allow_pickle=False) as file:
        names = set(file.files)
    if "kspace" in names:
        return "kspace"
    if {"image", "recipe"} <= names:
        return "result"
    return "images" if names & {"images", "image"} else ""


def _h5_holds(path: str) -> str:
    import h5py

    with h5py.File(path, "r") as file:
        if "kspace" in file:
            return "kspace"
    return "entry" if isinstance(format_of(path), ISMRMRD) else ""


def _spacing(path: str) -> Spacing:
    """(slice, y, x) in mm from `spacing` or `pixel_mm` of an .npz file; 1 where it does not say."""
    with np.load(path, allow_pickle=False) as file:
        name = next((key for key in ("spacing", "pixel_mm") if key in file.files), None)
        values = np.ravel(file[name]).tolist() if name is not None else [1.0]
    if not 1 <= len(values) <= 3 or not all(isinstance(mm, int | float) and 0 < mm < np.inf for mm in values):
        raise InvalidInput(f"The pixel size in {path} is {values}; accepted are one to three numbers above 0, in mm.")
    in_plane = values * 2 if len(values) == 1 else values
    slice_mm, y, x = [1.0, *in_plane][-3:]
    return slice_mm, y, x


def _image_layer(array: np.ndarray, name: str, spacing: Spacing, kept: Mapping[str, Any]) -> LayerData:
    shown = unstacked(view(array, "magnitude") if np.iscomplexobj(array) else array.astype(np.float32))
    low = min(float(shown.min()), 0.0)
    attributes = {
        "name": name,
        "metadata": {KEY: {**kept, "name": name}},
        "contrast_limits": (low, display_limits(shown, "magnitude")[1]),
        **placed(spacing, shown.ndim),
    }
    return shown, attributes, "image"
