"""What decides a training run: the configuration, its presets and overrides. Loads no torch."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_lossguide.data.training.options import FolderOptions
from napari_lossguide.priors.training.augmentation import Augmentation
from napari_lossguide.types import InvalidInput

M = TypeVar("M", bound=BaseModel)
PRESETS = Path(__file__).parent / "presets"


class SliceFile(BaseModel):
    """One file of slices or label maps, and how often it is seen."""

    model_config = ConfigDict(extra="forbid")
    path: str = Field(description="relative to the data folder")
    share: float = Field(1.0, gt=0, description="how often it is seen, relative to the other files")


class ViewSize(BaseModel):
    """One size of training views and how they come."""

    model_config = ConfigDict(extra="forbid")
    size: int = Field(ge=32, multiple_of=16, description="side of the square view in pixels")
    batch: int = Field(ge=1, description="views in one pass of one process")
    share: float = Field(1.0, gt=0, description="how often it is taken, relative to the other sizes")


class FineNetwork(BaseModel):
    """The expert of low noise levels, ``local_network.LocalNet``."""

    model_config = ConfigDict(extra="forbid")
    width: int = Field(48, ge=8, description="features")
    blocks: int = Field(7, ge=1, description="residual blocks")
    below: float = Field(0.06, gt=0, description="noise level up to which it is taken, if there is a U-Net beside it")


class TrainConfig(BaseModel):
    """Everything that decides a training run; read from TOML."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field("", description="of the prior; empty: that of the out folder")
    initial: str = Field("", description="bundled prior or file whose weights the training starts from (fine-tuning)")
    train: list[SliceFile] = Field([], description="files to train on; none: all that the data folder holds")
    validation: list[str] = Field([], description="files to measure on, beside `train`")
    folder: FolderOptions = Field(FolderOptions(), description="how scans become slices")
    widths: tuple[int, ...] = Field(
        (64, 96, 128, 192), description="features per level of the U-Net, finest first, multiples of 8; none: no U-Net"
    )
    blocks: int = Field(1, ge=1, description="residual blocks of each level")
    heads: int = Field(4, ge=1, description="attention heads at the coarsest level")
    fine: FineNetwork | None = Field(None, description="a second network for low noise, beside the U-Net or alone")
    sigma_data: float = Field(0.25, gt=0, description="standard deviation of a channel of the scaled images")
    p_mean: float = Field(-1.6, description="mean of ln sigma in training")
    p_std: float = Field(1.4, gt=0, description="standard deviation of ln sigma in training")
    sigma_max: float = Field(math.inf, gt=0, description="larger draws of sigma are set to this")
    steps: int = Field(10000, ge=1, description="optimiser steps at most")
    minutes: float = Field(
        math.inf, gt=0, description="wall-clock budget over all resumed parts; the learning rate follows it"
    )
    learning_rate: float = Field(1.2e-3, gt=0, description="at its peak; a cosine brings it to one hundredth")
    warmup: int = Field(200, ge=1, description="steps of linear warm-up")
    accumulate: int = Field(1, ge=1, description="passes whose gradients make one step")
    precision: Literal["bf16", "fp16", "fp32"] = Field(
        "bf16", description="of the network's arithmetic; fp16 scales the loss so that small gradients survive"
    )
    ema_halflives: tuple[float, ...] = Field(
        (300.0,), min_length=1, description="half-lives, in steps, of the averages of the weights; shorter at the start"
    )
    export: Literal["best"] | float = Field(
        "best", description="average that becomes the prior: the one that denoises best, or that of this half-life"
    )
    seed: int = Field(0, ge=0, description="of the initial weights and of every draw")
    log_every: int = Field(50, ge=1, description="steps between rows of the log")
    save_every: int = Field(200, ge=1, description="steps between checkpoints")
    validate_every: int = Field(1000, ge=1, description="steps between measurements on the validation slices")
    tensorboard: bool = Field(True, description="write curves and pictures for TensorBoard if it is installed")
    workers: int = Field(0, ge=0, description="processes that draw training views; 0: the training process itself")
    augmentation: Augmentation = Field(Augmentation(), description="ranges of the random views")
    views: list[ViewSize] = Field([ViewSize(size=128, batch=8)], min_length=1, description="sizes of training views")
    licence: str = Field("", description="of the weights")
    trained_on: str = Field("", description="attribution of the training images")

    def model_post_init(self, _: Any) -> None:
        """Check what concerns several keys."""
        if self.validation and not self.train:
            raise ValueError(
                "validation names files, but train does not; with a whole folder the split is made by patient"
            )
        if not self.widths and self.fine is None:
            raise ValueError("widths names no level, and there is no fine network either")
        if self.export != "best" and self.export not in self.ema_halflives:
            raise ValueError(f"export = {self.export} is none of ema_halflives = {list(self.ema_halflives)}")

    def network(self) -> dict[str, Any]:
        """Configuration of the raw network, for ``experts.build_network``; two channels: real and imaginary part."""
        coarse = {"channels": 2, "widths": list(self.widths), "blocks": self.blocks, "heads": self.heads}
        if self.fine is None:
            return coarse
        fine = {"channels": 2, "width": self.fine.width, "blocks": self.fine.blocks}
        return {"channels": 2, "coarse": coarse, "fine": fine, "below": self.fine.below} if self.widths else fine

    @classmethod
    def read(cls, path: str | os.PathLike[str], settings: Iterable[tuple[str, Any]] = ()) -> TrainConfig:
        """Parse a TOML file, with overrides on top of it.

        Parameters
        ----------
        path : the file.
        settings : pairs of a key and its value; a dot leads into a table.

        Raises
        ------
        InvalidInput
            If the file cannot be read, or the first wrong key.
        """
        return read_toml(cls, path, settings)


def read_toml(cls: type[M], path: str | os.PathLike[str], settings: Iterable[tuple[str, Any]] = ()) -> M:
    """A configuration from a TOML file and overrides; see ``TrainConfig.read``."""
    try:
        with open(path, "rb") as f:
            values = tomllib.load(f)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"The training configuration {path} cannot be read: {error}.") from error
    for key, value in settings:
        override(values, key, value)
    try:
        return cls(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its keys"
        raise InvalidInput(f"The training configuration {path} is wrong at {where}: {first['msg']}.") from error


def override(values: dict[str, Any], key: str, value: Any) -> None:
    """Set one key of nested tables, ``table.key``."""
    *tables, last = key.split(".")
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):
            raise InvalidInput(f"--set {key} leads into {table}, which is not a table of the training configuration.")
        values = inner
    values[last] = value


def preset_path(name: str) -> Path:
    """File of a preset in the package.

    Raises
    ------
    InvalidInput
        If there is none of this name; the sentence names all.
    """
    presets = {p.stem: p for p in sorted(PRESETS.glob("*.toml"))}
    if name not in presets:
        raise InvalidInput(f"There is no preset '{name}'; give one of {', '.join(presets)}.")
    return presets[name]


def same_network(config: TrainConfig, other: Mapping[str, Any]) -> list[str]:
    """Keys in which another configuration, as JSON, asks for other weights than this one."""
    ours = config.model_dump(mode="json")
    keys = ("widths", "blocks", "heads", "fine", "sigma_data", "ema_halflives")
    return [key for key in keys if ours[key] != other.get(key)]
