"""Values of an axis as a person writes them: "1, 2, 4", "1:10:3", "log 0.1..10 x5"."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import numpy as np

from napari_lossguide.types import InvalidInput

Kind = Literal["number", "integer", "boolean", "string"]
MOST = 100
"""Values along one axis, at most: more are a slip of the pen."""
HOW = (
    "Values with commas between them: 1, 2, 4. A range with its step: 1:10:3 is 1, 4, 7, 10. A number of values evenly "
    "spread: lin 0..1 x5; or evenly on a logarithmic scale: log 0.1..10 x5."
)
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
SPREAD = re.compile(rf"(lin|log)\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*[x×]\s*(\d+)", re.IGNORECASE)
RANGE = re.compile(rf"({NUMBER})\s*:\s*({NUMBER})(?:\s*:\s*({NUMBER}))?")
DIGITS = 6  # of values that are computed: nobody wants 0.30000000000000004 in a recipe


def parse_values(text: str, kind: Kind, name: str) -> list[Any]:
    """The values that a text means, in its order.

    Parameters
    ----------
    text : values, ranges and spreads with commas between them.
    kind : what the values are. Spreads of integers are rounded, and what falls together is kept once.
    name : of the parameter, for the sentence that says what is wrong.

    Raises
    ------
    InvalidInput
        If a part of it cannot be read, a value comes twice, or there are none or too many.
    """
    parts = [part.strip() for part in text.split(",")]
    if not any(parts):
        raise InvalidInput(f"{name} has no values; write some, as in {'1, 2, 4' if kind != 'boolean' else 'no, yes'}.")
    if not all(parts):
        raise InvalidInput(f"{name}: '{text.strip()}' has a comma too many.")
    values = [value for part in parts for value in part_values(part, kind, name)]
    if len(values) > MOST:
        raise InvalidInput(f"{name} has {len(values)} values; at most {MOST} are accepted.")
    for number, value in enumerate(values):
        if value in values[:number]:
            raise InvalidInput(f"{name} has the value {shown(value)} twice.")
    return values


def part_values(part: str, kind: Kind, name: str) -> list[Any]:
    """The values of what stands between two commas."""
    if kind in ("number", "integer"):
        spread, steps = SPREAD.fullmatch(part), RANGE.fullmatch(part)
        if spread:
            return spread_values(*spread.groups(), kind=kind, name=name)
        if steps:
            return range_values(*steps.groups(), kind=kind, name=name)
    return [one_value(part, kind, name)]


def one_value(part: str, kind: Kind, name: str) -> Any:
    """A single value."""
    if kind == "string":
        return part
    if kind == "boolean":
        words = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
        if part.lower() not in words:
            raise InvalidInput(f"{name}: '{part}' is neither yes nor no.")
        return words[part.lower()]
    if not re.fullmatch(NUMBER, part):
        raise InvalidInput(
            f"{name}: '{part}' is no number and no range; accepted are 1, 2, 4 or 1:10:3 or log 0.1..10 x5."
        )
    return as_kind(float(part), kind, name)


def as_kind(value: float, kind: Kind, name: str) -> float | int:
    """A number that was written, as the parameter takes it."""
    if kind == "number":
        return value
    if value != round(value):
        raise InvalidInput(f"{name}: {value:g} is not a whole number.")
    return int(value)


def spread_values(how: str, low: str, high: str, count: str, *, kind: Kind, name: str) -> list[Any]:
    """``count`` values from ``low`` to ``high``, both among them."""
    a, b, n = float(low), float(high), int(count)
    if not 2 <= n <= MOST:
        raise InvalidInput(f"{name}: x{n} is not a number of values from 2 to {MOST}.")
    if how.lower() == "log" and not (a > 0 and b > 0):
        raise InvalidInput(f"{name}: a logarithmic scale needs limits above 0; {low}..{high} has one that is not.")
    if a == b:
        raise InvalidInput(f"{name}: {low}..{high} begins where it ends; give two limits.")
    raw = np.geomspace(a, b, n) if how.lower() == "log" else np.linspace(a, b, n)
    if kind == "integer":
        return list(dict.fromkeys(round(float(v)) for v in raw))
    return [rounded(float(v)) for v in raw]


def range_values(first: str, last: str, step: str | None, *, kind: Kind, name: str) -> list[Any]:
    """From ``first`` on in steps; ``last`` is among them if a step meets it."""
    a, b = float(first), float(last)
    by = float(step) if step is not None else (1.0 if b >= a else -1.0)
    if by == 0 or (b - a) / by < 0:
        raise InvalidInput(f"{name}: steps of {by:g} never lead from {first} to {last}.")
    n = int(np.floor((b - a) / by + 1e-9)) + 1
    if n > MOST:
        raise InvalidInput(f"{name}: {first}:{last}:{by:g} has {n} values; at most {MOST} are accepted.")
    return [as_kind(rounded(a + i * by), kind, name) for i in range(n)]


def rounded(value: float) -> float:
    """To six digits that count; 0 exactly where a sum only comes near it."""
    return 0.0 if abs(value) < 1e-12 else float(f"{value:.{DIGITS}g}")


def shown(value: Any) -> str:
    """A value as it is written."""
    return value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else json.dumps(value)
