"""Intervals mended on slices whose truth is known, for results that were made the same way.

The error of a pixel is modelled as std' = a sqrt(G std^2 + (b s)^2): G an average over neighbours (the standard
deviation of few samples is noisy itself), s the 99th percentile of the slice's mean magnitude, b what the samples agree
on and yet have wrong, a their overall over- or underconfidence. Of each level the half width is then a *conformal*
factor (split conformal prediction, Vovk et al. 2005) times std': the quantile of |error| / std' on the calibration
slices, which needs no Gaussian errors. The promise is about the mean over slices like those; pixels of one slice are
not independent, so a single slice may be well off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_lossguide.recon.method import first_complaint
from napari_lossguide.recon.uncertainty import LEVELS, Floats, Spread, compared, smoothed
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from napari_lossguide.recon.recipe import Recipe

TRIED = np.geomspace(1e-4, 0.3, 60)
"""Values of b that are compared."""
WINDOWS = (0.0, 1.0, 1.5, 2.0, 3.0)
"""Averages over neighbours that are compared, in pixels."""
SAME_ACCELERATION = 0.05
"""Relative difference up to which two accelerations are the same."""
WORDS = {
    "method": "method",
    "prior_sha256": "prior",
    "samples": "number of samples",
    "steps": "number of steps",
    "image": "kind of image",
    "coils": "number of coils",
}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Conditions(BaseModel):
    """What decides how the spread of samples relates to their error.

    Attributes
    ----------
    settings : schedule, sampler, guidance, start, losses and live changes of the recipe.
    steps : of the schedule; also in the settings, for the message.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: str
    prior_sha256: str
    samples: int = Field(ge=2)
    steps: int = Field(ge=0)
    acceleration: float = Field(gt=0)
    image: Literal["auto", "complex", "real"]
    coils: int = Field(ge=1)
    settings: dict[str, Any]

    @classmethod
    def of(cls, recipe: Recipe, mask: NDArray[np.bool_], coils: int) -> Conditions:
        """The conditions of a result.

        Parameters
        ----------
        recipe : of the result.
        mask : bool (ny, nx), the acquired points.
        coils : number of coils.
        """
        return cls(
            method=recipe.method,
            prior_sha256=recipe.prior_sha256,
            samples=recipe.samples,
            steps=int(recipe.schedule.get("steps", 0)),
            acceleration=float(mask.size / mask.sum()),
            image=recipe.image,
            coils=coils,
            settings=recipe.model_dump(
                mode="json", include={"schedule", "sampler", "guidance", "start", "losses", "changes"}
            ),
        )

    def difference(self, other: Conditions) -> str:
        """The first thing in which another result differs, in words; empty if nothing that matters."""
        words = {
            "method": "method",
            "prior_sha256": "prior",
            "samples": "number of samples",
            "steps": "number of steps",
        }
        words |= {"image": "kind of image", "coils": "number of coils"}
        for field, word in words.items():
            own, theirs = getattr(self, field), getattr(other, field)
            if own != theirs:
                return f"another {word} ({_short(own)}, not {_short(theirs)})"
        if abs(self.acceleration / other.acceleration - 1) > SAME_ACCELERATION:
            return f"another acceleration ({self.acceleration:.3g}, not {other.acceleration:.3g})"
        return "other settings of the method" if self.settings != other.settings else ""


class Calibration(BaseModel):
    """What mends the intervals of results made under the same conditions; frozen.

    Attributes
    ----------
    conditions : under which it was fitted.
    a, b : of std' = a sqrt(G std^2 + (b s)^2).
    window : of G, in pixels; 0 is none.
    factors : half width over std', by level.
    fitted_on : names of the results.
    slices, pixels : how many it was fitted on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal[1] = 1
    conditions: Conditions
    a: Positive
    b: Positive
    window: float = Field(0.0, ge=0, le=10)
    factors: dict[float, Positive]
    fitted_on: tuple[str, ...]
    slices: int = Field(ge=1)
    pixels: int = Field(ge=1)

    def check(self, conditions: Conditions) -> None:
        """Refuse a result that was made another way.

        Raises
        ------
        InvalidInput
            If anything that matters differs; the sentence says what.
        """
        found = self.conditions.difference(conditions)
        if found:
            raise InvalidInput(f"The calibration was fitted for {found}: it says nothing about this result.")

    def std(self, drawn: Spread) -> Floats:
        """The recalibrated standard deviation of the magnitude's error, (slice, ny, nx)."""
        return self.a * np.hypot(smoothed(drawn.std, self.window), self.b * _size(drawn))

    def half_widths(self, drawn: Spread) -> dict[float, Floats]:
        """Half the width of the recalibrated interval around the mean, by level."""
        std = self.std(drawn)
        return {level: factor * std for level, factor in self.factors.items()}

    def to_json(self) -> str:
        """The calibration as indented JSON."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, source: str | os.PathLike[str]) -> Calibration:
        """Read a calibration from JSON text, or a file of it.

        Raises
        ------
        InvalidInput
            If the file cannot be read, is not JSON, or is no calibration.
        """
        inline = isinstance(source, str) and source.lstrip().startswith("{")
        try:
            text = str(source) if inline else Path(source).expanduser().read_text(encoding="utf-8")
            return cls.model_validate(json.loads(text))
        except ValidationError as error:
            raise InvalidInput(f"This is not a calibration: {first_complaint(error)}") from error
        except (OSError, ValueError) as error:  # ValueError: not UTF-8, not JSON, or a name with a null byte
            raise InvalidInput(f"The calibration {source} cannot be read: {error}.") from error


def calibrate(
    results: Sequence[tuple[Spread, ArrayLike]],
    conditions: Conditions,
    *,
    fitted_on: Sequence[str] = (),
    levels: Sequence[float] = LEVELS,
) -> Calibration:
    """Fit a calibration to samples whose truth is known.

    Parameters
    ----------
    results : spread and reference (slice, ny, nx) of each; the more slices, the better.
    conditions : of all of them.
    fitted_on : names to remember.
    levels : of the intervals.

    Raises
    ------
    InvalidInput
        If a reference does not fit, or every error is zero.
    """
    if not results:
        raise InvalidInput("There is no result to calibrate on.")
    pixels = {w: _pixels(results, w) for w in WINDOWS}
    error, _, size = pixels[0.0]
    if not error.any():
        raise InvalidInput("The mean of the samples is the reference itself; there is no error to calibrate on.")
    window, b = min(
        ((w, float(b)) for w in WINDOWS for b in TRIED),
        key=lambda tried: _misfit(error, np.hypot(pixels[tried[0]][1], tried[1] * size)),
    )
    score = error / np.hypot(pixels[window][1], b * size)
    a = float(np.sqrt(np.mean(score**2)))
    return Calibration(
        conditions=conditions,
        a=a,
        b=b,
        window=window,
        factors={q: float(np.quantile(score, min(1.0, q * (1 + 1 / score.size)), method="higher")) / a for q in levels},
        fitted_on=tuple(fitted_on),
        slices=sum(len(drawn.mean) for drawn, _ in results),
        pixels=error.size,
    )


def _pixels(results: Sequence[tuple[Spread, ArrayLike]], window: float) -> tuple[Floats, Floats, Floats]:
    """|error|, std and size of the slice, of every foreground pixel."""
    columns: list[tuple[Floats, Floats, Floats]] = []
    for drawn, reference in results:
        truth, inside = compared(drawn, reference)
        size, std = np.broadcast_to(_size(drawn), truth.shape), smoothed(drawn.std, window)
        columns.append((np.abs(drawn.mean - truth)[inside], std[inside], size[inside]))
    error, own, size = (np.concatenate(column) for column in zip(*columns, strict=True))
    return error, own, size


def _misfit(error: Floats, std: Floats) -> float:
    """Negative log likelihood of a Laplace law of the best scale, which a few large errors do not rule."""
    return float(np.log(np.mean(error / std)) + np.mean(np.log(std)))


def _size(drawn: Spread) -> Floats:
    """Brightness of each slice, (slice, 1, 1), from the samples alone: without a truth nothing else is known."""
    return np.asarray(np.percentile(drawn.mean, 99, axis=(1, 2), keepdims=True))


def _short(value: Any) -> str:
    text = str(value) or "unknown"
    return f"{text[:12]}…" if len(text) > 40 else text
