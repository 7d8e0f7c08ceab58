"""How the input is read: options that the commands share, and what the readers take of them."""

from __future__ import annotations

import argparse
from typing import Any

from napari_lossguide.data.raw.steps import RawSteps
from napari_lossguide.types import InvalidInput


def add_reading(p: argparse.ArgumentParser) -> None:
    """What to read of a file, and what is done to raw data."""
    add_variable(p)
    p.add_argument(
        "--real", action="store_true", help="the image behind the k-space is known to be real (a simulation)"
    )
    add("--coils", "coils", p, type=int, metavar="N")
    add("--compression", "compression", p, choices=("svd", "gcc"))
    add("--no-prewhitening", "prewhiten", p, left_out=True)
    add("--keep-oversampling", "remove_oversampling", p, left_out=True)
    add("--no-phase-correction", "phase_correction", p, left_out=True)


def add_variable(p: argparse.ArgumentParser) -> None:
    """Which entry of a file."""
    p.add_argument("--variable", metavar="NAME", help="what to read of files that hold several arrays or contrasts")


def add(flag: str, field: str, p: argparse.ArgumentParser, *, left_out: bool = False, **how: Any) -> None:
    """An option for a raw-data step, with the help of its field; `left_out`: it switches the step off."""
    about = RawSteps.model_fields[field].description or ""
    about = about[0].lower() + about[1:].rstrip(".").replace("%", "%%")
    if left_out:
        p.add_argument(flag, dest=field, action="store_false", help=f"without this step: {about}")
    else:
        p.add_argument(flag, dest=field, help=about, **how)


def reading(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `data.readers.read`.

    Raises
    ------
    InvalidInput
        If a step cannot be as it was asked for.
    """
    if args.compression is not None and args.coils is None:
        raise InvalidInput(f"--compression {args.compression} needs --coils N, the number of virtual coils.")
    given = {name: getattr(args, name) for name in RawSteps.model_fields}
    steps = RawSteps.of({name: value for name, value in given.items() if value is not None})
    return {"real": args.real, "variable": args.variable, "steps": steps}
