"""``lossguide train``: configuration, checks, progress."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from napari_lossguide.priors.training.config import TrainConfig


def train(args: argparse.Namespace) -> None:
    """Train a prior until its budget is used."""
    data, out = Path(args.data).expanduser(), Path(args.out).expanduser()
    config = read_config(args)
    check_folders(config, data, out)

    from napari_lossguide.priors.training.session import alone

    with alone(out):
        run(config, data, out, args)


def run(config: TrainConfig, data: Path, out: Path, args: argparse.Namespace) -> None:
    """Report on the data, then train."""
    from napari_lossguide.data.training.report import in_words
    from napari_lossguide.priors.training.session import open_training
    from napari_lossguide.recon.run import choose_device

    trainer, report = open_training(config, data, out, str(choose_device(args.device)), reading)
    main = trainer.processes.main
    if main:
        for note in trainer.notes:
            print(note, file=sys.stderr)
        print(json.dumps({"report": report}) if args.json else in_words(report), flush=True)
    if not args.report_only:
        trainer.run(show_json if args.json else show_text)
        if main:
            print(json.dumps({"prior": str(trainer.path), **trainer.best}) if args.json else trainer.summary())
    trainer.processes.leave()


def reading(done: int, total: int) -> None:
    """Progress of reading the data, on a terminal."""
    if sys.stderr.isatty():
        print(f"\rreading {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def read_config(args: argparse.Namespace) -> TrainConfig:
    """The configuration that the options ask for: a file or a preset, with --initial and --set on top of it."""
    from napari_lossguide.priors.training.config import TrainConfig, preset_path

    if args.config and args.preset:
        raise InvalidInput(f"Give the configuration {args.config} or --preset {args.preset}, not both.")
    path = Path(args.config).expanduser() if args.config else preset_path(args.preset or "cpu")
    settings = [*([("initial", args.initial)] if args.initial else []), *args.settings]
    return TrainConfig.read(path, settings)


def check_folders(config: TrainConfig, data: Path, out: Path) -> None:
    """What can be known before anything is computed."""
    if not data.is_dir():
        raise InvalidInput(f"--data {data} is not a folder.")
    for file in (*(f.path for f in config.train), *config.validation):
        if not (data / file).is_file():
            raise InvalidInput(f"The training configuration names {file}, which is not in {data}.")
    if out.exists() and not out.is_dir():
        raise InvalidInput(f"--out {out} is a file; it must be a folder.")


def show_json(row: dict[str, Any]) -> None:
    """A row for a machine."""
    print(json.dumps(row), flush=True)


def show_text(row: dict[str, Any]) -> None:
    """A row for a person."""
    from napari_lossguide.priors.training.log import in_words

    print(in_words(row), flush=True)
