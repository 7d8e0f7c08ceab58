"""The commands beside ``recon``: mask, metrics, info, priors, demo."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_lossguide.cli.files import output_file, read_result
from napari_lossguide.cli.recon import mask_params
from napari_lossguide.cli.sample import sample_facts
from napari_lossguide.types import InvalidInput


def mask(args: argparse.Namespace) -> None:
    """Make a mask, write it, print the achieved acceleration."""
    from napari_lossguide.data.writers import write_npy
    from napari_lossguide.masks import achieved_acceleration, make_mask

    output = output_file(args.output, ".npy")
    made = make_mask(args.mask_type, args.shape, **(mask_params(args) | dict(args.settings)))
    write_npy(output, made)
    print(f"achieved acceleration {achieved_acceleration(made):.4g}: {in_words(pattern(made))} -> {output}")


def metrics(args: argparse.Namespace) -> None:
    """Print PSNR, SSIM and NMSE of two volumes, or of a region in them."""
    from napari_lossguide.data.image_readers import read_image, read_mask
    from napari_lossguide.recon.metrics import evaluate

    reference, image = read_image(args.reference), read_image(args.image)
    region = read_mask(args.region, reference.shape[-2:], what="region") if args.region else None
    values = evaluate(reference, image, region)
    if args.json:
        print(to_json(values))
        return
    units = {"psnr": " dB"}
    for name, value in values.items():
        print(f"{name.upper():<6}{value:.5g}{units.get(name, '')}")


def info(args: argparse.Namespace) -> None:
    """Print what a file holds."""
    facts = result_facts(args.file) or sample_facts(args.file) or image_facts(args.file) or kspace_facts(args)
    if args.json:
        print(to_json(facts))
        return
    recipe = facts.pop("recipe", None)
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):<14}{in_words(value)}")
    if recipe:
        print("recipe")
        print(json.dumps(recipe, indent=2))


def kspace_facts(args: argparse.Namespace) -> dict[str, Any]:
    """Facts about an acquisition."""
    from napari_lossguide.data.readers import open_scan

    kdata = open_scan(args.file, variable=args.variable).read_sparingly()
    return {
        "file": args.file,
        "kind": "k-space, simulation" if kdata.simulated else "k-space",
        "slices": kdata.n_slices,
        "coils": kdata.n_coils,
        "shape": list(kdata.image_shape),
        "acceleration": kdata.acceleration,
        "acquired": pattern(kdata.acquired),
        "spacing_mm": list(kdata.spacing),
        "image": "real" if kdata.real else "complex",
        "noise_std": kdata.noise_std,
        "reference": kdata.reference is not None,
        "maps": kdata.maps is not None,
        "calibration": "none" if kdata.calibration is None else list(kdata.calibration.shape[2:]),
    }


def result_facts(name: str) -> dict[str, Any] | None:
    """Facts about a result, with its recipe; None if the file is not one."""
    stored = read_result(name)
    if stored is None:
        return None
    try:
        recipe = json.loads(stored["recipe"])
    except ValueError as error:
        raise InvalidInput(f"The recipe in {name} is not JSON: {error}.") from error
    acquired = stored["mask"]
    return {
        "file": name,
        "kind": "result, simulation" if stored["facts"].get("simulated") else "result",
        "slices": stored["shape"][0],
        "coils": stored["coils"],
        "shape": list(stored["shape"][1:]),
        "samples": stored["samples"],
        "acceleration": acquired.size / acquired.sum(),
        "acquired": pattern(acquired),
        **shown(stored["facts"]),
        "recipe": recipe,
    }


def image_facts(name: str) -> dict[str, Any] | None:
    """Facts about images that were written with the record of how they were made; None if the file has none."""
    from napari_lossguide.data.formats.registry import record_text
    from napari_lossguide.data.image_readers import read_images

    text = record_text(name)
    held = {} if text is None else json.loads(text)
    if "spacing_mm" not in held:
        return None
    images = read_images(name).array
    facts = held.get("facts", {})
    return {
        "file": name,
        "kind": "image, simulation" if facts.get("simulated") else "image",
        "name": held["name"],
        "slices": len(images),
        "shape": list(images.shape[1:]),
        "image": "complex" if np.iscomplexobj(images) else "real",
        "spacing_mm": held["spacing_mm"],
        **shown(facts),
        "recipe": held.get("recipe"),
    }


def shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a run without those that stand elsewhere, are empty, or are for `lossguide batch` alone."""
    out = {name: value for name, value in facts.items() if name != "simulated" and value != {}}
    if isinstance(out.get("provenance"), dict):
        out["provenance"] = {name: value for name, value in out["provenance"].items() if name != "batch"}
    return out


def pattern(acquired: np.ndarray) -> dict[str, Any]:
    """How the acquired points (ny, nx) lie: everything, whole lines with a full centre of so many, or points."""
    if acquired.all():
        return {"pattern": "fully sampled"}
    for along, axis in (("y", 0), ("x", 1)):
        lines = np.asarray(acquired.any(axis=axis))
        if (acquired.all(axis=axis) == lines).all():
            return {
                "pattern": f"lines along {along}",
                "lines": int(lines.sum()),
                "of": lines.size,
                "center": centre_run(lines),
            }
    return {"pattern": "points", "points": int(acquired.sum()), "of": acquired.size}


def centre_run(lines: np.ndarray) -> int:
    """Number of neighbouring acquired lines around the centre of k-space."""
    below, above = lines[: len(lines) // 2][::-1], lines[len(lines) // 2 :]
    return sum(len(half) if half.all() else int(half.argmin()) for half in (below, above)) if above[0] else 0


def in_words(value: Any) -> str:
    """A value for a person."""
    match value:
        case dict() if "pattern" in value:
            count = value.get("lines", value.get("points"))
            center = f", {value['center']} in the centre" if "center" in value else ""
            return value["pattern"] + (f", {count} of {value['of']}{center}" if count else "")
        case dict():
            return ", ".join(f"{k} {v}" for k, v in value.items())
        case list():
            return " x ".join(in_words(v) for v in value)
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case None:
            return "unknown"
    return str(value)


def to_json(values: dict[str, Any]) -> str:
    """JSON that every reader takes: infinity and NaN become null."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: finite(v) for k, v in value.items()}
        if isinstance(value, list):
            return [finite(v) for v in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(values), indent=2, allow_nan=False)


def priors(args: argparse.Namespace) -> None:
    """List the priors in the package, or fetch a published one."""
    from napari_lossguide.priors.load import find_prior, list_priors
    from napari_lossguide.priors.published import fetch, published

    if args.name is not None:
        print(fetch(args.name, show_progress=sys.stderr.isatty()))
        return
    for name, entry in published().items():
        print(f"{name}   {entry.size / 1e6:.1f} MB, published: lossguide priors fetch {name}")
        print(f"    licence     {entry.licence}")
    for prior in list_priors():
        size = find_prior(prior.name).stat().st_size / 1e6
        print(f"{prior.name}   {size:.1f} MB")
        print(f"    licence     {prior.licence}")
        print(f"    trained on  {prior.trained_on}")


def demo(args: argparse.Namespace) -> None:
    """Open napari with a simulated acquisition and reconstruct it."""
    screenshot = output_file(args.screenshot, ".png") if args.screenshot else None

    from napari_lossguide.widgets.demo import run

    run(screenshot=str(screenshot) if screenshot else None)
