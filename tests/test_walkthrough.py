"""The walk of the tutorial, in napari itself and with the packaged prior: it ends with the same image, bit by bit.

It runs with the Qt binding of the tests: `make test` takes PySide6, `make test-pyqt6` PyQt6.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import qtpy

from napari_lossguide.recon.recipe import Recipe

SCRIPT = Path(__file__).parents[1] / "docs" / "walkthrough.py"


@pytest.mark.gui
@pytest.mark.slow
def test_from_the_sample_to_the_same_image_in_another_napari(tmp_path):
    pytest.importorskip("nilearn", reason="the walk begins with the template that nilearn ships: not walked")
    sources = os.pathsep.join([str(SCRIPT.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    walk = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), "--steps", "6"],
        env={**os.environ, "QT_API": qtpy.API, "PYTHONPATH": sources},
        capture_output=True,
        text=True,
        check=False,
        timeout=570,
    )
    assert walk.returncode == 0, walk.stdout + walk.stderr[-3000:]
    assert walk.stdout.splitlines()[0].startswith(qtpy.API_NAME) and "the same image, bit by bit" in walk.stdout
    assert len(list(tmp_path.glob("*.png"))) == 12
    recipe = Recipe.from_json(tmp_path / "recipe.json")
    assert recipe.mask is not None and recipe.mask.kind == "drawn" and recipe.changes
