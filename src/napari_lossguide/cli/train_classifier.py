"""``lossguide train-classifier``: configuration, checks, progress."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from napari_lossguide.types import InvalidInput


def train_classifier(args: argparse.Namespace) -> None:
    """Draw views, fit the classifier to them, write it."""
    data, out = Path(args.data).expanduser(), Path(args.out).expanduser()
    if not data.is_dir():
        raise InvalidInput(f"--data {data} is not a folder.")
    if out.exists() and not out.is_dir():
        raise InvalidInput(f"--out {out} is a file; it must be a folder.")

    from napari_lossguide.priors.classifier.train import ClassifierConfig, ClassifierTrainer

    trainer = ClassifierTrainer(ClassifierConfig.read(Path(args.config).expanduser()), data, out)
    trainer.run(lambda row: print(json.dumps(row), flush=True))
