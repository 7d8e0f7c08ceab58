"""Priors that are too large for the package: a list of where they are published, fetched once and checked.

``published.json`` maps a name to ``url``, ``sha256``, ``size`` in bytes, ``licence`` and ``trained_on``.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_lossguide.types import InvalidInput

REGISTRY = Path(__file__).with_name("published.json")
TIMEOUT = 30  # seconds without a byte


class Published(BaseModel):
    """One published prior."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(pattern="^https?://")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(gt=0)
    licence: str
    trained_on: str = ""


def published(registry: Path | None = None) -> dict[str, Published]:
    """All published priors, by name.

    Raises
    ------
    InvalidInput
        If the list is damaged.
    """
    path = registry or REGISTRY
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {name: Published(**entry) for name, entry in sorted(entries.items())}
    except (OSError, ValueError, TypeError, AttributeError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"The list of published priors {path} is damaged: {reason}.") from error


def cache_folder() -> Path:
    """Where fetched priors are kept."""
    import pooch

    return Path(pooch.os_cache("napari-lossguide")) / "priors"


def fetched(name: str) -> Path | None:
    """File of a published prior; None if no prior of this name is published.

    Raises
    ------
    InvalidInput
        If it has not been fetched yet.
    """
    entry = published().get(name)
    if entry is None:
        return None
    path = cache_folder() / f"{name}.safetensors"
    if not path.is_file() or path.stat().st_size != entry.size:
        raise InvalidInput(
            f"The prior '{name}' has to be fetched first ({entry.size / 1e6:.0f} MB, {entry.licence}): "
            f"lossguide priors fetch {name}."
        )
    return path


def fetch(name: str, *, show_progress: bool = False) -> Path:
    """Fetch a published prior, unless it is there already; what is kept has the published checksum.

    Raises
    ------
    InvalidInput
        If there is none of this name, it cannot be fetched, or what comes is another file.
    """
    priors = published()
    if name not in priors:
        names = f"published are {', '.join(priors)}" if priors else "none is published yet"
        raise InvalidInput(f"There is no published prior '{name}'; {names}.")
    import pooch

    entry, folder = priors[name], cache_folder()
    downloader = pooch.HTTPDownloader(progressbar=show_progress, timeout=TIMEOUT)
    try:
        path = pooch.retrieve(entry.url, f"sha256:{entry.sha256}", f"{name}.safetensors", folder, downloader=downloader)
    except OSError as error:
        raise InvalidInput(
            f"{entry.url} could not be fetched ({type(error).__name__}); check the network connection, or put the file "
            f"at {folder / f'{name}.safetensors'}."
        ) from error
    except ValueError as error:
        raise InvalidInput(
            f"{entry.url} gave another file than was published (its SHA-256 differs); nothing was kept."
        ) from error
    return Path(path)
