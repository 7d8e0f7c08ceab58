"""Spikes and noise of k-space: adding them, finding them, taking them out. Every function makes a new `KData`."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from napari_lossguide.data.checks import as_mask
from napari_lossguide.data.fourier import ifft2c
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import complex_noise
from napari_lossguide.data.radial import ring_numbers
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.types import InvalidInput

MEDIAN_OF_POWER = float(np.log(2))  # median of |n|^2 / E|n|^2 for complex Gaussian n
OBJECT = 0.1  # the object is where the magnitude exceeds this part of the largest
CORNER = 1.0  # beyond this part of the half range, counted as an ellipse, lie the corners
FEWEST = 64  # values that a noise level is measured from, at least
CENTRE_RINGS = 4  # too few points and too steep for a ring to say what is usual
NEAR = 2  # points to each side that count as neighbours
SPREAD_OF_MEDIAN = 1.4826  # standard deviation / median absolute deviation of a normal distribution


class Spike(NamedTuple):
    """An outlier of k-space.

    Attributes
    ----------
    slice, coil, y, x : indices of the point, from 0.
    score : how many robust standard deviations its log-magnitude lies above the median of its ring.
    """

    slice: int
    coil: int
    y: int
    x: int
    score: float


def add_spike(
    kdata: KData, point: tuple[int, int], strength: float, coil: int | None = None, slice_index: int | None = None
) -> KData:
    """Add a constant to one point of k-space: in the image, stripes across everything (herringbone).

    Parameters
    ----------
    kdata : the data; it stays as it is.
    point : (y, x) in steps from the centre of k-space.
    strength : of the spike, relative to the largest magnitude of that slice and coil.
    coil, slice_index : from 0; None: all of them.

    Raises
    ------
    InvalidInput
        If the point, coil or slice is not there, the point was not acquired, or the strength is not above 0.
    """
    ny, nx = kdata.image_shape
    y, x = ny // 2 + point[0], nx // 2 + point[1]
    if not (0 <= y < ny and 0 <= x < nx):
        raise InvalidInput(
            f"The point ({point[0]}, {point[1]}) is outside the k-space of {kdata.name}; accepted are "
            f"{-(ny // 2)} to {ny - 1 - ny // 2} along y and {-(nx // 2)} to {nx - 1 - nx // 2} along x."
        )
    if not kdata.acquired[y, x]:
        raise InvalidInput(f"The point ({point[0]}, {point[1]}) was not acquired in {kdata.name}; a spike needs one.")
    if not 0 < strength < np.inf:
        raise InvalidInput(f"The spike's strength is {strength}; accepted are finite numbers above 0.")
    slices, coils = _one(slice_index, kdata.n_slices, "Slice"), _one(coil, kdata.n_coils, "Coil")
    kspace = np.array(kdata.kspace)
    kspace[slices, coils, y, x] += strength * np.abs(kspace[slices, coils]).max(axis=(-2, -1))
    where = "every coil" if coil is None else f"coil {coil + 1}"
    note = f"spike of {strength:g} x the maximum added at ({point[0]}, {point[1]}) in {where}"
    return changed(kdata, kspace, "spike", note)


def find_spikes(kdata: KData, threshold: float = 4.0, neighbours: float = 3.0) -> list[Spike]:
    """Points that stand out from their ring and from their neighbours.

    In each slice and coil the log-magnitude of a point is compared with the acquired points of its ring and of the two
    rings beside it: z = (log m - median) / (1.4826 median |log m - median|). Edges of the object make bright lines in
    k-space, which stand out from their ring too; there the neighbours are bright as well, so a spike must also exceed
    the median of the acquired points around it (of 5 x 5, of its row, of its column) by a factor. The
    four innermost rings are left out.

    Parameters
    ----------
    kdata : the data
    threshold : z from which a point is an outlier
    neighbours : factor over the median of the neighbours

    Returns
    -------
    list of Spike
        The most outlying first.
    """
    rings = ring_numbers(kdata.image_shape, kdata.spacing)
    members = _ring_members(rings, kdata.acquired)
    found: list[Spike] = []
    for index, coils in enumerate(kdata.kspace):
        for coil, plane in enumerate(np.abs(coils)):
            scores = _ring_scores(plane, rings, members)
            for y, x in np.argwhere((scores >= threshold) & kdata.acquired):
                if plane[y, x] >= neighbours * _usual_around(plane, kdata.acquired, y, x):
                    found.append(Spike(index, coil, int(y), int(x), float(scores[y, x])))
    return sorted(found, key=lambda spike: -spike.score)


def drop_points(kdata: KData, points: np.ndarray) -> KData:
    """Count points as not acquired, in every slice and coil.

    Parameters
    ----------
    kdata : the data; it stays as it is.
    points : int (n, 2), indices (y, x).

    Raises
    ------
    InvalidInput
        If there is no point, one is outside, or nothing would be left.
    """
    points = np.asarray(points, int).reshape(-1, 2)
    if not len(points):
        raise InvalidInput("There is no point to take out.")
    if (points < 0).any() or (points >= kdata.image_shape).any():
        raise InvalidInput(f"A point to take out is outside the k-space, whose shape is {kdata.image_shape}.")
    acquired = kdata.acquired.copy()
    acquired[tuple(points.T)] = False
    if not acquired.any():
        raise InvalidInput(f"Nothing of {kdata.name} would be left.")
    number = len(np.unique(points, axis=0))
    note = f"{number} point{'s' * (number != 1)} set as not acquired"
    return replace(changed(kdata, kdata.kspace, "without spikes", note), acquired=acquired)


def add_noise(kdata: KData, noise_std: float, seed: int = 0) -> KData:
    """Add white circular complex Gaussian noise to every acquired point, those of the calibration included.

    Parameters
    ----------
    kdata : the data; it stays as it is. A noise level that it states is raised by what was added.
    noise_std : E|n|^2 = noise_std^2 per point and coil
    seed : of the noise

    Raises
    ------
    InvalidInput
        If the level is not a finite number above 0.
    """
    if not 0 < noise_std < np.inf:
        raise InvalidInput(f"The noise std is {noise_std}; accepted are finite numbers above 0.")
    size, block = kdata.kspace.size, kdata.calibration
    noise = complex_noise((size + (0 if block is None else block.size),), noise_std, seed)
    kspace = np.asarray(kdata.kspace) + noise[:size].reshape(kdata.kspace.shape) * kdata.acquired
    known = kdata.noise_std
    noisy = changed(kdata, kspace, "noise", f"white noise of std {noise_std:.4g} added (seed {seed})")
    total = None if known is None else float(np.hypot(known, noise_std))
    noisy_block = None if block is None else block + noise[size:].reshape(block.shape)
    return replace(noisy, noise_std=total, calibration=noisy_block)


def std_for_snr(kdata: KData, snr: float) -> float:
    """Noise std of k-space at which the mean of the object is `snr` times the noise of one pixel's real part.

    The object is where the magnitude of the true image, or without one of the root sum of squares of the coils,
    exceeds a tenth of its largest value.
    """
    if not 0 < snr < np.inf:
        raise InvalidInput(f"The signal-to-noise ratio is {snr}; accepted are finite numbers above 0.")
    image = np.asarray(kdata.coil_images() if kdata.reference is None else np.abs(kdata.reference))
    return float(np.sqrt(2) * image[image > OBJECT * image.max()].mean() / snr)


def noise_from_corners(kdata: KData) -> float:
    """Noise std from the acquired points of the four corners of k-space, outside the inscribed ellipse.

    E|n|^2 = noise_std^2, from the median of the squared magnitude, so that a few spikes do not matter. Where signal
    reaches the corners it is an upper bound.

    Raises
    ------
    InvalidInput
        If too little was acquired there.
    """
    y, x = ((np.arange(n) - n // 2) / (n / 2) for n in kdata.image_shape)
    corners = kdata.acquired & (np.hypot(y[:, None], x[None, :]) > CORNER)
    values = kdata.kspace[..., corners]
    if values.size < FEWEST:
        raise InvalidInput(
            f"Only {values.size} values of {kdata.name} were acquired in the corners of k-space; {FEWEST} are needed."
        )
    if np.count_nonzero(values) <= values.size // 2:
        raise InvalidInput(f"The corners of the k-space of {kdata.name} are zero: it was filled or filtered there.")
    return float(np.sqrt(np.median(np.abs(values) ** 2) / MEDIAN_OF_POWER))


def noise_from_region(kdata: KData, region: np.ndarray, slice_index: int = 0) -> float:
    """Noise std from a part of the image without signal: the root mean square of the coil images there.

    The transform keeps the level of white noise, so it is that of k-space, E|n|^2 = noise_std^2.

    Parameters
    ----------
    kdata : fully sampled; otherwise aliasing fills the background.
    region : bool (ny, nx)
    slice_index : from 0

    Raises
    ------
    InvalidInput
        If the data are undersampled, or the region is small or of another size.
    """
    inside = as_mask(region, kdata.image_shape, "The noise region")
    if not kdata.fully_sampled:
        raise InvalidInput(
            f"{kdata.name} is undersampled, so aliasing fills the background of its image; measure the noise in the "
            "corners of k-space."
        )
    values = ifft2c(kdata.select(slice_index).kspace[0])[:, inside]
    if values.size < FEWEST:
        raise InvalidInput(f"The noise region gives only {values.size} values; at least {FEWEST} are needed.")
    return float(np.sqrt(np.mean(np.abs(values.astype(np.complex128)) ** 2)))


def with_noise_std(kdata: KData, noise_std: float, how: str) -> KData:
    """The same data, which now state their noise level.

    Parameters
    ----------
    kdata : the data; it stays as it is.
    noise_std : E|n|^2 = noise_std^2 per point and coil
    how : where the level comes from, for `source`
    """
    stated = changed(kdata, kdata.kspace, "noise known", f"noise std {noise_std:.4g} {how}")
    return replace(stated, noise_std=float(noise_std))


def changed(kdata: KData, kspace: np.ndarray | SliceWise, what: str, note: str) -> KData:
    """The data with other k-space; name and source say what was done. Nobody can get them again but from a file."""
    source = f"{kdata.source}; {note}" if kdata.source else note
    return replace(kdata, kspace=kspace, name=f"{kdata.name} + {what}", source=source, origin=None)


def _one(index: int | None, count: int, what: str) -> slice:
    if index is None:
        return slice(None)
    if not 0 <= index < count:
        raise InvalidInput(f"{what} {index} is not there; accepted are 0 to {count - 1}.")
    return slice(index, index + 1)


def _ring_members(rings: np.ndarray, acquired: np.ndarray) -> list[np.ndarray]:
    """Flat indices of the acquired points of each ring and the two beside it."""
    flat = rings.ravel()
    points = np.flatnonzero(acquired)
    order = points[np.argsort(flat[points], kind="stable")]
    edges = np.searchsorted(flat[order], np.arange(int(flat.max()) + 3))
    last = int(flat.max())
    return [order[edges[max(j - 1, 0)] : edges[min(j + 2, last + 2)]] for j in range(last + 1)]


def _ring_scores(plane: np.ndarray, rings: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    """Robust z of the log-magnitude within the ring; -inf in the centre and where a ring says nothing."""
    with np.errstate(divide="ignore"):
        logarithm = np.log(plane)
    scores = np.full(plane.shape, -np.inf)
    flat = logarithm.ravel()
    for number in range(CENTRE_RINGS, len(members)):
        usual = flat[members[number]]
        usual = usual[np.isfinite(usual)]
        if usual.size < FEWEST // 4:
            continue
        median = np.median(usual)
        spread = SPREAD_OF_MEDIAN * np.median(np.abs(usual - median))
        if spread > 0:
            here = rings == number
            scores[here] = (logarithm[here] - median) / spread
    return scores


def _usual_around(plane: np.ndarray, acquired: np.ndarray, y: int, x: int) -> float:
    """Largest median magnitude of the acquired points around one: of the block, the row and the column; 0 if none."""
    rows, columns = slice(max(y - NEAR, 0), y + NEAR + 1), slice(max(x - NEAR, 0), x + NEAR + 1)
    there, values = acquired[rows, columns].copy(), plane[rows, columns]
    here = y - rows.start, x - columns.start
    there[here] = False
    groups = (values[there], values[here[0]][there[here[0]]], values[:, here[1]][there[:, here[1]]])
    return max((float(np.median(group)) for group in groups if group.size), default=0.0)
