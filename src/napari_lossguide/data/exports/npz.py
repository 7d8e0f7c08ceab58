"""NumPy's .npz: images, place, recipe and facts under their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.writers import write_npz


class Npz:
    """`image`, `spacing`, and `affine`, `recipe` and `facts` where there are some, as files of results have them."""

    name = "NumPy .npz"
    suffixes: tuple[str, ...] = (".npz",)

    def write(self, path: Path, export: Export) -> None:
        """Write exactly this file."""
        arrays: dict[str, np.ndarray | str] = {"image": export.images, "spacing": np.asarray(export.spacing)}
        if export.affine is not None:
            arrays["affine"] = export.affine
        texts = {"recipe": export.recipe, "facts": export.facts}
        write_npz(path, arrays | {key: text for key, text in texts.items() if text})
