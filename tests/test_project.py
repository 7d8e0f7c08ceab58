"""The checkout: what is tracked, what is linked, what a file may not name."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from napari_lossguide import __version__

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 17_000_000
# Folders of one machine, and where one machine gets its packages.
MACHINE = re.compile(
    r"/(?:home|Users|root|work|opt|mnt)/\w|file://|[A-Z]:\\\\|--(?:extra-)?index-url|find-links|pypi\.org",
)
MACHINE_EXEMPT = {"tests/test_project.py"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files under version control, and those that would be added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: tracked files are not looked at")
    paths = [ROOT / name.decode() for name in listing.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_the_manifest_at_the_top_is_the_packages_own() -> None:
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert link.readlink() == Path("src/napari_lossguide/napari.yaml")
    assert link.resolve(strict=True) == ROOT / "src" / "napari_lossguide" / "napari.yaml"


def test_no_file_is_large(tracked: list[Path]) -> None:
    assert {p.name: p.stat().st_size for p in tracked if p.stat().st_size > MAX_BYTES} == {}


def test_no_environment_or_result_is_tracked(tracked: list[Path]) -> None:
    generated = (".venv", "runs", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
    assert [p for p in tracked if set(p.relative_to(ROOT).parts) & set(generated)] == []


def test_no_file_names_a_machine(tracked: list[Path]) -> None:
    found = []
    for path in tracked:
        if path.relative_to(ROOT).as_posix() in MACHINE_EXEMPT or path.suffix in (".safetensors", ".png", ".npz"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def test_project_metadata() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = config["project"]
    assert "Framework :: napari" in project["classifiers"]
    bindings = ("pyqt5", "pyqt6", "pyside")
    assert not [d for d in project["dependencies"] if d.lower().startswith(bindings)]  # Qt is the user's choice
    assert project["scripts"]["lossguide"] == "napari_lossguide.cli:main"
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "BSD 3-Clause" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_shell_scripts_are_executable() -> None:
    for name in ("run", "system-libraries"):
        assert (ROOT / ".ci" / name).stat().st_mode & 0o100
