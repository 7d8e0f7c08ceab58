"""``lossguide sample``: images drawn from a prior, without data."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_lossguide.cli.files import DAMAGED, output_file
from napari_lossguide.cli.progress import run_to_the_end
from napari_lossguide.data.writers import write_text
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from napari_lossguide.recon.recipe import Recipe
    from napari_lossguide.recon.result import Progress
    from napari_lossguide.recon.samples import Samples


def sample(args: argparse.Namespace) -> None:
    """Draw, write the images and print a summary."""
    from napari_lossguide.data.montage import montage, write_png

    output = output_file(args.output, ".npz", args.recipe)
    grid = output_file(args.png, ".png", args.recipe) if args.png else None
    saved_recipe = output_file(args.save_recipe, ".json", args.recipe) if args.save_recipe else None
    samples = run_sampling(asked_recipe(args), args.device)
    samples.save(output)
    if grid:
        write_png(grid, montage(np.abs(samples.images)), (0.0, 1.0))
    if saved_recipe:
        write_text(saved_recipe, samples.recipe.to_json() + "\n")
    print_samples(samples, output, grid)


def asked_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe file, if any, with the options on top of it."""
    from napari_lossguide.recon.methods import PARTS
    from napari_lossguide.recon.recipe import Recipe
    from napari_lossguide.recon.recipe_file import read_recipe
    from napari_lossguide.recon.samples import sample_recipe

    options: dict[str, Any] = {"prior": args.prior, "shape": args.shape, "samples": args.count, "seed": args.seed}
    options |= {"image": args.image, "guidance.contrast": args.contrast, "guidance.plane": args.plane}
    given = {k: v for k, v in options.items() if v is not None} | dict(args.settings)
    if not args.recipe:
        return sample_recipe(steps=args.steps, settings=given)
    base = read_recipe(Path(args.recipe))
    settings = {f"{part}.{k}": v for part in PARTS for k, v in getattr(base, part).items()}
    fields = {name: getattr(base, name) for name in Recipe.model_fields if name not in (*PARTS, "version", "method")}
    if "prior" in given:
        fields["prior_sha256"] = ""
    return Recipe.for_method(base.method, steps=args.steps, settings=settings | fields | given)


def run_sampling(recipe: Recipe, device: str) -> Samples:
    """Run to the end, with a progress bar on a terminal."""

    def begin() -> Generator[Progress, None, Samples]:
        from napari_lossguide.recon.sampling import sampling

        return sampling(recipe, device=device)

    return run_to_the_end(begin, "reading the prior", lambda p: f"from sample {p.slice + 1}")


def print_samples(samples: Samples, output: Path, grid: Path | None) -> None:
    """A line for each thing that a person wants to know."""
    recipe, (n, ny, nx) = samples.recipe, samples.images.shape
    lines = {
        "prior": recipe.prior,
        "samples": f"{n} of {ny} x {nx}, {recipe.image}, seed {recipe.seed}",
        "known": f"contrast {recipe.guidance['contrast']}, plane {recipe.guidance['plane']}",
        "evaluations": str(samples.nfe),
        "seconds": f"{samples.seconds:.1f}",
        "output": str(output) + (f", {grid}" if grid else ""),
    }
    for name, value in lines.items():
        print(f"{name:<13}{value}")


def stored_recipe(name: str) -> str | None:
    """The recipe in a file of samples, or None for any other file.

    Raises
    ------
    InvalidInput
        If it is such a file, but damaged.
    """
    path = Path(name).expanduser()
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file["recipe"]) if {"recipe", "images"} <= set(file.files) else None
    except DAMAGED as error:
        raise InvalidInput(f"The samples {name} are damaged: {error}.") from error


def sample_facts(name: str) -> dict[str, Any] | None:
    """Facts about a file of samples, for ``lossguide info``; None for any other file."""
    recipe = stored_recipe(name)
    if recipe is None:
        return None
    try:
        with np.load(Path(name).expanduser(), allow_pickle=False) as file:
            shape, kind = list(file["images"].shape), file["images"].dtype.kind
            facts = json.loads(str(file["facts"])) if "facts" in file.files else {}
        return {
            "file": name,
            "kind": "samples of a prior",
            "samples": shape[0],
            "shape": shape[1:],
            "image": "complex" if kind == "c" else "real",
            **facts,
            "recipe": json.loads(recipe),
        }
    except DAMAGED as error:
        raise InvalidInput(f"The samples {name} are damaged: {error}.") from error
