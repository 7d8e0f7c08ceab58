"""Values of a method's parameters that a person keeps under a name, in a file of the user's configuration folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_lossguide.data.writers import write_bytes
from napari_lossguide.recon.methods import method
from napari_lossguide.types import InvalidInput

LONGEST = 60
"""Characters of a name, at most."""


def values_file() -> Path:
    """Where the values are kept."""
    from platformdirs import user_config_path

    return user_config_path("napari-lossguide") / "values.json"


class KeptValues:
    """The file: method -> name -> full parameter name ("guidance.gamma") -> value. Read anew at each question.

    Parameters
    ----------
    path : of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self, of: str) -> list[str]:
        """Names that are kept for a method, in alphabetical order.

        Raises
        ------
        InvalidInput
            If the file cannot be read.
        """
        return sorted(self._read().get(of, {}), key=str.lower)

    def get(self, of: str, name: str) -> dict[str, Any]:
        """The method's parameters by full name: its defaults with the kept values on top.

        Raises
        ------
        InvalidInput
            If there are none of this name, or the method does not take them (any more).
        """
        try:
            kept = self._read()[of][name]
        except KeyError as error:
            raise InvalidInput(f"No values called '{name}' are kept for the method '{of}'.") from error
        nested = method(of).settings(kept)
        return {f"{part}.{own}": value for part, values in nested.items() for own, value in values.items()}

    def keep(self, of: str, name: str, values: Mapping[str, Any]) -> None:
        """Keep values under a name, in the place of others of that name.

        Raises
        ------
        InvalidInput
            If the name is empty or too long, the method does not take the values, or the file cannot be written.
        """
        if not 0 < len(name.strip()) <= LONGEST:
            raise InvalidInput(f"The name {name!r} cannot be used; it takes 1 to {LONGEST} characters.")
        method(of).settings(values)
        content = self._read()
        content.setdefault(of, {})[name.strip()] = dict(values)
        self._write(content)

    def forget(self, of: str, name: str) -> None:
        """Forget values; nothing happens if there are none of that name."""
        content = self._read()
        content.get(of, {}).pop(name, None)
        self._write(content)

    def _read(self) -> dict[str, dict[str, dict[str, Any]]]:
        if not self.path.exists():
            return {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {of: {name: dict(values) for name, values in kept.items()} for of, kept in content.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise InvalidInput(f"The kept values in {self.path} cannot be read: {error}.") from error

    def _write(self, content: Mapping[str, Any]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"{self.path.parent} cannot be made: {error.strerror or error}.") from error
        write_bytes(self.path, json.dumps(content, indent=1).encode())
