"""Files for a batch, and what it left of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.data.formats.registry import record_text
from napari_lossguide.data.image_readers import read_images
from napari_lossguide.data.phantoms import shepp_logan, simulate

TIMES = {"seconds", "finished"}


def scans(folder: Path, files: int, slices: int) -> list[str]:
    """Files of small noisy stacks."""
    folder.mkdir()
    paths = []
    for number in range(files):
        images = np.stack([np.roll(shepp_logan(16), number + k, 1) for k in range(slices)])
        np.savez(folder / f"scan{number}.npz", kspace=simulate(images, noise_std=0.02, seed=number).kspace)
        paths.append(str(folder / f"scan{number}.npz"))
    return paths


def contents(folder: Path, ending: str = ".npz") -> dict[str, dict[str, object]]:
    """Everything that the results hold, but how long they took and when."""
    found = {}
    for path in sorted(folder.rglob(f"slice_*{ending}")):
        name = str(path.relative_to(folder)).removesuffix(ending)
        if ending == ".npz":
            with np.load(path) as file:
                arrays = {key: file[key] for key in file.files if key not in ("recipe", "facts")}
        else:
            loaded = read_images(path)
            arrays = {"image": loaded.array, "affine": np.asarray(loaded.affine, float)}
            arrays["spacing"] = np.asarray(loaded.spacing)
        found[name] = {key: (array.tobytes(), array.shape, str(array.dtype)) for key, array in arrays.items()}
        found[name] |= _timeless(json.loads(record_text(path)))
    return found


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(record), object_hook=_without_times)
    piece = told["facts"]["provenance"].pop("batch")
    told["piece"] = json.loads(piece, object_hook=_without_times)
    del told["piece"]["line"]["output"]
    return told


def _without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in TIMES}
