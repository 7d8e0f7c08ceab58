"""Reader, sample data and writer, as napari calls them."""

from pathlib import Path

import h5py
import ismrmrd
import nibabel
import numpy as np
import pytest
import yaml
from napari.components import ViewerModel
from napari.layers import Layer

from napari_lossguide.data import samples
from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.exports.registry import export
from napari_lossguide.data.file_names import stem
from napari_lossguide.data.formats.registry import FORMATS
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import read
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import entry_choice, io, layers
from napari_lossguide.widgets.views import held, kdata_of


@pytest.fixture
def kspace():
    return simulate(shepp_logan(16), n_coils=2).kspace


def written(folder, name, **arrays):
    path = folder / name
    if path.suffix == ".npy":
        np.save(path, arrays["array"])
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file[key] = array
    return str(path)


def open_layers(path):
    found = io.get_reader(path)(path)
    return [Layer.create(*item) for item in found]


@pytest.mark.parametrize(("name", "key"), [("scan.npy", "array"), ("scan.npz", "kspace"), ("scan.h5", "kspace")])
def test_kspace_files_become_layers_that_carry_it(tmp_path, kspace, name, key):
    stored = kspace[:, 0] if name.endswith(".h5") else kspace  # fastMRI: (slice, ny, nx)
    first, second = open_layers(written(tmp_path, name, **{key: stored}))
    assert [first.name, second.name] == ["k-space: scan", "image: scan"]
    assert kdata_of(first) is kdata_of(second)
    np.testing.assert_array_equal(kdata_of(first).kspace, stored.reshape(1, -1, 16, 16))
    assert [str(unit) for unit in first.units] == ["millimeter"] * 2


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("photo.npy", {"array": np.ones((4, 4))}),
        ("volume.npy", {"array": np.ones((2, 4, 4), np.uint8)}),
        ("five.npy", {"array": np.ones((1, 1, 1, 4, 4), complex)}),
        ("weights.npz", {"layer1": np.ones((4, 4))}),
        ("other.h5", {"data": np.ones((4, 4))}),
    ],
)
def test_other_files_are_left_to_others(tmp_path, name, arrays):
    assert io.get_reader(written(tmp_path, name, **arrays)) is None


def test_damaged_absent_and_stacked_files_are_left_alone(tmp_path):
    for name in ("a.npy", "a.npz", "a.h5"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        assert io.get_reader(str(tmp_path / name)) is None
        assert io.get_reader(str(tmp_path / f"absent-{name}")) is None
    assert io.get_reader([str(tmp_path / "a.npy")]) is None
    assert io.get_reader(str(tmp_path / "a.tif")) is None


def test_pickles_are_never_opened(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert io.get_reader(str(tmp_path / "evil.npy")) is None


def test_wrong_kspace_is_one_sentence(tmp_path, kspace):
    kspace[0, 0, 3, 3] = np.nan
    path = written(tmp_path, "bad.npz", kspace=kspace)
    with pytest.raises(InvalidInput, match="NaN"):
        io.get_reader(path)(path)


def test_images_open_as_images(tmp_path):
    images = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    (layer,) = open_layers(written(tmp_path, "slices.npz", images=images, pixel_mm=0.9))
    np.testing.assert_allclose(layer.data, images / 255, rtol=1e-6)
    assert tuple(layer.scale) == pytest.approx((1, 0.9, 0.9))
    assert kdata_of(layer) is None


def test_a_pixel_size_that_cannot_be_is_one_sentence(tmp_path):
    path = written(tmp_path, "slices.npz", images=np.ones((2, 4, 5)), pixel_mm=-1.0)
    with pytest.raises(InvalidInput, match="above 0"):
        io.get_reader(path)(path)


def test_a_saved_result_opens_with_its_recipe(tmp_path):
    image = np.full((1, 4, 4), 3 + 4j, np.complex64)
    path = written(tmp_path, "out.npz", image=image, zero_filled=image / 5, recipe='{"seed": 7}')
    zero_filled, result = open_layers(path)
    assert [zero_filled.name, result.name] == ["zero-filled: out", "out"]
    assert (result.data == 5).all()
    assert held(result)["recipe"] == '{"seed": 7}'


def test_sample_phantom_is_a_simulation_that_the_docks_know():
    viewer = ViewerModel()
    for item in io.sample_phantom():
        viewer.add_layer(Layer.create(*item))
    kdata = kdata_of(viewer.layers[0])
    assert kdata.kspace.shape == (1, 8, 256, 256)
    assert all("(simulation)" in layer.name for layer in viewer.layers)
    before = list(viewer.layers)
    layers.show_coil_image(viewer, kdata, "phase", coil=3)
    assert list(viewer.layers) == before


def test_sample_template_has_its_spacing():
    pytest.importorskip("nilearn")
    _, image = (Layer.create(*item) for item in io.sample_template())
    assert tuple(image.scale) == samples.template().spacing
    assert image.data.shape == (3, 208, 176)


def test_sample_brain_goes_through_the_download(monkeypatch, kspace):
    def offline(cache):
        raise InvalidInput("no network")

    monkeypatch.setattr(samples, "sigpy_brain", offline)
    with pytest.raises(InvalidInput, match="no network"):
        io.sample_sigpy_brain()


class Saved:
    """Stands for a Result."""

    def save(self, path):
        np.savez(path, image=np.ones(3))


def test_a_result_saves_itself(tmp_path):
    path = str(tmp_path / "out.npz")
    meta = {"metadata": {"lossguide": {"result": Saved()}}, "scale": (1.0, 1.0, 1.0)}
    assert io.write_result(path, np.zeros((1, 4, 4)), meta) == [path]
    assert np.load(path)["image"].shape == (3,)


def test_kspace_layers_save_their_kspace(tmp_path):
    kdata = simulate(shepp_logan(16), n_coils=2, spacing=(3.0, 2.0, 1.0))
    data, attributes, _ = io.kspace_layers(kdata)[0]
    io.write_result(str(tmp_path / "k.npz"), data, attributes)
    again = read(tmp_path / "k.npz")
    np.testing.assert_array_equal(again.kspace, kdata.kspace)
    np.testing.assert_array_equal(again.maps, kdata.maps)
    np.testing.assert_array_equal(again.reference, kdata.reference)
    assert again.spacing == (3, 2, 1) and again.simulated and not again.real


def test_measured_kspace_stays_measured_and_a_real_simulation_real(tmp_path):
    made = simulate(shepp_logan(16))
    for kdata in (made, KData(made.kspace, made.acquired)):
        data, attributes, _ = io.kspace_layers(kdata)[0]
        io.write_result(str(tmp_path / "k.npz"), data, attributes)
        again = read(tmp_path / "k.npz")
        assert (again.simulated, again.real) == (kdata.simulated, kdata.real) == ((kdata is made,) * 2)
        assert (again.reference is None) == (kdata.reference is None)


def test_any_image_saves_its_array_and_spacing(tmp_path):
    data = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    meta = {"name": "a", "scale": (1.0, 2.0, 2.5), "metadata": {}}
    io.write_result(str(tmp_path / "a.npz"), data, meta)
    io.write_result(str(tmp_path / "a.npy"), data, meta)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), data)
    (layer,) = open_layers(str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(layer.data, data[0])
    assert tuple(layer.scale) == (2, 2.5)


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(InvalidInput, match="could not be written"):
        io.write_result(str(tmp_path / "no folder" / "a.npz"), np.zeros((4, 4)), {})
    assert not list(tmp_path.iterdir())


def test_every_format_has_its_patterns_in_the_manifest():
    manifest = yaml.safe_load((Path(io.__file__).parents[1] / "napari.yaml").read_text(encoding="utf-8"))
    (reader,) = manifest["contributions"]["readers"]
    assert set(reader["filename_patterns"]) == {f"*{suffix}" for form in FORMATS for suffix in form.suffixes}


def test_nifti_opens_as_images_with_its_voxels(tmp_path):
    images = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(images, np.diag([-0.5, -0.7, 3, 1])), tmp_path / "head.nii.gz")
    (layer,) = open_layers(str(tmp_path / "head.nii.gz"))
    np.testing.assert_array_equal(layer.data, images.T)
    np.testing.assert_allclose(layer.scale, (3, 0.7, 0.5), rtol=1e-6)
    assert layer.name == "head"


def test_of_several_things_a_person_chooses(tmp_path, monkeypatch):
    volumes = np.stack([np.full((2, 3, 4), n, np.float32) for n in range(3)], -1)
    nibabel.save(nibabel.Nifti1Image(volumes, np.eye(4)), tmp_path / "a.nii")
    asked = []

    def choose(parent, title, text, titles, current, editable):
        asked.append(titles)
        return titles[2], True

    monkeypatch.setattr(entry_choice.QInputDialog, "getItem", choose)
    (layer,) = open_layers(str(tmp_path / "a.nii"))
    assert [t.split(":")[0] for t in asked[0]] == ["volume 0", "volume 1", "volume 2"]
    assert (layer.data == 2).all()
    monkeypatch.setattr(entry_choice.QInputDialog, "getItem", lambda *_: ("", False))
    with pytest.raises(InvalidInput, match=r"Nothing of .*a\.nii was chosen"):
        open_layers(str(tmp_path / "a.nii"))


def test_where_the_usual_array_is_there_nobody_is_asked(tmp_path, kspace, monkeypatch):
    monkeypatch.setattr(entry_choice.QInputDialog, "getItem", lambda *_: pytest.fail("asked"))
    first, _ = open_layers(written(tmp_path, "a.npz", kspace=kspace, other=kspace))
    np.testing.assert_array_equal(kdata_of(first).kspace, kspace)


def test_raw_data_of_ismrmrd_open_though_they_are_called_h5(tmp_path):
    path = tmp_path / "raw.h5"
    space = (
        "<matrixSize><x>8</x><y>6</y><z>1</z></matrixSize><fieldOfView_mm><x>16</x><y>9</y><z>5</z></fieldOfView_mm>"
    )
    with ismrmrd.Dataset(str(path), "dataset") as dataset:
        dataset.write_xml_header(
            '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions><H1resonanceFrequency_Hz>1'
            f"</H1resonanceFrequency_Hz></experimentalConditions><encoding><encodedSpace>{space}</encodedSpace>"
            f"<reconSpace>{space}</reconSpace><encodingLimits/><trajectory>cartesian</trajectory></encoding>"
            "</ismrmrdHeader>"
        )
        line = ismrmrd.Acquisition.from_array(np.ones((2, 8), np.complex64), center_sample=4)
        for y in range(6):
            line.idx.kspace_encode_step_1 = y
            dataset.append_acquisition(line)
    kspace, image = open_layers(str(path))
    assert kspace.metadata["lossguide"]["kdata"].kspace.shape == (1, 2, 6, 8)
    assert tuple(image.scale[-2:]) == (1.5, 2)


@pytest.mark.parametrize("ending", [".npz", ".nii.gz", ".ome.tif", ".dcm"])
def test_slices_that_failed_are_shown_as_missing(tmp_path, monkeypatch, ending):
    said = []
    monkeypatch.setattr("napari_lossguide.widgets.io.show_info", said.append)
    images = np.stack([shepp_logan(16)] * 3).astype(np.complex64)
    images[[0, 2]] = np.nan
    path = str(export(tmp_path / f"a{ending}", Export(images)))
    ((shown, attributes, _),) = io.get_reader(path)(path)
    np.testing.assert_allclose(shown[1], np.abs(images[1]), rtol=1e-6)
    assert np.isnan(shown[[0, 2]]).all()
    low, high = attributes["contrast_limits"]
    assert low == 0 and 0.5 < high <= np.abs(images[1]).max()
    assert said == [f"{stem(path)}: slices 0 and 2 are missing (NaN); such slices failed when the file was made."]
