"""What can be chosen, as plain data: every method with its knobs and needs, the parts, the pairs that make no sense."""

from __future__ import annotations

from typing import Any

from napari_lossguide.guidance.base import Guidance
from napari_lossguide.guidance.classifier import ClassGuidance
from napari_lossguide.recon.method import Method
from napari_lossguide.recon.methods import GROUPS, METHODS, OF_YOUR_OWN, combinations, group, here
from napari_lossguide.recon.parts import GUIDANCE_PARTS, SAMPLER_PARTS, SCHEDULE_PARTS, Part

PARTS_OF: dict[str, tuple[Part[Any], ...]] = {
    "schedule": SCHEDULE_PARTS,
    "sampler": SAMPLER_PARTS,
    "guidance": GUIDANCE_PARTS,
}
NO_NOISE = ("hard", "constant")  # data weights that do not ask for the noise level


def catalogue() -> dict[str, Any]:
    """Everything that can run here: ``methods`` group by group, ``parts`` by kind, ``refused`` pairs.

    ``missing`` has a sentence for each method that cannot.
    """
    return {
        "methods": [method_facts(m) for title in (*GROUPS, OF_YOUR_OWN) for m in here() if group(m) == title],
        "missing": {m.name: m.missing() for m in METHODS.values() if m.missing()},
        "parts": {
            kind: [{"name": p.name, "title": p.title, "summary": p.summary} for p in parts]
            for kind, parts in PARTS_OF.items()
        },
        "refused": [
            {"sampler": s, "guidance": g, "reason": reason} for (s, g), reason in combinations().items() if reason
        ],
    }


def method_facts(chosen: Method) -> dict[str, Any]:
    """One method: texts, needs, evaluations by default, parts and knobs."""
    return {
        "name": chosen.name,
        "title": chosen.title,
        "group": group(chosen),
        "paper": chosen.paper,
        "summary": chosen.summary,
        "needs": needs(chosen),
        "evaluations": chosen.evaluations(chosen.settings()),
        "parts": part_names(chosen),
        "knobs": knobs(chosen),
    }


def needs(chosen: Method) -> list[str]:
    """What a method cannot do without, in words."""
    if chosen.guidance is None:
        return ["k-space", *([] if chosen.program is None else [f"the program {chosen.program.name}"])]
    part = next((p for p in GUIDANCE_PARTS if p.kind is chosen.guidance), None)
    weight = chosen.settings()["guidance"].get("weight")
    needed = {
        "prior": chosen.needs_prior,
        "k-space": chosen.needs_data,
        "noise level": part is not None and part.noise_level and weight not in NO_NOISE,
        "gradient through the network": chosen.guidance.estimate is not Guidance.estimate,
        "classifier": issubclass(chosen.guidance, ClassGuidance),
        "region": chosen.needs_region,
    }
    return [name for name, is_needed in needed.items() if is_needed]


def part_names(chosen: Method) -> dict[str, str]:
    """Names of the parts that can be combined with others; a classical method has none."""
    found = {}
    for kind, parts in PARTS_OF.items():
        name = next((p.name for p in parts if p.kind is getattr(chosen, kind)), None)
        if name is not None:
            found[kind] = name
    return found


def knobs(chosen: Method) -> list[dict[str, Any]]:
    """Every parameter: full name, title, help, type, default, limits or choices, unit, live or not."""
    values, live = chosen.settings(), chosen.live_knobs
    found = []
    for name, field in chosen.params().items():
        part, _, own = name.partition(".")
        schema = chosen.models[part].model_json_schema()["properties"][own]
        found.append(
            {
                "name": name,
                "title": field.title or own,
                "help": field.description or "",
                "type": schema.get("type", "string"),
                "default": values[part][own],
                "range": range_text(schema),
                "choices": schema.get("enum", []),
                "unit": schema.get("unit", ""),
                "live": name in live,
            }
        )
    return found


def range_text(schema: dict[str, Any]) -> str:
    """Limits as an interval, "(0, 1]"; choices as a list; empty without either."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "boolean":
        return "true, false"
    if schema.get("type") not in ("number", "integer"):
        return ""
    low = f"[{schema['minimum']:g}" if "minimum" in schema else f"({schema.get('exclusiveMinimum', '-inf')}"
    high = f"{schema['maximum']:g}]" if "maximum" in schema else f"{schema.get('exclusiveMaximum', 'inf')})"
    return f"{low}, {high}"
