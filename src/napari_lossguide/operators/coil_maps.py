"""Coil sensitivities from the calibration lines of the undersampled data; those of `walsh` are faster, not as exact.

ESPIRiT: Uecker et al. 2014, Magn Reson Med 71:990; computed by SigPy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.types import InvalidInput

KERNEL = 6  # k-space points a side of ESPIRiT's kernel, at most
LEAST_CALIBRATION = 8  # points a side: a kernel of 3 needs a few positions to slide to


def calibration_width(mask: NDArray[np.bool_]) -> int:
    """Side of the largest centred square of k-space that is fully acquired, in points.

    Parameters
    ----------
    mask : bool (ny, nx), acquired points.
    """
    ny, nx = mask.shape
    cy, cx = ny // 2, nx // 2
    width = 0
    for w in range(1, min(ny, nx) + 1):
        if not mask[cy - w // 2 : cy - w // 2 + w, cx - w // 2 : cx - w // 2 + w].all():
            break
        width = w
    return width


def kernel_width(width: int) -> int:
    """Side of ESPIRiT's kernel for a calibration square of a given side.

    Less than half of it: with few positions to slide to, a larger kernel fits the noise. (10 points, 8 coils, 128 x 128
    phantom: 33 % of the coil images lie outside the maps of a kernel of 6, 2.5 % outside those of a kernel of 4.)
    """
    return min(KERNEL, width // 2 - 1)


def calibration_square(
    kspace: NDArray[np.complex64], mask: NDArray[np.bool_], width: int
) -> tuple[int, int, int, NDArray[np.bool_]]:
    """The square of k-space that maps are estimated from.

    Parameters
    ----------
    kspace : complex64 (coil, ny, nx), zero outside the mask.
    mask : bool (ny, nx).
    width : its side, at most.

    Returns
    -------
    top, left, width, bool (coil,)
        Its first row and column, its side, and which coils have signal in it.

    Raises
    ------
    InvalidInput
        If the fully acquired centre is too small or holds no signal.
    """
    available = calibration_width(mask)
    if available < LEAST_CALIBRATION:
        raise InvalidInput(
            "There are no calibration lines to estimate coil maps from: "
            f"the fully acquired centre of k-space is {available} points wide, "
            f"{LEAST_CALIBRATION} are needed; use a larger center_fraction or give the maps."
        )
    width = min(width, available)
    top, left = (n // 2 - width // 2 for n in mask.shape)
    alive = np.asarray(kspace[:, top : top + width, left : left + width].any(axis=(1, 2)))
    if not alive.any():
        raise InvalidInput(
            "The calibration lines hold no signal, so the coil maps are empty; check the k-space's centre."
        )
    return top, left, width, alive


def espirit_maps(
    kspace: NDArray[np.complex64], mask: NDArray[np.bool_], *, width: int = 24, crop: float = 0.8
) -> NDArray[np.complex64]:
    """ESPIRiT maps of one slice, normalised to sum_c |maps_c|^2 = 1 inside the object and 0 outside.

    Parameters
    ----------
    kspace : complex64 (coil, ny, nx), zero outside the mask.
    mask : bool (ny, nx).
    width : side of the calibration square used, at most.
    crop : the maps are zero where the largest eigenvalue is below this: no signal there.

    Raises
    ------
    InvalidInput
        If the fully acquired centre is too small or holds no signal.
    """
    _, _, width, alive = calibration_square(kspace, mask, width)
    from sigpy.mri.app import EspiritCalib

    # SigPy divides by the phase of the first coil, which must not be a dead one.
    maps = np.zeros(kspace.shape, np.complex64)
    maps[alive] = EspiritCalib(
        kspace[alive], calib_width=width, kernel_width=kernel_width(width), crop=crop, show_pbar=False
    ).run()
    if not np.isfinite(maps).all() or not maps.any():
        raise InvalidInput(
            "ESPIRiT finds no coil maps in the calibration lines (do they hold noise alone?); give the maps."
        )
    return maps
