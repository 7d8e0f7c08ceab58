"""What the training data are, before anything is trained on them: text, JSON and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.data.training.cache import SliceCache, some

FEW_PATIENTS, FEW_SLICES = 10, 300
TILE, COLUMNS, ROWS = 96, 8, 6


def data_report(cache: SliceCache, smallest_view: int) -> dict[str, Any]:
    """Facts and warnings about the slices.

    Parameters
    ----------
    smallest_view : side of the smallest training view in pixels.
    """
    units = [u for u in cache.units if u.count]
    facts = cache.facts
    report: dict[str, Any] = {
        "files": len(facts["sources"]),
        "kinds": dict(Counter(u.kind for u in {u.source: u for u in cache.units}.values())),
        "label_maps": facts["labels"],
        "other_files": facts["others"],
        "patients": len({u.patient for u in units}),
        "slices": sum(u.count for u in units),
        "split": {side: side_of(cache, side) for side in ("train", "validation")},
        "planes": tally(units, "plane"),
        "sizes": tally(units, "shape"),
        "sides": tally(units, "side"),
        "pixel_mm": spread([u.pixel_mm for u in units]),
        "intensity_least": spread([u.range[0] for u in units]),
        "intensity_largest": spread([u.range[1] for u in units]),
        "empty_slices": sum(u.empty for u in units),
        "slices_between": sum(u.left_out for u in units),
        "dropped": facts["dropped"],
        "cache_mb": round(cache.values.size * 2 / 1e6, 1),
    }
    report["warnings"] = warnings(cache, report, smallest_view)
    return report


def side_of(cache: SliceCache, side: str) -> dict[str, Any]:
    """Patients, files and slices on one side of the split."""
    units = [u for u in cache.units if u.count and u.split == side]
    patients = sorted({u.patient for u in units})
    return {"patients": patients, "files": len({u.source for u in units}), "slices": sum(u.count for u in units)}


def tally(units: Sequence[Any], name: str) -> dict[str, int]:
    """Slices by the value of an attribute."""
    counts: Counter[str] = Counter()
    for u in units:
        value = getattr(u, name)
        counts[" x ".join(map(str, value)) if isinstance(value, list) else str(value)] += u.count
    return dict(counts.most_common())


def spread(values: Sequence[float]) -> list[float]:
    """Least, median and largest."""
    return [float(f"{f(values):.5g}") for f in (np.min, np.median, np.max)] if values else []


def warnings(cache: SliceCache, report: Mapping[str, Any], smallest_view: int) -> list[str]:
    """Problems, as plain sentences."""
    said = list(cache.facts["warnings"])
    n, split = report["patients"], report["split"]
    if 0 < n < FEW_PATIENTS:
        said.append(
            f"Only {n} patient{'s' if n > 1 else ''}: the prior will know little beyond {'them' if n > 1 else 'it'}."
        )
    if 0 < report["slices"] < FEW_SLICES:
        said.append(f"Only {report['slices']} slices: start from a trained prior (--initial brain) rather than anew.")
    if not split["validation"]["slices"]:
        said.append("No validation slices: the longest average is exported, and nothing tells when it gets worse.")
    if not split["train"]["slices"] and not report["label_maps"]:
        said.append("No training slices.")
    both = set(split["train"]["patients"]) & set(split["validation"]["patients"])
    if both:
        said.append(
            f"Patients named {some(sorted(both))} are on both sides; if they are the same people, validation flatters."
        )
    reasons: dict[str, list[str]] = {}
    for d in report["dropped"]:
        reasons.setdefault(d["reason"].partition(":")[0], []).append(d["name"])
    said += [
        f"{len(names)} file{'s' if len(names) > 1 else ''} not used, {why}: {some(names)}."
        for why, names in reasons.items()
    ]
    small = sum(u.count for u in cache.units if u.side < smallest_view)
    if small:
        fits = max(32, min(u.side for u in cache.units if u.count) // 16 * 16)
        said.append(
            f"{small} slices are smaller than the views of {smallest_view} pixels and will be blurred up to them; "
            f'smaller views: --set \'views=[{{"size": {fits}, "batch": 16}}]\'.'
        )
    notes = Counter(note for u in cache.units for note in u.notes)
    return said + [f"In {count} stack{'s' if count > 1 else ''}: {note}." for note, count in notes.most_common(5)]


def in_words(report: Mapping[str, Any]) -> str:
    """The report for a person."""

    def counts(values: Mapping[str, int], most: int = 4) -> str:
        shown = [f"{name} ({count})" for name, count in list(values.items())[:most]]
        return ", ".join(shown) + (f" and {len(values) - most} more" if len(values) > most else "")

    def limits(values: Sequence[float]) -> str:
        return "unknown" if not values else f"{values[0]:g} to {values[2]:g}, median {values[1]:g}"

    split = {k: f"{len(v['patients'])} patients, {v['slices']} slices" for k, v in report["split"].items()}
    lines = {
        "files": f"{report['files']} ({counts(report['kinds'])}), {report['other_files']} of other kinds",
        "label maps": ", ".join(report["label_maps"]),
        "patients": report["patients"],
        "slices": f"{report['slices']}; not used: {report['empty_slices']} empty, {report['slices_between']} between",
        "train": split["train"],
        "validation": f"{split['validation']}: {some(report['split']['validation']['patients'], 5)}",
        "planes": counts(report["planes"]),
        "size": counts(report["sizes"]),
        "pixel, mm": limits(report["pixel_mm"]),
        "least value": limits(report["intensity_least"]),
        "largest value": limits(report["intensity_largest"]),
        "cache": f"{report['cache_mb']} MB on disk",
        **report.get("estimate", {}),
    }
    text = [f"{name:<14}{value}" for name, value in lines.items() if value != ""]
    text += [f"not used      {d['name']}: {d['reason']}" for d in report["dropped"][:10]]
    more = len(report["dropped"]) - 10
    text += [f"not used      and {more} more, see report.json"] if more > 0 else []
    return "\n".join([*text, *(f"warning       {w}" for w in report["warnings"])])


def contact_sheet(cache: SliceCache, path: Path) -> None:
    """A picture of slices from all over the data, validation slices framed in white, written whole or not at all."""
    from skimage.io import imsave
    from skimage.transform import resize
    from skimage.util import montage

    everything = [(place, side) for side in ("train", "validation") for place in cache.slices(side)]
    if not everything:
        return
    picked = np.unique(np.linspace(0, len(everything) - 1, min(len(everything), COLUMNS * ROWS)).astype(int))
    tiles = []
    for i in picked:
        place, side = everything[i]
        tile = resize(np.clip(cache.slice(*place).astype(np.float32), 0, 1), (TILE, TILE), anti_aliasing=True)
        if side == "validation":
            tile[[0, -1], :] = tile[:, [0, -1]] = 1
        tiles.append(tile)
    rows = -(-len(tiles) // COLUMNS)
    sheet = montage(np.stack(tiles), grid_shape=(rows, COLUMNS), padding_width=2)
    part = path.with_name(f"part-{path.name}")
    imsave(part, (255 * sheet).astype(np.uint8), check_contrast=False)
    part.replace(path)
