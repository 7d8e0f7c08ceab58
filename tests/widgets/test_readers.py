"""Which files and folders napari's File > Open gives to the plugin."""

from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
from dicom_files import affine, write_series
from napari.layers import Layer

from napari_lossguide.data.formats.registry import FORMATS
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.widgets import io
from napari_lossguide.widgets.file_opener import FILES
from napari_lossguide.widgets.views import KEY, kdata_of

KSPACE = simulate(shepp_logan(16), n_coils=2).kspace


def write_ismrmrd(path):
    """A Cartesian scan of 16 lines and 2 coils."""
    import ismrmrd
    import ismrmrd.xsd as xsd

    size, fov = xsd.matrixSizeType(x=16, y=16, z=1), xsd.fieldOfViewMm(x=32, y=32, z=5)
    space = xsd.encodingSpaceType(matrixSize=size, fieldOfView_mm=fov)
    limits = xsd.encodingLimitsType(kspace_encoding_step_1=xsd.limitType(minimum=0, maximum=15, center=8))
    encoding = xsd.encodingType(
        encodedSpace=space, reconSpace=space, encodingLimits=limits, trajectory=xsd.trajectoryType.CARTESIAN
    )
    conditions = xsd.experimentalConditionsType(H1resonanceFrequency_Hz=63_000_000)
    with ismrmrd.Dataset(str(path), "dataset", create_if_needed=True) as file:
        file.write_xml_header(xsd.ToXML(xsd.ismrmrdHeader(encoding=[encoding], experimentalConditions=conditions)))
        for y in range(16):
            line = ismrmrd.Acquisition.from_array(np.ascontiguousarray(KSPACE[0, :, y]))
            line.idx.kspace_encode_step_1, line.center_sample = y, 8
            file.append_acquisition(line)


def write_fastmri(path):
    with h5py.File(path, "w") as file:
        file["kspace"] = KSPACE


def write_dicom(path):
    import pydicom.data

    path.write_bytes(Path(pydicom.data.get_testdata_file("MR_small.dcm")).read_bytes())


WRITERS = {
    "scan.h5": write_ismrmrd,
    "scan.mrd": write_ismrmrd,
    "fast.h5": write_fastmri,
    "a.npy": lambda path: np.save(path, KSPACE),
    "a.npz": lambda path: np.savez(path, kspace=KSPACE),
    "a.mat": lambda path: scipy.io.savemat(path, {"kspace": KSPACE.transpose(2, 3, 1, 0)}),
    "a.nii": lambda path: nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), np.float32), np.eye(4)), path),
    "a.dcm": write_dicom,
    "IM00001": write_dicom,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_opened(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    reader = io.get_reader(str(path))
    assert reader is not None
    first, *_ = (Layer.create(*item) for item in reader(str(path)))
    if name not in ("a.nii", "a.dcm", "IM00001"):
        kspace = kdata_of(first).kspace
        np.testing.assert_allclose(kspace / np.abs(kspace).max(), KSPACE / np.abs(KSPACE).max(), atol=1e-3)


def test_a_folder_of_dicom_is_opened_where_it_lies(tmp_path):
    volume, where = np.arange(3 * 4 * 6, dtype=np.uint16).reshape(3, 4, 6), affine(slice_mm=5.0)
    folder = write_series(tmp_path / "scan", volume, where, order=[2, 0, 1])
    (layer,) = (Layer.create(*item) for item in io.get_reader(str(folder))(str(folder)))
    np.testing.assert_array_equal(layer.data, volume)
    assert layer.name == "scan" and [float(mm) for mm in layer.scale] == pytest.approx([5, 1.5, 0.75])
    np.testing.assert_allclose(layer.metadata[KEY]["affine"], where, atol=1e-6)


def test_an_hdf5_file_without_kspace_is_left_to_others(tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file["image"] = np.ones((4, 5))
    assert io.get_reader(str(tmp_path / "cells.h5")) is None


@pytest.mark.parametrize("content", ["", "a.tif", "a.zarr/.zgroup"])
def test_a_folder_of_something_else_is_left_to_napari(tmp_path, content):
    folder = tmp_path / "folder"
    folder.mkdir()
    if content:
        (folder / content).parent.mkdir(exist_ok=True)
        (folder / content).write_bytes(b"{}")
    assert io.get_reader(str(folder)) is None


def test_the_dialog_offers_what_the_formats_are_called():
    offered = FILES.partition("(")[2].partition(")")[0].split()
    assert set(offered) == {f"*{suffix}" for form in FORMATS for suffix in form.suffixes}
    assert len(offered) == len(set(offered))
