"""The live knobs of a recipe: those of its method, and the weights of its further losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.recon.method import limits_of
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.recipe import Recipe

LOSSES = "losses."
"""What the full name of a loss's parameter begins with; then comes its place in the recipe, from 0."""


def weight_name(index: int) -> str:
    """Full name of the weight of a recipe's loss: "losses.0.weight"."""
    return f"{LOSSES}{index}.weight"


def live_limits(recipe: Recipe) -> dict[str, tuple[float, float]]:
    """Least and greatest value of each live knob, by full name."""
    chosen, weight = method(recipe.method), limits_of(LossTerm.model_json_schema()["properties"]["weight"])
    of_losses = {weight_name(index): weight for index in range(len(recipe.losses))}
    return {name: chosen.limits(name) for name in chosen.live_knobs} | of_losses


def knobs_of(recipe: Recipe) -> dict[str, float]:
    """What a recipe says of its live knobs, by full name, changes left out."""
    parts = {"sampler": recipe.sampler, "guidance": recipe.guidance}
    found = {name: parts[name.split(".")[0]][name.split(".")[1]] for name in method(recipe.method).live_knobs}
    return found | weights(recipe.losses)


def weights(terms: Sequence[LossTerm], now: Mapping[str, float] | None = None) -> dict[str, float]:
    """The weight of each loss by full name, as it is now where that is another value than the recipe's."""
    given = {weight_name(index): term.weight for index, term in enumerate(terms)}
    return given | {name: value for name, value in (now or {}).items() if name in given}


def without_live(recipe: Recipe) -> dict[str, Any]:
    """What a run of a recipe cannot change on its way, for comparisons."""
    plain = recipe.model_dump(exclude={"changes"})
    for name in method(recipe.method).live_knobs:
        part, _, own = name.partition(".")
        plain[part].pop(own, None)
    plain["losses"] = without_weights(recipe.losses)
    return plain


def without_weights(terms: Sequence[LossTerm]) -> list[dict[str, Any]]:
    """What a run cannot change of its further losses."""
    return [term.model_dump(exclude={"weight"}) for term in terms]


def same_but_weights(terms: Sequence[LossTerm], others: Sequence[LossTerm]) -> bool:
    """Do further losses differ at most in their weights?"""
    return without_weights(terms) == without_weights(others)


def short_name(name: str) -> str:
    """A full name without the part that it belongs to; of a loss with its number, from 1, as people count."""
    part, _, own = name.rpartition(".")
    return f"loss {int(part.removeprefix(LOSSES)) + 1} {own}" if part.startswith(LOSSES) else own
