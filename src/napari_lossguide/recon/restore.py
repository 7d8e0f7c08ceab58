"""A result read back from the file that it was autosaved to, as it was. Loads neither Qt nor torch."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Result
from napari_lossguide.recon.samples import Samples
from napari_lossguide.types import InvalidInput

# What NumPy and zipfile raise on damaged files.
DAMAGED = (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Restored:
    """A result, with what its layer was called and where it lay. Trace and scale are not kept.

    Attributes
    ----------
    name : of its layer.
    spacing, position, affine : as those of `KData`.
    result : as it was.
    """

    name: str
    spacing: tuple[float, float, float]
    result: Result | Samples
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    affine: np.ndarray | None = None


def restore(path: Path) -> Restored:
    """Read an autosaved result.

    Raises
    ------
    InvalidInput
        If the file is damaged, or its image is not the one whose hash it states.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
        facts = json.loads(str(arrays["facts"]))
        recipe = Recipe.from_json(str(arrays["recipe"]))
        spacing, position = _triple(arrays["spacing"]), _triple(arrays.get("position", np.zeros(3)))
        result = _samples(arrays, facts, recipe) if "images" in arrays else _result(arrays, facts, recipe)
        name = str(arrays["name"])
    except DAMAGED as error:
        raise InvalidInput(f"The autosaved result {path} is damaged: {error}.") from error
    image = arrays["images" if "images" in arrays else "image"]
    stated = facts["provenance"].get("image_sha256")
    if stated is not None and hashlib.sha256(image.tobytes()).hexdigest() != stated:
        raise InvalidInput(f"The autosaved result {path} is damaged: its image is another than the one it states.")
    return Restored(name, spacing, result, position, arrays.get("affine"))


def _triple(array: np.ndarray) -> tuple[float, float, float]:
    along_slice, y, x = (float(mm) for mm in array)
    return along_slice, y, x


def _samples(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], recipe: Recipe) -> Samples:
    known = {name: facts[name] for name in ("status", "seconds", "nfe", "provenance")}
    return Samples(images=arrays["images"], recipe=recipe, trace=(), **known)


def _result(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], recipe: Recipe) -> Result:
    names = ("status", "seconds", "nfe", "residual", "noise_std", "provenance", "simulated")
    known: dict[str, Any] = {name: facts[name] for name in names}
    known |= {name: arrays[name] for name in ("image", "zero_filled", "mask", "maps")}
    known |= {name: arrays.get(name) for name in ("samples", "mean", "std", "affine")}
    known["spacing"] = tuple(float(mm) for mm in arrays["spacing"])
    failed = {int(index): why for index, why in facts["failed"].items()}
    return Result(recipe=recipe, trace=(), scale=(), failed=failed, **known)
