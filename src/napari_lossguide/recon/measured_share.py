"""Where in k-space posterior samples differ: hardly at all where it was measured. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_lossguide.data.fourier import fft2c, mirrored
from napari_lossguide.recon.uncertainty import as_samples
from napari_lossguide.types import InvalidInput


@dataclass(frozen=True)
class MeasuredShare:
    """Where in k-space samples differ; see ``measured_share``.

    Attributes
    ----------
    share : power of the deviations inside the measured points over their whole power; nan if samples do not differ.
    fraction : measured points over all points.
    """

    share: float
    fraction: float

    @property
    def per_fraction(self) -> float:
        """Share over fraction: 0 where the data are kept exactly, 1 for deviations that know nothing of the data."""
        return self.share / self.fraction


def measured_share(samples: ArrayLike, mask: ArrayLike, maps: ArrayLike | None = None) -> MeasuredShare:
    """How much of the samples' deviations from their mean lies in the measured points of k-space.

    The data leave nothing to guess there but their noise, so the share is small for samples of a posterior. The k-space
    of real coil images is symmetric: the mirror of a measured point then counts as measured.

    Parameters
    ----------
    samples : complex or real.
    mask : bool (ny, nx).
    maps : complex (slice, coil, ny, nx) or (coil, ny, nx); one coil of ones when absent.

    Raises
    ------
    InvalidInput
        As ``as_samples``, and if mask or maps have another shape.
    """
    drawn, points = as_samples(samples), np.asarray(mask) != 0
    there = ~np.isnan(drawn).all(axis=(1, 2, 3))
    coils = np.ones((1, 1, 1, 1)) if maps is None else np.asarray(maps)
    coils = coils[None] if coils.ndim == 3 else coils
    if points.shape != drawn.shape[-2:] or (maps is not None and coils.shape[-2:] != drawn.shape[-2:]):
        raise InvalidInput(f"Mask and maps do not fit the samples, whose images have shape {drawn.shape[-2:]}.")
    inside, total, real = (
        0.0,
        0.0,
        not (np.iscomplexobj(drawn) and drawn[there].imag.any()) and not np.imag(coils).any(),
    )
    known = points | mirrored(points) if real else points
    coils = np.broadcast_to(coils, (len(drawn), *coils.shape[1:]))
    for own, map_ in zip(drawn[there], coils[there], strict=True):
        for deviation in own - own.mean(axis=0):  # one after another: the coil images of all would not fit
            power = np.abs(fft2c(map_ * deviation)) ** 2
            inside, total = inside + float(power[:, known].sum()), total + float(power.sum())
    return MeasuredShare(inside / total if total else math.nan, float(known.mean()))
