"""Values of options: shapes, settings, losses, and the many values that a sweep varies."""

from __future__ import annotations

import argparse
import json
from typing import Any


def parse_value(text: str) -> Any:
    """JSON, or else text: ``1.0`` is a number, ``true`` is true, ``brain`` is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_vary(text: str) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    """``guidance.gamma=0.5,1`` -> (("guidance.gamma",), ((0.5,), (1,))).

    Names that change together take their values together: ``mask.acceleration,mask.center_fraction=4:0.1,8:0.07``.
    Values that hold a comma themselves are a JSON list: ``prior=["a,b.safetensors", "brain"]``.
    """
    key, equals, given = text.partition("=")
    names = tuple(key.split(","))
    if not equals or not all(names):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=V1,V2,..., as in guidance.gamma=0.5,1,2")
    listed = parse_value(given) if given.startswith("[") else None
    if isinstance(listed, list):
        places = [value if len(names) > 1 and isinstance(value, list) else [value] for value in listed]
    else:
        parts = [part.split(":") if len(names) > 1 else [part] for part in given.split(",")]
        if not all(value for part in parts for value in part):
            raise argparse.ArgumentTypeError(f"'{text}' has an empty value")
        places = [[parse_value(value) for value in part] for part in parts]
    for place in places:
        if len(place) != len(names):
            raise argparse.ArgumentTypeError(
                f"'{text}' names {len(names)} parameters, so each value must be {len(names)} joined by colons, "
                f"as in {':'.join('1' * len(names))}"
            )
    return names, tuple(tuple(place) for place in places)


def parse_shape(text: str) -> tuple[int, int]:
    """``128x160`` -> (128, 160)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdecimal() and int(p) > 0 for p in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a shape; accepted is NYxNX, as in 128x160")
    return int(parts[0]), int(parts[1])


def parse_workers(text: str) -> int:
    """``4`` -> 4, from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of workers; accepted are 1, 2, ...")
    return int(text)


def parse_loss(text: str) -> dict[str, Any]:
    """``range=1,low=0,high=1.2`` -> {"kind": "range", "weight": 1.0, "low": 0.0, "high": 1.2}."""
    kind, _, rest = text.partition("=")
    first, *others = rest.split(",")
    fields = {"kind": kind, "weight": first} | dict(other.split("=", 1) for other in others if "=" in other)
    try:
        if set(fields) - {"kind", "weight", "low", "high"} or not all("=" in other for other in others):
            raise ValueError(text)
        return {name: value if name == "kind" else float(value) for name, value in fields.items()}
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not KIND=WEIGHT[,low=L,high=H], as in range=1,low=0,high=1.2"
        ) from None


def parse_setting(text: str) -> tuple[str, Any]:
    """``guidance.gamma=1.0`` -> ("guidance.gamma", 1.0); values are JSON, or else text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE, as in guidance.gamma=1.0")
    return key, parse_value(value)
