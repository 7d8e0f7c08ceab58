"""What opening the plugin loads: each check imports in a fresh process and looks at what came along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SOURCE = Path(__file__).resolve().parents[1] / "src"
MANIFEST = SOURCE / "napari_lossguide" / "napari.yaml"
COMMANDS = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["contributions"]["commands"]
QT = ("napari", "qtpy", "magicgui", "superqt", "pyqtgraph")
HEAVY = ("torch", "sigpy", "matplotlib", "skimage", "scipy", "h5py", "numba")


def loaded_by(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of these packages are loaded after running code in a fresh process."""
    report = f"import sys; print(*[name for name in {names!r} if name in sys.modules])"
    paths = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[-2].split()


@pytest.mark.parametrize(
    "module",
    [
        "types",
        "data.kdata",
        "data.origin",
        "data.fourier",
        "data.display",
        "data.readers",
        "data.writers",
        "data.phantoms",
        "data.samples",
        "masks",
        "operators.conjugate_gradient",
        "data.training.report",
        "priors.load",
        "priors.formats.registry",
        "priors.published",
        "priors.training.config",
        "guidance.classifier",
        "guidance.proximal",
        "guidance.loss_guidance",
        "samplers.schedules",
        "samplers.ddim",
        "samplers.ancestral",
        "recon.methods",
        "recon.recipe",
        "recon.live",
        "recon.tape",
        "recon.result",
        "recon.samples",
        "recon.script",
        "recon.notebook",
        "data.montage",
        "recon.metrics",
        "recon.spectra",
        "recon.profile",
        "cli",
    ],
)
def test_what_forms_and_readers_need_is_light(module: str) -> None:
    assert loaded_by(f"import napari_lossguide.{module}", HEAVY + QT) == []


def test_the_package_itself_is_light_and_offers_reconstruct() -> None:
    code = "import napari_lossguide\nassert {'reconstruct', 'sample'} <= set(dir(napari_lossguide))"
    assert loaded_by(code, (*HEAVY, *QT, "numpy", "pydantic")) == []
    code = "from napari_lossguide import reconstruct, sample\nassert callable(reconstruct) and callable(sample)"
    assert loaded_by(code, ("torch", *QT)) == ["torch"]


@pytest.mark.parametrize(
    "argv",
    [
        ["methods"],
        ["priors"],
        ["priors", "check", "absent.pt"],
        ["mask", "--type", "random", "--shape", "32x32", "-o", "m.npy"],
        ["recon", "--help"],
        ["train", "--data", "absent", "--out", "absent"],
        ["sample", "--help"],
        ["info", "absent.npy"],
    ],
    ids=lambda argv: argv[0],
)
def test_only_recon_and_train_load_torch(argv: list[str], tmp_path: Path) -> None:
    code = f"import os\nos.chdir({str(tmp_path)!r})\nfrom napari_lossguide.cli import main\n"
    code += f"try:\n    main({argv!r})\nexcept SystemExit:\n    pass"
    assert loaded_by(code, ("torch", "napari", "qtpy")) == []


@pytest.mark.gui
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c["id"].partition(".")[2])
def test_each_command_of_the_manifest_imports_without_torch(command: dict[str, str]) -> None:
    module, _, name = command["python_name"].partition(":")
    # napari itself brings scikit-image and numba.
    assert loaded_by(f"from {module} import {name}", ("torch", "sigpy", "matplotlib")) == []


@pytest.mark.gui
def test_opening_napari_with_the_kspace_and_mask_docks_loads_no_torch() -> None:
    code = """
import napari
viewer = napari.Viewer(show=False)
viewer.open_sample("napari-lossguide", "phantom")
for name in ("K-space", "Mask"):
    viewer.window.add_plugin_dock_widget("napari-lossguide", name)
assert len(viewer.layers) > 0
viewer.close()
"""
    assert loaded_by(code, ("torch", "sigpy")) == []


def test_the_manifest_is_valid_and_every_name_in_it_exists() -> None:
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    widgets = {w.display_name for w in manifest.contributions.widgets or []}
    assert widgets == {
        "K-space",
        "Mask",
        "Reconstruct",
        "Compare",
        "Sample the prior",
        "Sweep",
        "Getting started",
    }
    assert {s.key for s in manifest.contributions.sample_data or []} == {
        "phantom",
        "template",
        "sigpy_brain",
        *(f"lesson_{number}" for number in range(1, 6)),
    }


def test_napari_finds_the_plugin() -> None:
    from importlib.metadata import entry_points

    points = [p for p in entry_points(group="napari.manifest") if p.name == "napari-lossguide"]
    assert [p.value for p in points] == ["napari_lossguide:napari.yaml"]
