"""Recipes from files: JSON, results, and images of every format whose files carry the record of how they were made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from napari_lossguide.data.exports.record import KIND
from napari_lossguide.data.exports.registry import endings
from napari_lossguide.data.formats.registry import format_of, record_text
from napari_lossguide.recon.recipe import Recipe, read_text
from napari_lossguide.types import InvalidInput


def suffixes() -> tuple[str, ...]:
    """What files with a recipe are usually called."""
    return (".json", *endings())


def read_recipe(source: str | os.PathLike[str]) -> Recipe:
    """A recipe from JSON text, from a file of it, or from a file that carries the record of a run.

    Raises
    ------
    InvalidInput
        If the file cannot be read, carries no recipe, or what it carries is none.
    """
    if isinstance(source, str) and source.lstrip().startswith("{"):
        return Recipe.from_json(source)
    path = Path(source).expanduser()
    if _is_json(path):
        return Recipe.from_json(_inner(read_text(path), path) or path)
    found = _inner(_record(path), path)
    if found is None:
        raise InvalidInput(f"{path} carries no recipe; {_accepted()}.")
    return Recipe.from_json(found)


def _is_json(path: Path) -> bool:
    """Also what cannot be opened: the message is then that of a recipe."""
    try:
        with open(path, "rb") as file:
            return file.read(64).lstrip().startswith(b"{") or path.suffix.lower() == ".json"
    except (OSError, ValueError):
        return not path.is_dir() and not path.with_name(f"{path.name}.hdr").exists()


def _record(path: Path) -> str | None:
    try:
        format_of(path)
    except InvalidInput as error:
        raise InvalidInput(f"The recipe {path} cannot be read: it is of another kind; {_accepted()}.") from error
    return record_text(path)


def _inner(text: str | None, path: Path) -> str | None:
    """The recipe of a record; None of a text that is no record.

    Raises
    ------
    InvalidInput
        If it is a record without one.
    """
    try:
        held: Any = json.loads(text or "null")
    except ValueError:
        return None
    if not isinstance(held, dict) or ("recipe" not in held and held.get("kind") != KIND):
        return None
    if "recipe" not in held:
        raise InvalidInput(f"{path} carries no recipe: its images were not reconstructed; {_accepted()}.")
    return json.dumps(held["recipe"])


def _accepted() -> str:
    return f"accepted are recipes (.json) and what was saved of a reconstruction ({', '.join(endings())})"
