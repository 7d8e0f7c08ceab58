"""Settings of a simulated acquisition, and the simulation itself."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.phantoms import simulate, smooth_phase
from napari_lossguide.widgets.pixels import Pixels

OBJECT = 0.1  # the object is where the magnitude exceeds this part of the largest


class SimulationParams(BaseModel):
    """How k-space is made from an image. The defaults are the plain Fourier transform."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_coils: int = Field(
        1, ge=1, le=64, title="Coils", description="Number of simulated receive coils on a ring; 1 sees evenly."
    )
    phase: float = Field(
        0.0,
        ge=0,
        le=3.1416,
        title="Phase",
        description="Largest magnitude of a smooth random phase; 0 keeps the image real.",
        json_schema_extra={"unit": "rad", "step": 0.1},
    )
    noise: Literal["none", "snr", "std"] = Field(
        "none",
        title="Noise",
        description="How much complex white noise is added to every point of k-space.",
        json_schema_extra={"titles": {"none": "none", "snr": "signal-to-noise ratio", "std": "standard deviation"}},
    )
    snr: float = Field(
        30.0,
        ge=0.1,
        le=1e6,
        title="SNR",
        description="Mean of the object / standard deviation of the noise in the real part of one pixel.",
        json_schema_extra={"step": 5.0},
    )
    noise_std: float = Field(
        0.01,
        ge=0,
        title="Noise std",
        description="Root mean square magnitude of the noise of one k-space point, in the image's units.",
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, title="Seed", description="Of phase and noise: the same seed, the same data."
    )


def noise_level(images: np.ndarray, params: SimulationParams) -> float:
    """Noise std of k-space, E|n|^2 = std^2, for images (slice, ny, nx) under the chosen settings."""
    if params.noise == "none":
        return 0.0
    if params.noise == "std":
        return params.noise_std
    magnitude = np.nan_to_num(np.abs(images))  # slices that are missing are NaN
    inside = magnitude[magnitude > OBJECT * magnitude.max(initial=0)]
    return math.sqrt(2) * float(inside.mean()) / params.snr if inside.size else 0.0


def simulate_pixels(pixels: Pixels, params: SimulationParams, name: str) -> KData:
    """Fully sampled k-space of a stack of slices.

    Raises
    ------
    InvalidInput
        If the pixels are not finite, or zero everywhere.
    """
    slices, *shape = pixels.data.shape
    ny, nx = shape
    phases = [smooth_phase((ny, nx), params.seed + index, params.phase) for index in range(slices)]
    kdata = simulate(
        pixels.data,
        n_coils=params.n_coils,
        noise_std=noise_level(pixels.data, params),
        phase=np.stack(phases) if params.phase else None,
        seed=params.seed,
        spacing=pixels.spacing,
        name=name,
        source=f"made from the image “{name}”",
    )
    origin = Origin("image", name, params.model_dump())
    return replace(kdata, affine=pixels.affine, corner=pixels.corner, origin=origin)
