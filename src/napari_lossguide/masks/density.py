"""Masks of single points: a Gaussian density, a regular grid."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from napari_lossguide.masks.params import MaskParams, PointParams, budget, centre, weighted_choice


class GaussianPointParams(PointParams):
    """Points with a Gaussian density."""

    width: float = Field(
        0.2,
        ge=0.01,
        le=2,
        title="Width",
        description="Standard deviation of the density, as a fraction of each axis.",
    )


class GridParams(MaskParams):
    """A regular grid and a fully sampled centre."""

    ry: int = Field(2, ge=1, le=32, title="Every n-th row", description="Distance of the grid along y.")
    rx: int = Field(2, ge=1, le=32, title="Every n-th column", description="Distance of the grid along x.")
    center_fraction: float = Field(
        0.08,
        ge=0,
        le=1,
        title="Centre fraction",
        description="The fully sampled centre (calibration region), as a fraction of each axis.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Mask seed", description="Where the grid starts.")


def centre_block(shape: tuple[int, int], center_fraction: float) -> np.ndarray:
    """The calibration region: round(n center_fraction) of each axis; bool (ny, nx)."""
    ny, nx = shape
    block = np.zeros(shape, bool)
    block[centre(ny, round(ny * center_fraction)), centre(nx, round(nx * center_fraction))] = True
    return block


def gaussian_points(shape: tuple[int, int], params: GaussianPointParams) -> np.ndarray:
    """The centre, and points with a Gaussian density: exactly round(ny nx / acceleration) in all."""
    ny, nx = shape
    points = centre_block(shape, params.center_fraction)
    count = round(budget(points.size, int(points.sum()), params))
    y, x = (np.arange(ny) - ny // 2) / ny, (np.arange(nx) - nx // 2) / nx
    log_density = -0.5 * (y[:, None] ** 2 + x[None, :] ** 2) / params.width**2
    log_density[points] = -np.inf
    points.ravel()[weighted_choice(log_density, count, np.random.default_rng(params.seed))] = True
    return points


def grid(shape: tuple[int, int], params: GridParams) -> np.ndarray:
    """Every ry-th row of every rx-th column, as SENSE and GRAPPA sample, and the centre."""
    points = centre_block(shape, params.center_fraction)
    rng = np.random.default_rng(params.seed)
    # The grid must hold a point even where the image is smaller than the distance.
    first_y, first_x = rng.integers(min(params.ry, shape[0])), rng.integers(min(params.rx, shape[1]))
    points[first_y :: params.ry, first_x :: params.rx] = True
    return points


def full(shape: tuple[int, int], params: MaskParams) -> np.ndarray:  # noqa: ARG001
    """Every point."""
    return np.ones(shape, bool)
