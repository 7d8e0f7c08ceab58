"""What the shell reads of a file, and what it does to raw data."""

import csv
import json

import ismrmrd
import numpy as np
import pytest
from ismrmrd_files import COILS, NX, NY, draw, line, lines, oversampled, write

from napari_lossguide.cli import main
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import read
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.recipe import Recipe


@pytest.fixture
def scan(tmp_path, rng):
    """Two contrasts of two slices, with a noise scan."""
    noise = line(draw(rng, COILS, 500), 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,))
    images = [draw(rng, COILS, NY, NX) for _ in range(4)]
    stacks = [
        lines(oversampled(im), slice=n % 2, contrast=n // 2, position=(0, 0, n % 2)) for n, im in enumerate(images)
    ]
    return write(tmp_path / "scan.h5", [noise, *(acq for stack in stacks for acq in stack)])


def image_of(path):
    with np.load(path) as file:
        return file["zero_filled"], file["maps"].shape[1]


def expected(path, **how):
    return reconstruct(read(path, **how), recipe=Recipe.for_method("zero-filled")).zero_filled


@pytest.mark.parametrize(
    ("options", "steps", "coils"),
    [
        ([], {}, COILS),
        (["--coils", "2"], {"coils": 2}, 2),
        (["--coils", "2", "--compression", "gcc"], {"coils": 2, "compression": "gcc"}, 2),
        (["--no-prewhitening"], {"prewhiten": False}, COILS),
        (["--keep-oversampling"], {"remove_oversampling": False}, COILS),
        (["--no-phase-correction"], {"phase_correction": False}, COILS),
    ],
)
def test_recon_and_batch_read_with_these_steps(scan, tmp_path, options, steps, coils):
    given = ["--variable", "contrast 1", *options]
    assert main(["recon", str(scan), "-o", str(tmp_path / "a.npz"), "--method", "zero-filled", *given]) == 0
    image, found = image_of(tmp_path / "a.npz")
    np.testing.assert_array_equal(image, expected(scan, variable="contrast 1", steps=steps))
    assert found == coils
    recipe = tmp_path / "recipe.json"
    recipe.write_text(Recipe.for_method("zero-filled").to_json())
    assert main(["batch", str(recipe), str(scan), "-o", str(tmp_path / "out"), "--no-sheet", *given]) == 0
    for index in range(2):
        np.testing.assert_array_equal(
            image_of(tmp_path / "out" / "scan" / f"slice_{index:04d}.npz")[0][0], image[index]
        )


def test_what_was_left_out_stands_in_the_result(scan, tmp_path):
    output = str(tmp_path / "a.npz")
    options = ["--variable", "contrast 0", "--no-prewhitening", "--keep-oversampling", "--coils", "2"]
    assert main(["recon", str(scan), "-o", output, "--method", "zero-filled", *options]) == 0
    with np.load(output) as file:
        source = json.loads(str(file["facts"]))["provenance"]["input"]
    assert source == f"{scan}; not prewhitened; with oversampling; 3 coils compressed to 2 (svd)"


def test_a_batch_with_other_steps_is_done_again(scan, tmp_path, capsys):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(Recipe.for_method("zero-filled").to_json())
    common = ["batch", str(recipe), str(scan), "-o", str(tmp_path / "out"), "--no-sheet", "--variable", "contrast 0"]
    for options, run in (([], 2), ([], 0), (["--coils", "2"], 2), (["--coils", "2"], 0)):
        assert main([*common, *options]) == 0
        assert f"run now      {run}\n" in capsys.readouterr().out


def test_a_sweep_reads_with_these_steps(scan, tmp_path):
    options = ["--variable", "contrast 0", "--coils", "2", "--method", "cg-sense", "--vary", "guidance.iterations=1,2"]
    assert main(["sweep", str(scan), "-o", str(tmp_path / "s.npz"), "--csv", str(tmp_path / "t.csv"), *options]) == 0
    with open(tmp_path / "t.csv", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done", "done"]


@pytest.mark.parametrize("command", ["recon", "info"])
def test_the_entries_are_listed_where_none_was_chosen(scan, tmp_path, capsys, command):
    output = ["-o", str(tmp_path / "a.npz")] if command == "recon" else []
    for options in ([], ["--variable", "contrast 7"]):
        assert main([command, str(scan), *output, *options]) == 2
        (line_,) = capsys.readouterr().err.splitlines()
        assert "contrast 0: k-space, 2 slices, 3 coils, 12 x 16" in line_ and "contrast 1: k-space" in line_
        assert "--variable" in line_ or "contrast 7" in line_


def test_info_of_an_entry(scan, capsys):
    assert main(["info", str(scan), "--variable", "contrast 1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [NY, NX]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--coils", "9"], "4 coils cannot be compressed to 9; accepted are 1 to 4"),
        (["--coils", "0"], "Raw-data step coils = 0"),
        (["--compression", "gcc"], "--compression gcc needs --coils N"),
        (["--compression", "pca", "--coils", "2"], "invalid choice: 'pca'"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, capsys, options, words):
    np.save(tmp_path / "a.npy", simulate(shepp_logan(16), n_coils=4).kspace)
    assert main(["recon", str(tmp_path / "a.npy"), "-o", str(tmp_path / "o.npz"), *options]) == 2
    (line_,) = capsys.readouterr().err.splitlines()
    assert words in line_
    assert not (tmp_path / "o.npz").exists()


def test_the_help_explains_every_step(capsys):
    for command in ("recon", "batch", "sweep"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        text = " ".join(capsys.readouterr().out.split())
        for option in ("--coils N", "--compression {svd,gcc}", "--no-prewhitening", "--keep-oversampling"):
            assert option in text
        assert "N/2 ghosts" in text and "--variable NAME" in text
