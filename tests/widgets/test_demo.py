"""The demonstration, with small data and quick methods; then the command itself in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from widgets.fake_engine import FakeEngine

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.widgets import demo, reconstruct_dock, views


@pytest.fixture
def kdata():
    return simulate(shepp_logan(48), n_coils=2, name="head")


def play(qtbot, viewer, kdata, methods):
    ends = []
    shown = demo.Demo(viewer, kdata, methods, ends.append)
    shown.start()
    qtbot.waitUntil(lambda: bool(ends), timeout=60_000)
    return shown, ends


def test_it_reconstructs_and_compares(qtbot, make_napari_viewer, monkeypatch, kdata, tmp_path):
    engine = FakeEngine(steps=3)
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", engine)
    viewer = make_napari_viewer()
    shown, ends = play(qtbot, viewer, kdata, ("zero-filled", "l1-wavelet"))
    assert ends == [""]
    assert [recipe.method for _, recipe, _ in engine.calls] == ["zero-filled", "l1-wavelet"]
    for _, recipe, _ in engine.calls:
        points = recipe.mask.make(kdata.image_shape)
        assert points.size / points.sum() == pytest.approx(4, rel=0.15)
    compare = shown.docks["Compare"]
    assert viewer.canvas.grid.enabled and compare.reference.layer is not None
    assert [x.name for x in compare.candidates()] == ["Zero-filled (SIMULATION)", "L1-wavelet (SIMULATION)"]
    assert len([x for x in viewer.layers if views.role_of(x) == "difference"]) == 2
    closed = []
    monkeypatch.setattr(demo, "SETTLE", 50)
    problems = []
    window = SimpleNamespace(window=viewer.window, close=lambda: closed.append(True))
    picture = demo.Picture(window, compare, str(tmp_path / "demo.png"), problems)
    qtbot.waitUntil(lambda: bool(closed), timeout=60_000)
    assert not problems and (tmp_path / "demo.png").stat().st_size > 10_000
    assert all("psnr" in row.figures for row in compare.table.rows)
    assert picture is not None


def test_what_goes_wrong_is_said(qtbot, make_napari_viewer, monkeypatch, kdata):
    engine = FakeEngine(steps=5, error=RuntimeError("no luck"))
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", engine)
    _, ends = play(qtbot, make_napari_viewer(), kdata, ("zero-filled", "cg-sense"))
    assert len(ends) == 1 and "no luck" in ends[0]
    assert len(engine.calls) == 1


def test_a_run_that_cannot_begin_is_said(qtbot, make_napari_viewer, monkeypatch, kdata):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.list_priors", list)
    _, ends = play(qtbot, make_napari_viewer(), kdata, ("prox-mean",))
    assert len(ends) == 1 and "No prior" in ends[0]


@pytest.mark.slow
def test_the_command_leaves_a_picture(tmp_path):
    pytest.importorskip("nilearn")
    imageio = pytest.importorskip("imageio.v3")
    target = tmp_path / "demo.png"
    code = (
        "from napari_lossguide.widgets import demo\n"
        "demo.METHODS = ('zero-filled', 'cg-sense')\n"
        f"demo.run({str(target)!r})"
    )
    paths = os.pathsep.join([str(Path(demo.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    picture = imageio.imread(target)
    assert picture.shape[0] > 500 and picture.shape[1] > 800
    assert np.ptp(picture[..., :3]) > 200
