"""``lossguide batch`` with the real engine: killed and resumed, on two Dask workers, with files that cannot be read."""

from __future__ import annotations

import csv
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from batch_files import contents, scans
from shell import make_prior, start

from napari_lossguide.cli import main
from napari_lossguide.recon.recipe import Recipe


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "summary.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_summary_sheet_and_exit_code(tmp_path, batch_recipe, capsys):
    files = scans(tmp_path / "in", 2, 2)
    bad = tmp_path / "in" / "bad.npz"
    bad.write_bytes(Path(files[0]).read_bytes()[:500])
    out = tmp_path / "out"
    assert main(["batch", batch_recipe, files[0], str(bad), files[1], "-o", str(out)]) == 1
    told = capsys.readouterr()
    assert told.err.count(str(bad)) == 1 and f"{bad} could not be read" in told.err
    assert "1 of 5 could not be reconstructed" in told.err
    rows = table(out)
    assert [row["status"] for row in rows].count("failed") == 1 and len(rows) == 5
    assert (out / "contact_sheet.png").stat().st_size > 1000
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    assert main(["batch", batch_recipe, *files, "-o", str(out), "--no-sheet"]) == 0
    assert "4 slices, 4 of them done before" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")} == before


def test_what_failed_is_tried_again_only_when_asked(tmp_path, batch_recipe, capsys):
    files = scans(tmp_path / "in", 1, 2)
    with np.load(files[0]) as file:
        kspace = file["kspace"]
    kspace[1] = 0
    np.savez(files[0], kspace=kspace)
    out = str(tmp_path / "out")
    for options, before in (([], 0), ([], 2), (["--retry-failed"], 1)):
        assert main(["batch", batch_recipe, *files, "-o", out, *options]) == 1
        assert f"2 slices, {before} of them done before" in capsys.readouterr().err


def test_another_version_of_the_prior_is_another_batch(tmp_path, capsys):
    prior = make_prior(tmp_path / "own.safetensors")
    recipe = tmp_path / "recipe.json"
    recipe.write_text(Recipe.for_method("prox-mean", steps=2, prior=str(prior)).to_json())
    command = ["batch", str(recipe), *scans(tmp_path / "in", 1, 2), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    before = contents(tmp_path / "out")
    assert main(command) == 0
    assert "run now      0" in capsys.readouterr().out and contents(tmp_path / "out") == before
    make_prior(prior, factor=1.5)
    assert main(command) == 0
    assert "run now      2" in capsys.readouterr().out
    after = contents(tmp_path / "out")
    assert all(after[name]["recipe"] != before[name]["recipe"] for name in before)


def test_one_batch_at_a_time(tmp_path, batch_recipe, capsys):
    from filelock import FileLock

    files = scans(tmp_path / "in", 1, 1)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".batch.lock"):
        assert main(["batch", batch_recipe, *files, "-o", str(tmp_path / "out")]) == 2
    assert "Another batch is at work" in capsys.readouterr().err


def test_bad_options(tmp_path, batch_recipe, capsys):
    files = scans(tmp_path / "in", 1, 1)
    for options, words in (
        (["--format", ".png"], "no writer has the ending '.png'; accepted are .npz, .nii"),
        (["--workers", "0"], "is not a number of workers"),
        (["--scheduler", "tcp://127.0.0.1:1"], "No Dask scheduler answers"),
        (["--scheduler", "nonsense://x"], "No Dask scheduler answers"),
    ):
        assert main(["batch", batch_recipe, *files, "-o", str(tmp_path / "out"), *options]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["nii.gz", ".cfl", ".OME.TIF"])
def test_results_for_other_programs(tmp_path, batch_recipe, capsys, ending):
    command = ["batch", batch_recipe, *scans(tmp_path / "in", 1, 2), "-o", str(tmp_path / "out"), "--format", ending]
    for now in (2, 0):
        assert main(command) == 0
        assert f"run now      {now}" in capsys.readouterr().out
    ending = f".{ending.lower().removeprefix('.')}"
    assert [row["output"] for row in table(tmp_path / "out")] == [f"scan0/slice_000{n}{ending}" for n in (0, 1)]
    assert main(command[:-2]) == 0  # .npz is another batch
    assert "run now      2" in capsys.readouterr().out
    found, plain = contents(tmp_path / "out", ending), contents(tmp_path / "out")
    for name, held in found.items():
        assert held["image"] == plain[name]["image"] and held["recipe"] == plain[name]["recipe"]
    assert main(["info", str(tmp_path / "out" / "scan0" / f"slice_0001{ending}")]) == 0
    assert '"method": "prox-mean"' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL: a batch that is killed in the middle is not tested here")
def test_several_files_a_slice_killed_at_random_are_those_of_an_unbroken_batch(tmp_path, batch_recipe):
    files, ending = scans(tmp_path / "in", 2, 10), ".cfl"
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = ["--format", ending, "--no-sheet"]
    assert start(["batch", batch_recipe, *files, "-o", str(whole), *options]).wait(timeout=500) == 0
    rng, kills, last = random.Random(2), 0, "slice_*.hdr"
    while True:
        process = start(["batch", batch_recipe, *files, "-o", str(broken), *options])
        target = len(list(broken.rglob(last))) + rng.randint(4, 8)
        while process.poll() is None and len(list(broken.rglob(last))) < target:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        if process.wait(timeout=500) == 0:
            break
    assert kills >= 2
    assert contents(broken, ending) == contents(whole, ending) and len(contents(whole, ending)) == 20
    assert not list(broken.rglob(".*.part"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL: a batch that is killed in the middle is not tested here")
def test_two_hundred_slices_killed_at_random_are_those_of_an_unbroken_batch(tmp_path, batch_recipe):
    files = scans(tmp_path / "in", 8, 25)
    bad = tmp_path / "in" / "bad.npz"
    bad.write_bytes(Path(files[0]).read_bytes()[:5000])
    files.insert(3, str(bad))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(["batch", batch_recipe, *files, "-o", str(whole)]).wait(timeout=500) == 1
    rng, written = random.Random(1), {}
    kills = 0
    while True:
        process = start(["batch", batch_recipe, *files, "-o", str(broken)])
        target = len(written) + rng.randint(20, 60)
        while process.poll() is None and len(list(broken.rglob("slice_*.npz"))) < target:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.05))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        code = process.wait(timeout=500)
        now = {path: path.stat().st_mtime_ns for path in broken.rglob("slice_*.npz")}
        assert written.items() <= now.items()  # nothing was computed again
        written = now
        if code == 1:
            break
        assert code == -signal.SIGKILL
    assert kills >= 3 and len(written) == 200
    assert contents(broken) == contents(whole)
    assert sum(row["status"] == "failed" for row in table(broken)) == 1
    assert [row["file"] for row in table(broken)] == [row["file"] for row in table(whole)]
    assert not list(broken.rglob(".*.part"))
