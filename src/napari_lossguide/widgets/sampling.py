"""What can be said of a sampling mask, and how strokes become lines."""

import numpy as np

from napari_lossguide.data.kdata import KData
from napari_lossguide.masks import achieved_acceleration


def describe_sampling(mask: np.ndarray, kdata: KData) -> str:
    """Achieved acceleration of a mask (ny, nx) in words; with the points the data lack anyway, if there are any."""
    text = f"Acceleration {achieved_acceleration(mask):.2f}: {_counted(mask)} acquired ({mask.mean():.1%})."
    if kdata.fully_sampled:
        return text
    both = mask & kdata.acquired
    if not both.any():
        return f"{text} None of them was acquired in {kdata.name}."
    return f"{text} Together with the points that {kdata.name} lacks anyway: {achieved_acceleration(both):.2f}."


def complete_lines(before: np.ndarray, after: np.ndarray, axis: str) -> np.ndarray:
    """Extend what was drawn to whole lines.

    Parameters
    ----------
    before, after : bool (ny, nx), the mask before and after a stroke.
    axis : ``"x"``: the lines are columns; ``"y"``: rows.

    Returns
    -------
    bool (ny, nx)
        `before` with every line that was touched acquired or left out as a whole, as most of the touched points are.
    """
    along = 0 if axis == "x" else 1
    added, removed = (after & ~before).sum(axis=along), (before & ~after).sum(axis=along)
    lines = added >= removed
    touched = (added > 0) | (removed > 0)
    filled = np.broadcast_to(np.expand_dims(lines, along), after.shape)
    return np.where(np.expand_dims(touched, along), filled, before)


def _counted(mask: np.ndarray) -> str:
    if (mask == mask[:1]).all():
        return f"{mask[0].sum()} of {mask.shape[1]} columns"
    if (mask == mask[:, :1]).all():
        return f"{mask[:, 0].sum()} of {mask.shape[0]} rows"
    return f"{mask.sum()} of {mask.size} points"
