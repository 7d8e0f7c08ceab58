"""One recipe over many files: each slice is a piece of work with a result file of its own.

What has been done is read from the folder alone: a batch that was stopped, by whatever, goes on when it is asked for
again. A result is there or not, because files are written whole; a slice that failed leaves a note with the reason.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_lossguide.data.exports.registry import ending_of, files_of
from napari_lossguide.data.file_names import safe_name, stem
from napari_lossguide.data.formats.registry import record_text
from napari_lossguide.data.image_readers import read_image
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.raw.steps import USUAL
from napari_lossguide.data.readers import Scan, Steps, open_scan
from napari_lossguide.data.writers import write_text
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import Denoiser, InvalidInput

if TYPE_CHECKING:
    import os

    from napari_lossguide.data.kdata import KData
    from napari_lossguide.recon.result import Result

FAILED = ".failed.json"
KEPT = "batch"
"""Where the provenance of a result says which piece of a batch it is, and what its line was."""


@dataclass(frozen=True)
class Piece:
    """One slice of one file, and where its result goes.

    Attributes
    ----------
    path : of the file, absolute.
    slice : from 0.
    output : the result; its ending says which kind of file.
    key : hash of everything that the result follows from; a result with another key is not this piece's.
    origin : of the file, with its checksum and how to read it.
    stamp : of the file; see `data.readers.Scan.stamp`.
    """

    path: str
    slice: int
    output: str
    key: str
    origin: Origin
    stamp: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Line:
    """What the summary says of a slice, or of a file that cannot be read.

    Attributes
    ----------
    file : its path.
    slice : from 0; None of a whole file.
    status : done, or failed with the reason in `why`.
    residual : |A x - y| / (noise_std sqrt(m)); None if unknown, as are the next three without a reference.
    psnr, ssim, nmse : as `recon.metrics`.
    seconds : of the run.
    output : the result file, empty without one.
    """

    file: str
    slice: int | None
    status: Literal["done", "failed"]
    why: str = ""
    residual: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    nmse: float | None = None
    seconds: float | None = None
    output: str = ""


def plan(
    files: Sequence[str | os.PathLike[str]],
    folder: Path,
    recipe: Recipe,
    *,
    real: bool = False,
    variable: str | None = None,
    steps: Steps = USUAL,
    ending: str = ".npz",
) -> tuple[list[Piece], list[Line]]:
    """The pieces of work, in the order of the files, and a line for each file that cannot be read.

    `real`, `variable` and `steps` are as of `data.readers.read`, for all files; `ending` is one of
    `data.exports.registry` and chooses the kind of the results. Files of the same name have folders that end in a hash
    of their paths.
    """
    scans: list[Scan] = []
    lines: list[Line] = []
    for file in dict.fromkeys(str(Path(f).expanduser().absolute()) for f in files):
        try:
            scans.append(open_scan(file, real=real, variable=variable, steps=steps))
        except InvalidInput as error:
            lines.append(Line(file, None, "failed", str(error)))
    names = [safe_name(stem(scan.path)) for scan in scans]
    pieces = []
    for scan, name in zip(scans, names, strict=True):
        alone = [other.lower() for other in names].count(name.lower()) == 1
        own, stamp = name if alone else f"{name}-{_hash(str(scan.path))[:8]}", scan.stamp()
        for index in range(scan.n_slices):
            facts = [recipe.to_json(), scan.origin.sha256, index, dict(scan.origin.parameters), ending]
            output = str(folder / own / f"slice_{index:04d}{ending}")
            key = _hash(json.dumps(facts, sort_keys=True))
            pieces.append(Piece(str(scan.path), index, output, key, scan.origin, stamp))
    return pieces, lines


def pinned(recipe: Recipe) -> Recipe:
    """The recipe with the checksum of its prior as it is now.

    Another version of the prior is another recipe then: what was done with the old one is done again, and every worker
    uses this one.

    Raises
    ------
    InvalidInput
        If there is no such prior.
    """
    from napari_lossguide.priors.load import find_prior, prior_info
    from napari_lossguide.recon.methods import method

    if not method(recipe.method).needs_prior or recipe.prior_sha256:
        return recipe
    found = prior_info(find_prior(recipe.prior), checksum=True)
    return recipe.model_copy(update={"prior_sha256": found.sha256})


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def piece_recipe(recipe: Recipe, piece: Piece) -> Recipe:
    """The recipe of a slice: its seed is drawn from the recipe's, the file's hash and the slice's number."""
    entropy = [recipe.seed, int(piece.origin.sha256[:16], 16), piece.slice]
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    return recipe.model_copy(update={"seed": seed})


def known(piece: Piece) -> Line | None:
    """What the folder says of a piece: its line if it was done, or failed, with the same data and recipe."""
    note = _note(piece)
    try:
        if _is_there(piece):
            held = json.loads(json.loads(record_text(piece.output) or "{}")["facts"]["provenance"][KEPT])
            read_image(piece.output)  # it is whole
        elif note.is_file():
            held = json.loads(note.read_text(encoding="utf-8"))
        else:
            return None
        return Line(**held["line"]) if held["key"] == piece.key else None
    except (InvalidInput, OSError, ValueError, KeyError, TypeError):
        return None  # not written by a batch, or damaged since: done again


def _is_there(piece: Piece) -> bool:
    return all(file.is_file() for file in files_of(piece.output))


def forget_failure(piece: Piece) -> None:
    """Take away the note that a piece failed, so that it is tried again."""
    _note(piece).unlink(missing_ok=True)


def _note(piece: Piece) -> Path:
    return Path(piece.output.removesuffix(ending_of(piece.output)) + FAILED)


def read_piece(piece: Piece) -> KData:
    """Read the slice.

    Raises
    ------
    InvalidInput
        If it cannot be read, or the file is no longer the one that was planned with.
    """
    scan = open_scan(piece.path, **piece.origin.parameters, origin=piece.origin)
    if scan.stamp() != piece.stamp:
        raise InvalidInput(f"{piece.path} has changed since the batch began.")
    return scan.read_slice(piece.slice)


def run_piece(piece: Piece, recipe: Recipe, device: str = "auto", denoiser: Denoiser | None = None) -> Line:
    """Reconstruct one slice and write its result, or the note why there is none.

    Parameters
    ----------
    piece : what to do.
    recipe : of the batch.
    device : auto, cpu, cuda or mps.
    denoiser : the recipe's prior, if it is open already.

    Raises
    ------
    InvalidInput
        If the result cannot be written. Whatever is wrong with the slice is in the line.
    """
    from napari_lossguide.recon.drive import bearable, last_of
    from napari_lossguide.recon.engine import reconstruction

    Path(piece.output).parent.mkdir(parents=True, exist_ok=True)
    try:
        kdata = read_piece(piece)
        result = last_of(reconstruction(kdata, piece_recipe(recipe, piece), device=device, denoiser=denoiser))
    except Exception as error:
        why = bearable(error)
        if not why:
            raise
        line = Line(piece.path, piece.slice, "failed", why)
        write_text(_note(piece), json.dumps({"key": piece.key, "line": asdict(line)}, indent=1))
        for file in files_of(piece.output):  # of other data or of another recipe
            file.unlink(missing_ok=True)
        return line
    line = _line(piece, kdata, result)
    # A text in the text: writers turn what is not finite into null, but a figure of merit may be infinite.
    kept = json.dumps({"key": piece.key, "line": asdict(line)})
    told = replace(result, provenance={**result.provenance, KEPT: kept})
    told.save(piece.output, f"{stem(piece.path)} slice {piece.slice}")
    forget_failure(piece)
    return line


def _line(piece: Piece, kdata: KData, result: Result) -> Line:
    from napari_lossguide.recon.metrics import evaluate

    figures: dict[str, Any] = {}
    if kdata.reference is not None:
        figures = evaluate(np.abs(kdata.reference), np.abs(result.image))
    seconds = round(result.seconds, 3)
    residual = None if math.isnan(result.residual) else result.residual
    return Line(piece.path, piece.slice, "done", "", residual, **figures, seconds=seconds, output=piece.output)


def run_here(pieces: Sequence[Piece], recipe: Recipe, device: str = "auto") -> Iterator[Line]:
    """Pieces one after another in this process; the prior is opened once."""
    from napari_lossguide.recon.diffusion import open_prior
    from napari_lossguide.recon.methods import method
    from napari_lossguide.recon.run import choose_device

    if not pieces:
        return
    denoiser = open_prior(recipe, choose_device(device)) if method(recipe.method).ready().needs_prior else None
    for piece in pieces:
        yield run_piece(piece, recipe, device, denoiser)


def relative(line: Line, folder: Path) -> Line:
    """A line whose output is named from the folder of the batch."""
    return replace(line, output=str(Path(line.output).relative_to(folder)) if line.output else "")
