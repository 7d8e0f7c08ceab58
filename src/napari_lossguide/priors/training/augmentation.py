"""Ranges of the random views that a prior is trained on; a table of the training's configuration, without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

Range = tuple[float, float]


class Augmentation(BaseModel):
    """Ranges of the random views. Lengths are in source pixels, angles in radians."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    size: int = Field(128, description="side of a view; in a training that of `[[views]]`")
    whole_fraction: float = Field(0.6, ge=0, le=1, description="whole slices; the rest are crops near full resolution")
    whole_extent: Range = Field((0.85, 1.2), description="width of a whole slice's view over that of the slice")
    crop_zoom: Range = Field((0.8, 1.5), description="source pixels per pixel of a crop")
    rotation: float = Field(0.35, ge=0, description="largest rotation, radians")
    stretch: float = Field(0.12, ge=0, description="largest ln of the stretch of one axis against the other")
    elastic: float = Field(3.0, ge=0, description="largest standard deviation of the deformation, source pixels")
    gamma: Range = Field((0.7, 1.5), description="exponent of the intensity")
    intensity: Range = Field((0.6, 1.5), description="factor of the intensity")
    plain_fraction: float = Field(0.3, ge=0, le=1, description="views that are not warped: as sharp as their source")
    turned_fraction: float = Field(
        0.4, ge=0, le=1, description="views turned by a random multiple of 90 degrees: scanners do not agree on up"
    )
    complex_fraction: float = Field(0.5, ge=0, le=1, description="views that are complex, with a smooth phase")
    phase: float = Field(1.6, ge=0, description="largest standard deviation of the smooth phase, radians")
    residue: float = Field(
        0.15, ge=0, description="largest standard deviation of what a combination of coils leaves, relative"
    )
    noisy_fraction: float = Field(0.3, ge=0, le=1, description="complex views that are as noisy as raw data are")
    noise: float = Field(0.02, ge=0, description="their largest noise, per channel")
