"""The documentation: its links lead somewhere, its generated parts are up to date, no control of a dock is missing."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from napari_lossguide.recon.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^()\s]*(?:\([^()\s]*\))?[^()\s]*)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
DECIBELS = re.compile(r"(?<![\d.])\d\d\.\d\d(?![\d.])")
MEASURED = ("measurements.md", "uncertainty.md", "what_the_prior_knows.md")
DOCKS = {
    "kspace": "kspace_dock:KSpaceDock",
    "mask": "mask_dock:MaskDock",
    "reconstruct": "reconstruct_dock:ReconstructDock",
    "compare": "compare_dock:CompareDock",
    "sample": "sample_dock:SampleDock",
    "sweep": "sweep_dock:SweepDock",
    "guide": "guide_dock:GuideDock",
}
METHOD_OF = {"reconstruct": "prox-mean", "sample": "unconditional"}  # whose form the dock shows at first


@pytest.fixture(scope="module")
def method_pages() -> ModuleType:
    """The script that writes the generated parts."""
    sys.path.insert(0, str(DOCS))
    try:
        import method_pages
    finally:
        sys.path.remove(str(DOCS))
    return method_pages


def test_the_generated_parts_of_the_methods_pages_are_up_to_date(method_pages: ModuleType) -> None:
    stale = [path.name for path in method_pages.changed()]
    assert stale == [], "run: python docs/method_pages.py"


def test_a_changed_knob_makes_its_page_stale(method_pages: ModuleType) -> None:
    chosen = METHODS["prox-mean"]
    page = (method_pages.FOLDER / "prox-mean.md").read_text(encoding="utf-8")
    assert method_pages.refreshed(page.replace("Stochasticity", "Something"), chosen) == page
    with pytest.raises(LookupError, match="prox-mean"):
        method_pages.refreshed(page.replace("<!-- end of knobs -->", ""), chosen)


def test_every_method_has_a_page_with_something_in_every_section(method_pages: ModuleType) -> None:
    assert {path.stem for path in method_pages.FOLDER.glob("*.md")} == set(METHODS)
    for path in method_pages.FOLDER.glob("*.md"):
        parts = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", path.read_text(encoding="utf-8"), re.M))
        text = {
            title: re.sub(r"<!-- (\w+) -->.*?<!-- end of \1 -->", "", body, flags=re.S).strip()
            for title, body in parts.items()
        }
        empty = [title for title in method_pages.SECTIONS if not text.get(title)]
        assert empty == [], f"{path.name} says nothing under these headings"


def test_the_overview_and_the_index_lead_to_every_method() -> None:
    for page in ("methods.md", "README.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert [name for name in METHODS if f"(methods/{name}.md)" not in text] == [], page


def test_the_index_leads_to_every_page() -> None:
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in links(DOCS / "README.md")}
    missing = [page for page in PAGES if page not in linked and page != DOCS / "README.md"]
    assert missing == []


def test_figures_in_what_people_wrote_are_measured_ones() -> None:
    """Decibels with two decimals, on the pages of the methods and of honest use, stand in the measurements too."""
    known = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in MEASURED)
    found = set(DECIBELS.findall(known))
    for page in (DOCS / "faq.md", *sorted((DOCS / "methods").glob("*.md"))):
        unknown = set(DECIBELS.findall(page.read_text(encoding="utf-8"))) - found
        assert unknown == set(), page.name


def links(page: Path) -> list[str]:
    """Relative links and pictures of a page."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in links, as GitHub makes it."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).strip().lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_row_of_a_table_has_its_cells(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    ragged = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = [re.findall(r"(?<!\\)\|", row) for row in table.splitlines()]
        ragged += [row for row, bars in zip(table.splitlines(), rows, strict=True) if len(bars) != len(rows[0])]
    assert ragged == []


def test_the_page_of_the_preferences_says_what_the_model_says() -> None:
    from napari_lossguide.widgets.settings import Settings

    text = (DOCS / "preferences.md").read_text(encoding="utf-8")
    told = {
        cells[0].strip("*"): (cells[2], cells[3].strip("`"))
        for row in re.findall(r"^\| (\*\*.+) \|$", text, re.M)
        if (cells := row.split(" | "))
    }
    words = {"": "empty", True: "on", False: "off"}
    defaults = {field.title: field.default for field in Settings.model_fields.values()}
    assert {title: default for title, (_, default) in told.items()} == {
        title: words[value] if isinstance(value, bool | str) and value in words else str(value)
        for title, value in defaults.items()
    }
    for field in Settings.model_json_schema()["properties"].values():
        accepted = field.get("enum", [])
        if "minimum" in field:
            accepted = [f"{field['minimum']} to {field['maximum']}"]
        missing = [value for value in accepted if value not in told[field["title"]][0]]
        assert missing == [], field["title"]


def test_every_dock_of_the_manifest_has_its_page() -> None:
    manifest = (ROOT / "napari.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"widgets\.(\w+_dock:\w+Dock)$", manifest, re.M)) == set(DOCKS.values())


def controls(dock: Any) -> set[str]:
    """What the controls of a dock are called: what stands on a button, else the accessible name."""
    from qtpy import QtWidgets as qt

    kinds = (
        qt.QAbstractButton
        | qt.QComboBox
        | qt.QAbstractSpinBox
        | qt.QAbstractSlider
        | qt.QAbstractItemView
        | qt.QLineEdit
    )
    found = set()
    for widget in (w for w in dock.findChildren(qt.QWidget) if isinstance(w, kinds)):
        inner = isinstance(widget, qt.QScrollBar) or widget.objectName().startswith("qt_")
        inner |= isinstance(widget.parent(), qt.QAbstractItemView | qt.QComboBox | qt.QAbstractSpinBox | qt.QTabBar)
        text = widget.text() if isinstance(widget, qt.QAbstractButton) else ""
        name = text.lstrip("▾▸ ") if len(text) > 1 else widget.accessibleName()
        if name and not inner:
            found.add(name)
    return found


@pytest.mark.parametrize("name", DOCKS)
def test_the_page_of_a_dock_names_each_of_its_controls(qtbot: Any, name: str) -> None:
    from importlib import import_module

    from napari.components import ViewerModel

    module, _, kind = DOCKS[name].partition(":")
    dock = getattr(import_module(f"napari_lossguide.widgets.{module}"), kind)(ViewerModel())
    qtbot.addWidget(dock)
    text = (DOCS / "docks" / f"{name}.md").read_text(encoding="utf-8")
    if name in METHOD_OF:  # the knobs of a method stand on its own page
        text += (DOCS / "methods" / f"{METHOD_OF[name]}.md").read_text(encoding="utf-8")
    shown = controls(dock)
    for index in range(dock.kind.count() if name == "mask" else 0):  # each kind of mask has parameters of its own
        dock.kind.setCurrentIndex(index)
        shown |= controls(dock)
    named = {bold.lower() for bold in re.findall(r"\*\*(.+?)\*\*", text)}
    assert {control for control in shown if control.lower() not in named} == set()
