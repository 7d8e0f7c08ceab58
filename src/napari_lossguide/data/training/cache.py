"""Training slices on disk, read through a memory map: memory stays bounded however many there are.

``slices.f16`` holds the squares one after another, ``index.json`` what they are, the checksums of all source files and
that of ``slices.f16``. The index is written last; without it, or when anything it vouches for has changed, the slices
are made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_lossguide.data.training.options import FolderOptions
from napari_lossguide.data.training.patients import name_patients, validation_patients
from napari_lossguide.data.training.sources import Dropped, Source
from napari_lossguide.data.training.squares import Cut, cut_slices
from napari_lossguide.data.training.stacks import Stack, read_stacks
from napari_lossguide.types import InvalidInput

VERSION = 1
Progress = Callable[[int, int], None]


def silent(*_: int) -> None:
    """Say nothing."""


@dataclass
class Unit:
    """The slices of one plane of one scan of one patient, as they lie in the cache.

    Attributes
    ----------
    offset : of the first slice, in float16 values.
    count, side : number of slices, and their height and width.
    shape : of the slices in the file (ny, nx).
    """

    source: str
    kind: str
    patient: str
    plane: str
    offset: int
    count: int
    side: int
    shape: list[int]
    pixel_mm: float
    range: list[float]
    empty: int
    left_out: int
    notes: list[str]
    share: float = 1.0
    split: str = "auto"


class SliceCache:
    """What ``prepare`` made.

    Attributes
    ----------
    units : of slices.
    facts : ``sources`` (name: checksum), ``labels`` (names of label-map files), ``dropped``, ``others``, ``warnings``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stored = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.units = [Unit(**u) for u in stored.pop("units")]
        self.facts: dict[str, Any] = stored
        path = folder / "slices.f16"
        self.values: np.ndarray = np.memmap(path, np.float16, "r") if path.stat().st_size else np.zeros(0, np.float16)

    def __reduce__(self) -> tuple[type[SliceCache], tuple[Path]]:
        """Worker processes open the file themselves: a pickled memory map would be a copy of all slices."""
        return SliceCache, (self.folder,)

    def slices(self, split: str, source: str | None = None) -> list[tuple[int, int]]:
        """Offset and side of every slice of one side of the split, and of one source."""
        return [
            (u.offset + k * u.side**2, u.side)
            for u in self.units
            if u.split == split and source in (None, u.source)
            for k in range(u.count)
        ]

    def slice(self, offset: int, side: int) -> np.ndarray:
        """One slice, float16 (side, side)."""
        return np.array(self.values[offset : offset + side**2]).reshape(side, side)


def prepare(
    found: tuple[Sequence[Source], Sequence[Dropped], int],
    out: Path,
    options: FolderOptions,
    progress: Progress = silent,
) -> tuple[SliceCache, list[str]]:
    """The slices of these sources, from the cache in ``out`` if it is theirs.

    Parameters
    ----------
    found : sources, files that cannot be used, and the number of files of other kinds.
    out : folder of the cache.
    progress : called with the number of sources read, and of all.

    Returns
    -------
    The cache, and sentences about what has changed since it was made.

    Raises
    ------
    InvalidInput
        If not one slice is left.
    """
    sources, dropped, others = found
    checksums = {s.name: s.sha256() for s in sources}
    terms = {
        "version": VERSION,
        "options": options.model_dump(mode="json"),
        "listed": [[s.name, s.split, s.share] for s in sources if s.split != "auto"],
    }
    changes = differences(out, checksums, terms)
    if changes is not None and not changes:
        return SliceCache(out), []
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.json").unlink(missing_ok=True)
    facts = {"sources": checksums, "terms": terms, "others": others}
    write(sources, [asdict(d) for d in dropped], out, options, facts, progress)
    return SliceCache(out), changes or []


def differences(out: Path, checksums: dict[str, str], terms: dict[str, Any]) -> list[str] | None:
    """Sentences about what differs from the cache in ``out``; None if there is none that is whole."""
    try:
        facts = json.loads((out / "index.json").read_text(encoding="utf-8"))
        with open(out / "slices.f16", "rb") as f:
            whole = hashlib.file_digest(f, "sha256").hexdigest() == facts["sha256"]
        before: dict[str, str] = facts["sources"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not whole:
        return ["The slices in the cache are damaged; they are made again."]
    changed = sorted(n for n in checksums if n in before and checksums[n] != before[n])
    kinds = {
        "new": sorted(set(checksums) - set(before)),
        "gone": sorted(set(before) - set(checksums)),
        "changed": changed,
    }
    said = [f"{len(names)} {word} ({some(names)})" for word, names in kinds.items() if names]
    if said:
        return [f"The data have changed: {', '.join(said)}; the slices are made again."]
    return [] if facts["terms"] == terms else ["The options for the data have changed; the slices are made again."]


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few, in words."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def write(
    sources: Sequence[Source],
    dropped: list[dict[str, str]],
    out: Path,
    options: FolderOptions,
    facts: dict[str, Any],
    progress: Progress,
) -> None:
    """Read every source, write its slices, then the index."""
    part = out / "slices.part"
    with open(part, "wb") as file:
        units, digest = fill(file, distinct(sources, facts["sources"], dropped), options, dropped, progress)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, out / "slices.f16")
    labels = [s.name for s in sources if s.kind == "labels" and s.split != "validation"]
    if not labels and not any(u.count for u in units):
        reasons = "; ".join(f"{d['name']}: {d['reason']}" for d in dropped[:3])
        raise InvalidInput(f"The data hold no slice to train on{f' ({reasons})' if reasons else ''}.")
    warnings = split_units(units, options)
    facts |= {"dropped": dropped, "labels": labels, "warnings": warnings, "sha256": digest}
    index = out / "index.part"
    index.write_text(json.dumps(facts | {"units": [asdict(u) for u in units]}), encoding="utf-8")
    os.replace(index, out / "index.json")


def distinct(sources: Sequence[Source], checksums: dict[str, str], dropped: list[dict[str, str]]) -> list[Source]:
    """The scans without second copies: one under two names could be on both sides of the split."""
    first: dict[str, str] = {}
    kept = []
    for source in sources:
        twin = first.setdefault(checksums[source.name], source.name)
        if twin != source.name:
            dropped.append({"name": source.name, "reason": f"the same bytes as {twin}"})
        elif source.kind != "labels":
            kept.append(source)
    return kept


def fill(
    file: IO[bytes],
    sources: Sequence[Source],
    options: FolderOptions,
    dropped: list[dict[str, str]],
    progress: Progress,
) -> tuple[list[Unit], str]:
    """Write the slices of all sources; returns their units and the checksum of the file."""
    units: list[Unit] = []
    offset, digest = 0, hashlib.sha256()
    for number, source in enumerate(sources, 1):
        try:
            for stack in read_stacks(source, options):
                cut = cut_slices(stack, options)
                data = b"".join(s.tobytes() for s in cut.slices)
                file.write(data)
                digest.update(data)
                units.append(unit(source, stack, cut, offset))
                offset += len(data) // 2
        except InvalidInput as error:
            dropped.append({"name": source.name, "reason": str(error)})
        progress(number, len(sources))
    return units, digest.hexdigest()


def unit(source: Source, stack: Stack, cut: Cut, offset: int) -> Unit:
    """The entry of one stack."""
    return Unit(
        source=source.name,
        kind=source.kind,
        patient=stack.patient,
        plane=stack.plane,
        offset=offset,
        count=len(cut.slices),
        side=len(cut.slices[0]) if cut.slices else 0,
        shape=list(stack.images.shape[1:]),
        pixel_mm=round(cut.pixel_mm, 4),
        range=list(stack.range),
        empty=cut.empty,
        left_out=cut.left_out,
        notes=list(stack.notes),
        share=source.share,
        split=source.split,
    )


def split_units(units: list[Unit], options: FolderOptions) -> list[str]:
    """Name the patient of every unit and put all of a patient's units on one side; returns warnings."""
    single = [u.source for u in units if u.count + u.left_out + u.empty == 1]
    known = {u.source: u.patient for u in units}
    names = sorted({u.source for u in units})
    patients, warnings = name_patients(names, known, single, options)
    for u in units:
        u.patient = u.patient or patients[u.source]
    free = [u for u in units if u.split == "auto"]
    kept = validation_patients([u.patient for u in free if u.count], options.validation_share)
    for u in free:
        u.split = "validation" if u.patient in kept else "train"
    return warnings if free else []
