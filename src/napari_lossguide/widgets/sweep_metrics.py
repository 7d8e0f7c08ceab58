"""What a sweep says of its cells: cost, figures, the best one, grey values. Functions without widgets."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.axes import Grid
from napari_lossguide.recon.cells import Cell
from napari_lossguide.recon.cost import duration, image_evaluations
from napari_lossguide.recon.knobs import short_name
from napari_lossguide.widgets.metrics_table import COLUMNS, HELP
from napari_lossguide.widgets.run_panel import clock

# name -> (title, format, larger is better; None: neither, help)
METRICS: dict[str, tuple[str, str, bool | None, str]] = {
    "psnr": ("PSNR", "{:.2f} dB", True, HELP["psnr"]),
    "ssim": ("SSIM", COLUMNS["ssim"][1], True, HELP["ssim"]),
    "nmse": ("NMSE", COLUMNS["nmse"][1], False, HELP["nmse"]),
    "residual": ("Residual", COLUMNS["residual"][1], None, HELP["residual"]),
    "seconds": (
        "Time",
        "{:.1f} s",
        False,
        "Seconds of the cell. Coil maps are estimated once for each mask and count in the first cell.",
    ),
}
ON_A_CPU = 0.1 / 128**2  # seconds for a pixel: a guess as long as nothing has run here
WITHOUT_REFERENCE = ("residual", "seconds")


def offered(has_reference: bool) -> list[str]:
    """The metrics that can be known."""
    return list(METRICS) if has_reference else list(WITHOUT_REFERENCE)


def figure_text(cell: Cell, metric: str) -> str:
    """A cell's figure; a dash where it is not a number."""
    value = cell.numbers.get(metric, math.nan)
    return "–" if math.isnan(value) else METRICS[metric][1].format(value)


def best_place(cells: Iterable[Cell], metric: str) -> tuple[int, int] | None:
    """Where the best figure is, the first of equal ones; None if nothing is better or worse, or one stands alone."""
    larger = METRICS[metric][2]
    known = [(c.numbers[metric], c.place) for c in cells if not math.isnan(c.numbers.get(metric, math.nan))]
    if larger is None or len(known) < 2:
        return None
    values = [value for value, _ in known]
    return known[values.index(max(values) if larger else min(values))][1]


def all_figures(cell: Cell) -> str:
    """Every figure of a cell, a line each."""
    known = [name for name in METRICS if not math.isnan(cell.numbers.get(name, math.nan))]
    lines = [f"{METRICS[name][0]}: {figure_text(cell, name)}" for name in known]
    return "\n".join([*lines, f"Network evaluations: {cell.numbers.get('nfe', 0):.0f}"])


def settings_text(settings: Mapping[str, object]) -> str:
    """Values of a cell in one line, without the parts that they belong to: "gamma 0.5, seed 2"."""
    return ", ".join(f"{short_name(n)} {f'{v:.6g}' if isinstance(v, float) else v}" for n, v in settings.items())


def grey(image: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Magnitude of an image (ny, nx) between black and white, uint8."""
    low, high = limits
    part = (np.abs(image).astype(np.float32) - low) / max(high - low, np.finfo(np.float32).tiny)
    return (np.nan_to_num(part).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def cost_text(cells: Grid, kdata: KData, per_pixel: float) -> str:
    """Cells, evaluations and a guess of the time."""
    recipes = [recipe for row in cells.recipes for recipe in row]
    evaluations = sum(image_evaluations(recipe, kdata) for recipe in recipes)
    text = f"{len(recipes)} cell{'s' * (len(recipes) != 1)}"
    if not evaluations:
        return f"{text}, no network evaluations."
    known = not math.isnan(per_pixel)
    seconds = duration(recipes, kdata, per_pixel if known else ON_A_CPU)
    guess = f"≈ {clock(max(seconds, 1))}" if known else f"roughly {clock(max(seconds, 1))} on a CPU"
    return f"{text}, {evaluations} network evaluation{'s' * (evaluations != 1)}, {guess}."
