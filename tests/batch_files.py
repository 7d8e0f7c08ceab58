"""Files for a batch, and what it left of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

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


def contents(folder: Path) -> dict[str, dict[str, object]]:
    """Everything that the results hold, but how long they took and when."""

    def plain(name, value):
        if name not in ("facts", "batch"):
            return value.tobytes(), value.shape, str(value.dtype)
        told = json.loads(str(value), object_hook=lambda d: {k: v for k, v in d.items() if k not in TIMES})
        if name == "batch":
            del told["line"]["output"]
        return told

    found = {}
    for path in sorted(folder.rglob("*.npz")):
        with np.load(path) as file:
            found[str(path.relative_to(folder))] = {name: plain(name, file[name]) for name in file.files}
    return found
