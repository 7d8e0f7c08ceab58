"""``lossguide coverage`` and ``lossguide calibrate``: do samples say how wrong they are, and intervals that do."""

from __future__ import annotations

import argparse
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_lossguide.cli.commands import to_json
from napari_lossguide.cli.files import DAMAGED, output_file
from napari_lossguide.data.writers import write_text
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import numpy as np

    from napari_lossguide.recon.measured_share import MeasuredShare
    from napari_lossguide.recon.recalibration import Calibration, Conditions
    from napari_lossguide.recon.recipe import Recipe
    from napari_lossguide.recon.uncertainty import Coverage, Spread


class Drawn(NamedTuple):
    """What a result file says of its samples."""

    spread: Spread
    conditions: Conditions
    measured: MeasuredShare
    attainable: tuple[float, float]
    recipe: Recipe


def add_uncertainty(commands: Any) -> None:
    """``lossguide calibrate`` and ``lossguide coverage``."""
    said = "the true image of each result, in the same order: an image, or k-space that is fully sampled or simulated"
    p = commands.add_parser(
        "calibrate", help="fit intervals that hold the truth, for results made the same way; see docs/uncertainty.md"
    )
    p.add_argument("results", metavar="RESULT.npz", nargs="+", help="with several samples, all made the same way")
    p.add_argument("--reference", metavar="REF", nargs="+", required=True, help=said)
    p.add_argument("-o", "--output", required=True, metavar="CAL.json")
    p.set_defaults(run=calibrate)

    p = commands.add_parser("coverage", help="how often the truth lies in the intervals of a result's samples")
    p.add_argument("result", metavar="RESULT.npz", help="with several samples")
    p.add_argument(
        "--reference", metavar="REF", required=True, help=said.replace(" of each result, in the same order", "")
    )
    p.add_argument("--calibration", metavar="CAL.json", help="of `lossguide calibrate`, fitted on other slices")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=coverage)


def calibrate(args: argparse.Namespace) -> None:
    """Fit a calibration, write it, print what it found."""
    from napari_lossguide.recon import recalibration

    output = output_file(args.output, ".json", *args.results, *args.reference)
    if len(args.results) != len(args.reference):
        raise InvalidInput(f"There are {len(args.results)} results, but {len(args.reference)} references; one of each.")
    drawn = [read_drawn(name) for name in args.results]
    for name, other in zip(args.results, drawn, strict=True):
        found = drawn[0].conditions.difference(other.conditions)
        if found:
            raise InvalidInput(f"{name} was made another way than {args.results[0]}: {found}.")
    pairs = [(d.spread, read_reference(name)) for d, name in zip(drawn, args.reference, strict=True)]
    names = [Path(name).name for name in args.results]
    made = recalibration.calibrate(pairs, drawn[0].conditions, fitted_on=names)
    write_text(output, made.to_json() + "\n")
    print_calibration(made, output)


def print_calibration(made: Calibration, output: Path) -> None:
    """A line for each thing that was fitted."""
    slices = f"{made.slices} slice{'s' if made.slices > 1 else ''}"
    print(f"{'fitted on':<14}{slices}, {made.pixels} foreground pixels of {made.conditions.method}")
    print(f"{'std':<14}{made.a:.3g} sqrt(G std^2 + ({made.b:.3g} s)^2), s: 99th percentile of the slice's mean")
    print(f"{'G':<14}{f'average over {made.window:.3g} pixels' if made.window else 'no average over neighbours'}")
    for level, factor in made.factors.items():
        print(f"{f'{level:.0%} interval':<14}mean +- {factor:.3g} std")
    print(f"{'output':<14}{output}")


def coverage(args: argparse.Namespace) -> None:
    """Print coverage, correlation and measured share of a result."""
    from napari_lossguide.recon import uncertainty
    from napari_lossguide.recon.recalibration import Calibration

    made = Calibration.from_json(args.calibration) if args.calibration else None
    drawn, truth = read_drawn(args.result), read_reference(args.reference)
    found = {"nominal": uncertainty.coverage(drawn.spread, truth)}
    if made is not None:
        made.check(drawn.conditions)
        widths, std = made.half_widths(drawn.spread), made.std(drawn.spread)
        found["calibrated"] = uncertainty.coverage(drawn.spread, truth, widths, std=std)
    note = uncertainty.spread_note(drawn.recipe)
    if args.json:
        print(to_json(as_facts(drawn, found) | {"note": note}))
        return
    print_coverage(drawn, found)
    if note:
        print(f"{'note':<12}{note}")


def as_facts(drawn: Drawn, found: dict[str, Coverage]) -> dict[str, Any]:
    """The figures by name, for JSON."""
    facts: dict[str, Any] = {
        "method": drawn.recipe.method,
        "slices": len(drawn.spread.mean),
        "samples": drawn.spread.count,
        "pixels": found["nominal"].pixels,
        "measured_share": drawn.measured.share,
        "measured_fraction": drawn.measured.fraction,
        "attainable_correlation": drawn.attainable[0],
        "attainable_local_correlation": drawn.attainable[1],
    }
    for name, c in found.items():
        facts[name] = {f"coverage_{q:.0%}".rstrip("%"): value for q, value in c.covered.items()}
        facts[name] |= {f"width_{q:.0%}".rstrip("%"): value for q, value in c.width.items()}
        facts[name] |= {"correlation": c.correlation, "local_correlation": c.local}
    return facts


def print_coverage(drawn: Drawn, found: dict[str, Coverage]) -> None:
    """A line for each figure."""
    slices = len(drawn.spread.mean)
    print(f"{'samples':<12}{drawn.spread.count} of {slices} slice{'s' * (slices > 1)}, {drawn.recipe.method}")
    print(f"{'foreground':<12}{found['nominal'].pixels} pixels")
    for name, c in found.items():
        for level, part in c.covered.items():
            low, high = c.by_slice[level]
            each = f" ({low:.0%} to {high:.0%} by slice)" if slices > 1 else ""
            print(f"{name:<12}{level:.0%} interval holds {part:.1%}{each}, {c.width[level]:.1%} of bright tissue wide")
    nominal, (pixel, local) = found["nominal"], drawn.attainable
    for way, value, best in (("one pixel", nominal.correlation, pixel), ("2 pixels", nominal.local, local)):
        known, limit = in_words(value, ".2f"), in_words(best, ".2f")
        print(f"{'correlation':<12}{known} of error and std over {way}; {limit} if the truth were one more sample")
    share = in_words(drawn.measured.share, ".2%")
    print(f"{'measured':<12}{share} of the deviations' power, in {drawn.measured.fraction:.1%} of k-space")


def in_words(value: float, form: str) -> str:
    """A figure for people."""
    return "unknown" if math.isnan(value) else format(value, form)


def read_drawn(name: str) -> Drawn:
    """Samples of a result file, reduced to what is needed of them.

    Raises
    ------
    InvalidInput
        If it is no result, has one sample only, or was cancelled.
    """
    import json

    import numpy as np

    from napari_lossguide.recon.measured_share import measured_share
    from napari_lossguide.recon.recalibration import Conditions
    from napari_lossguide.recon.recipe import Recipe
    from napari_lossguide.recon.uncertainty import attainable, spread

    path = Path(name).expanduser()
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise InvalidInput(f"{name} is not a result (.npz of `lossguide recon`).")
    try:
        with np.load(path, allow_pickle=False) as file:
            if not {"recipe", "facts", "mask", "maps"} <= set(file.files):
                raise InvalidInput(f"{name} is not a result of `lossguide recon`; it holds {', '.join(file.files)}.")
            if "samples" not in file.files:
                raise InvalidInput(f"{name} has one sample only; a spread needs several (recon --samples 8).")
            samples, mask, maps = (file[key] for key in ("samples", "mask", "maps"))
            recipe, facts = Recipe.from_json(str(file["recipe"])), json.loads(str(file["facts"]))
    except DAMAGED as error:
        raise InvalidInput(f"The result {name} is damaged: {error}.") from error
    if facts.get("status") == "cancelled":
        raise InvalidInput(f"{name} is of a run that was cancelled; its samples are not all there.")
    known = Conditions.of(recipe, mask, maps.shape[1])
    best = attainable(samples) if samples.shape[1] > 2 else (math.nan, math.nan)
    return Drawn(spread(samples), known, measured_share(samples, mask, maps), best, recipe)


def read_reference(name: str) -> np.ndarray:
    """The true image (slice, ny, nx), of an image file or of k-space that is fully sampled or simulated.

    Raises
    ------
    InvalidInput
        If there is none in the file.
    """
    import numpy as np

    from napari_lossguide.data.image_readers import read_image
    from napari_lossguide.data.readers import read

    try:
        return read_image(name)
    except InvalidInput as no_image:
        try:
            kdata = read(name)
        except InvalidInput:
            raise no_image from None
    if kdata.reference is not None:
        return np.asarray(kdata.reference)
    if not kdata.fully_sampled:
        raise InvalidInput(f"The k-space in {name} is undersampled; nobody knows its true image.")
    return np.asarray(kdata.coil_images())
