"""``lossguide batch``: one recipe over many files, each slice a result of its own."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_lossguide.cli.reading import reading
from napari_lossguide.cli.recon import read_recipe
from napari_lossguide.data.exports.registry import endings
from napari_lossguide.data.writers import remove_parts
from napari_lossguide.types import BatchFailed, InvalidInput

if TYPE_CHECKING:
    from napari_lossguide.recon.batch import Line, Piece
    from napari_lossguide.recon.recipe import Recipe


def batch(args: argparse.Namespace) -> None:
    """Reconstruct what is not done yet, write summary and contact sheet, and say how it went."""
    from napari_lossguide.recon.batch import forget_failure, known, plan

    folder = output_folder(args.output)
    recipe = pinned_recipe(args)
    with alone_in(folder):
        pieces, lines = plan(args.files, folder, recipe, **reading(args), ending=args.format)
        if not args.scheduler:  # whose workers may outlive a batch and be writing still
            remove_parts(folder)
        done: dict[tuple[str, int | None], Line] = {}
        for piece in pieces:
            line = known(piece)
            if line is not None and not (args.retry_failed and line.status == "failed"):
                done[piece.path, piece.slice] = line
            elif line is not None:
                forget_failure(piece)
        for line in lines:
            tell(line)
        places = [(piece.path, piece.slice) for piece in pieces]
        left = [piece for piece, place in zip(pieces, places, strict=True) if place not in done]
        try:
            run_left(args, left, len(pieces), recipe, done)
        finally:
            finish(folder, [*lines, *(done[place] for place in places if place in done)], len(left), args.sheet)


def pinned_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe with the checksum of its prior: of the one here, or else of the one that a worker has."""
    from napari_lossguide.recon import cluster
    from napari_lossguide.recon.batch import pinned

    recipe = read_recipe(args.recipe)
    try:
        return pinned(recipe)
    except InvalidInput:
        if not args.scheduler:
            raise
    with cluster.connected(args.scheduler) as client:
        return cluster.pinned_there(client, recipe)


def add_format(p: argparse.ArgumentParser) -> None:
    """The option for the kind of file."""
    p.add_argument(
        "--format",
        type=parse_ending,
        default=".npz",
        metavar="ENDING",
        help="of the results: .npz, everything that a run gives (the default), or the image for other programs: "
        + ", ".join(ending for ending in endings() if ending != ".npz"),
    )


def parse_ending(text: str) -> str:
    """One that a writer has, with its dot."""
    ending = f".{text.lower().removeprefix('.')}"
    if ending not in endings():
        raise argparse.ArgumentTypeError(f"no writer has the ending '{text}'; accepted are {', '.join(endings())}")
    return ending


def run_left(
    args: argparse.Namespace,
    left: Sequence[Piece],
    total: int,
    recipe: Recipe,
    done: dict[tuple[str, int | None], Line],
) -> None:
    """Run the pieces that are not done, and put their lines with those that are."""
    from tqdm import tqdm

    print(f"{total} slices, {total - len(left)} of them done before", file=sys.stderr)
    with (
        tqdm(total=total, initial=total - len(left), unit="slice", disable=not sys.stderr.isatty()) as bar,
        contextlib.closing(lines_of(args, left, recipe)) as lines,
    ):
        for line in lines:
            done[line.file, line.slice] = line
            bar.update()
            tell(line)


def lines_of(args: argparse.Namespace, left: Sequence[Piece], recipe: Recipe) -> Generator[Line, None, None]:
    """Run pieces where the options say: on a cluster, on workers here, or in this process."""
    if not left:
        return
    from napari_lossguide.recon import cluster
    from napari_lossguide.recon.batch import run_here

    if args.scheduler:
        with cluster.connected(args.scheduler) as client:
            yield from cluster.run_on(client, left, recipe, args.device)
        return
    workers = args.workers or gpus(args.device)
    if workers > 1:
        with cluster.local_workers(workers) as client:
            yield from cluster.run_on(client, left, recipe, args.device)
    else:
        yield from run_here(left, recipe, args.device)


def gpus(device: str) -> int:
    """How many GPUs there are to fill."""
    import torch

    return torch.cuda.device_count() if device in ("auto", "cuda") else 0


def tell(line: Line) -> None:
    """Say what failed, at once."""
    if line.status == "failed":
        where = "" if line.file in line.why else f"{line.file}: "
        where += "" if line.slice is None else f"slice {line.slice}: "
        print(f"{where}{line.why}", file=sys.stderr)


def finish(folder: Path, lines: Sequence[Line], new: int, sheet: bool) -> None:
    """Write what a batch leaves and print how it went.

    Raises
    ------
    BatchFailed
        If something failed.
    """
    from napari_lossguide.recon.batch_summary import write_contact_sheet, write_summary

    table = write_summary(folder, lines)
    picture = write_contact_sheet(folder, lines) if sheet else None
    failed = [line for line in lines if line.status == "failed"]
    print(f"{'done':<13}{len(lines) - len(failed)}")
    print(f"{'failed':<13}{len(failed)}")
    print(f"{'run now':<13}{new}")
    print(f"{'summary':<13}{table}")
    if picture:
        print(f"{'images':<13}{picture}")
    if failed and sys.exc_info()[0] is None:
        raise BatchFailed(f"{len(failed)} of {len(lines)} could not be reconstructed; {table} says why.")


def output_folder(name: str) -> Path:
    """The folder, made if it is not there.

    Raises
    ------
    InvalidInput
        If it cannot be.
    """
    folder = Path(name).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"The output folder {name} cannot be made: {error.strerror or error}.") from error
    return folder


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a second batch out of the folder.

    Raises
    ------
    InvalidInput
        If one is at work in it, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / ".batch.lock", timeout=0):
            yield
    except Timeout as error:
        raise InvalidInput(f"Another batch is at work in {folder}; wait for its end.") from error
