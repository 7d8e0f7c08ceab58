"""ISMRMRD files of ismrmrd's own program, compared with its own reconstruction."""

import shutil
import subprocess

import h5py
import numpy as np
import pytest
from ismrmrd_files import close, images_of

from napari_lossguide.data.fourier import rss
from napari_lossguide.data.readers import entries, read
from napari_lossguide.types import InvalidInput

GENERATE, RECONSTRUCT = "ismrmrd_generate_cartesian_shepp_logan", "ismrmrd_recon_cartesian_2d"
needs_tools = pytest.mark.skipif(
    not (shutil.which(GENERATE) and shutil.which(RECONSTRUCT)),
    reason="ismrmrd-tools is not installed: not compared with ismrmrd's own files and reconstruction",
)


@needs_tools
class TestProgram:
    def generate(self, folder, *options):
        path = folder / "a.h5"
        subprocess.run([GENERATE, *options, "-o", path], check=True, capture_output=True)
        return path

    @pytest.mark.parametrize("options", [(), ("-m", "48", "-O", "1", "-c", "1"), ("-m", "64", "-c", "5", "-n", "0.5")])
    def test_as_its_own_reconstruction(self, tmp_path, options):
        path = self.generate(tmp_path, *options)
        data = read(path)
        subprocess.run([RECONSTRUCT, path], check=True, capture_output=True)
        with h5py.File(path) as file:
            expected = file["dataset/cpp/data"][0, 0, 0]
            n = int(np.prod(file["dataset/coil_images"].shape[-2:]))
        # The one factor: its transform is not orthonormal over the points that were encoded.
        close(rss(images_of(data))[0] * np.sqrt(n), expected, 1e-4)
        assert data.fully_sampled

    def test_reading_is_the_same_after_images_were_written_beside(self, tmp_path):
        path = self.generate(tmp_path, "-m", "32")
        before = read(path)
        subprocess.run([RECONSTRUCT, path], check=True, capture_output=True)
        np.testing.assert_array_equal(read(path).kspace, before.kspace)

    def test_undersampled_repetitions(self, tmp_path):
        path = self.generate(tmp_path, "-m", "32", "-c", "2", "-a", "4", "-r", "2", "-w", "8", "-d", "other")
        assert [entry.name for entry in entries(path)] == [f"repetition {n}" for n in range(8)]
        with pytest.raises(InvalidInput, match="holds 8 things to read; choose one"):
            read(path)
        for repetition in range(4):
            data = read(path, variable=f"repetition {repetition}")
            np.testing.assert_array_equal(np.flatnonzero(data.acquired.all(axis=1)), np.arange(repetition, 32, 4))
        assert "calibration-only lines" in entries(path)[0].note

    def test_noise_scan_makes_noise_of_one(self, tmp_path):
        path = self.generate(tmp_path, "-m", "128", "-c", "4", "-n", "0.2", "-C")
        data = read(path)
        assert data.noise_std == 1
        with h5py.File(path) as file:
            phantom = file["dataset/phantom"][0]
        background = images_of(data)[0][:, np.abs(phantom.view(np.complex64)) == 0]
        assert background.shape[1] > 1000
        covariance = background @ background.conj().T / background.shape[1]
        np.testing.assert_allclose(covariance, np.eye(4), atol=0.3)  # the scan has 256 samples, 6 % each
