"""A run as a Jupyter notebook (nbformat 4.5, which is JSON): the parts of its script as cells, pictures and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from napari_lossguide.data.origin import Origin
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.script import Part, import_block, running, saving, what

FIGURES = """print(f"data residual {result.residual:.3g} (1 is the noise level), {result.seconds:.1f} s")
if kdata.reference is None:
    print("No true image is known, so there are no figures of merit.")
else:
    for name, value in evaluate(kdata.reference, result.image).items():
        print(f"{name} {value:.4g}")"""
PICTURE = """low, high = display_limits(images, "magnitude")
picture = montage(np.nan_to_num((images - low) / (high - low)))
Image.fromarray((255 * picture.clip(0, 1)).astype(np.uint8))"""
PICTURE_NEEDS = (
    "import numpy as np",
    "from PIL import Image",
    "from napari_lossguide.data.display import display_limits",
    "from napari_lossguide.data.montage import montage",
)


def as_notebook(
    recipe: Recipe, origin: Origin | None = None, *, provenance: Mapping[str, Any] | None = None, device: str = "auto"
) -> str:
    """A notebook that runs a recipe on the data that it was run on, shows the image and compares the hashes.

    Parameters
    ----------
    recipe, origin, provenance, device : see ``recon.script.as_python``.

    Raises
    ------
    InvalidInput
        See ``recon.script.as_python``.
    """
    known = provenance or {}
    last = saving(recipe, known, checks=False)
    parts = [*running(recipe, origin, known, device), *_looking(method(recipe.method).needs_data), last]
    cells = [_cell("markdown", f"# {what(recipe, origin)}\n\nAs napari-lossguide {recipe.version} runs it.")]
    for part in parts:
        cells.append(_cell("markdown", f"## {part.title}\n\n{part.text}"))
        cells.append(_cell("code", f"{import_block([part])}\n\n{part.code}".strip("\n")))
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _looking(needs_data: bool) -> list[Part]:
    if not needs_data:
        return [Part("Look", "The magnitudes.", PICTURE_NEEDS, f"images = np.abs(result.images)\n{PICTURE}")]
    middle = "middle = len(result.image) // 2\n"
    images = "images = np.abs(np.stack([result.zero_filled[middle], result.image[middle]]))\n"
    needs = ("from napari_lossguide.recon.metrics import evaluate",)
    return [
        Part("Look", "The middle slice: zero-filled, and the result.", PICTURE_NEEDS, middle + images + PICTURE),
        Part("Figures", "Against the true image, where one is known.", needs, FIGURES),
    ]


def _cell(kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}
