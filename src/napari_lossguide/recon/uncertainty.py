"""What posterior samples say of their own error: spread, intervals, and whether a reference lies in them.

Everything here is about the *magnitude* of the image, as the figures of merit are; ``Result.std`` is the standard
deviation of the complex value instead. Samples are (slice, P, ny, nx), or (P, ny, nx) of one slice. NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from napari_lossguide.recon.recipe import Recipe

LEVELS = (0.5, 0.9)
"""Nominal levels of the intervals that are reported."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of the magnitude that a result file holds."""
FOREGROUND = 0.1
"""Pixels above this part of the reference's 99th percentile are compared: air is easy, and would flatter."""

WINDOW = 2.0
"""Pixels (of a Gaussian window) over which the local error is the root of the mean square."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of the magnitude of samples.

    Attributes
    ----------
    mean : (slice, ny, nx), of |x|; not the magnitude of the complex mean.
    std : (slice, ny, nx), of |x|, with P - 1 in the denominator.
    count : P.
    """

    mean: Floats
    std: Floats
    count: int

    def half_widths(self, levels: Sequence[float] = LEVELS) -> dict[float, Floats]:
        """Half the width of the nominal interval around the mean, by level.

        The interval is that of one more draw: t(level, P - 1) sqrt(1 + 1/P) std. If the truth were one more draw of the
        same Gaussian, it would lie inside with exactly this probability, however few the samples are.
        """
        from scipy.special import stdtrit

        few = math.sqrt(1 + 1 / self.count)
        return {q: float(stdtrit(self.count - 1, 0.5 + q / 2)) * few * self.std for q in levels}


@dataclass(frozen=True)
class Coverage:
    """How intervals fit a reference in its foreground; see ``coverage``.

    Attributes
    ----------
    covered : part of the foreground's pixels whose reference lies in the interval, by nominal level.
    by_slice : the same of each slice, least and greatest.
    width : mean full width of the interval over the 99th percentile of the reference, by level: of two intervals with
        the same coverage the narrower one says more.
    correlation : Pearson's, of |error| with the standard deviation over the foreground, mean over slices; nan if one of
        them is constant. One pixel's error is one draw of its law, so that even the samples of an exact posterior stay
        far below 1: compare with ``attainable``.
    local : the same of the root mean square of both within windows of ``WINDOW`` pixels: does the map know *where* it
        is wrong?
    pixels : in the foreground.
    """

    covered: dict[float, float]
    by_slice: dict[float, tuple[float, float]]
    width: dict[float, float]
    correlation: float
    local: float
    pixels: int


def as_samples(samples: ArrayLike) -> NDArray[Any]:
    """Samples as (slice, P, ny, nx). Slices that are NaN as a whole, which failed, may be among them.

    Raises
    ------
    InvalidInput
        If the shape is another one, there is only one sample, or another value is not finite.
    """
    array = np.asarray(samples)
    array = array[None] if array.ndim == 3 else array
    if array.ndim != 4 or array.size == 0 or array.dtype.kind not in "fc":
        raise InvalidInput(
            f"The samples have shape {np.shape(samples)}; accepted are (P, ny, nx) and (slice, P, ny, nx)."
        )
    if array.shape[1] < 2:
        raise InvalidInput("There is one sample only; a spread needs at least two (--samples 8).")
    there = ~np.isnan(array).all(axis=(1, 2, 3))
    if not there.any() or not np.isfinite(array[there]).all():
        raise InvalidInput("The samples hold NaN or infinity.")
    return array


def spread(samples: ArrayLike) -> Spread:
    """Mean and standard deviation of the magnitude.

    Raises
    ------
    InvalidInput
        As ``as_samples``.
    """
    size = np.abs(as_samples(samples)).astype(np.float64, copy=False)
    return Spread(size.mean(axis=1), size.std(axis=1, ddof=1), size.shape[1])


def quantiles(samples: ArrayLike, at: Sequence[float] = QUANTILES) -> NDArray[np.float32]:
    """Quantiles of the magnitude, float32 (slice, quantile, ny, nx); NaN for a slice that failed.

    Samples of zeros, those that a cancelled run did not reach, are left out.

    Raises
    ------
    InvalidInput
        As ``as_samples``.
    """
    return np.stack([np.quantile(np.abs(_reached(s)), at, axis=0) for s in as_samples(samples)]).astype(np.float32)


def foreground(reference: ArrayLike, fraction: float = FOREGROUND) -> NDArray[np.bool_]:
    """Pixels whose magnitude is above ``fraction`` of the 99th percentile of the whole reference."""
    size = np.abs(np.asarray(reference))
    return np.asarray(size > fraction * np.percentile(size, 99))


def coverage(
    drawn: Spread,
    reference: ArrayLike,
    half_widths: Mapping[float, Floats] | None = None,
    *,
    std: Floats | None = None,
    fraction: float = FOREGROUND,
) -> Coverage:
    """How often the true magnitude lies in the intervals around the mean, over the foreground.

    Parameters
    ----------
    drawn : of the samples.
    reference : true image, (slice, ny, nx) or (ny, nx), on the samples' scale.
    half_widths : of other intervals than the nominal ones, by level (of a calibration).
    std : what |error| is correlated with, instead of the samples' own.
    fraction : see ``foreground``.

    Raises
    ------
    InvalidInput
        If the shapes differ or the reference is zero everywhere.
    """
    truth, inside = compared(drawn, reference, fraction)
    widths = drawn.half_widths() if half_widths is None else half_widths
    error, map_ = np.abs(drawn.mean - truth), drawn.std if std is None else std
    bright, hits = float(np.percentile(truth, 99)), {q: error <= w for q, w in widths.items()}
    each = {q: [float(h[k][m].mean()) for k, m in enumerate(inside) if m.any()] for q, h in hits.items()}
    return Coverage(
        {q: float(h[inside].mean()) for q, h in hits.items()},
        {q: (min(values), max(values)) for q, values in each.items()},
        {q: float(2 * w[inside].mean() / bright) for q, w in widths.items()},
        _mean_correlation(error, map_, inside),
        _mean_correlation(smoothed(error, WINDOW), smoothed(map_, WINDOW), inside),
        int(inside.sum()),
    )


def attainable(samples: ArrayLike, *, fraction: float = FOREGROUND) -> tuple[float, float]:
    """The ``correlation`` and ``local`` that there would be if the truth were one more sample.

    Each sample in turn is taken for the truth, and the others for the samples. What an exact posterior attains: more
    cannot be asked of so many samples of so uncertain an image.

    Raises
    ------
    InvalidInput
        As ``as_samples``; and if there are two samples only.
    """
    drawn = as_samples(samples)
    if drawn.shape[1] < 3:
        raise InvalidInput("There are two samples only; one of them in the truth's place leaves no spread.")
    found = [
        coverage(spread(np.delete(drawn, p, axis=1)), drawn[:, p], fraction=fraction) for p in range(drawn.shape[1])
    ]
    return float(np.mean([c.correlation for c in found])), float(np.mean([c.local for c in found]))


def smoothed(deviation: Floats, pixels: float) -> Floats:
    """Root mean square within a Gaussian window of so many pixels, slice by slice; 0: as it is."""
    if pixels == 0:
        return deviation
    from scipy.ndimage import gaussian_filter

    return np.sqrt(np.asarray(gaussian_filter(deviation**2, (0, pixels, pixels), mode="nearest")))


def compared(drawn: Spread, reference: ArrayLike, fraction: float = FOREGROUND) -> tuple[Floats, NDArray[np.bool_]]:
    """The reference's magnitude (slice, ny, nx) and its foreground, without slices that failed, checked.

    Raises
    ------
    InvalidInput
        If the shapes differ, a value is not finite, or the reference is zero everywhere.
    """
    truth = np.abs(np.asarray(reference)).astype(np.float64)
    truth = truth[None] if truth.ndim == 2 else truth
    if truth.shape != drawn.mean.shape:
        raise InvalidInput(f"The reference has shape {truth.shape}, but the samples have {drawn.mean.shape}.")
    if not np.isfinite(truth).all():
        raise InvalidInput("The reference holds NaN or infinity; every value must be finite.")
    inside = foreground(truth, fraction)
    if not inside.any():
        raise InvalidInput("The reference is zero everywhere; nothing can be compared with it.")
    return truth, inside & ~np.isnan(drawn.mean)


def spread_note(recipe: Recipe) -> str:
    """Why the spread of a recipe's samples says little; empty if nothing is known against it."""
    if recipe.sampler.get("average_below", 0) > 0:
        return (
            f"'{recipe.method}' averages its noise away and draws nearly the same image each time: the spread is far "
            "smaller than the error. Choose 'posterior-draw' for uncertainty."
        )
    return ""


def _reached(samples: NDArray[Any]) -> NDArray[Any]:
    there = samples.any(axis=(1, 2))
    return samples[there] if there.any() else samples[:1]


def _mean_correlation(error: Floats, std: Floats, inside: NDArray[np.bool_]) -> float:
    """Pearson's correlation within the foreground, mean over the slices where neither is constant."""
    pairs = [(e[m], s[m]) for e, s, m in zip(error, std, inside, strict=True)]
    found = [float(np.corrcoef(a, b)[0, 1]) for a, b in pairs if a.size and np.ptp(a) > 0 and np.ptp(b) > 0]
    return float(np.mean(found)) if found else math.nan
