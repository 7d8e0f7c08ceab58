"""From k-space to a ``Problem``: coil maps, noise level and scale, all from the measured data alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_lossguide.data.fourier import mirrored
from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.operators.coil_maps import espirit_maps
from napari_lossguide.operators.walsh import walsh_maps
from napari_lossguide.priors.domain import estimate_scale
from napari_lossguide.types import InvalidInput, Problem

if TYPE_CHECKING:
    from napari_lossguide.data.kdata import KData

RAYLEIGH_MEDIAN = np.log(2.0)  # median of |n|^2 / E|n|^2 for complex Gaussian n


def noise_from_symmetry(kspace: NDArray[np.complex64], mask: NDArray[np.bool_]) -> float | None:
    """Noise level of the k-space of a real image: y(k) - conj(y(-k)) is noise alone.

    Returns None when too few points are measured on both sides. E|n|^2 = noise_std^2.
    """
    both = mask & mirrored(mask)
    if both.sum() < 64:
        return None
    difference = (kspace - mirrored(kspace).conj())[:, both]
    return float(np.sqrt(np.median(np.abs(difference) ** 2) / RAYLEIGH_MEDIAN / 2))


def noise_from_periphery(kspace: NDArray[np.complex64], mask: NDArray[np.bool_]) -> float:
    """Noise level from the quietest ring of k-space: an upper bound, tight where the scan reaches into the noise.

    E|n|^2 = noise_std^2, from the median of |y|^2 over the acquired points of each ring outside half the range.
    """
    ny, nx = mask.shape
    y, x = np.mgrid[:ny, :nx]
    radius = np.hypot((y - ny // 2) / (ny / 2), (x - nx // 2) / (nx / 2))
    power = np.abs(kspace) ** 2
    levels = []
    for inner in np.arange(0.5, 1.4, 0.1):
        ring = mask & (radius >= inner) & (radius < inner + 0.1)
        if ring.sum() * len(kspace) >= 64:
            levels.append(np.median(power[:, ring]) / RAYLEIGH_MEDIAN)
    if not levels:
        levels = [np.median(power[:, mask]) / RAYLEIGH_MEDIAN]
    return float(np.sqrt(min(levels)))


def noise_from_scan(scan: NDArray[np.complexfloating]) -> float:
    """Noise level of a scan without excitation: sqrt(mean |n|^2), so that E|n|^2 = noise_std^2.

    Parameters
    ----------
    scan : complex k-space of noise alone, of any shape, from the receiver settings of the acquisition.

    Raises
    ------
    InvalidInput
        If it is not complex, is empty, holds NaN or infinity, or nothing but zeros.
    """
    values = np.asarray(scan)
    if values.dtype.kind != "c":
        raise InvalidInput(f"The noise scan has values of type {values.dtype}; accepted is complex k-space.")
    if values.size == 0:
        raise InvalidInput(f"The noise scan is empty: its shape is {values.shape}.")
    if not np.isfinite(values).all():
        raise InvalidInput("The noise scan contains NaN or infinity.")
    power = np.square(np.abs(values.astype(np.complex128)))
    level = float(np.sqrt(power.mean()))
    if level == 0:
        raise InvalidInput("The noise scan holds nothing but zeros.")
    return level


def estimate_noise_std(kspace: NDArray[np.complex64], mask: NDArray[np.bool_], *, real: bool) -> float:
    """Noise level of one slice, E|n|^2 = noise_std^2.

    Parameters
    ----------
    kspace : complex64 (coil, ny, nx).
    mask : bool (ny, nx), acquired points.
    real : the image is known to be real; with one coil without a phase its symmetry then shows the noise exactly.
    """
    if real and len(kspace) == 1:
        level = noise_from_symmetry(kspace, mask)
        if level is not None:
            return level
    return noise_from_periphery(kspace, mask)


def coil_maps(
    kdata: KData, index: int, calibration: int, estimator: Literal["espirit", "walsh"] = "espirit"
) -> NDArray[np.complex64]:
    """Maps of one slice (coil, ny, nx): ones for one coil, for several estimated.

    From the calibration lines, where the data have some of their own, else from the acquired centre.

    Parameters
    ----------
    kdata : undersampled k-space.
    index : slice.
    calibration : side of the calibration square, at most.
    estimator : as `Recipe.coil_maps`.

    Raises
    ------
    InvalidInput
        If there is no such centre, or nothing in it.
    """
    kspace = kdata.kspace[index]
    if kdata.n_coils == 1:
        return np.ones_like(kspace)
    estimate = walsh_maps if estimator == "walsh" else espirit_maps
    return estimate(*calibration_data(kdata, index), width=calibration)


def calibration_data(kdata: KData, index: int) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """What maps of a slice are estimated from: complex64 (coil, ny, nx), and which of its points were measured."""
    if kdata.calibration is None:
        return kdata.kspace[index], kdata.acquired
    block = kdata.calibration[index]
    own = tuple(
        slice(n // 2 - c // 2, n // 2 - c // 2 + c) for n, c in zip(kdata.image_shape, block.shape[1:], strict=True)
    )
    kspace, mask = np.zeros_like(kdata.kspace[index]), np.zeros(kdata.image_shape, bool)
    kspace[:, *own] = block
    mask[own] = True
    return kspace, mask


def check_maps(maps: NDArray[np.complexfloating], kdata: KData) -> NDArray[np.complex64]:
    """Given maps as complex64 (slice, coil, ny, nx), with one as the largest root-sum-of-squares of a pixel.

    The norm of A is then at most one, and the zero-filled image has about the size of the true one. The image of a run
    belongs to these maps, which are in its result.

    Raises
    ------
    InvalidInput
        If the shape does not fit or a value is not finite.
    """
    try:
        m = np.asarray(maps, dtype=np.complex64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The coil maps are not numbers ({error}).") from error
    m = m[None] if m.ndim == 3 else m
    if m.ndim != 4 or m.shape[1:] != kdata.kspace.shape[1:] or m.shape[0] not in (1, kdata.n_slices):
        raise InvalidInput(
            f"The coil maps have shape {np.shape(maps)}; the k-space needs {kdata.kspace.shape} (or one slice of it)."
        )
    if not np.isfinite(m).all():
        raise InvalidInput("The coil maps contain NaN or infinity.")
    power = (np.abs(m) ** 2).sum(1).max()
    if not power > 0:
        raise InvalidInput("The coil maps are all zero.")
    return np.broadcast_to(m / math.sqrt(power), kdata.kspace.shape)


def make_problem(
    kdata: KData,
    index: int,
    maps: NDArray[np.complex64],
    *,
    real: bool,
    noise_std: float | None,
    device: torch.device,
    region: NDArray[np.bool_] | None = None,
) -> Problem:
    """The problem of one slice.

    Parameters
    ----------
    kdata : undersampled k-space.
    index : slice.
    maps : complex64 (coil, ny, nx).
    real : reconstruct a real image.
    noise_std : on the input's scale; None to estimate it from the measured points, also in a simulation that knows it.
    device : where to compute.
    region : bool (ny, nx) that a person drew.
    """
    kspace = kdata.kspace[index]
    A = CartesianSense(torch.tensor(kdata.acquired, device=device), torch.tensor(maps, device=device))
    y = torch.tensor(kspace, device=device)[None] * A.mask
    if noise_std is None:
        noise_std = estimate_noise_std(kspace, kdata.acquired, real=real)
    scale = estimate_scale(A.adjoint(y)[0])
    n = int(kdata.acquired.sum()) * kdata.n_coils
    drawn = None if region is None else torch.tensor(region, device=device)
    return Problem(y / scale, A, noise_std / scale, scale, real, n, drawn)


def data_residual(problem: Problem, image: Tensor) -> tuple[float, float]:
    """(|A x - y| / (noise_std sqrt(m)), |A x - y|^2 / |y|^2) of one image (1, ny, nx)."""
    # of the real view: torch's norm of complex numbers takes twenty times as long
    difference = torch.view_as_real(problem.A.forward(image) - problem.y)
    error = float(torch.linalg.vector_norm(difference))
    size = float(torch.linalg.vector_norm(torch.view_as_real(problem.y)))
    expected = problem.noise_std * math.sqrt(problem.n_measured)
    return (error / expected if expected > 0 else math.nan), (error / size) ** 2
