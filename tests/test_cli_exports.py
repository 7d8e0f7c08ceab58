"""`lossguide recon -o` writes what the ending says, and refuses before the run what it could not write."""

import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from napari_lossguide.cli import main
from napari_lossguide.data.formats.bart import write_cfl
from napari_lossguide.data.formats.registry import format_of
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import entries, read
from napari_lossguide.recon.autosave import Keeping, Session
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.restore import restore

AFFINE = np.array([[0.1, 0, 1.5, -20], [0, -2, 0, 30], [3, 0, 0, 7], [0, 0, 0, 1.0]])
SPACING = tuple(float(mm) for mm in np.linalg.norm(AFFINE[:3, :3], axis=0))


@pytest.fixture
def scan(tmp_path):
    """Two slices that know where they lie."""
    kdata = simulate(np.stack([shepp_logan(16)] * 2), noise_std=0.01)
    path = tmp_path / "scan.npz"
    np.savez(path, kspace=kdata.kspace, spacing=SPACING, affine=AFFINE)
    return path


def recon(scan, output, *more):
    return main(["recon", str(scan), "-o", str(output), "--method", "zero-filled", *map(str, more)])


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".h5", ".ome.tif", ".cfl", ".dcm"])
def test_every_ending_holds_the_image_and_its_place(tmp_path, scan, ending):
    assert recon(scan, tmp_path / "whole.npz") == 0
    assert recon(scan, tmp_path / f"out{ending}") == 0
    path = tmp_path / f"out{ending}"
    name = next(entry.name for entry in entries(path) if entry.kind == "images")
    got = format_of(path).load(path, name, slice(None))
    with np.load(tmp_path / "whole.npz") as file:
        np.testing.assert_array_equal(got.array, file["image"])
        np.testing.assert_array_equal(file["affine"], AFFINE)
    np.testing.assert_array_equal(got.affine, AFFINE)
    assert got.spacing == SPACING


def test_the_recipe_goes_with_it(tmp_path, scan, capsys):
    assert recon(scan, tmp_path / "out.cfl") == 0
    assert str(tmp_path / "out.cfl") in capsys.readouterr().out
    held = json.loads((tmp_path / "out.json").read_text())
    assert held["recipe"]["method"] == "zero-filled"
    assert held["facts"]["status"] == "done" and held["facts"]["provenance"]


def test_an_image_known_to_be_real_is_written_as_real(tmp_path, scan):
    assert recon(scan, tmp_path / "out.nii", "--real") == 0
    assert nibabel.load(tmp_path / "out.nii").get_data_dtype() == np.float32


def test_an_autosaved_result_knows_its_place_again(tmp_path, scan):
    session = Session(Keeping(folder=tmp_path / "kept"))
    result = reconstruct(read(scan), method="zero-filled")
    path = session.keep(session.number(), "a result", result, result.spacing)
    again = restore(path).result
    session.close()
    assert again.spacing == SPACING
    np.testing.assert_array_equal(again.affine, AFFINE)
    sent = again.export("a result")
    np.testing.assert_array_equal(sent.affine, AFFINE)
    np.testing.assert_array_equal(sent.images, result.image)


def no_run(monkeypatch):
    monkeypatch.setattr("napari_lossguide.cli.recon.run_recipe", lambda *_: pytest.fail("it ran"))


@pytest.mark.parametrize(
    ("output", "says"),
    [("out.png", "accepted are .npz"), ("nowhere/out.nii", "cannot be written"), ("scan.npz", "is also an input")],
)
def test_what_cannot_be_written_is_said_before_the_run(tmp_path, scan, capsys, monkeypatch, output, says):
    no_run(monkeypatch)
    assert recon(scan, tmp_path / output) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("given", ["k", "k.cfl", "k.hdr"])
def test_no_file_of_a_pair_replaces_its_input(tmp_path, scan, capsys, monkeypatch, given):
    no_run(monkeypatch)
    write_cfl(tmp_path / "k", read(scan).kspace)
    assert recon(tmp_path / given, tmp_path / "k.cfl") == 2
    assert "is also an input" in capsys.readouterr().err


def test_the_recipe_is_not_saved_over_the_record(tmp_path, scan, capsys, monkeypatch):
    no_run(monkeypatch)
    assert recon(scan, tmp_path / "out.cfl", "--save-recipe", tmp_path / "out.json") == 2
    assert "is also an input" in capsys.readouterr().err


def test_the_writers_load_nothing_until_they_write():
    code = "import sys, napari_lossguide.data.exports.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"h5py", "ismrmrd", "nibabel", "pydicom", "tifffile", "torch"} & set(done.stdout.split())
