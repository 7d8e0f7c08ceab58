"""A recipe: everything that decides a reconstruction but the data, as JSON. GUI, shell and Python all run recipes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_lossguide import __version__
from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.methods import PARTS, Method, first_complaint, method
from napari_lossguide.types import InvalidInput

ImageSide = Annotated[int, Field(ge=1, le=4096)]


class Recipe(BaseModel):
    """What to do with k-space; frozen. Build one with ``Recipe.for_method``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal[1] = 1
    version: str = Field(__version__, description="of the program that wrote the recipe")
    method: str = "prox-mean"
    prior: str = Field("brain", description="name of a bundled prior or path of a file")
    prior_sha256: str = Field("", description="of the prior's file; filled in by a run, checked when given")
    image: Literal["auto", "complex", "real"] = Field(
        "auto", description="kind of the image; auto: real when the data say so (a simulation)"
    )
    samples: int = Field(
        1,
        ge=1,
        le=256,
        description="Independent draws, with mean and standard deviation; 'prox-mean' draws nearly the same image "
        "each time, 'prox-ddim' shows more of what is uncertain.",
    )
    batch: int = Field(
        8,
        ge=1,
        le=256,
        description="images that go through the network together, at most: samples, and slices where they share "
        "batches; fewer where memory is short",
    )
    slices: Literal["auto", "alone", "together"] = Field(
        "auto",
        description="Of a stack: one after another ('alone'), or as many at once as a batch holds with all their "
        "samples ('together'): the same images, sooner on a GPU. 'auto' is together on a GPU, alone on the CPU and "
        "where changes of knobs are replayed; a run that went together says so in its recipe.",
    )
    seed: int = Field(0, ge=0, lt=2**63)
    schedule: dict[str, Any] = {}
    sampler: dict[str, Any] = {}
    guidance: dict[str, Any] = {}
    start: Literal["noise", "zero-filled", "cg-sense", "l1-wavelet", "tv"] = Field(
        "noise",
        description="What the noise of the first level is added to: nothing, or a classical reconstruction (a warm "
        "start; lower schedule.sigma_max with it).",
    )
    losses: tuple[LossTerm, ...] = Field((), description="Further losses of the estimate, beside the data.")
    region: MaskRecipe | None = Field(
        None, description="Pixels that a person drew: those to fill (inpainting) or to weight (the loss 'region')."
    )
    mask: MaskRecipe | None = None
    noise_std: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="of the k-space, E|n|^2 = noise_std^2; None: estimated"
    )
    shape: tuple[ImageSide, ImageSide] | None = Field(
        None, description="(ny, nx) of samples that are drawn without data; k-space has its own"
    )
    coil_maps: Literal["espirit", "walsh"] = Field(
        "espirit",
        description="How the maps of several coils are estimated where none are given: ESPIRiT, or Walsh's local "
        "covariances, which are several times as fast and not as exact, least of all with few calibration lines.",
        json_schema_extra={"titles": {"espirit": "ESPIRiT", "walsh": "Walsh (faster)"}},
    )
    calibration: int = Field(
        24,
        ge=8,
        le=256,
        description="side of the square at the centre of k-space that coil maps are made from, at most",
    )
    changes: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def check_parts(self) -> Recipe:
        """The parts' parameters are the method's own, and in range; missing ones take its defaults."""
        given = {f"{part}.{k}": v for part in PARTS for k, v in getattr(self, part).items()}
        chosen = method(self.method)
        for part, values in {**{p: {} for p in PARTS}, **chosen.settings(given)}.items():
            object.__setattr__(self, part, values)  # frozen for everybody else
        if not chosen.needs_prior and (self.losses or self.start != "noise"):
            raise ValueError(f"The method '{self.method}' is classical: it takes neither further losses nor a start.")
        if self.losses and not chosen.takes_losses:
            raise ValueError(f"losses: the method '{self.method}' lets nothing but its own step correct the estimate.")
        if self.start != "noise" and chosen.sampler is not None and not chosen.sampler.from_state:
            raise ValueError(
                f"start = '{self.start}': the method '{self.method}' begins with the data, not with a start."
            )
        if self.region is None and any(term.kind == "region" for term in self.losses):
            raise ValueError("losses: the loss 'region' needs a region: a mask of the image's size.")
        return self

    @classmethod
    def for_method(
        cls, name: str = "prox-mean", *, steps: int | None = None, settings: Mapping[str, Any] = {}, **fields: Any
    ) -> Recipe:
        """A recipe with a method's defaults, some of them changed.

        Parameters
        ----------
        name : of the method.
        steps : network evaluations (iterations of a classical method).
        settings : parameters by full name, ``{"guidance.gamma": 2.0}``, and fields of the recipe.
        fields : fields of the recipe.

        Raises
        ------
        InvalidInput
            On anything unknown or out of range.
        """
        chosen = method(name)
        if "method" in settings:
            raise InvalidInput(
                f"method = {settings['method']!r} cannot be one of the settings, which belong to a method; "
                "choose the method itself (--method NAME)."
            )
        values = dict(settings)
        if steps is not None:
            values |= steps_setting(chosen, steps)
        own = {k: values.pop(k) for k in list(values) if k in cls.model_fields and k not in PARTS}
        parts = chosen.settings(values)
        return build(cls, {**fields, **own, **parts, "method": name})

    def to_json(self) -> str:
        """The recipe as indented JSON."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, source: str | os.PathLike[str]) -> Recipe:
        """Parse JSON text, or a file of it.

        Raises
        ------
        InvalidInput
            If the file cannot be read, is not JSON, or is not a recipe.
        """
        text = source if isinstance(source, str) and source.lstrip().startswith("{") else read_text(Path(source))
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidInput(f"This is not a recipe: {first_complaint(error)}") from error


def steps_setting(chosen: Method, steps: int) -> dict[str, int]:
    """The parameter that "steps" means for a method; none for zero-filled."""
    if chosen.needs_prior:
        return {"schedule.steps": steps}
    return {"guidance.iterations": steps} if "guidance.iterations" in chosen.params() else {}


def build(cls: type[Recipe], fields: Mapping[str, Any]) -> Recipe:
    """Construct, with pydantic's complaint as one sentence."""
    try:
        return cls(**fields)
    except ValidationError as error:
        raise InvalidInput(first_complaint(error)) from error


def read_text(path: Path) -> str:
    """A file's text, or one sentence why not."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a name with a null byte
        raise InvalidInput(f"The recipe {path} cannot be read: {error}.") from error
