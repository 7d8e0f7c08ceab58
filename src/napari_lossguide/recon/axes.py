"""What varies in a sweep, and the recipes that follow from it: all of them, before any runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from napari_lossguide.recon.knobs import short_name
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.variation import varied
from napari_lossguide.types import InvalidInput


@dataclass(frozen=True)
class Axis:
    """The rows or the columns of a sweep: one parameter, or several that change together.

    Attributes
    ----------
    names : parameters of the method (``guidance.strength``), fields of the recipe (``method``, ``seed``) or parameters
        of the mask (``mask.acceleration``) or of a further loss (``losses.0.weight``).
    values : for each place along the axis one value of each name.

    Raises
    ------
    InvalidInput
        If a place has another number of values than there are names, a name or a place comes twice, or there is none.
    """

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        name = ", ".join(self.names)
        if len(set(self.names)) < len(self.names):
            raise InvalidInput(f"{name} names a parameter twice.")
        if not self.values:
            raise InvalidInput(f"{name} has no values; a sweep needs at least one.")
        for number, place in enumerate(self.values):
            if len(place) != len(self.names):
                raise InvalidInput(f"{name} takes {len(self.names)} values at a time, but {place!r} is {len(place)}.")
            if place in self.values[:number]:
                raise InvalidInput(f"{name} has the value {' : '.join(map(in_words, place))} twice.")

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> Axis:
        """One parameter."""
        return cls((name,), tuple((value,) for value in values))

    def __len__(self) -> int:
        return len(self.values)

    def settings(self, place: int) -> dict[str, Any]:
        """The values at a place, by name."""
        return dict(zip(self.names, self.values[place], strict=True))

    def caption(self, place: int) -> str:
        """A line for each name, without the part that it belongs to."""
        return "\n".join(f"{short_name(name)} {in_words(v)}" for name, v in self.settings(place).items())

    def to_json(self) -> str:
        """Names and values, as an object."""
        return json.dumps({"names": self.names, "values": self.values})


NO_AXIS = Axis((), ((),))
"""Nothing varies: one row, or one column."""


def in_words(value: Any) -> str:
    """A value for a caption: six digits, a file without its folder."""
    if isinstance(value, str):
        return PurePath(value).name or value
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


@dataclass(frozen=True)
class Grid:
    """The recipes of a sweep; ``grid`` makes it.

    Attributes
    ----------
    rows, columns : what varies.
    recipes : one for each cell, row by row.
    """

    rows: Axis
    columns: Axis
    recipes: tuple[tuple[Recipe, ...], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return len(self.rows), len(self.columns)

    def settings(self, row: int, column: int) -> dict[str, Any]:
        """What makes a cell another than the others, by name."""
        return self.rows.settings(row) | self.columns.settings(column)


def grid(base: Recipe | Callable[[Mapping[str, Any]], Recipe], rows: Axis, columns: Axis = NO_AXIS) -> Grid:
    """The recipe of every cell, checked.

    Parameters
    ----------
    base : recipe of all cells, on which each one's values are set; or the function that makes a cell's recipe of them.
    rows, columns : what varies. A live knob that varies keeps its value: the base's changes of it are left out.

    Raises
    ------
    InvalidInput
        If rows and columns name the same parameter, or a value cannot be used.
    """
    twice = set(rows.names) & set(columns.names)
    if twice:
        raise InvalidInput(f"{', '.join(sorted(twice))} cannot vary along the rows and along the columns.")
    build = (lambda settings: set_on(base, settings)) if isinstance(base, Recipe) else base

    def cell(row: int, column: int) -> Recipe:
        settings = rows.settings(row) | columns.settings(column)
        recipe = build(settings)
        return recipe.model_copy(update={"changes": tuple(c for c in recipe.changes if c.name not in settings)})

    return Grid(rows, columns, tuple(tuple(cell(r, c) for c in range(len(columns))) for r in range(len(rows))))


def set_on(base: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """A recipe with a cell's values, the method among them."""
    others = {name: value for name, value in settings.items() if name != "method"}
    return varied(base, others, method=str(settings["method"]) if "method" in settings else None)
