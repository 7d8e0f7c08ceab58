"""Means over rings of k-space: how a quantity falls off with the spatial frequency."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_lossguide.types import InvalidInput

FLOOR_DB = -120.0


class Rings(NamedTuple):
    """Means over rings.

    Attributes
    ----------
    radii : (ring,), middle of each ring in 1/mm, from 0.
    means : (..., ring), mean over the ring's points; NaN where none is chosen.
    counts : (ring,), chosen points of each ring.
    """

    radii: np.ndarray
    means: np.ndarray
    counts: np.ndarray


def frequency_radius(shape: tuple[int, int], spacing: tuple[float, ...]) -> np.ndarray:
    """Distance of every point of centred k-space from its centre, in 1/mm.

    Parameters
    ----------
    shape : (ny, nx)
    spacing : pixel size (..., y, x) of the image in mm

    Returns
    -------
    float64 (ny, nx)
    """
    y, x = ((np.arange(n) - n // 2) / (n * mm) for n, mm in zip(shape, spacing[-2:], strict=True))
    return np.hypot(y[:, None], x[None, :])


def ring_width(shape: tuple[int, int], spacing: tuple[float, ...]) -> float:
    """The larger of the two steps of k-space, 1 / (n mm), in 1/mm: no ring is empty inside the inscribed circle."""
    return float(max(1 / (n * mm) for n, mm in zip(shape, spacing[-2:], strict=True)))


def ring_numbers(shape: tuple[int, int], spacing: tuple[float, ...]) -> np.ndarray:
    """Which ring each point lies in, int (ny, nx); ring j reaches from j - 1/2 to j + 1/2 widths."""
    return np.floor(frequency_radius(shape, spacing) / ring_width(shape, spacing) + 0.5).astype(int)


def ring_means(values: np.ndarray, spacing: tuple[float, ...], chosen: np.ndarray | None = None) -> Rings:
    """Mean over the rings of centred k-space.

    Parameters
    ----------
    values : real (..., ny, nx), such as the squared magnitude
    spacing : pixel size (..., y, x) of the image in mm
    chosen : bool (ny, nx), the points that count; None: all

    Raises
    ------
    InvalidInput
        If the shapes do not fit, or nothing is chosen.
    """
    values = np.asarray(values, np.float64)
    if values.ndim < 2:
        raise InvalidInput(f"The k-space has shape {values.shape}; rings need at least (ny, nx).")
    shape = (int(values.shape[-2]), int(values.shape[-1]))
    where = np.ones(shape, bool) if chosen is None else np.asarray(chosen) != 0
    if where.shape != shape:
        raise InvalidInput(f"The chosen points have shape {where.shape}, but the k-space has {shape}.")
    if not where.any():
        raise InvalidInput("None of the points of k-space is chosen; there is nothing to average.")
    rings = ring_numbers(shape, spacing)
    number, inside = int(rings.max()) + 1, rings[where]
    counts = np.bincount(inside, minlength=number)
    rows = values[..., where].reshape(-1, inside.size)
    sums = np.stack([np.bincount(inside, weights=row, minlength=number) for row in rows])
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (sums / counts).reshape(*values.shape[:-2], number)
    return Rings(np.arange(number) * ring_width(shape, spacing), means, counts)


class EnergyProfile(NamedTuple):
    """Energy of k-space against its radius.

    Attributes
    ----------
    radii : (ring,) in 1/mm.
    before, after : (ring,) in dB relative to the largest ring of `before`; NaN where nothing was acquired or is kept.
    noise : level of the noise in the same dB; NaN if it is not known.
    """

    radii: np.ndarray
    before: np.ndarray
    after: np.ndarray
    noise: float


def energy_profile(
    kspace: np.ndarray,
    acquired: np.ndarray,
    spacing: tuple[float, ...],
    mask: np.ndarray | None = None,
    noise_std: float | None = None,
) -> EnergyProfile:
    """Mean |k|^2 of each ring, summed over coils, before and after a mask.

    Before, the mean runs over the acquired points, which makes it the spectrum of the object. After, it runs over all
    points of the ring, of which the skipped ones are zero: the curve falls by 10 log10 of the part that is kept.

    Parameters
    ----------
    kspace : complex (coil, ny, nx)
    acquired : bool (ny, nx)
    spacing : (..., y, x) in mm
    mask : bool (ny, nx); None keeps all that was acquired
    noise_std : E|n|^2 = noise_std^2 per point and coil
    """
    power = (np.abs(kspace).astype(np.float64) ** 2).sum(axis=0)
    before = ring_means(power, spacing, acquired)
    kept = acquired if mask is None else acquired & mask
    after = ring_means(power * kept, spacing)
    left = np.where(ring_means(kept, spacing).means > 0, after.means, np.nan)
    largest = float(np.nanmax(before.means))
    noise = np.nan if not noise_std else float(_level(np.array([len(kspace) * noise_std**2]), largest)[0])
    return EnergyProfile(before.radii, _level(before.means, largest), _level(left, largest), noise)


def _level(power: np.ndarray, largest: float) -> np.ndarray:
    """Power in dB; zero lies on the floor, NaN stays."""
    least = 10 ** (FLOOR_DB / 10)
    relative = power / largest if largest > 0 else np.where(np.isnan(power), np.nan, 0.0)
    out: np.ndarray = 10 * np.log10(np.maximum(relative, least))
    return out
