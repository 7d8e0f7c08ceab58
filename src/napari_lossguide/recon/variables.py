"""What can vary in a sweep: parameters of the method, of further losses and of the mask, some of the fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.masks.recipe import DRAWN
from napari_lossguide.masks.registry import MASKS
from napari_lossguide.recon.axes import Axis
from napari_lossguide.recon.axis_text import Kind, parse_values, shown
from napari_lossguide.recon.catalogue import range_text
from napari_lossguide.recon.knobs import LOSSES
from napari_lossguide.recon.method import limits_of
from napari_lossguide.recon.methods import here, method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.variation import MASK
from napari_lossguide.types import InvalidInput

FIELDS = {
    "method": ("Method", "Each with its own defaults; `lossguide methods` lists them."),
    "seed": ("Seed", "Decides every random number of a run: what differs between seeds is chance."),
    "samples": ("Samples", ""),
    "start": ("Start", ""),
    "noise_std": ("Noise level of the k-space", "E|n|² = noise_std², in the units of the k-space."),
    "coil_maps": ("Coil maps", ""),
    "calibration": ("Calibration square", "Side of the square at the centre of k-space that coil maps come from."),
    "prior": ("Prior", "Names of bundled priors or paths of files."),
}
OF_COILS = ("coil_maps", "calibration")
OF_A_PRIOR = ("seed", "samples", "start", "prior")


@dataclass(frozen=True)
class Variable:
    """A parameter that can vary.

    Attributes
    ----------
    name : full, as in ``axes.Axis``.
    title, help : for people.
    kind : of its values.
    choices : all there are; empty for numbers and free text.
    range : what is accepted, in words.
    low, high : limits of a number.
    value : what the recipe has now.
    """

    name: str
    title: str
    help: str
    kind: Kind
    choices: tuple[str, ...]
    range: str
    low: float
    high: float
    value: Any

    @property
    def tip(self) -> str:
        """All there is to say."""
        now = "" if self.value is None else f"The recipe has {shown(self.value)}."
        accepted = f"Accepted: {self.range}." if self.range else ""
        return "\n".join(line for line in (self.name, self.help, accepted, now) if line)

    def axis(self, text: str) -> Axis:
        """The axis of the values that a person wrote.

        Raises
        ------
        InvalidInput
            As ``axis_text.parse_values``; and if a value is not one of the choices, or not within the limits.
        """
        values = parse_values(text, self.kind, self.name)
        for value in values:
            unknown = bool(self.choices) and value not in self.choices and self.name != "method"  # or a combination
            outside = self.kind in ("number", "integer") and not self.low <= value <= self.high
            if unknown or outside:
                accepted = ", ".join(self.choices) if unknown else self.range
                raise InvalidInput(f"{self.name}: {shown(value)} is not accepted; accepted are {accepted}.")
        return Axis.of(self.name, values)

    def example(self) -> str:
        """Values to begin with: all choices, or some around the present one."""
        if self.name in ("seed", MASK + "seed"):
            return "0, 1, 2"
        if self.name == "method":
            return ", ".join(dict.fromkeys([self.value, "tv"]))
        if self.kind == "boolean":
            return "no, yes"
        if self.kind == "string":
            return ", ".join(self.choices) or str(self.value)
        if not self.value:
            return ""
        around = (self.value / 2, self.value, self.value * 2)
        if self.kind == "integer":
            around = tuple(round(v) for v in around)
        return ", ".join(dict.fromkeys(shown(v) for v in around if self.low <= v <= self.high))


def variables(base: Recipe, n_coils: int | None = None) -> dict[str, Variable]:
    """Everything that can vary in a sweep of this recipe, by full name; the method's own parameters first.

    Parameters
    ----------
    base : the recipe.
    n_coils : of the scan, if it is known: what means nothing to one coil is left out.
    """
    chosen = method(base.method)
    found = []
    for part, model in chosen.models.items():
        properties = model.model_json_schema()["properties"]
        found += [from_schema(f"{part}.{own}", s, getattr(base, part)[own]) for own, s in properties.items()]
    # what people look at first: knobs that may be turned during a run, guidance before sampler, then the steps
    found.sort(
        key=lambda v: (v.name not in chosen.live_knobs, "steps" not in v.name, not v.name.startswith("guidance"))
    )
    found += [*of_losses(base), *of_mask(base), *of_fields(base)]
    return {variable.name: variable for variable in found if n_coils != 1 or variable.name not in OF_COILS}


def of_losses(base: Recipe) -> Iterator[Variable]:
    """The weight of each further loss, and the ends of a range."""
    schema = LossTerm.model_json_schema()["properties"]
    for index, term in enumerate(base.losses):
        for own in ("weight", "low", "high") if term.kind == "range" else ("weight",):
            title = f"Loss {index + 1} ({term.kind}): {own}"
            yield from_schema(f"{LOSSES}{index}.{own}", {**schema[own], "title": title}, getattr(term, own))


def of_mask(base: Recipe) -> Iterator[Variable]:
    """The parameters of the recipe's mask; none without one, or of one that is drawn."""
    if base.mask is None or base.mask.kind == DRAWN:
        return
    schema = MASKS[base.mask.kind].params.model_json_schema()["properties"]
    for own, properties in schema.items():
        yield from_schema(MASK + own, properties, base.mask.params.get(own, properties.get("default")))


def of_fields(base: Recipe) -> Iterator[Variable]:
    """The fields of the recipe that are worth a comparison."""
    schema = Recipe.model_json_schema()["properties"]
    for name, (title, text) in FIELDS.items():
        if name in OF_A_PRIOR and not method(base.method).needs_prior:
            continue
        properties = schema[name]
        options = [o for o in properties.get("anyOf", []) if o.get("type") != "null"]
        properties = {**properties, **(options[0] if options else {}), "title": title}
        if text:
            properties["description"] = text
        if name == "method":
            properties["enum"] = [m.name for m in here() if m.needs_data]
            if base.method not in properties["enum"]:
                properties["enum"] = [base.method, *properties["enum"]]
        yield from_schema(name, properties, getattr(base, name))


def from_schema(name: str, schema: dict[str, Any], value: Any) -> Variable:
    """One parameter from what its model says of it."""
    given = schema.get("type")
    kind: Kind = given if given in ("number", "integer", "boolean") else "string"
    low, high = limits_of(schema)
    return Variable(
        name=name,
        title=schema.get("title") or name.rpartition(".")[2],
        help=schema.get("description", ""),
        kind=kind,
        choices=tuple(map(str, schema.get("enum", ()))),
        range="" if name == "method" else range_text(schema),
        low=low,
        high=high,
        value=value,
    )
