"""``lossguide sweep``: what it writes, what it refuses, what Ctrl-C leaves."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import make_prior

from napari_lossguide.cli import main
from napari_lossguide.cli.sweep_figure import figure
from napari_lossguide.data.figure import FONT_SIZE, Panel, captioned_grid, extent, font_of
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.recon import run as run_module

SIZE = 24
PAIR = "mask.acceleration,mask.center_fraction=2:0.3,3:0.2"
MASK = ["--mask-type", "random", "--mask-seed", "1"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images, from which k-space is simulated: there is a reference."""
    path = tmp_path / "images.npz"
    np.savez(path, images=np.stack([shepp_logan(SIZE), shepp_logan(SIZE)[::-1]]).astype(np.float32))
    return path


@pytest.fixture
def kspace(tmp_path: Path) -> Path:
    """K-space as from a scanner, without a reference."""
    path = tmp_path / "scan.npy"
    np.save(path, simulate(shepp_logan(SIZE), noise_std=0.01, seed=1).kspace[0, 0])
    return path


def command(source: Path, out: Path, *more: str) -> list[str]:
    return ["sweep", str(source), "-o", str(out), "--device", "cpu", *more]


def error_of(capsys: pytest.CaptureFixture[str], argv: list[str], code: int = 2) -> str:
    """Run, expect this exit code and one line on standard error, and return it."""
    assert main(argv) == code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("lossguide: error: ")
    return line


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_writes_images_figure_and_table(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, png, table = tmp_path / "s.npz", tmp_path / "s.png", tmp_path / "s.csv"
    vary = ["--vary", PAIR, "--vary", "guidance.regularization=0.001,0.1,1"]
    argv = command(images, out, *MASK, "--method", "cg-sense", "--steps", "3", *vary)
    assert main([*argv, "--png", str(png), "--csv", str(table)]) == 0
    with np.load(out, allow_pickle=False) as file:
        assert file["image"].shape == (2, 3, 2, SIZE, SIZE) and file["image"].dtype == np.complex64
        assert json.loads(str(file["columns"])) == {
            "names": ["guidance.regularization"],
            "values": [[0.001], [0.1], [1]],
        }
        assert json.loads(str(file["recipe"]))["guidance"]["iterations"] == 3
        psnr = file["psnr"]
    rows = rows_of(table)
    assert [(r["mask.acceleration"], r["mask.center_fraction"], r["guidance.regularization"]) for r in rows] == [
        (a, c, g) for a, c in (("2", "0.3"), ("3", "0.2")) for g in ("0.001", "0.1", "1")
    ]
    assert [float(r["psnr"]) for r in rows] == pytest.approx(psnr.ravel(), rel=1e-4)
    assert {r["status"] for r in rows} == {"done"}
    with Image.open(png) as picture:
        assert picture.width > 5 * 192 and picture.height > 2 * 192  # reference, zero-filled, three columns; two rows
    printed = capsys.readouterr().out
    assert "6 of 6 done" in printed
    best = max(rows, key=lambda r: float(r["psnr"]))
    assert f"guidance.regularization = {best['guidance.regularization']}" in printed.split("best")[1]
    assert {p.name for p in tmp_path.iterdir()} == {"images.npz", "s.npz", "s.png", "s.csv"}


def test_a_cell_is_what_recon_writes(images: Path, tmp_path: Path) -> None:
    options = [*MASK, "--acceleration", "3", "--method", "tv", "--real"]
    assert main(command(images, tmp_path / "s.npz", *options, "--vary", "guidance.iterations=2,4")) == 0
    argv = ["recon", str(images), "-o", str(tmp_path / "r.npz"), "--device", "cpu", *options, "--steps", "4"]
    assert main(argv) == 0
    with np.load(tmp_path / "s.npz") as swept, np.load(tmp_path / "r.npz") as alone:
        np.testing.assert_array_equal(swept["image"][0, 1], alone["image"])
        assert json.loads(str(swept["recipes"][0, 1])) == json.loads(str(alone["recipe"]))


def test_values_that_vary_override_the_options(images: Path, tmp_path: Path) -> None:
    options = [*MASK, "--acceleration", "4", "--steps", "9", "--seed", "7", "--method", "cg-sense"]
    vary = ["--vary", "guidance.iterations=2,3", "--vary", "seed,mask.acceleration=1:2,2:3"]
    assert main(command(images, tmp_path / "s.npz", *options, *vary, "--slice", "1")) == 0
    with np.load(tmp_path / "s.npz") as file:
        assert file["image"].shape == (2, 2, 1, SIZE, SIZE)
        recipes = [[json.loads(str(r)) for r in row] for row in file["recipes"]]
    assert [[r["guidance"]["iterations"] for r in row] for row in recipes] == [[2, 2], [3, 3]]
    assert [[r["seed"] for r in row] for row in recipes] == [[1, 2], [1, 2]]
    assert recipes[0][1]["mask"]["params"]["acceleration"] == 3


def test_steps_are_each_methods_own(images: Path, tmp_path: Path) -> None:
    argv = command(images, tmp_path / "s.npz", *MASK, "--steps", "2", "--vary", "method=cg-sense,tv,zero-filled")
    assert main(argv) == 0
    with np.load(tmp_path / "s.npz") as file:
        iterations = [json.loads(str(r))["guidance"].get("iterations") for r in file["recipes"][0]]
    assert iterations == [2, 2, None]


def test_without_a_reference_no_score_is_shown(kspace: Path, tmp_path: Path, capsys) -> None:
    out, table = tmp_path / "s.npz", tmp_path / "s.csv"
    argv = command(kspace, out, "--method", "cg-sense", "--vary", "guidance.iterations=1,2", "--csv", str(table))
    assert main(argv) == 0
    assert "psnr" not in rows_of(table)[0] and float(rows_of(table)[0]["residual"]) > 0
    assert "dB" not in capsys.readouterr().out
    with np.load(out) as file:
        assert "psnr" not in file.files and "reference" not in file.files


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "--vary"),
        (["--vary", "seed"], "is not NAME=V1,V2"),
        (["--vary", "seed=1,,2"], "has an empty value"),
        (["--vary", "mask.acceleration,mask.center_fraction=4:0.1,8"], "each value must be 2"),
        (["--vary", "seed=1,1"], "seed has the value 1 twice"),
        (["--vary", "seed=1", "--vary", "seed=2"], "along the rows and along the columns"),
        (["--vary", "seed=1", "--vary", "samples=1", "--vary", "batch=1"], "--vary was given 3 times"),
        (["--vary", "guidance.gamma=0.5,-1"], "guidance.gamma = -1"),
        (["--vary", "guidance.regularization=1"], "is not a parameter of the method 'prox-mean'"),
        (["--vary", "method=prox-mean,magic"], "There is no method 'magic'"),
        (["--vary", "mask.acceleration=2,4"], "give --mask-type too"),
        (["--vary", "mask.speed=2", *MASK], "no parameter 'speed'"),
        (["--vary", "seed=1", "--slice", "2"], "Slice 2 is not in"),
        (["--vary", "seed=1", "--png", "s.jpg"], "must end in .png"),
        (["--vary", "prior=nowhere"], "nowhere"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], sentence: str
) -> None:
    assert sentence in error_of(capsys, command(images, tmp_path / "s.npz", *more))
    assert {p.name for p in tmp_path.iterdir()} == {images.name}


def test_values_with_commas_are_a_list(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = command(images, tmp_path / "s.npz", "--vary", 'prior=["a,b.safetensors"]')
    assert "a,b.safetensors" in error_of(capsys, argv)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal: progress bar and Ctrl-C are not tested")
def test_interrupting_writes_the_cells_that_are_done(images: Path, tmp_path: Path) -> None:
    import pty
    import termios

    out, table, png = tmp_path / "s.npz", tmp_path / "s.csv", tmp_path / "s.png"
    vary = ["--vary", "guidance.iterations=1,5000"]
    argv = command(images, out, *MASK, "--method", "tv", *vary, "--csv", str(table), "--png", str(png))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 200))
    source = Path(__file__).resolve().parents[1] / "src"
    # The background of a shell ignores Ctrl-C, and so would a process started there.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_lossguide", *argv],
        env={**os.environ, "PYTHONPATH": str(source)},
        stderr=theirs,
        stdout=subprocess.PIPE,
        **heard,
    )
    os.close(theirs)
    shown, interrupted = b"", False
    while part := read_terminal(ours):
        shown += part
        if b"cell 2/2" in shown and not interrupted:
            process.send_signal(signal.SIGINT)
            interrupted = True
    os.close(ours)
    assert process.stdout is not None
    printed = process.stdout.read().decode()
    assert process.wait(timeout=60) == 130
    assert b"lossguide: interrupted" in shown and b"Traceback" not in shown
    assert "1 of 2 done" in printed and "cancelled" in printed
    assert [r["status"] for r in rows_of(table)] == ["done", "cancelled"]
    with np.load(out) as file:
        assert np.isfinite(file["image"][0, 0]).all() and np.isnan(file["image"][0, 1]).all()
    with Image.open(png) as picture:
        assert picture.height > 192


# killed and resumed ---------------------------------------------------------------------------------------------------


def killed_while_cell_runs(argv: list[str], out: Path, done: int) -> None:
    """Start a sweep in a process of its own and kill it by SIGKILL when so many cells are in its file."""
    source = Path(__file__).resolve().parents[1] / "src"
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_lossguide", *argv],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 120
        while statuses(out).count("done") < done:
            assert process.poll() is None, "the sweep ended before it was killed"
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()


def statuses(out: Path) -> list[str]:
    """Of all cells of a file; it is whole whenever it is looked at."""
    if not out.exists():
        return []
    with np.load(out) as file:
        return file["status"].ravel().tolist()


def test_a_killed_sweep_goes_on_from_its_file(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a network; the first two cells are quick, the third takes long."""
    prior, out, table = make_prior(tmp_path / "tiny.safetensors"), tmp_path / "s.npz", tmp_path / "s.csv"
    options = [*MASK, "--acceleration", "2", "--prior", str(prior), "--method", "prox-ddim", "--slice", "0"]
    slow = command(images, out, *options, "--vary", "schedule.steps=2,3,1000")
    killed_while_cell_runs(slow, out, 2)
    assert statuses(out) == ["done", "done", "not reached"]
    with np.load(out) as file:
        before = file["image"][0, :2].copy()

    again = command(images, out, *options, "--vary", "schedule.steps=2,3,4", "--csv", str(table), "--resume")
    ran = []
    real = run_module.Run.steps
    monkeypatch.setattr(run_module.Run, "steps", lambda self: ran.append(self.recipe.schedule["steps"]) or real(self))
    assert main(again) == 0
    assert ran == [4]
    assert "3 of 3 done" in capsys.readouterr().out and [r["status"] for r in rows_of(table)] == ["done"] * 3
    with np.load(out) as file:
        np.testing.assert_array_equal(file["image"][0, :2], before)
        resumed = {name: file[name].copy() for name in ("image", "psnr", "residual", "nfe")}
        recipes = file["recipes"].tolist()

    fresh = command(images, tmp_path / "f.npz", *options, "--vary", "schedule.steps=2,3,4")
    assert main(fresh) == 0
    with np.load(tmp_path / "f.npz") as file:
        assert recipes == file["recipes"].tolist()
        for name, array in resumed.items():
            np.testing.assert_allclose(array, file[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_resuming_loses_nothing_and_takes_nothing_wrong(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "s.npz"
    options = ["--method", "cg-sense", "--resume", *MASK]
    assert main(command(images, out, *options, "--vary", "seed=1,2")) == 0  # nothing to resume yet
    content = out.read_bytes()
    for more, sentence in (
        (["--vary", "seed=1,3"], "holds 1 cell whose recipe is not one of this sweep's"),
        (["--vary", "seed=1,2", "--steps", "7"], "holds 2 cells"),
        (["--vary", "seed=1,2", "--slice", "1"], "is a sweep of another scan"),
    ):
        assert sentence in error_of(capsys, command(images, out, *options, *more))
        assert out.read_bytes() == content
    monkeypatch.setattr(run_module.Run, "steps", lambda self: pytest.fail("a cell ran again"))
    assert main(command(images, out, *options, "--vary", "seed=1,2")) == 0
    assert statuses(out) == ["done", "done"]


def read_terminal(ours: int) -> bytes:
    """What was written to the other side, or nothing when the process has ended."""
    try:
        return os.read(ours, 4096)
    except OSError:  # Linux's way to say end of file
        return b""


# the figure -----------------------------------------------------------------------------------------------------------


def drawn(monkeypatch: pytest.MonkeyPatch, result) -> tuple[list[str], list[str], list[list[str]]]:
    """Row and column captions and the panels' captions that a sweep's figure is drawn with."""
    kept = []
    monkeypatch.setattr(
        "napari_lossguide.cli.sweep_figure.captioned_grid",
        lambda panels, rows, columns, *_: kept.append((rows, columns, panels)),
    )
    figure(result)
    rows, columns, panels = kept[0]
    return rows, columns, [[p.caption for p in row] for row in panels]


def test_the_zero_filled_image_stands_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_lossguide.masks import MaskRecipe
    from napari_lossguide.recon.axes import Axis
    from napari_lossguide.recon.recipe import Recipe
    from napari_lossguide.recon.sweep import sweep

    kdata = simulate(shepp_logan(SIZE), noise_std=0.01, seed=1)
    base = Recipe.for_method("cg-sense", steps=2, mask=MaskRecipe.of("random", acceleration=2, seed=1))
    mask, steps = Axis.of("mask.acceleration", [2, 3]), Axis.of("guidance.iterations", [1, 2])

    rows, columns, captions = drawn(monkeypatch, sweep(kdata, base, mask, steps))
    assert rows == ["acceleration 2", "acceleration 3"]
    assert columns == ["reference", "zero-filled", "iterations 1", "iterations 2"]
    assert captions[0][0] == "" and all("dB, SSIM" in text for row in captions for text in row[1:])
    assert captions[0][1] != captions[1][1]

    rows, columns, captions = drawn(monkeypatch, sweep(kdata, base, steps, mask))
    assert rows == ["reference", "zero-filled", "iterations 1", "iterations 2"]
    assert columns == ["acceleration 2", "acceleration 3"]

    rows, columns, _ = drawn(monkeypatch, sweep(kdata, base, mask, Axis.of("mask.seed", [1, 2])))
    assert columns == ["reference", "seed 1", "seed 2"] and len(rows) == 2


@pytest.mark.parametrize("where", ["row", "column", "panel", "title"])
def test_no_caption_is_clipped(where: str) -> None:
    """The page is as large as its longest text wherever that stands, and its border stays white."""
    long = "a caption that is far wider than the image under it, and then some more of it"
    text = dict.fromkeys(("row", "column", "panel", "title"), "a")

    def page() -> np.ndarray:
        panels = [[Panel(np.ones((8, 8)), text["panel"]), Panel(None, "diverged")]]
        return captioned_grid(panels, [text["row"]], [text["column"], "d"], text["title"], 1.0)

    plain = page().shape[1]
    text[where] = 3 * long if where == "title" else long
    drawn = page()
    border = np.concatenate([drawn[:3].ravel(), drawn[-3:].ravel(), drawn[:, :3].ravel(), drawn[:, -3:].ravel()])
    assert (border == 255).all()
    width = extent(text[where], font_of(FONT_SIZE))[0]
    # both columns are as wide as the wider one
    assert drawn.shape[1] >= {"row": plain + width - 20, "title": width}.get(where, 2 * width)
