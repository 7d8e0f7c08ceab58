"""What the point-spread function says of a mask."""

from __future__ import annotations

import numpy as np

from napari_lossguide.masks.registry import point_spread


def peak_sidelobe(mask: np.ndarray) -> float:
    """Largest sidelobe of the point-spread function, in dB below its peak.

    The main lobe is left out: a box about the peak that reaches, on each axis, to the first minimum of the profile
    through the peak. Without the box a mask with a dense centre would be judged by the width of its main lobe.

    Parameters
    ----------
    mask : bool (ny, nx), not empty

    Returns
    -------
    float
        -inf without any sidelobe (a fully sampled k-space).
    """
    spread = point_spread(mask).astype(np.float64)
    ny, nx = spread.shape
    y, x = ny // 2, nx // 2
    down, right = _first_minimum(spread[y:, x]), _first_minimum(spread[y, x:])
    spread[max(y - down, 0) : y + down + 1, max(x - right, 0) : x + right + 1] = 0
    largest = float(spread.max(initial=0))
    return float(20 * np.log10(largest)) if largest > 1e-6 else -np.inf  # what rounding leaves is no sidelobe


def _first_minimum(profile: np.ndarray) -> int:
    """Index of the first local minimum of a profile that falls from its peak at 0."""
    rising = np.flatnonzero(np.diff(profile) >= 0)
    return int(rising[0]) if rising.size else len(profile) - 1
