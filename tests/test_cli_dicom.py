"""The shell on DICOM: folders are read, .dcm files are written."""

import numpy as np
import pydicom
import pytest
from dicom_files import affine, write_series

from napari_lossguide.cli import main
from napari_lossguide.data.formats.dicom import Dicom
from napari_lossguide.data.phantoms import shepp_logan

WHERE = affine()
VOLUME = np.stack([shepp_logan(16) * 1000, shepp_logan(16)[::-1] * 500]).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    return write_series(tmp_path / "series", VOLUME, WHERE, order=[1, 0])


def test_a_folder_becomes_a_file_at_the_same_place(folder, tmp_path, capsys):
    assert main(["info", str(folder)]) == 0
    assert "16" in capsys.readouterr().out
    path = tmp_path / "out.dcm"
    assert main(["recon", str(folder), "-o", str(path), "--method", "cg-sense"]) == 0
    loaded = Dicom().load(path, "images", slice(None))
    np.testing.assert_allclose(loaded.affine, WHERE, atol=1e-6)
    assert np.abs(loaded.array - VOLUME).max() < 0.05 * VOLUME.max()
    data = pydicom.dcmread(path)
    assert data.ImageComments.startswith("Reconstructed, not for diagnosis.")
    assert "method cg-sense" in data.DerivationDescription
    assert main(["info", str(path)]) == 0


def test_a_batch_reads_the_slices_of_a_folder(folder, tmp_path):
    recipe = tmp_path / "recipe.json"
    assert (
        main(
            [
                "recon",
                str(folder),
                "-o",
                str(tmp_path / "a.npz"),
                "--method",
                "zero-filled",
                "--save-recipe",
                str(recipe),
            ]
        )
        == 0
    )
    assert main(["batch", str(recipe), str(folder), "-o", str(tmp_path / "out"), "--no-sheet"]) == 0
    with np.load(tmp_path / "a.npz") as whole:
        for index in range(2):
            with np.load(tmp_path / "out" / "series" / f"slice_{index:04d}.npz") as one:
                np.testing.assert_allclose(one["image"][0], whole["image"][index], atol=1e-3)
                np.testing.assert_allclose(one["affine"][:3, 3], (WHERE @ [index, 0, 0, 1])[:3], atol=1e-6)


def test_several_series_are_listed(folder, capsys, tmp_path):
    write_series(folder / "more", VOLUME, WHERE, SeriesInstanceUID="1.2.4", SeriesNumber=2, SeriesDescription="t2")
    assert main(["recon", str(folder), "-o", str(tmp_path / "a.npz"), "--method", "zero-filled"]) == 2
    assert "series 2 t2: images, 2 slices" in capsys.readouterr().err
    more = ["--variable", "series 2 t2"]
    assert main(["recon", str(folder), "-o", str(tmp_path / "a.npz"), "--method", "zero-filled", *more]) == 0
