"""ISMRMRD files that are damaged, or of a kind that is not read: one sentence."""

import h5py
import ismrmrd
import numpy as np
import pytest
from ismrmrd_files import COILS, NX, NY, draw, header, line, lines, oversampled, volume_lines, write

from napari_lossguide.data.readers import open_scan, read
from napari_lossguide.types import InvalidInput


@pytest.fixture
def image(rng):
    return draw(rng, COILS, NY, NX)


class TestRefused:
    def refuses(self, path, match):
        with pytest.raises(InvalidInput, match=match) as caught:
            read(path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)

    @pytest.mark.parametrize("trajectory", ["radial", "spiral", "epi"])
    def test_other_trajectories(self, tmp_path, image, trajectory):
        path = write(tmp_path / "a.h5", lines(oversampled(image)), header(trajectory=trajectory))
        self.refuses(path, f"along {trajectory} trajectories, which are not read; accepted are Cartesian")

    def test_noise_alone(self, tmp_path, image):
        flags = (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,)
        self.refuses(write(tmp_path / "a.h5", lines(oversampled(image), flags=flags)), "no acquisitions of an image")

    def test_gaps_between_partitions(self, tmp_path, rng):
        acquisitions, _ = volume_lines(draw(rng, 1, 6, NY, NX), lambda z, y: z % 2 == 0)
        path = write(tmp_path / "a.h5", acquisitions, header((6, NY, NX), (6, NY, NX), {2: (6, 3)}))
        self.refuses(path, "undersampled along its partitions")

    def test_slices_that_were_sampled_otherwise(self, tmp_path, image):
        kspace = oversampled(image)
        path = write(tmp_path / "a.h5", lines(kspace) + lines(kspace, slice=1)[:-1])
        self.refuses(path, "not sampled along the same lines; read them one by one")
        assert not open_scan(path).read_slice(1).acquired[-1].any()

    def test_lines_off_the_grid(self, tmp_path, image):
        kspace = oversampled(image)
        self.refuses(write(tmp_path / "a.h5", [line(kspace[:, 0], NY)]), "kspace_encode_step_1 from 12 to 12")
        self.refuses(write(tmp_path / "b.h5", [line(kspace[:, 0], 0, centre=3)]), "a line that cannot be placed")

    def test_coils_that_change(self, tmp_path, image):
        kspace = oversampled(image)
        path = write(tmp_path / "a.h5", [line(kspace[:, 0], 0), line(kspace[:2, 1], 1)])
        self.refuses(path, r"have \[2, 3\] coils")

    def test_a_noise_scan_without_noise(self, tmp_path, image):
        silent = line(np.zeros((COILS, 64), np.complex64), 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,))
        self.refuses(write(tmp_path / "a.h5", [silent, *lines(oversampled(image))]), "noise scan .* not positive")

    @pytest.mark.parametrize(
        "xml", ["", "junk", "<a/>", "<ismrmrdHeader", "\x00\xff", header().replace("<x>32", "<x>q")]
    )
    def test_garbled_header(self, tmp_path, image, xml):
        path = write(tmp_path / "a.h5", lines(oversampled(image)))
        with h5py.File(path, "r+") as file:
            del file["dataset/xml"]
            file["dataset/xml"] = np.array([xml.encode("latin-1").replace(b"\x00", b"\x01")], object).astype("S")
        self.refuses(path, "header .* is damaged")

    @pytest.mark.parametrize("size", ["0", "-3", "99999999"])
    def test_sizes_that_cannot_be(self, tmp_path, image, size):
        path = write(tmp_path / "a.h5", lines(oversampled(image)), header().replace("<y>12", f"<y>{size}"))
        self.refuses(path, "says a matrix of")

    def test_data_that_are_no_acquisitions(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["scan/xml"] = np.array([header().encode()], "S")
            file["scan/data"] = np.zeros((3, 4))
        self.refuses(tmp_path / "a.h5", "'/scan/data' in .* is no list of ISMRMRD acquisitions")

    def test_a_line_that_is_too_short(self, tmp_path, image):
        path = write(tmp_path / "a.h5", lines(oversampled(image)))
        with h5py.File(path, "r+") as file:
            rows = file["dataset/data"][:]
            rows["data"][4] = rows["data"][4][:10]
            file["dataset/data"][:] = rows
        self.refuses(path, "Acquisition 4 in .* has 10 numbers, but its header says 3 coils of 32")

    def test_truncated(self, tmp_path, image):
        whole = write(tmp_path / "a.h5", lines(oversampled(image))).read_bytes()
        for share in (0.1, 0.5, 0.9, 0.99):
            path = tmp_path / "cut.h5"
            path.write_bytes(whole[: int(share * len(whole))])
            self.refuses(path, "could not be read; it is damaged or incomplete")

    def test_garbled_bytes_give_a_sentence_or_the_data(self, tmp_path, image, rng):
        whole = write(tmp_path / "a.h5", lines(oversampled(image))).read_bytes()
        path, sentences = tmp_path / "bad.h5", []
        for _ in range(40):
            garbled = bytearray(whole)
            start = int(rng.integers(16, 2048))  # the structure: a garbled length of a line costs HDF5 gigabytes
            garbled[start : start + 64] = rng.bytes(64)
            path.write_bytes(garbled)
            try:
                read(path)
            except InvalidInput as error:
                sentences.append(str(error))
        assert sentences and not any("\n" in sentence for sentence in sentences)
