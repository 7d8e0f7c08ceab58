"""A recipe with some things changed by name: what the shell's options and the cells of a sweep do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_lossguide.masks import MaskRecipe
from napari_lossguide.masks.recipe import DRAWN
from napari_lossguide.recon.methods import PARTS
from napari_lossguide.recon.methods import method as method_of
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

MASK = "mask."
"""What the full name of a mask's parameter begins with."""


def varied(base: Recipe, settings: Mapping[str, Any], *, method: str | None = None, steps: int | None = None) -> Recipe:
    """A recipe with some things changed.

    Parameters
    ----------
    base : keeps its values where nothing else is said. Another method than its own starts from that method's own
        defaults, without the changes of live knobs; a classical one leaves the base's start and losses aside. Another
        prior need not have the base's checksum.
    settings : parameters of the method, fields of the recipe and parameters of the mask (``mask.acceleration``).
    method : another one than the base's.
    steps : network evaluations (iterations of a classical method).

    Raises
    ------
    InvalidInput
        On anything unknown or out of range.
    """
    name = method or base.method
    given = {k: v for k, v in settings.items() if not k.startswith(MASK)}
    mask = varied_mask(base.mask, {k.removeprefix(MASK): v for k, v in settings.items() if k.startswith(MASK)})
    if name == base.method:
        given = {f"{part}.{k}": v for part in PARTS for k, v in getattr(base, part).items()} | given
    kept = kept_fields(base, name)
    if "prior" in given:
        kept["prior_sha256"] = ""
    return Recipe.for_method(name, steps=steps, settings=given, mask=mask, **kept)


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
