"""What a layer says of the run that it comes from: recipe, hashes, device, versions, time. No Qt in here."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_lossguide.data.kdata import KData
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.views import held, kdata_of

if TYPE_CHECKING:
    from napari_lossguide.recon.result import Result
    from napari_lossguide.recon.samples import Samples

Rows = list[tuple[str, str]]
FIGURES = {"seconds": "Seconds", "nfe": "Network evaluations", "residual": "Data residual", "noise_std": "Noise level"}
TITLES = {
    "finished": "Finished",
    "input": "Input",
    "input_sha256": "SHA-256 of the k-space used",
    "image_sha256": "SHA-256 of the image",
    "coil_maps": "Coil maps",
    "calibration_sha256": "SHA-256 of the calibration lines",
    "classifier_sha256": "SHA-256 of the classifier",
    "device": "Device",
    "threads": "Threads",
    "napari-lossguide": "napari-lossguide",
    "torch": "PyTorch",
    "numpy": "NumPy",
    "python": "Python",
    "bart": "BART",
}


def run_facts(result: "Result | Samples") -> dict[str, Any]:
    """What every layer that a run leaves keeps of it, under ``layer.metadata["lossguide"]``.

    The data residual is not among it: that is one of the image alone.
    """
    facts = {
        "recipe": result.recipe.to_json(),
        "seed": result.recipe.seed,
        "device": result.provenance.get("device", ""),
        "provenance": dict(result.provenance),
    }
    figures = {name: getattr(result, name) for name in FIGURES if name != "residual" and hasattr(result, name)}
    return {**facts, **figures, "simulated": getattr(result, "simulated", False)}


def recipe_of(layer: Any) -> Recipe | None:
    """The recipe of the run that a layer comes from, if it comes from one."""
    text = held(layer).get("recipe")
    return Recipe.from_json(text) if isinstance(text, str) else None


def provenance_rows(layer: Any) -> Rows:
    """Where a layer comes from, as names and values for people.

    Raises
    ------
    InvalidInput
        If nothing is known of it.
    """
    kept, kdata = held(layer), kdata_of(layer)
    recipe = recipe_of(layer)
    if recipe is not None:
        own = [("Made of", str(kept["of"]))] if "of" in kept else []
        return [*_what(layer), *own, *_recipe_rows(recipe), *_run_rows(kept)]
    if kdata is not None:
        return [*_what(layer), *_kdata_rows(kdata)]
    if isinstance(kept.get("mask"), Mapping):
        return [*_what(layer), ("Mask", mask_in_words(MaskRecipe(**kept["mask"])))]
    raise InvalidInput(
        f"Nothing is known of where the layer {layer.name!r} comes from; choose a result, samples, k-space or a mask."
    )


def provenance_text(layer: Any) -> str:
    """The same as text, with the whole recipe as JSON below."""
    recipe = recipe_of(layer)
    lines = [f"{name}: {value}" for name, value in provenance_rows(layer)]
    return "\n".join([*lines, *([] if recipe is None else ["", recipe.to_json()])]) + "\n"


def mask_in_words(mask: MaskRecipe | None) -> str:
    """Kind and parameters; the points of a drawn mask are left out."""
    if mask is None:
        return "as acquired"
    values = {name: value for name, value in mask.params.items() if name != "bits"}
    return f"{mask.kind} ({', '.join(f'{name} {value}' for name, value in values.items())})"


def _what(layer: Any) -> Rows:
    role = str(held(layer).get("role", "")) or "layer"
    return [("Layer", layer.name), ("What it is", "simulation: " * bool(held(layer).get("simulated")) + role)]


def _recipe_rows(recipe: Recipe) -> Rows:
    chosen = method(recipe.method)
    rows = [("Method", f"{chosen.title} [{recipe.method}]")]
    if chosen.needs_prior:
        rows += [("Prior", recipe.prior), ("SHA-256 of the prior", recipe.prior_sha256 or "not known")]
        rows += [("Seed", str(recipe.seed)), ("Samples", str(recipe.samples))]
    for part in ("schedule", "sampler", "guidance"):
        values = getattr(recipe, part)
        rows += [(part.capitalize(), ", ".join(f"{k} {v}" for k, v in values.items()))] if values else []
    if recipe.changes:
        turned = "; ".join(f"{c.name} = {c.value:g} from step {c.step + 1}" for c in recipe.changes)
        rows.append(("Knobs turned", turned))
    return [*rows, *([("Mask", mask_in_words(recipe.mask))] if chosen.needs_data else []), ("Image", recipe.image)]


def _run_rows(kept: Mapping[str, Any]) -> Rows:
    """Of a run in this napari, or of a file that holds one."""
    stored = json.loads(kept["facts"]) if isinstance(kept.get("facts"), str) else {}
    known = {**stored, **kept}
    of_run = known.get("provenance", {})
    rows = [(title, str(of_run[name])) for name, title in TITLES.items() if name in of_run]
    return [*rows, *((title, _figure(known[name])) for name, title in FIGURES.items() if name in known)]


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _kdata_rows(kdata: KData) -> Rows:
    rows = [("Input", kdata.source or kdata.name), ("Shape (slice, coil, y, x)", str(kdata.kspace.shape))]
    rows.append(("Acceleration", f"{kdata.acceleration:.4g}"))
    origin = kdata.origin
    if origin is None:
        return [*rows, ("Origin", "not known")]
    rows.append(("Origin", f"{origin.kind}: {origin.name}"))
    rows += [("SHA-256 of the file", origin.sha256)] if origin.sha256 else []
    rows += [("Made with", ", ".join(f"{k} {v}" for k, v in origin.parameters.items()))] if origin.parameters else []
    return rows if origin.slice is None else [*rows, ("Slice", f"{origin.slice} (from 0)")]
