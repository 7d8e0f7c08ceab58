"""The generated parts of the pages in docs/methods: what the registry knows, and the figures of docs/measurements.md.

    python docs/method_pages.py            # writes them again, and begins the page of a new method
    python docs/method_pages.py --check    # says which are out of date; exit code 1 if any is

What stands between ``<!-- facts -->`` and ``<!-- end of facts -->`` is replaced, and so are ``knobs`` and ``figures``.
All the rest of a page is written by people, and stays.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from napari_lossguide.recon.catalogue import knobs, method_facts
from napari_lossguide.recon.method import Method
from napari_lossguide.recon.methods import METHODS

DOCS = Path(__file__).parent
FOLDER = DOCS / "methods"
MEASUREMENTS = DOCS / "measurements.md"
SECTIONS = ("What it does", "When to use it", "When not", "What it costs", "What was measured", "Known faults")
"""Headings of the text that people write."""
BUDGETS, OTHERS = "| method | 1 | 5 |", "| method | 3.1-fold | 5.6-fold | 11.6-fold | 5.6-fold, noise"
BESIDE, ZERO_FILLED = "prox-mean", "zero-filled"
FOUR = "Two slices of each validation file at 128², real, one coil, no noise, 5.6-fold undersampling (mask seed 0)"


def blocks(method: Method) -> dict[str, str]:
    """The generated parts of a page by name."""
    return {"facts": facts(method), "knobs": knob_table(method), "figures": figures(method)}


def facts(method: Method) -> str:
    """Title, name, paper, group, parts, needs and evaluations."""
    known = method_facts(method)
    parts = " + ".join(f"`{name}`" for name in known["parts"].values())
    needs = ", ".join(known["needs"])
    evaluations = f"{known['evaluations']} of the network for a sample, with the defaults"
    gradients = ", each with the gradient through it" if "gradient through the network" in known["needs"] else ""
    rows = {
        "name": f"`{method.name}` (`lossguide recon --method {method.name}`, or *Method* in the Reconstruct dock)",
        "group": known["group"],
        "paper": linked(method.paper),
        "parts (schedule + sampler + guidance)": parts,
        "needs": needs,
        "evaluations": f"{evaluations}{gradients}" if known["evaluations"] else "none: no network",
    }
    if not method.needs_data:
        rows["name"] = f"`{method.name}` (`lossguide sample`, or the dock *Sample the prior*)"
    table = [f"| {key} | {value} |" for key, value in rows.items() if value]
    back = "[All methods](../methods.md#the-presets)"
    return "\n".join([f"# {method.title}", "", method.summary, "", "| | |", "|---|---|", *table, "", back])


def knob_table(method: Method) -> str:
    """Every parameter, the live ones first, then those that the preset sets, then the rest."""
    listed = knobs(method)
    if not listed:
        return "There is nothing to set."
    listed.sort(key=lambda knob: (not knob["live"], knob["name"] not in method.defaults))
    lines = ["| knob | `--set` | default | range | meaning |", "|---|---|---|---|---|"]
    for knob in listed:
        title = f"**{knob['title']}** (live)" if knob["live"] else f"**{knob['title']}**"
        limits = f"{knob['range']} {knob['unit']}".strip()
        lines.append(
            f"| {title} | `{knob['name']}` | {default(method, knob)} | {cell(limits)} | {cell(knob['help'])} |"
        )
    live = "Knobs marked *live* can be turned during a run; each turn is kept in the recipe."
    own = "A value in parentheses is that of the part by itself, where this method differs."
    notes = [live] * any(knob["live"] for knob in listed) + [own] * bool(set(method.defaults) & set(method.params()))
    return "\n".join([*lines, *(["", " ".join(notes)] if notes else [])])


def default(method: Method, knob: dict[str, Any]) -> str:
    """The method's default, and that of its part where it is another one."""
    own = method.params()[knob["name"]].default
    text = f"`{shown(knob['default'])}`"
    return text if own == knob["default"] else f"{text} (`{shown(own)}`)"


def shown(value: Any) -> str:
    """A value as a person writes it after ``--set``."""
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False).strip('"')


def figures(method: Method) -> str:
    """The rows of the method in the tables of all methods, beside the default's."""
    text = MEASUREMENTS.read_text(encoding="utf-8")
    budgets, others = rows_of(text, BUDGETS), rows_of(text, OTHERS)
    if method.name not in budgets:
        return "It is not in the [table of all methods](../measurements.md#every-method-at-every-budget)."
    what, beside = "PSNR in dB over network evaluations", [BESIDE, ZERO_FILLED]
    if not method.needs_prior:
        what, beside = "PSNR in dB", [ZERO_FILLED]
        budgets = {name: [row[0], row[1], *row[-4:]] for name, row in budgets.items()}
        budgets["method"][1] = "PSNR"
    lines = [
        f"{FOUR}: {what} (`python benchmarks/methods.py --data FOLDER --long`; empty: not measured).",
        *table(budgets, [method.name, *beside]),
        "",
        "PSNR at other accelerations (`--budgets 50 --accelerations 3.1 11.6`) and with noise of 0.05 (`--budgets 50 "
        "--noise 0.05`; SSIM and residual are for it); a method with a prior has 50 evaluations.",
        *table(others, [method.name, BESIDE, ZERO_FILLED]),
    ]
    return "\n".join(lines)


def rows_of(text: str, start: str) -> dict[str, list[str]]:
    """The cells of a table in Markdown by the first cell of its row; that of its heading is "method".

    Raises
    ------
    LookupError
        If no line of the text starts so.
    """
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith(start)), None)
    if first is None:
        raise LookupError(f"{MEASUREMENTS.name} has no table that starts with '{start}'.")
    found = {}
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        cells = [part.strip() for part in line.strip("|").split("|")]
        found[cells[0].strip("`")] = cells
    return found


def table(rows: dict[str, list[str]], names: list[str]) -> list[str]:
    """The heading and the rows of these methods, each once."""
    head = rows["method"]
    lines = [head, ["---"] * len(head), *(rows[name] for name in dict.fromkeys(names))]
    return ["", *(f"| {' | '.join(cells)} |" for cells in lines)]


def linked(paper: str) -> str:
    """A paper whose arXiv number leads to it."""
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", cell(paper))


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("|", "\\|")


def refreshed(page: str, method: Method) -> str:
    """A page with its generated parts as they are now.

    Raises
    ------
    LookupError
        If the marks of a part are missing.
    """
    for name, block in blocks(method).items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, found, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise LookupError(f"The page of '{method.name}' lacks the marks '{start}' and '{end}'.")
        page = f"{before}{start}\n{block}\n{end}{after}"
    return page


def begun() -> str:
    """An empty page: the marks and the headings."""
    marks = {name: f"<!-- {name} -->\n<!-- end of {name} -->\n" for name in ("facts", "knobs", "figures")}
    parts = [marks["facts"]]
    for title in SECTIONS:
        parts.append(f"## {title}\n")
        if title == "When not":
            parts.append(f"## Knobs\n{marks['knobs']}")
        if title == "What was measured":
            parts.append(marks["figures"])
    return "\n".join(parts)


def changed() -> dict[Path, str]:
    """Pages that are missing or out of date, as they should be."""
    found = {}
    for method in METHODS.values():
        path = FOLDER / f"{method.name}.md"
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = refreshed(old or begun(), method)
        if new != old:
            found[path] = new
    return found


def main() -> None:
    """Write what is out of date, or only say so."""
    found = changed()
    for path, page in found.items():
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(page, encoding="utf-8")
        print(path.relative_to(DOCS.parent))
    sys.exit("--check" in sys.argv and bool(found))


if __name__ == "__main__":
    main()
