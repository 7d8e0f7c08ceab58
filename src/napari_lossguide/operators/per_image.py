"""Numbers that each image of a batch has for itself, such as the noise level of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    Level: TypeAlias = float | Tensor
    """A number for all images, or one for each: float64 (B, 1, 1) on the CPU, to be reckoned with as with a number."""


def per_image(level: Level, x: Tensor) -> Level:
    """A level as a factor of images (B, ny, nx), or of data (B, coil, ny, nx).

    What was reckoned in double precision is rounded here, as torch rounds a number that it multiplies by: an image is
    multiplied by the same whatever else is in its batch.
    """
    if isinstance(level, float | int):
        return level
    return level.float().to(x.device).reshape(-1, *[1] * (x.ndim - 1))
