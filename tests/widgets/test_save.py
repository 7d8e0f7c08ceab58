"""napari's Save: every ending, for reconstructions, k-space and layers of others."""

import json
from pathlib import Path

import napari.layers
import nibabel
import numpy as np
import pytest
from napari.plugins.io import save_layers
from npe2 import PluginManager, PluginManifest

from napari_lossguide.data.formats.registry import format_of
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import entries, read
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import io
from napari_lossguide.widgets.io import kspace_layers, write_result
from napari_lossguide.widgets.views import KEY

AFFINE = np.array([[0.0, 0, 1.5, -20], [0, -2, 0, 30], [3, 0, 0, 7], [0, 0, 0, 1]])
ENDINGS = [".nii.gz", ".nii", ".cfl", ".h5", ".ome.tif", ".dcm"]


@pytest.fixture(autouse=True)
def plugin():
    """The plugin as napari knows it, by its own manifest."""
    plugins = PluginManager.instance()
    known = "napari-lossguide" in plugins
    if not known:
        plugins.register(PluginManifest.from_file(Path(io.__file__).parents[1] / "napari.yaml"))
    yield
    if not known:
        plugins.unregister("napari-lossguide")


@pytest.fixture
def kdata():
    made = simulate(np.stack([shepp_logan(16)] * 2), noise_std=0.01)
    return KData(made.kspace, made.acquired, (3.0, 2.0, 1.5), "scan", affine=AFFINE)


@pytest.fixture
def result(kdata):
    return reconstruct(kdata, method="zero-filled")


def layer_of(data, scale=(3.0, 2.0, 1.5), **kept):
    return napari.layers.Image(data, name="a layer", scale=scale[-data.ndim :], metadata={KEY: kept})


def loaded(path):
    name = next(entry.name for entry in entries(path) if entry.kind == "images")
    return format_of(path).load(path, name, slice(None))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_reconstruction_is_saved_complex_with_its_place(tmp_path, kdata, result, ending):
    layer = layer_of(np.abs(result.image), role="result", result=result, kdata=kdata)
    path = tmp_path / f"out{ending}"
    written = save_layers(str(path), [layer], plugin="napari-lossguide")
    assert str(path) in written and all((tmp_path / name).is_file() for name in written)
    got = loaded(path)
    np.testing.assert_array_equal(got.array, result.image)
    np.testing.assert_array_equal(got.affine, AFFINE)
    assert got.spacing == (3.0, 2.0, 1.5)


def test_its_recipe_is_saved_with_it(tmp_path, result):
    layer = layer_of(np.abs(result.image), role="result", result=result)
    save_layers(str(tmp_path / "out.nii"), [layer], plugin="napari-lossguide")
    (extension,) = nibabel.load(tmp_path / "out.nii").header.extensions
    held = json.loads(bytes(extension.get_content()).rstrip(b"\0"))
    assert held["name"] == "a layer" and held["recipe"] == json.loads(result.recipe.to_json())


@pytest.mark.parametrize("ending", [*ENDINGS, ".npz"])
def test_another_layer_of_the_scan_lies_where_the_scan_does(tmp_path, kdata, rng, ending):
    data = rng.random((2, 16, 16)).astype(np.float32)
    save_layers(str(tmp_path / f"out{ending}"), [layer_of(data, kdata=kdata)], plugin="napari-lossguide")
    got = loaded(tmp_path / f"out{ending}")
    np.testing.assert_array_equal(got.array, data)
    np.testing.assert_array_equal(got.affine, AFFINE)


@pytest.mark.parametrize("ending", [".nii.gz", ".h5", ".dcm"])
def test_a_layer_of_others_keeps_the_size_of_its_pixels(tmp_path, rng, ending):
    data = rng.random((16, 12)).astype(np.float32)
    save_layers(str(tmp_path / f"out{ending}"), [layer_of(data)], plugin="napari-lossguide")
    got = loaded(tmp_path / f"out{ending}")
    np.testing.assert_array_equal(got.array[0], data)
    assert got.spacing == (1.0, 2.0, 1.5) and got.affine is None


def test_kspace_is_saved_as_kspace(tmp_path, kdata):
    data, attributes, _ = kspace_layers(kdata)[0]
    written = write_result(str(tmp_path / "k.cfl"), data, attributes)
    assert written == [str(tmp_path / "k.cfl"), str(tmp_path / "k.hdr")]
    np.testing.assert_array_equal(read(tmp_path / "k.cfl").kspace, kdata.kspace)
    with pytest.raises(InvalidInput, match=r"k\.nii; accepted are \.npz, \.cfl and \.npy"):
        write_result(str(tmp_path / "k.nii"), data, attributes)


def test_colours_are_refused(tmp_path):
    layer = napari.layers.Image(np.zeros((4, 4, 3), np.uint8), rgb=True)
    data, meta, _ = layer.as_layer_data_tuple()
    with pytest.raises(InvalidInput, match="has colours"):
        write_result(str(tmp_path / "a.nii"), data, meta)
