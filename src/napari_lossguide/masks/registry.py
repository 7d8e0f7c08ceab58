"""The kinds of mask by name, and what can be said of any mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from napari_lossguide.masks import density, lines, poisson
from napari_lossguide.masks.params import LineParams, MaskParams
from napari_lossguide.types import InvalidInput


@dataclass(frozen=True)
class MaskKind:
    """A sampling pattern.

    Attributes
    ----------
    name : in recipes and on the command line.
    title : on the screen.
    params : the pydantic model of its parameters.
    function : (shape, params) -> bool (ny, nx).
    """

    name: str
    title: str
    params: type[MaskParams]
    function: Callable[[tuple[int, int], Any], np.ndarray]


MASKS: dict[str, MaskKind] = {
    kind.name: kind
    for kind in (
        MaskKind("random", "Random lines", LineParams, lines.as_lines(lines.random_lines)),
        MaskKind("equispaced", "Equispaced lines", LineParams, lines.as_lines(lines.equispaced_lines)),
        MaskKind("thesis", "Random lines, the thesis's rule", lines.ThesisParams, lines.as_lines(lines.thesis_lines)),
        MaskKind("gaussian-1d", "Gaussian lines", lines.GaussianLineParams, lines.as_lines(lines.gaussian_lines)),
        MaskKind("gaussian-2d", "Gaussian points", density.GaussianPointParams, density.gaussian_points),
        MaskKind("uniform-2d", "Uniform grid", density.GridParams, density.grid),
        MaskKind("poisson", "Poisson disc", poisson.PoissonParams, poisson.poisson_points),
        MaskKind("full", "Fully sampled", MaskParams, density.full),
    )
}


def make_mask(kind: str, shape: tuple[int, int], **params: Any) -> np.ndarray:
    """Make a mask.

    Parameters
    ----------
    kind : one of `MASKS`
    shape : (ny, nx)
    params : of the kind's model; the others have its defaults

    Returns
    -------
    bool (ny, nx), with at least one point

    Raises
    ------
    InvalidInput
        If the kind or a parameter is unknown or out of range, or the parameters leave nothing to acquire.
    """
    checked = check_params(kind, params)
    ny, nx = (int(n) for n in shape)
    if min(ny, nx) < 1:
        raise InvalidInput(f"The mask's shape is {(ny, nx)}; both must be at least 1.")
    mask = MASKS[kind].function((ny, nx), checked)
    if not mask.any():
        raise InvalidInput(
            f"The mask {kind} of shape {(ny, nx)} came out empty; raise center_fraction or lower the acceleration."
        )
    return mask


def check_params(kind: str, params: dict[str, Any]) -> MaskParams:
    """The kind's parameter model, filled and checked.

    Raises
    ------
    InvalidInput
        Naming the first parameter that is unknown or out of range.
    """
    if kind not in MASKS:
        raise InvalidInput(f"The mask {kind!r} is unknown; accepted are {', '.join(MASKS)}.")
    model = MASKS[kind].params
    try:
        return model(**params)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        accepted = ", ".join(model.model_fields) or "no parameters"
        if first["type"] == "extra_forbidden":
            message = f"The mask {kind} has no parameter {name!r}; accepted are: {accepted}."
        else:
            message = f"The mask parameter {name} is {first['input']!r}: {_lower_first(first['msg'])}."
        raise InvalidInput(message) from error


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def achieved_acceleration(mask: np.ndarray) -> float:
    """All points / acquired points of a mask (ny, nx).

    Raises
    ------
    InvalidInput
        If the mask is empty.
    """
    acquired = np.count_nonzero(mask)
    if not acquired:
        raise InvalidInput("The mask is empty; at least one point must be acquired.")
    return float(np.size(mask) / acquired)


def point_spread(mask: np.ndarray) -> np.ndarray:
    """Magnitude of the zero-filled image of a point in the centre, scaled to 1 there.

    Parameters
    ----------
    mask : bool (ny, nx)

    Returns
    -------
    float32 (ny, nx)
    """
    from scipy.fft import fft2  # of real numbers it computes one half and mirrors it

    achieved_acceleration(mask)
    points = (np.asarray(mask) != 0).astype(np.float32)
    spread = np.abs(fft2(points))  # where the centre lies changes the phase alone
    return np.fft.fftshift(spread / spread[0, 0]).astype(np.float32)
