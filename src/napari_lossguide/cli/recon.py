"""``lossguide recon``: the options become a recipe, the recipe is run, its result written."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.cli.files import image_file, output_file, read_maps
from napari_lossguide.cli.progress import run_to_the_end
from napari_lossguide.cli.reading import reading
from napari_lossguide.data.writers import write_text
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from napari_lossguide.data.kdata import KData
    from napari_lossguide.masks import MaskRecipe
    from napari_lossguide.recon.recipe import Recipe
    from napari_lossguide.recon.result import Progress, Result


def recon(args: argparse.Namespace) -> None:
    """Reconstruct, write the result and print a summary."""
    from napari_lossguide.data.exports.registry import files_of
    from napari_lossguide.data.readers import open_scan

    inputs = (args.input, args.mask, args.maps, args.recipe, args.region, args.noise_scan)
    output = image_file(args.output, *inputs)
    saved_recipe = (
        output_file(args.save_recipe, ".json", *inputs, *map(str, files_of(output))) if args.save_recipe else None
    )
    kdata = open_scan(args.input, **reading(args)).read_sparingly()
    recipe = recon_recipe(args, kdata.image_shape)
    if args.maps:
        kdata = dataclasses.replace(kdata, maps=read_maps(args.maps))
    result = run_recipe(kdata, recipe, kdata.maps if args.maps else None, args.device)
    result.save(output)
    if saved_recipe:
        write_text(saved_recipe, result.recipe.to_json() + "\n")
    print_result(kdata, result, output)


def recon_recipe(args: argparse.Namespace, shape: tuple[int, int]) -> Recipe:
    """The recipe file, if any, with the options on top of it; see ``recon.variation.varied``."""
    from napari_lossguide.recon.recipe import Recipe
    from napari_lossguide.recon.variation import MASK, varied

    base = read_recipe(args.recipe) if args.recipe else Recipe()
    settings = {k: v for k, v in args.settings if not k.startswith(MASK)}
    mask_settings = {k.removeprefix(MASK): v for k, v in args.settings if k.startswith(MASK)}
    base = base.model_copy(update={"mask": recon_mask(args, base.mask, mask_settings, shape)})
    return varied(base, field_options(args, shape) | settings, method=args.method, steps=args.steps)


def field_options(args: argparse.Namespace, shape: tuple[int, int]) -> dict[str, Any]:
    """The fields of the recipe that have an option of their own and were given."""
    from napari_lossguide.data.image_readers import read_mask, read_noise
    from napari_lossguide.masks import MaskRecipe

    names = ("prior", "samples", "seed", "noise_std", "start", "losses", "coil_maps")
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.real:
        options["image"] = "real"
    if args.region:
        options["region"] = MaskRecipe.drawn(read_mask(args.region, shape, what="region"))
    if args.noise_scan:
        from napari_lossguide.recon.problem import noise_from_scan

        options["noise_std"] = noise_from_scan(read_noise(args.noise_scan))
    return options


def read_recipe(path: str) -> Recipe:
    """A recipe from its JSON file, or from any file that carries one."""
    from napari_lossguide.recon import recipe_file

    return recipe_file.read_recipe(Path(path))


def recon_mask(
    args: argparse.Namespace, base: MaskRecipe | None, further: Mapping[str, Any], shape: tuple[int, int]
) -> MaskRecipe | None:
    """The mask that the options ask for, or else the recipe's."""
    from napari_lossguide.data.image_readers import read_mask
    from napari_lossguide.masks import MaskRecipe

    params = mask_params(args) | dict(further)
    if args.mask:
        if params:
            raise InvalidInput(f"--mask gives the whole mask; {', '.join(params)} cannot change it.")
        return MaskRecipe.drawn(read_mask(args.mask, shape))
    kind = args.mask_type or (base.kind if base else None)
    if not params and not args.mask_type:
        return base
    if kind is None:
        raise InvalidInput(f"{', '.join(params)} belongs to a mask; give --mask-type too.")
    kept = base.params if base and base.kind == kind else {}
    return MaskRecipe.of(kind, **(kept | params))


def mask_params(args: argparse.Namespace) -> dict[str, Any]:
    """Parameters of a mask that were given as options."""
    names = {
        "acceleration": "acceleration",
        "center_fraction": "center_fraction",
        "mask_seed": "seed",
        "mask_axis": "axis",
    }
    return {name: getattr(args, option) for option, name in names.items() if getattr(args, option) is not None}


def run_recipe(kdata: KData, recipe: Recipe, maps: ArrayLike | None, device: str) -> Result:
    """Run to the end, with a progress bar on a terminal."""

    def begin() -> Generator[Progress, None, Result]:
        from napari_lossguide.recon.engine import reconstruction

        return reconstruction(kdata, recipe, maps=maps, device=device)

    def title(p: Progress) -> str:
        return f"slice {p.slice + 1}/{p.slices}, residual {p.residual:.3g}"

    return run_to_the_end(begin, "reading the prior, coil maps", title)


def print_result(kdata: KData, result: Result, output: Path) -> None:
    """A line for each thing that a person wants to know of a run."""
    recipe, (ny, nx) = result.recipe, kdata.image_shape
    iterations = "" if not result.nfe else f", {result.nfe} network evaluations"
    residual = "unknown (no noise)" if math.isnan(result.residual) else f"{result.residual:.4g}"
    lines = {
        "method": recipe.method + iterations,
        "prior": recipe.prior if result.nfe else "none",
        "image": f"{recipe.image}{', simulation' if result.simulated else ''}",
        "slices": f"{kdata.n_slices} of {ny} x {nx}, {kdata.n_coils} coil{'s' if kdata.n_coils > 1 else ''}",
        "acceleration": f"{result.mask.size / result.mask.sum():.3g}",
        "samples": f"{recipe.samples}, seed {recipe.seed}",
        "noise": f"{result.noise_std:.4g}",
        "residual": f"{residual}   |Ax - y| / (noise sqrt(m)), about 1 when the data are explained",
        "seconds": f"{result.seconds:.1f}",
        "output": str(output),
    }
    for name, value in lines.items():
        print(f"{name:<13}{value}")
