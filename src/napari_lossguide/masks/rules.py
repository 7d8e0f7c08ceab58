"""Rules that change a mask that is there: pure functions of bool (ny, nx), and of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from napari_lossguide.data.fourier import mirrored
from napari_lossguide.masks.params import MaskParams, centre
from napari_lossguide.types import InvalidInput

Axis = Literal["x", "y"]
AXIS: Any = Field("x", title="Lines", description="x: the lines are columns; y: they are rows.")


class NthParams(MaskParams):
    """Every n-th line."""

    n: int = Field(2, ge=2, le=64, title="Every n-th", description="Distance of the lines that are kept.")
    axis: Axis = AXIS


class ThinParams(MaskParams):
    """Fewer lines, at random."""

    acceleration: float = Field(
        4.0, ge=1, le=64, title="Acceleration", description="All lines divided by the acquired lines, afterwards."
    )
    center_fraction: float = Field(
        0.08,
        ge=0,
        le=1,
        title="Centre fraction",
        description="Part of the lines in the middle that none is taken from.",
    )
    axis: Axis = AXIS
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Seed", description="The same seed drops the same lines.")


class CentreParams(MaskParams):
    """The middle of k-space."""

    center_fraction: float = Field(
        0.08, ge=0.005, le=1, title="Centre fraction", description="Width of the centre, as a part of each axis named."
    )
    axis: Literal["x", "y", "both"] = Field(
        "x",
        title="Lines",
        description="x: whole columns; y: whole rows; both: a block.",
        json_schema_extra={"titles": {"x": "x", "y": "y", "both": "both"}},
    )


class PartialParams(MaskParams):
    """Partial Fourier."""

    fraction: float = Field(
        0.625, ge=0.5, le=1, title="Fraction", description="Part of k-space that is kept; the centre always is."
    )
    axis: Axis = AXIS
    side: Literal["low", "high"] = Field("low", title="Keep", description="Which end of the axis is kept whole.")


def every_nth(mask: np.ndarray, params: NthParams) -> np.ndarray:
    """Of the acquired points, those on every n-th line, counted from the centre of k-space."""
    n = mask.shape[_along(params.axis)]
    return mask & _as_lines((np.arange(n) - n // 2) % params.n == 0, params.axis)


def thin(mask: np.ndarray, params: ThinParams) -> np.ndarray:
    """Drop lines outside the centre at random until round(n / acceleration) are left.

    Raises
    ------
    InvalidInput
        If there are fewer lines than that already, or the centre holds more.
    """
    axis = _along(params.axis)
    n = mask.shape[axis]
    used = mask.any(axis=1 - axis)
    wanted, protected = max(round(n / params.acceleration), 1), np.zeros(n, bool)
    protected[centre(n, round(n * params.center_fraction))] = True
    if used.sum() < wanted:
        raise InvalidInput(
            f"The mask has {used.sum()} of {n} lines, fewer than the {wanted} of acceleration {params.acceleration:g}; "
            "lines can only be dropped."
        )
    drop = int(used.sum()) - wanted
    loose = np.flatnonzero(used & ~protected)
    if drop > loose.size:
        raise InvalidInput(
            f"The centre alone has {used.sum() - loose.size} lines, more than the {wanted} of acceleration "
            f"{params.acceleration:g}; lower center_fraction or the acceleration."
        )
    kept: np.ndarray = np.array(used)
    kept[np.random.default_rng(params.seed).permutation(loose)[:drop]] = False
    return mask & _as_lines(kept, params.axis)


def add_centre(mask: np.ndarray, params: CentreParams) -> np.ndarray:
    """Acquire the whole centre."""
    return mask | _centre(mask.shape, params)


def remove_centre(mask: np.ndarray, params: CentreParams) -> np.ndarray:
    """Skip the whole centre."""
    return mask & ~_centre(mask.shape, params)


def partial_fourier(mask: np.ndarray, params: PartialParams) -> np.ndarray:
    """Keep one side of k-space, and of the other what makes up the fraction."""
    n = mask.shape[_along(params.axis)]
    last = max(round(n * params.fraction), n // 2 + 1)
    lines = np.arange(n) < last if params.side == "low" else np.arange(n) >= min(n - last, n // 2)
    return mask & _as_lines(lines, params.axis)


def mirror(mask: np.ndarray) -> np.ndarray:
    """Acquire -k too, for every acquired k."""
    return mask | mirrored(mask)


def invert(mask: np.ndarray) -> np.ndarray:
    """Acquire what was skipped, and the other way round."""
    return ~mask


def union(mask: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Acquire what either mask acquires."""
    return mask | other


def intersection(mask: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Acquire what both masks acquire."""
    return mask & other


@dataclass(frozen=True)
class Rule:
    """A change of a mask.

    Attributes
    ----------
    title : on the screen.
    params : the pydantic model of its parameters.
    function : (mask, params) -> bool (ny, nx); (mask, other mask) if `combines`.
    combines : it takes another mask instead of parameters.
    """

    title: str
    params: type[MaskParams]
    function: Callable[[np.ndarray, Any], np.ndarray]
    combines: bool = False


RULES: dict[str, Rule] = {
    "every-nth": Rule("Keep every n-th line", NthParams, every_nth),
    "thin": Rule("Drop lines at random", ThinParams, thin),
    "add-centre": Rule("Fill the centre", CentreParams, add_centre),
    "remove-centre": Rule("Remove the centre", CentreParams, remove_centre),
    "partial-fourier": Rule("Keep one side (partial Fourier)", PartialParams, partial_fourier),
    "mirror": Rule("Mirror about the centre", MaskParams, lambda mask, _: mirror(mask)),
    "invert": Rule("Invert", MaskParams, lambda mask, _: invert(mask)),
    "union": Rule("Add the parameters' mask", MaskParams, union, combines=True),
    "intersection": Rule("Keep what the parameters' mask has", MaskParams, intersection, combines=True),
}


def apply_rule(name: str, mask: np.ndarray, params: MaskParams, other: np.ndarray | None = None) -> np.ndarray:
    """Change a mask by a rule.

    Parameters
    ----------
    name : one of `RULES`
    mask : bool (ny, nx); it stays as it is
    params : of the rule's model
    other : bool (ny, nx), the mask that union and intersection take

    Returns
    -------
    bool (ny, nx), with at least one point

    Raises
    ------
    InvalidInput
        If the rule is unknown, cannot be kept, or leaves nothing to acquire.
    """
    if name not in RULES:
        raise InvalidInput(f"The rule {name!r} is unknown; accepted are {', '.join(RULES)}.")
    rule = RULES[name]
    changed = rule.function(mask, _fitting(other, mask.shape) if rule.combines else params)
    if not changed.any():
        raise InvalidInput(f"The rule “{rule.title}” would leave nothing to acquire; the mask stays as it is.")
    return changed


def _along(axis: str) -> int:
    """The axis of the array that the lines are counted along."""
    return 1 if axis == "x" else 0


def _as_lines(lines: np.ndarray, axis: str) -> np.ndarray:
    return lines[None, :] if axis == "x" else lines[:, None]


def _centre(shape: tuple[int, ...], params: CentreParams) -> np.ndarray:
    ny, nx = shape
    y, x = np.zeros(ny, bool), np.zeros(nx, bool)
    # At least the line through the centre: a rule that does nothing would puzzle.
    y[centre(ny, max(round(ny * params.center_fraction), 1))] = True
    x[centre(nx, max(round(nx * params.center_fraction), 1))] = True
    if params.axis == "both":
        return y[:, None] & x[None, :]
    return np.broadcast_to(_as_lines(x if params.axis == "x" else y, params.axis), shape)


def _fitting(other: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    if other is None:
        raise InvalidInput("There is no other mask to combine with; the parameters must give one.")
    if other.shape != shape:
        raise InvalidInput(f"The other mask has shape {other.shape}, but the mask has {shape}.")
    return other
