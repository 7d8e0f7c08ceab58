"""From frames to stacks of slices that lie evenly behind one another, and where these lie in the patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from napari_lossguide.data.exports.dicom_space import RAS_TO_LPS
from napari_lossguide.data.formats.base import Entry
from napari_lossguide.data.formats.dicom_frames import Frame
from napari_lossguide.data.orientation import PLANES, obliqueness

_SAME_AXES = 1e-3  # by which the numbers of one orientation differ
_SAME_PLACE = 1e-3  # mm
_EVEN = 0.01  # by what share of a step the distances of slices may differ


@dataclass(frozen=True)
class Stack:
    """One entry: `frames` in the order of the slices, `spacing` (slice, y, x), and `affine`, None if it is unknown."""

    entry: Entry
    frames: tuple[Frame, ...]
    spacing: tuple[float, float, float]
    affine: np.ndarray | None


def stacks(frames: Sequence[Frame]) -> tuple[Stack, ...]:
    """All that can be made of frames, those of a series after one another."""
    series: dict[tuple[int, str], list[Frame]] = defaultdict(list)
    seen = set()
    for frame in frames:
        if (frame.uid, frame.index) not in seen:  # the same instance may be there twice
            seen.add((frame.uid, frame.index))
            series[frame.number, frame.series].append(frame)
    found: list[tuple[list[str], list[Frame]]] = []
    for key in sorted(series):
        words = [_title(series[key][0])] if len(series) > 1 else []
        found += [([*words, *more], members) for more, members in _split(series[key])]
    made: list[Stack] = []
    names: set[str] = set()
    for words, members in found:
        name = first = ", ".join(filter(None, words)) or "images"
        number = 2
        while name in names:
            name, number = f"{first} ({number})", number + 1
        names.add(name)
        made.append(_stack(name, members, uneven=bool(words) and words[-1].startswith("part ")))
    return tuple(made)


def _title(frame: Frame) -> str:
    return f"series {frame.number}" + (f" {frame.title}" if frame.title else "")


def _split(frames: list[Frame]) -> list[tuple[list[str], list[Frame]]]:
    """Groups of one size and orientation, with the words that tell them apart; then by what lies at one place."""
    groups: dict[tuple[int, tuple[int, int], object], list[Frame]] = defaultdict(list)
    turns: list[np.ndarray] = []
    known: dict[tuple[float, ...] | None, int] = {None: -1}
    for frame in frames:
        if frame.axes not in known:
            known[frame.axes] = _turn(np.array(frame.axes), turns)
        groups[known[frame.axes], frame.shape, frame.pixel_mm].append(frame)
    shapes = {frame.shape for frame in frames}
    out = []
    for (turn, shape, _), members in groups.items():
        ny, nx = shape
        words = [_plane(members[0])] if len(turns) > 1 and turn != -1 else []
        words += [f"{ny} x {nx}"] if len(shapes) > 1 else []
        out += [([*words, *more], part) for more, part in _places(members)]
    return out


def _turn(axes: np.ndarray, turns: list[np.ndarray]) -> int:
    for number, other in enumerate(turns):
        if np.abs(axes - other).max() < _SAME_AXES:
            return number
    turns.append(axes)
    return len(turns) - 1


def _places(frames: list[Frame]) -> list[tuple[list[str], list[Frame]]]:
    """Parts in which each place is taken once: by the first mark that differs, and so on; else in their order."""
    if frames[0].position is None:
        return [([], sorted(frames, key=lambda frame: (frame.order, frame.path)))]
    at = _numbers_of_places(frames)
    if len(set(at)) == len(at):
        return [([*words], part) for words, part in _even(frames)]
    for number in range(len(frames[0].marks)):
        values = list(dict.fromkeys(frame.marks[number] for frame in frames))
        if len(values) > 1:
            parts = [[frame for frame in frames if frame.marks[number] == value] for value in sorted(values, key=_size)]
            labels = [" ".join(part[0].marks[number]).strip() for part in parts]
            return [
                ([label, *words], members)
                for label, part in zip(labels, parts, strict=True)
                for words, members in _places(part)
            ]
    rounds: dict[int, list[Frame]] = defaultdict(list)
    taken: dict[int, int] = defaultdict(int)
    for place, frame in sorted(zip(at, frames, strict=True), key=lambda pair: (pair[1].order, pair[1].path)):
        taken[place] += 1
        rounds[taken[place]].append(frame)
    return [([f"repetition {n}", *words], part) for n, members in rounds.items() for words, part in _even(members)]


def _size(mark: tuple[str, str]) -> tuple[float, str]:
    """Numbers before words, the smaller first."""
    try:
        return float(mark[1]), ""
    except ValueError:
        return np.inf, mark[1]


def _numbers_of_places(frames: list[Frame]) -> list[int]:
    """The same number for those that lie in one plane. Slices may be shifted in it, as under a tilted gantry."""
    heights = _heights(frames)
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order]) > _SAME_PLACE
    numbers = np.empty(len(frames), int)
    numbers[order] = np.concatenate([[0], np.cumsum(steps)])
    return [int(n) for n in numbers]


def _heights(frames: list[Frame]) -> np.ndarray:
    """Where each lies along the normal of the first, in mm."""
    x, y = np.reshape(np.array(frames[0].axes), (2, 3))
    out: np.ndarray = np.array([frame.position for frame in frames]) @ np.cross(x, y)
    return out


def _even(frames: list[Frame]) -> list[tuple[list[str], list[Frame]]]:
    """Runs of slices at one distance: where a slice is missing, a stack ends and another begins.

    Frames of one file stay in its order if that follows the normal one way or the other; all others follow it.
    """
    heights = _heights(frames)
    steps = np.diff(heights)
    if not (len({frame.path for frame in frames}) == 1 and ((steps > 0).all() or (steps < 0).all())):
        frames = [frames[int(n)] for n in np.argsort(heights, kind="stable")]
    if len(frames) < 3:
        return [([], frames)]
    moves = np.diff(np.array([frame.position for frame in frames]), axis=0)
    lengths = np.linalg.norm(moves, axis=1)
    usual = moves[int(np.argsort(lengths, kind="stable")[(len(lengths) - 1) // 2])]
    linked = np.linalg.norm(moves - usual, axis=1) <= max(_EVEN * float(np.linalg.norm(usual)), _SAME_PLACE)
    cuts = [0, *(np.flatnonzero(~linked) + 1).tolist(), len(frames)]
    runs = [frames[start:end] for start, end in pairwise(cuts)]
    if len(runs) == 1:
        return [([], frames)]
    return [([f"part {n} of {len(runs)}"], run) for n, run in enumerate(runs, 1)]


def _stack(name: str, frames: list[Frame], *, uneven: bool) -> Stack:
    first = frames[0]
    y_mm, x_mm = first.pixel_mm or (1.0, 1.0)
    spacing, affine = (first.slice_mm, y_mm, x_mm), None
    if first.position is not None and first.pixel_mm is not None:
        affine = _affine(frames, spacing)
        if len(frames) > 1:
            spacing = (float(np.linalg.norm(affine[:3, 0])), y_mm, x_mm)
    note = [first.modality, "place unknown" if affine is None else _plane(first)]
    if uneven:
        note.append("slices are missing between the parts, or lie unevenly")
    entry = Entry(name, "images", (len(frames), *first.shape), ", ".join(note))
    return Stack(entry, tuple(frames), spacing, affine)


def _affine(frames: list[Frame], spacing: tuple[float, float, float]) -> np.ndarray:
    first, last = np.array(frames[0].position), np.array(frames[-1].position)
    x, y = np.reshape(np.array(frames[0].axes), (2, 3))
    step = (last - first) / (len(frames) - 1) if len(frames) > 1 else spacing[0] * np.cross(x, y)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([step, y * spacing[1], x * spacing[2]], axis=1)
    affine[:3, 3] = first
    affine[:3] *= RAS_TO_LPS[:, None]
    return affine


def _plane(frame: Frame) -> str:
    """In a word or two."""
    affine = _affine([replace(frame, position=(0.0, 0.0, 0.0))], (1.0, 1.0, 1.0))
    normal = np.abs(affine[:3, 0])
    return PLANES[int(normal.argmax())] + (" oblique" if obliqueness(affine) > 1 else "")
