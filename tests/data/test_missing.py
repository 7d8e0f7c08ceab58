"""Slices that failed when a file was made are NaN: they are shown as such, and no run makes anything of them."""

import json

import numpy as np
import pytest

from napari_lossguide.cli import main
from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.exports.registry import WRITERS, export
from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.image_readers import read_image, read_images
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.missing import check_slices, missing_slices, missing_words
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import open_scan, read
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.types import InvalidInput

ENDINGS = [writer.suffixes[0] for writer in WRITERS]


def stack(kind=np.float32):
    images = np.stack([np.roll(shepp_logan(16), shift, 0) for shift in range(3)]).astype(kind)
    images[1] = np.nan
    return images


def test_which_slices_are_missing():
    assert missing_slices(stack()) == missing_slices(stack(np.complex64)) == (1,)
    assert missing_slices(np.ones((2, 3, 3), np.uint8)) == ()
    assert check_slices(stack(), "x") == (1,) and check_slices(np.ones((2, 2)), "x") == ()
    assert missing_words(()) == ""
    assert missing_words((4,)) == "slice 4 is missing (NaN)"
    assert missing_words((0, 2, 5)) == "slices 0, 2 and 5 are missing (NaN)"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_as_before(value):
    images = stack()
    images[2, 3, 4] = value
    with pytest.raises(InvalidInput, match="x holds NaN or infinity"):
        check_slices(images, "x")
    with pytest.raises(InvalidInput, match="x is NaN everywhere"):
        check_slices(images[1:2], "x")


@pytest.mark.parametrize("kind", [np.float32, np.complex64])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_file_that_is_written_is_opened_and_simulated_from(tmp_path, ending, kind):
    images = stack(kind)
    path = export(tmp_path / f"a{ending}", Export(images))
    variable = "images" if ending == ".cfl" else "image" if ending == ".npz" else None
    np.testing.assert_array_equal(read_images(path, variable=variable).array, images)
    np.testing.assert_array_equal(read_image(path), images)
    kdata = read(path, variable=variable)
    assert kdata.missing == (1,) and np.isnan(kdata.kspace[1]).all() and kdata.acquired.all()
    np.testing.assert_allclose(kdata.kspace[2, 0], fft2c(images[2]), atol=1e-5)
    assert kdata.source.endswith("; slice 1 is missing (NaN)")
    scan = open_scan(path, variable=variable)
    np.testing.assert_allclose(scan.read_slice(2).kspace, kdata.kspace[2:], atol=1e-5)
    with pytest.raises(InvalidInput, match="is NaN everywhere: it is missing"):
        scan.read_slice(1)


@pytest.mark.parametrize("method", ["zero-filled", "cg-sense"])
def test_a_run_leaves_it_out_and_says_so(method):
    kdata = simulate(stack(), n_coils=4, noise_std=0.01)
    result = reconstruct(kdata, method=method)
    assert list(result.failed) == [1] and "Slice 1 of simulation is missing" in result.failed[1]
    assert np.isnan(result.image[1]).all()
    alone = reconstruct(kdata.select(2), method=method)
    np.testing.assert_array_equal(result.image[2], alone.image[0])


def test_undersampled_kspace_with_a_missing_slice():
    kdata = simulate(stack())
    mask = np.zeros((16, 16), bool)
    mask[4:12] = True
    fewer = kdata.undersample(mask)
    assert fewer.missing == (1,)
    again = KData.from_array(fewer.kspace)  # where it is not zero: the missing slice says nothing of that
    np.testing.assert_array_equal(again.acquired.any(axis=1), mask.any(axis=1))
    with pytest.raises(InvalidInput, match="is zero everywhere"):
        KData.from_array(np.where(np.isnan(kdata.kspace), kdata.kspace, 0))
    with pytest.raises(InvalidInput, match="is zero everywhere"):
        simulate(np.where(np.isnan(stack()), stack(), 0))


def test_coils_are_compressed_without_it(tmp_path):
    kdata = simulate(stack(), n_coils=4)
    np.savez(tmp_path / "k.npz", **kdata.arrays())
    for method in ("svd", "gcc"):
        fewer = read(tmp_path / "k.npz", steps={"coils": 2, "compression": method})
        assert fewer.missing == (1,) and fewer.n_coils == 2


def test_a_batch_fails_for_that_slice_alone(tmp_path, capsys):
    path = export(tmp_path / "a.nii.gz", Export(stack()))
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"method": "zero-filled"}))
    assert main(["batch", str(recipe), str(path), "-o", str(tmp_path / "out"), "--no-sheet"]) == 1
    told = capsys.readouterr()
    assert "slice 1: The image a is NaN everywhere: it is missing" in told.err
    assert "1 of 3 could not be reconstructed" in told.err
