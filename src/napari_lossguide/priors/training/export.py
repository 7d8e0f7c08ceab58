"""Which average of the weights becomes the prior, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.priors.load import save_prior
from napari_lossguide.priors.training.average import State
from napari_lossguide.priors.training.config import TrainConfig

Scores = dict[float, dict[str, float]]  # PSNR by kind of image and noise level, for each half-life; empty: not measured


@dataclass(frozen=True)
class Choice:
    """An average.

    Attributes
    ----------
    halflife : which.
    step : when.
    psnr : mean denoising PSNR on the validation slices in dB, or None if there are none.
    by_psnr : it was chosen for that.
    """

    halflife: float
    step: int
    psnr: float | None
    by_psnr: bool

    def worse_than(self, other: Choice) -> bool:
        """Whether both were chosen by their PSNR, and the other's is higher."""
        if not (self.by_psnr and other.by_psnr and self.psnr is not None and other.psnr is not None):
            return False
        return self.psnr < other.psnr

    def in_words(self, path: Path) -> str:
        """A sentence."""
        score = "" if self.psnr is None else f", validation PSNR {self.psnr:.2f} dB"
        best = ", the best so far" if self.by_psnr else ""
        return f"{path}: the average with half-life {self.halflife:g} at step {self.step}{score}{best}."


def choose(config: TrainConfig, scores: Scores, step: int) -> Choice:
    """The average that ``export`` asks for; without validation slices the longest is taken for the best."""
    means = {h: round(float(np.mean(list(s.values()))), 3) for h, s in scores.items() if s}
    if config.export != "best":
        return Choice(config.export, step, means.get(config.export), False)
    if not means:
        return Choice(max(scores), step, None, False)
    best = max(means, key=lambda h: means[h])
    return Choice(best, step, means[best], True)


def export_prior(
    path: Path, state: State, network: dict[str, Any], config: TrainConfig, chosen: Choice, before: int
) -> None:
    """Write an average as a prior.

    Parameters
    ----------
    network : configuration of the raw network.
    before : steps of the prior that the training started from.
    """
    facts = {
        "name": path.stem,
        "sigma_data": config.sigma_data,
        "steps": before + chosen.step,
        "licence": config.licence,
        "trained_on": config.trained_on,
        "ema_halflife": chosen.halflife,
    }
    if chosen.psnr is not None:
        facts["validation_psnr"] = chosen.psnr
    save_prior(path, {k.removeprefix("network."): v for k, v in state.items()}, network, facts)
