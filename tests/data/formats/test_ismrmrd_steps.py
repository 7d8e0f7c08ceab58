"""Raw-data steps of the ISMRMRD reader."""

import h5py
import ismrmrd
import numpy as np
import pytest
from ismrmrd_files import COILS, NX, NY, close, draw, header, images_of, line, lines, oversampled, volume_lines, write

from napari_lossguide.data.formats import ismrmrd as ismrmrd_reader
from napari_lossguide.data.raw.steps import RawSteps
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput


@pytest.fixture
def image(rng):
    return draw(rng, COILS, NY, NX)


@pytest.mark.parametrize(("dwell", "bandwidth"), [(5.0, None), (10.0, None), (5.0, 0.8)])
def test_noise_scan_prewhitens(tmp_path, image, rng, dwell, bandwidth):
    mixing = draw(rng, COILS, COILS) + 3 * np.eye(COILS)
    noise = (mixing @ draw(rng, COILS, 500)).astype(np.complex64)
    scan = line(noise, 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,), dwell=dwell)
    path = write(tmp_path / "a.h5", [scan, *lines(oversampled(image))], header(bandwidth=bandwidth))
    data = read(path)
    covariance = noise @ noise.conj().T / 500
    whitened = np.linalg.inv(np.linalg.cholesky(covariance)) * np.sqrt(5 / dwell * (bandwidth or 1))
    close(images_of(data)[0], np.einsum("ij,jyx->iyx", whitened, image), 1e-4)
    assert data.noise_std == 1 and "noise scan" in entries(path)[0].note


def test_noise_falls_with_averages(tmp_path, image, rng):
    scan = line(draw(rng, COILS, 64), 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,))
    twice = lines(oversampled(image)) + lines(oversampled(image), average=1)
    assert read(write(tmp_path / "a.h5", [scan, *twice])).noise_std == pytest.approx(1 / np.sqrt(2))
    assert read(write(tmp_path / "b.h5", [scan, *twice[:-1]])).noise_std is None


def test_prewhitening_can_be_left_out(tmp_path, image, rng):
    scan = line((4 * draw(rng, COILS, 500)), 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,))
    path = write(tmp_path / "a.h5", [scan, *lines(oversampled(image))])
    data = read(path, steps={"prewhiten": False})
    close(images_of(data)[0], image)
    assert data.noise_std is None


@pytest.mark.parametrize("nz", [1, 6])
def test_oversampling_can_be_kept(tmp_path, rng, nz):
    """The field of view is twice as wide, and every pixel lies where it lay."""
    volume = draw(rng, COILS, nz, NY, NX)
    acquisitions, _ = volume_lines(oversampled_volume(volume))
    kept = min(nz, 4)
    path = write(tmp_path / "a.h5", acquisitions, header((nz, NY, 2 * NX), (kept, NY, NX), {2: (nz, nz // 2)}))
    usual, whole = read(path), read(path, steps={"remove_oversampling": False})
    assert whole.kspace.shape == (kept, COILS, NY, 2 * NX) and whole.spacing == usual.spacing
    start = NX - NX // 2
    close(images_of(whole)[..., start : start + NX], images_of(usual))
    close(images_of(usual), volume[:, nz // 2 - kept // 2 :][:, :kept].swapaxes(0, 1))
    assert np.abs(images_of(whole)[..., :start]).max() < 1e-5
    close(whole.affine @ [0, 3, start + 5, 1], usual.affine @ [0, 3, 5, 1])


def oversampled_volume(volume):
    wide = np.zeros((*volume.shape[:-1], 2 * NX), complex)
    wide[..., NX - NX // 2 : 2 * NX - NX // 2] = volume
    return wide


@pytest.fixture
def head():
    """A disc in the middle half of the rows, so that a ghost half a field of view away lies where nothing is."""
    y, x = np.mgrid[:16, :NX]
    disc = (((y - 8) / 3.5) ** 2 + ((x - 8) / 6) ** 2 <= 1).astype(complex)
    return disc * np.exp(0.05j * (x - 8)) * np.array([1, 0.5j, -0.8])[:, None, None]


def backwards(samples, constant, slope):
    """A line (coil, 2 nx) as it is stored if it was read backwards, with its phase in the image."""
    profile = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(samples, axes=-1)), axes=-1)
    profile *= np.exp(1j * (constant + slope * (np.arange(2 * NX) - NX)))
    moved = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(profile, axes=-1)), axes=-1)
    return np.concatenate([moved[:, :1], moved[:, :0:-1]], axis=1).astype(np.complex64)


def echo_planar(head, constant=0.9, slope=0.2, navigator=(False, True, False), **same):
    """Lines read forwards and backwards in turn, after three without phase encoding."""
    kspace = oversampled(head)
    acquisitions = []
    for y, back in [(None, back) for back in navigator] + [(y, y % 2 == 1) for y in range(16)]:
        samples = kspace[:, 8 if y is None else y]  # the central line is one without phase encoding
        flags = (ismrmrd.ACQ_IS_REVERSE,) * back + (ismrmrd.ACQ_IS_PHASECORR_DATA,) * (y is None)
        stored = backwards(samples, constant, slope) if back else samples
        acquisitions.append(line(stored, y or 0, flags, centre=NX, **same))
    return acquisitions


class TestPhaseCorrection:
    xml = header((1, 16, 2 * NX), (1, 16, NX))

    def ghost(self, data):
        """Magnitude where the object's ghost would be, over that of the object."""
        images = np.abs(images_of(data))
        return images[..., [0, 1, 2, 14, 15], :].max() / images.max()

    def test_the_ghost_is_gone(self, tmp_path, head):
        path = write(tmp_path / "a.h5", echo_planar(head), self.xml)
        assert self.ghost(read(path, steps={"phase_correction": False})) > 0.3
        assert self.ghost(read(path)) < 1e-5
        close(images_of(read(path))[0], head)
        assert entries(path)[0].note == "3 phase-correction lines"

    def test_each_slice_and_repetition_has_its_own_phase(self, tmp_path, head):
        own = {(s, r): (0.3 * s - r, 0.1 + 0.1 * s) for s in range(2) for r in range(2)}
        scans = [echo_planar(head, *phase, slice=s, repetition=r, position=(0, 0, s)) for (s, r), phase in own.items()]
        path = write(tmp_path / "a.h5", [acq for scan in scans for acq in scan], self.xml)
        for repetition in range(2):
            data = read(path, variable=f"repetition {repetition}")
            close(images_of(data)[0], head)
            close(images_of(data)[1], head)

    def test_lines_of_the_first_repetition_serve_the_others(self, tmp_path, head):
        later = [acq for acq in echo_planar(head, repetition=1) if not acq.is_flag_set(ismrmrd.ACQ_IS_PHASECORR_DATA)]
        path = write(tmp_path / "a.h5", [*echo_planar(head), *later], self.xml)
        close(images_of(read(path, variable="repetition 1"))[0], head)

    def test_with_a_noise_scan(self, tmp_path, head, rng):
        scan = line(draw(rng, COILS, 500), 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,))
        path = write(tmp_path / "a.h5", [scan, *echo_planar(head)], self.xml)
        assert self.ghost(read(path)) < 1e-5 and read(path).noise_std == 1

    def test_without_lines_that_measure_it_nothing_is_done(self, tmp_path, head):
        path = write(tmp_path / "a.h5", echo_planar(head, navigator=()), self.xml)
        assert self.ghost(read(path)) > 0.3

    def test_lines_of_one_direction(self, tmp_path, head):
        path = write(tmp_path / "a.h5", echo_planar(head, navigator=(False, False)), self.xml)
        with pytest.raises(InvalidInput, match=r"a\.h5 cannot be used: .*there are 2 forwards and 0 backwards"):
            read(path)
        assert read(path, steps={"phase_correction": False}).fully_sampled


class TestReader:
    @pytest.mark.parametrize("steps", [{"coils": 2}, {"coils": 2, "compression": "gcc"}])
    def test_slices_are_those_of_the_whole(self, tmp_path, rng, steps):
        images = [draw(rng, COILS, NY, NX) for _ in range(3)]
        stacks = [lines(oversampled(im), slice=n, position=(0, 0, n)) for n, im in enumerate(images)]
        scan = open_scan(write(tmp_path / "a.h5", [acq for stack in stacks for acq in stack]), steps=steps)
        whole = scan.read()
        assert whole.n_coils == 2 and whole.affine is not None
        for index in range(3):
            np.testing.assert_array_equal(scan.read_slice(index).kspace[0], whole.kspace[index])

    def test_the_origin_says_how_to_read_it_again(self, tmp_path, image):
        path = write(tmp_path / "a.h5", lines(oversampled(image)))
        steps = RawSteps(coils=2, remove_oversampling=False)
        origin = read(path, steps=steps).origin
        assert origin.parameters == {"steps": {"remove_oversampling": False, "coils": 2}}
        np.testing.assert_array_equal(read(path, **origin.parameters).kspace, read(path, steps=steps).kspace)
        assert read(path, steps=RawSteps()).origin.parameters == {}

    def test_headers_and_noise_are_read_once_for_all_slices(self, tmp_path, image, rng, monkeypatch):
        stacks = [lines(oversampled(image), slice=n, position=(0, 0, n)) for n in range(4)]
        noise = line(draw(rng, COILS, 500), 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,))
        path = write(tmp_path / "a.h5", [noise, *(acq for stack in stacks for acq in stack)])
        calls, get = [], h5py.Dataset.__getitem__
        monkeypatch.setattr(ismrmrd_reader, "read_rows", spy(calls, "headers", ismrmrd_reader.read_rows))

        def lines_read(dataset, key, *args, **kwargs):
            if dataset.name == "/dataset/data":
                calls.extend(f"line {n}" for n in range(len(dataset))[key])
            return get(dataset, key, *args, **kwargs)

        monkeypatch.setattr(h5py.Dataset, "__getitem__", lines_read)
        for index in range(4):
            open_scan(path).read_slice(index)
        assert calls.count("headers") == 1 and calls.count("line 0") == 1
        assert len(calls) == 2 + 4 * NY, "and each line once"

    def test_a_file_that_has_changed_is_looked_at_again(self, tmp_path, image):
        path = write(tmp_path / "a.h5", lines(oversampled(image)))
        assert not open_scan(path).read().n_slices > 1
        write(path, lines(oversampled(2 * image), slice=1))
        assert open_scan(path).n_slices == 2
        close(images_of(open_scan(path).read_slice(1))[0], 2 * image)


def spy(calls, name, function):
    def spied(*args, **kwargs):
        calls.append(name)
        return function(*args, **kwargs)

    return spied
