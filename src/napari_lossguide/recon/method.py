"""What a method is: three choices (schedule, sampler, guidance) with their parameters, or a classical algorithm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from napari_lossguide.guidance.base import Guidance
from napari_lossguide.recon.program import Program
from napari_lossguide.samplers.path import Sampler
from napari_lossguide.samplers.schedules import Schedule
from napari_lossguide.types import InvalidInput

PARTS = ("schedule", "sampler", "guidance")


def first_complaint(error: ValidationError, *prefix: str) -> str:
    """The first thing that is wrong, as one sentence that names it."""
    first = error.errors()[0]
    if first["type"] == "value_error":  # raised by a check of this program: the sentence is complete
        return str(first["ctx"]["error"])
    name = ".".join([*prefix, *(str(part) for part in first["loc"])]) or "recipe"
    return f"{name} = {repr(first['input'])[:60]}: {first['msg'][0].lower()}{first['msg'][1:]}."


def limits_of(schema: Mapping[str, Any]) -> tuple[float, float]:
    """Least and greatest value of a number, from what its model's schema says; finite where it has no limit."""
    low = math.nextafter(schema.get("exclusiveMinimum", -math.inf), math.inf)
    high = math.nextafter(schema.get("exclusiveMaximum", math.inf), -math.inf)
    return schema.get("minimum", low), schema.get("maximum", high)


@dataclass(frozen=True)
class Method:
    """One entry of the registry.

    Attributes
    ----------
    name, title, paper, summary : for people.
    schedule, sampler, guidance : the three choices of a diffusion method; None for a classical one.
    classical : parameters of a classical method, set as ``guidance.*``.
    needs_data : whether it is a reconstruction; else it draws from the prior.
    needs_region : whether a person must draw one.
    program : that it runs, which is installed apart from this package; None for most.
    defaults : values that differ from the parts' own defaults, by full name.
    """

    name: str
    title: str
    paper: str
    summary: str
    schedule: type[Schedule] | None = None
    sampler: type[Sampler] | None = None
    guidance: type[Guidance] | None = None
    classical: type[BaseModel] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    needs_data: bool = True
    needs_region: bool = False
    program: Program | None = None

    @property
    def needs_prior(self) -> bool:
        """Whether it uses a denoiser."""
        return self.classical is None

    def missing(self) -> str:
        """Why it cannot run on this machine and how to change that, in a sentence; empty if it can."""
        lacks = "" if self.program is None else self.program.missing()
        return f"The method '{self.name}' cannot run: {lacks}." if lacks else ""

    def ready(self) -> Method:
        """Itself, if it can run on this machine.

        Raises
        ------
        InvalidInput
            If it cannot: the sentence of `missing`.
        """
        reason = self.missing()
        if reason:
            raise InvalidInput(reason)
        return self

    @property
    def takes_losses(self) -> bool:
        """Whether further losses may correct the estimate."""
        return self.sampler is not None and "estimate" in self.sampler.takes

    @property
    def models(self) -> dict[str, type[BaseModel]]:
        """Parameter model of each part it has."""
        if self.classical is not None:
            return {"guidance": self.classical}
        assert self.schedule is not None
        assert self.sampler is not None
        assert self.guidance is not None
        return {"schedule": self.schedule, "sampler": self.sampler.Params, "guidance": self.guidance.Params}

    def params(self) -> dict[str, FieldInfo]:
        """Every parameter by its full name, for forms, help and checks."""
        return {
            f"{part}.{name}": info for part, model in self.models.items() for name, info in model.model_fields.items()
        }

    @property
    def live_knobs(self) -> list[str]:
        """Full names of the parameters that may change during a run."""
        return [
            n
            for n, f in self.params().items()
            if isinstance(f.json_schema_extra, dict) and f.json_schema_extra.get("live")
        ]

    def limits(self, name: str) -> tuple[float, float]:
        """Least and greatest value of a live knob."""
        return limits_of(
            self.models[name.split(".", maxsplit=1)[0]].model_json_schema()["properties"][name.split(".")[1]]
        )

    def settings(self, changed: Mapping[str, Any] = {}) -> dict[str, dict[str, Any]]:
        """All parameters of the parts, checked, with this method's defaults and then ``changed`` applied.

        Raises
        ------
        InvalidInput
            On an unknown name or a value out of range; the sentence says what is accepted.
        """
        known = self.params()
        for name in changed:
            if name not in known:
                raise InvalidInput(
                    f"'{name}' is not a parameter of the method '{self.name}'; it has {', '.join(known) or 'none'}."
                )
        values = {**self.defaults, **changed}
        checked: dict[str, dict[str, Any]] = {}
        for part, model in self.models.items():
            own = {n.split(".")[1]: v for n, v in values.items() if n.split(".")[0] == part}
            try:
                checked[part] = model(**own).model_dump()
            except ValidationError as error:
                raise InvalidInput(first_complaint(error, part)) from error
        if self.classical is None:
            assert self.sampler is not None
            assert self.guidance is not None
            reason = why_not(self.sampler, self.guidance, self.guidance.Params(**checked["guidance"]))
            if reason:
                raise InvalidInput(f"'{self.name}' makes no sense: {reason}.")
        return checked

    def evaluations(self, settings: Mapping[str, Mapping[str, Any]]) -> int:
        """Network evaluations of a sample with these parameters of the parts; 0 of a classical method."""
        if self.classical is not None:
            return 0
        assert self.schedule is not None
        assert self.sampler is not None
        path = self.schedule(**settings["schedule"])
        return self.sampler.evaluations(self.sampler.Params(**settings["sampler"]), path.falls(), path.ends())


PLACES = {
    "state": "the noisy image before the network",
    "estimate": "the network's estimate",
    "gradient": "the network's estimate through its Jacobian",
    "noise": "the fresh noise of a step",
    "next": "the noisy image after a step",
    "langevin": "the Langevin step itself",
}
"""Where a guidance may correct, in words; see ``guidance.base``."""


def taken_by(sampler: type[Sampler]) -> str:
    """Where a sampler lets a guidance correct, in words."""
    *more, last = (PLACES[hook] for hook in sorted(sampler.takes))
    return f"{', '.join(more)} and {last}" if more else last


def why_not(sampler: type[Sampler], guidance: type[Guidance], params: BaseModel) -> str:
    """Why a sampler cannot be combined with a guidance of these parameters; empty if it can."""
    hooks = guidance.hooks(params)
    if not hooks or hooks & sampler.takes:
        return ""
    corrected = " or ".join(PLACES[hook] for hook in sorted(hooks))
    return f"the guidance corrects {corrected}, and this sampler lets only {taken_by(sampler)} be corrected"
