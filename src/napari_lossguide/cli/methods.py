"""``lossguide methods``: every method and the parts that can be combined, or all about one, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from textwrap import fill
from typing import Any

WIDTH = 100


def methods(args: argparse.Namespace) -> None:
    """List the methods and parts, or describe one method."""
    from napari_lossguide.recon.catalogue import catalogue, method_facts
    from napari_lossguide.recon.methods import method

    facts = catalogue() if args.method is None else method_facts(method(args.method))
    if args.json:
        print(json.dumps(facts, indent=2))
    elif args.method is None:
        listed = [*method_lines(facts["methods"]), *missing_lines(facts["missing"])]
        print("\n".join([*listed, *part_lines(facts["parts"]), *pair_lines(facts["refused"])]))
    else:
        print("\n".join(one_method_lines(facts)))


def method_lines(listed: list[dict[str, Any]]) -> list[str]:
    """Every preset in its group: name, evaluations, needs, and what it does."""
    lines = [f"{'method':<23}{'evaluations':>11}  needs, beside k-space"]
    for title in dict.fromkeys(m["group"] for m in listed):
        lines += ["", title]
        for m in listed:
            if m["group"] == title:
                lines += short_lines(m)
    return lines


def short_lines(m: dict[str, Any]) -> list[str]:
    """A method in a few lines."""
    needs = ", ".join(n for n in m["needs"] if n != "k-space") or "nothing"
    about = f"{m['title']}. {m['summary']}" + (f" [{m['paper']}]" if m["paper"] else "")
    return [f"{m['name']:<23}{m['evaluations'] or '-':>11}  {needs}", indented(about)]


def missing_lines(missing: dict[str, str]) -> list[str]:
    """Methods that this machine has not the program for, and how to get it."""
    return ["", "Not here", *map(indented, missing.values())] if missing else []


def part_lines(parts: dict[str, list[dict[str, str]]]) -> list[str]:
    """The choices of a combination."""
    lines = ["", "Combinations: --method SCHEDULE+SAMPLER+GUIDANCE, as in karras+heun+proximal"]
    for kind, listed in parts.items():
        lines += ["", f"{kind}s"]
        for part in listed:
            text = f"{part['name']:<21}{part['title']}. {part['summary']}"
            lines.append(fill(text, WIDTH, initial_indent="  ", subsequent_indent=" " * 23))
    return lines


def pair_lines(refused: list[dict[str, str]]) -> list[str]:
    """Pairs of a sampler and a guidance that cannot be combined, those of one reason together."""
    lines = ["", "sampler + guidance that cannot be combined"]
    for reason in dict.fromkeys(pair["reason"] for pair in refused):
        alike = [
            pair for pair in refused if pair["reason"] == reason
        ]  # the places decide: all samplers x all guidances
        samplers, guidances = (", ".join(dict.fromkeys(p[kind] for p in alike)) for kind in ("sampler", "guidance"))
        text = f"{samplers} + {guidances}: {reason}."
        lines.append(fill(text, WIDTH, initial_indent="  ", subsequent_indent="      "))
    return lines


def one_method_lines(m: dict[str, Any]) -> list[str]:
    """One method with its parts and knobs."""
    heads = {
        "paper": m["paper"],
        "parts": " + ".join(m["parts"].values()),
        "needs": ", ".join(m["needs"]),
        "evaluations": f"{m['evaluations']} of the network for a sample, by default" if m["evaluations"] else "",
    }
    lines = [m["title"], indented(m["summary"])]
    lines += [f"{name:<12} {text}" for name, text in heads.items() if text]
    if m["knobs"]:
        lines += ["", f"{'--set':<25}{'default':<16}{'range':<36}live"]
    for knob in m["knobs"]:
        lines += knob_lines(knob)
    return lines


def knob_lines(knob: dict[str, Any]) -> list[str]:
    """A knob: name, default, range, whether it is live, and what it means."""
    default = f"{knob['default']:.6g}" if isinstance(knob["default"], float) else json.dumps(knob["default"])
    limits = knob["range"] + (f" {knob['unit']}" if knob["unit"] else "")
    line = f"{knob['name']:<24} {default.strip(chr(34)):<15} {limits:<35} {'live' if knob['live'] else ''}"
    return [line.rstrip(), indented(f"{knob['title']}. {knob['help']}".strip())]


def indented(text: str) -> str:
    """Text as wide as the table, moved in."""
    return fill(text, WIDTH, initial_indent="    ", subsequent_indent="    ")
