"""What a sweep will cost, counted and guessed before it runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.methods import PARTS, method
from napari_lossguide.recon.recipe import Recipe


def image_evaluations(recipe: Recipe, kdata: KData) -> int:
    """How many images go through the network: evaluations of a sample, times samples and slices; 0 without a prior."""
    chosen = method(recipe.method)
    each = chosen.evaluations({part: getattr(recipe, part) for part in PARTS})
    return each * (recipe.samples if chosen.needs_prior else 1) * kdata.n_slices


def pace(runs: Iterable[tuple[Recipe, KData, float]]) -> float:
    """Seconds that the network takes for a pixel, from runs that were made; nan if there are none with a network.

    It is the runs' median: the first one may have estimated coil maps for all.

    Parameters
    ----------
    runs : recipe, scan and seconds of each.
    """
    counted = [(image_evaluations(recipe, kdata) * math.prod(kdata.image_shape), took) for recipe, kdata, took in runs]
    paces = [took / pixels for pixels, took in counted if pixels]
    return statistics.median(paces) if paces else math.nan


def duration(recipes: Iterable[Recipe], kdata: KData, per_pixel: float) -> float:
    """Seconds that recipes will take at a pace; what classical methods take is left out."""
    evaluations = sum(image_evaluations(recipe, kdata) for recipe in recipes)
    return evaluations * math.prod(kdata.image_shape) * per_pixel
