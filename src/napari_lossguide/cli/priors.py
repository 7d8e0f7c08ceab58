"""``lossguide priors check`` and ``join``: a user's own model looked at, described and tried; two made one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_lossguide.cli.commands import to_json
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from napari_lossguide.priors.check import Report
    from napari_lossguide.types import PriorInfo

SIDE = 128  # of the phantoms, unless the model was trained at another
SMALLEST, LARGEST = 64, 320  # a phantom of fewer pixels has no flat parts, and nothing can denoise it


def check(args: argparse.Namespace) -> None:
    """Denoise images with a model and say whether it behaves like a denoiser of the stated range."""
    from napari_lossguide.priors.load import find_prior, is_ours

    path = find_prior(args.path)
    settings = [*([("range", args.range)] if args.range else []), *args.settings]
    if is_ours(path) and (settings or args.save):
        raise InvalidInput(
            f"{path} is a prior of this program and describes itself; --range, --set, --save are not for it."
        )
    from napari_lossguide.priors.check import check_denoiser
    from napari_lossguide.priors.formats.registry import find_model, load_model
    from napari_lossguide.priors.formats.sidecar import read_sidecar, write_sidecar
    from napari_lossguide.priors.load import load_prior
    from napari_lossguide.recon.run import choose_device

    device = str(choose_device(args.device))
    if is_ours(path):
        denoiser, size = load_prior(args.path, device), None
    else:
        given = read_sidecar(path).with_settings(settings)
        model = find_model(path, given)
        denoiser, size = load_model(model, device), model.card.size
    side = max(2 * denoiser.info.divisible_by, min(max(size or SIDE, SMALLEST), LARGEST))
    found = check_denoiser(denoiser, images_of(args.images, side), device)
    saved = str(write_sidecar(path, given)) if args.save else None
    if args.json:
        print(to_json(facts(path, denoiser.info) | found.values() | {"saved": saved}))
    else:
        print_report(denoiser.info, found, saved)


def join(args: argparse.Namespace) -> None:
    """Write one prior of two."""
    from napari_lossguide.cli.files import output_file

    out = output_file(args.output, ".safetensors", args.coarse, args.fine)

    from napari_lossguide.priors.experts import join_priors
    from napari_lossguide.priors.load import find_prior

    join_priors(find_prior(args.coarse), find_prior(args.fine), args.below, out)
    print(f"{out}: {args.fine} up to sigma {args.below:g}, {args.coarse} above")


def images_of(name: str | None, side: int) -> np.ndarray:
    """The images of a file, or phantoms.

    Raises
    ------
    InvalidInput
        If the file has none.
    """
    from napari_lossguide.cli.files import DAMAGED
    from napari_lossguide.priors.check import phantoms, scaled

    if name is None:
        return phantoms(side)
    try:
        with np.load(Path(name).expanduser(), allow_pickle=False) as file:
            if "images" in file.files:
                return scaled(np.asarray(file["images"]))
            held = ", ".join(file.files)
    except DAMAGED as error:
        raise InvalidInput(f"The images {name} cannot be read as .npz: {error}.") from error
    raise InvalidInput(f"{name} has no array 'images'; it holds {held}.")


def facts(path: Path, info: PriorInfo) -> dict[str, Any]:
    """What the prior says of itself."""
    return {
        "path": str(path),
        "name": info.name,
        "format": info.extra.get("format", "a prior of this program"),
        "channels": info.channels,
        "sigma_min": info.sigma_min,
        "sigma_max": info.sigma_max,
        "divisible_by": info.divisible_by,
        "trained_range": info.range,
        "notes": list(info.extra.get("notes", ())),  # type: ignore[call-overload]
        "sha256": info.sha256,
    }


def print_report(info: PriorInfo, found: Report, saved: str | None) -> None:
    """A report for a person."""
    print(f"{info.name}: {info.extra.get('format', 'a prior of this program')}, {info.range}")
    for note in info.extra.get("notes", ()):  # type: ignore[attr-defined]
        print(f"    {note}")
    for kind, levels in found.levels.items():
        print(f"{kind} images     noise   PSNR before   after")
        for level in levels:
            print(f"{'':<12}{level.sigma:>9.2f}{level.before:>11.1f} dB{level.after:>8.1f} dB")
    for sentence in found.words:
        print(sentence)
    if found.range or found.prediction:
        options = [f"--range {found.range[0]:g} {found.range[1]:g}"] if found.range else []
        options += [f"--set parameterisation={found.prediction}"] if found.prediction else []
        print(f"Try it: lossguide priors check PATH {' '.join(options)}")
    if saved:
        print(f"saved {saved}")
