"""What a model's own files do not say, as JSON: ``MODEL.lossguide.json`` beside it, ``lossguide.json`` in a folder.

So a recipe keeps only the path.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_lossguide.types import InvalidInput

SUFFIX = ".lossguide.json"
Parameterisation = Literal["epsilon", "v", "x0", "score", "edm"]


class Schedule(BaseModel):
    """Noise levels of the training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["linear", "scaled_linear", "cosine", "betas", "vp-sde", "ve-sde", "edm"] = Field(
        description="linear, scaled_linear (in the square root) and cosine are steps of DDPM, betas gives them one by "
        "one; vp-sde and ve-sde are those of Song et al. in continuous time; edm has no steps"
    )
    steps: int = Field(1000, ge=2, description="steps of DDPM")
    beta_start: float = Field(1e-4, gt=0, lt=1)
    beta_end: float = Field(0.02, gt=0, lt=1)
    offset: float = Field(0.008, ge=0, description="s of the cosine schedule")
    max_beta: float = Field(0.999, gt=0, lt=1, description="of the cosine schedule")
    betas: tuple[float, ...] = Field((), description="of kind betas")
    zero_snr: bool = Field(False, description="betas rescaled so that the last step is pure noise (Lin et al. 2023)")
    first: int = Field(0, ge=0, description="first step that training used")
    beta_min: float = Field(0.1, gt=0, description="of vp-sde")
    beta_max: float = Field(20.0, gt=0, description="of vp-sde")
    sigma_min: float = Field(0.002, gt=0, description="of edm and ve-sde, in the model's units")
    sigma_max: float = Field(80.0, gt=0, description="of edm and ve-sde, in the model's units")

    def levels(self) -> tuple[np.ndarray, np.ndarray]:
        """Times that the network knows and their noise levels sigma_t = sqrt((1 - abar_t) / abar_t), both rising.

        Returns
        -------
        float64 (steps,) each, in the model's units. Continuous times of vp-sde are on the network's scale, 999 t.
        """
        if self.kind in ("edm", "ve-sde"):
            sigmas = np.geomspace(self.sigma_min, self.sigma_max, 2)
            return sigmas, sigmas
        if self.kind == "vp-sde":
            t = np.concatenate([np.geomspace(1e-5, 1e-3, 400, endpoint=False), np.linspace(1e-3, 1, 4000)])
            # Song et al. 2021 (arXiv 2011.13456), eq. 33; expm1 keeps the smallest levels exact.
            return 999 * t, np.sqrt(np.expm1(0.5 * t**2 * (self.beta_max - self.beta_min) + t * self.beta_min))
        remaining = np.cumprod(1 - self.step_betas())
        with np.errstate(divide="ignore"):
            sigmas = np.sqrt((1 - remaining) / remaining)
        times = np.arange(len(sigmas), dtype=float)
        usable = np.isfinite(sigmas) & (remaining > 1e-12) & (times >= self.first)
        return times[usable], sigmas[usable]

    def step_betas(self) -> np.ndarray:
        """Variances of DDPM's steps, (steps,) (Ho et al. 2020; Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17)."""
        if self.kind == "betas":
            betas = np.asarray(self.betas, float)
        elif self.kind == "cosine":
            t = np.arange(self.steps + 1) / self.steps
            remaining = np.cos((t + self.offset) / (1 + self.offset) * math.pi / 2) ** 2
            betas = np.minimum(1 - remaining[1:] / remaining[:-1], self.max_beta)
        elif self.kind == "scaled_linear":
            betas = np.linspace(self.beta_start**0.5, self.beta_end**0.5, self.steps) ** 2
        else:
            betas = np.linspace(self.beta_start, self.beta_end, self.steps)
        if self.zero_snr:  # Lin et al. 2023, arXiv 2305.08891, algorithm 1
            root = np.sqrt(np.cumprod(1 - betas))
            root = (root - root[-1]) * root[0] / (root[0] - root[-1])
            betas = 1 - (np.concatenate([root[:1], root[1:] / root[:-1]])) ** 2
        return betas


class Sidecar(BaseModel):
    """What is known of a model; fields that are None are not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str | None = Field(None, description="see `docs/own_models.md`")
    network: dict[str, Any] = Field(default_factory=dict, description="settings of the network that its weights lack")
    parameterisation: Parameterisation | None = Field(None, description="what the network predicts")
    schedule: Schedule | None = None
    range: tuple[float, float] | None = Field(None, description="lowest and highest intensity of the training images")
    channels: int | None = Field(None, ge=1, description="of an image: 1, 2 (real and imaginary part) or 3 (RGB)")
    size: int | None = Field(None, ge=1, description="side of the training images")
    divisible_by: int | None = Field(None, ge=1, description="what the sides of an image must be multiples of")
    sigma_data: float | None = Field(None, gt=0, description="of edm, in the model's units")
    licence: str = ""
    trained_on: str = ""

    @model_validator(mode="after")
    def _check_range(self) -> Sidecar:
        if self.range is not None:
            low, high = self.range
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"range is {low:g} {high:g}; a finite lower and higher intensity are needed")
            if self.channels == 2 and low not in (0, -high):
                raise ValueError(
                    f"range is {low:g} {high:g}; real and imaginary parts need -A A, or 0 A of the magnitude"
                )
        return self

    @property
    def gain(self) -> float:
        """The model's units per one of ours."""
        low, high = self.range or (0.0, 1.0)
        return high if self.channels == 2 else high - low

    @property
    def offset(self) -> float:
        """What zero is to the model: of real and imaginary parts always zero, for a phase has no smallest value."""
        return 0.0 if self.channels == 2 or self.range is None else self.range[0]

    def with_settings(self, settings: Sequence[tuple[str, Any]]) -> Sidecar:
        """The same with some fields changed, by dotted names (``network.num_heads``).

        Raises
        ------
        InvalidInput
            If a name or value is not accepted.
        """
        values = self.model_dump(exclude_none=True)
        for name, value in settings:
            part, _, key = name.partition(".")
            if key:
                values[part] = dict(values.get(part) or {}) | {key: value}
            else:
                values[part] = value
        return make_sidecar(values, "The settings of the model")


def completed(values: Mapping[str, Any], given: Sidecar, path: Path) -> Sidecar:
    """What a model's files say, with what its sidecar says on top, field by field.

    Raises
    ------
    InvalidInput
        If the result is not accepted.
    """
    merged = dict(values)
    for name, value in given.model_dump(exclude_unset=True).items():
        inner = merged.get(name)
        merged[name] = inner | value if isinstance(inner, dict) and isinstance(value, dict) else value
    return make_sidecar(merged, f"The settings of {path}")


class Incomplete(InvalidInput):
    """A model lacks facts that only its owner knows.

    Attributes
    ----------
    path : the model.
    missing : what is missing, as options of ``lossguide priors check``: ``("--range -1 1",)``.
    """

    def __init__(self, path: Path, missing: Sequence[str], known: str) -> None:
        self.path, self.missing = path, tuple(missing)
        what = [WHAT.get(m.split("=")[0], m.split("=")[0].removeprefix("--set ")) for m in missing]
        super().__init__(
            f"{path} is {known}, but its {' and its '.join(what)} are not written in it; say what they are with: "
            f'lossguide priors check "{path}" {" ".join(missing)} --save (the values here are only the usual ones).'
        )


WHAT = {
    "--range -1 1": "intensities in training (lowest, highest)",
    "--range 0 1": "intensities in training (lowest, highest)",
    "--set schedule.kind": "noise levels (linear or cosine)",
    "--set network.num_head_channels": "channels of an attention head",
    "--set schedule": "noise levels",
    "--set parameterisation": "predicted quantity",
}


def make_sidecar(values: Mapping[str, Any], source: str) -> Sidecar:
    """A sidecar from plain values.

    Raises
    ------
    InvalidInput
        Naming the first field that is wrong.
    """
    try:
        return Sidecar.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        what = f"{where} is {first['input']!r:.80}: " if where else ""
        raise InvalidInput(f"{source}: {what}{first['msg'].removeprefix('Value error, ')}.") from error


def sidecar_path(path: Path) -> Path:
    """Where the sidecar of a model is."""
    return path / SUFFIX.removeprefix(".") if path.is_dir() else path.with_name(path.name + SUFFIX)


def read_sidecar(path: Path) -> Sidecar:
    """The sidecar of a model, an empty one if there is none.

    Raises
    ------
    InvalidInput
        If it cannot be read, or a field is not accepted.
    """
    file = sidecar_path(path)
    if not file.is_file():
        return Sidecar()
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"The sidecar {file} cannot be read as JSON: {error}.") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"The sidecar {file} holds a {type(values).__name__}; a JSON object is needed.")
    return make_sidecar(values, f"The sidecar {file}")


def write_sidecar(path: Path, sidecar: Sidecar) -> Path:
    """Write the sidecar of a model, atomically.

    Raises
    ------
    InvalidInput
        If the folder cannot be written to.
    """
    file = sidecar_path(path)
    part = file.with_suffix(".part")
    try:
        part.write_text(sidecar.model_dump_json(exclude_defaults=True, indent=2) + "\n", encoding="utf-8")
        os.replace(part, file)
    except OSError as error:
        raise InvalidInput(f"The sidecar {file} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return file
