"""A recipe with some things changed by name: what the shell's options and the cells of a sweep do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.masks.recipe import DRAWN
from napari_lossguide.recon.knobs import LOSSES
from napari_lossguide.recon.methods import PARTS, first_complaint
from napari_lossguide.recon.methods import method as method_of
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

MASK = "mask."
"""What the full name of a mask's parameter begins with."""
OF_A_LOSS = ("weight", "low", "high")


def varied(base: Recipe, settings: Mapping[str, Any], *, method: str | None = None, steps: int | None = None) -> Recipe:
    """A recipe with some things changed.

    Parameters
    ----------
    base : keeps its values where nothing else is said. Another method than its own starts from that method's own
        defaults, without the changes of live knobs; a classical one leaves the base's start and losses aside. Another
        prior need not have the base's checksum. Other losses come without the base's changes of their weights.
    settings : parameters of the method, fields of the recipe, parameters of the mask (``mask.acceleration``) and of
        the recipe's losses (``losses.0.weight``).
    method : another one than the base's.
    steps : network evaluations (iterations of a classical method).

    Raises
    ------
    InvalidInput
        On anything unknown or out of range.
    """
    name = method or base.method
    given = {k: v for k, v in settings.items() if not k.startswith((MASK, LOSSES))}
    of_losses = {k: v for k, v in settings.items() if k.startswith(LOSSES)}
    mask = varied_mask(base.mask, {k.removeprefix(MASK): v for k, v in settings.items() if k.startswith(MASK)})
    if name == base.method:
        given = {f"{part}.{k}": v for part in PARTS for k, v in getattr(base, part).items()} | given
    kept = kept_fields(base, name)
    if "prior" in given:
        kept["prior_sha256"] = ""
    if "losses" in given:
        kept["changes"] = tuple(c for c in kept.get("changes", ()) if not c.name.startswith(LOSSES))
    made = Recipe.for_method(name, steps=steps, settings=given, mask=mask, **kept)
    return made.model_copy(update={"losses": varied_losses(made.losses, of_losses)}) if of_losses else made


def varied_losses(terms: tuple[LossTerm, ...], settings: Mapping[str, Any]) -> tuple[LossTerm, ...]:
    """Losses with some parameters changed, by full name.

    Raises
    ------
    InvalidInput
        If there is no such loss or parameter, or the value is out of range.
    """
    given = [term.model_dump() for term in terms]
    for name, value in settings.items():
        place, _, own = name.removeprefix(LOSSES).partition(".")
        if not place.isdecimal() or int(place) >= len(terms) or own not in OF_A_LOSS:
            there = ", ".join(f"{LOSSES}{index}" for index in range(len(terms)))
            known = f"it has {there}, each with {', '.join(OF_A_LOSS)}" if terms else "it has none"
            raise InvalidInput(f"'{name}' is no parameter of the recipe's further losses; {known}.")
        given[int(place)][own] = value
    made = []
    for index, fields in enumerate(given):
        try:
            made.append(LossTerm(**fields))
        except ValidationError as error:
            raise InvalidInput(first_complaint(error, "losses", str(index))) from error
    return tuple(made)


def kept_fields(base: Recipe, name: str) -> dict[str, Any]:
    """The fields of a recipe that go on to a method of this name, beside the parts and the mask."""
    dropped = {*PARTS, "version", "method", "mask"}
    if name != base.method:
        dropped |= {"changes"} if method_of(name).needs_prior else {"changes", "start", "losses"}
    return {field: getattr(base, field) for field in Recipe.model_fields if field not in dropped}


def varied_mask(base: MaskRecipe | None, params: Mapping[str, Any]) -> MaskRecipe | None:
    """A mask with some parameters changed.

    Raises
    ------
    InvalidInput
        If there is no mask to change, or it has no such parameter or value.
    """
    if not params:
        return base
    names = ", ".join(MASK + name for name in params)
    if base is None:
        raise InvalidInput(f"{names} cannot be changed: the recipe has no mask; choose its kind too.")
    if base.kind == DRAWN:
        raise InvalidInput(f"{names} cannot be changed: the mask is drawn, every point is given.")
    return MaskRecipe.of(base.kind, **(base.params | dict(params)))
