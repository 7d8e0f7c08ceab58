"""ISMRMRD files: ismrmrd's own program's, compared with its own reconstruction, and files written line by line."""

import shutil
import subprocess

import h5py
import ismrmrd
import numpy as np
import pytest

from napari_lossguide.data.fourier import fft2c, ifft2c, rss
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput

NY, NX, COILS = 12, 16, 3  # of the images; lines have twice the samples
GENERATE, RECONSTRUCT = "ismrmrd_generate_cartesian_shepp_logan", "ismrmrd_recon_cartesian_2d"
needs_tools = pytest.mark.skipif(
    not (shutil.which(GENERATE) and shutil.which(RECONSTRUCT)),
    reason="ismrmrd-tools is not installed: not compared with ismrmrd's own files and reconstruction",
)
LIMIT = """<{0}><minimum>0</minimum><maximum>{1}</maximum><center>{2}</center></{0}>"""


def header(
    matrix=(1, NY, 2 * NX), recon=(1, NY, NX), limits=None, trajectory="cartesian", encodings=1, bandwidth=None
) -> str:
    def space(name, size, fov):
        axes = list(zip("xyz", size[::-1], fov[::-1], strict=True))
        points = "".join(f"<{a}>{n}</{a}>" for a, n, _ in axes)
        mm = "".join(f"<{a}>{f}</{a}>" for a, _, f in axes)
        return f"<{name}><matrixSize>{points}</matrixSize><fieldOfView_mm>{mm}</fieldOfView_mm></{name}>"

    dz = 5.0
    lines = "".join(
        LIMIT.format(f"kspace_encoding_step_{axis}", size - 1, centre)
        for axis, (size, centre) in (limits or {1: (matrix[1], matrix[1] // 2)}).items()
    )
    one = (
        "<encoding>"
        + space("encodedSpace", matrix, (dz * matrix[0], 3.0 * matrix[1], 2.0 * matrix[2]))
        + space("reconSpace", recon, (dz * recon[0], 3.0 * recon[1], 2.0 * recon[2]))
        + f"<encodingLimits>{lines}</encodingLimits><trajectory>{trajectory}</trajectory></encoding>"
    )
    system = (
        f"<acquisitionSystemInformation><relativeReceiverNoiseBandwidth>{bandwidth}</relativeReceiverNoiseBandwidth>"
        "</acquisitionSystemInformation>"
        if bandwidth
        else ""
    )
    return (
        f'<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{system}<experimentalConditions><H1resonanceFrequency_Hz>'
        f"63500000</H1resonanceFrequency_Hz></experimentalConditions>{one * encodings}</ismrmrdHeader>"
    )


def line(samples, step1=0, flags=(), centre=None, dwell=5.0, position=(0, 0, 0), directions=True, **idx):
    """An acquisition of (coil, sample)."""
    acq = ismrmrd.Acquisition()
    acq.resize(samples.shape[1], samples.shape[0])
    acq.data[:] = samples
    acq.center_sample = samples.shape[1] // 2 if centre is None else centre
    acq.idx.kspace_encode_step_1, acq.sample_time_us = step1, dwell
    for name, value in idx.items():
        if name == "encoding":
            acq.encoding_space_ref = value
        else:
            setattr(acq.idx, name, value)
    acq.position[:] = position
    if directions:
        acq.read_dir[:], acq.phase_dir[:], acq.slice_dir[:] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    for flag in flags:
        acq.set_flag(flag)
    return acq


def write(path, acquisitions, xml=None, name="dataset"):
    dataset = ismrmrd.Dataset(str(path), name, create_if_needed=True)
    dataset.write_xml_header((xml or header()).encode())
    for acquisition in acquisitions:
        dataset.append_acquisition(acquisition)
    dataset.close()
    return path


def oversampled(image):
    """K-space of an image (coil, ny, nx) with air on both sides, as a scanner samples it: (coil, ny, 2 nx)."""
    nx = image.shape[-1]
    wide = np.zeros((*image.shape[:-1], 2 * nx), complex)
    wide[..., nx - nx // 2 : 2 * nx - nx // 2] = image
    return fft2c(wide).astype(np.complex64)


def lines(kspace, **same):
    return [line(kspace[:, y], y, **same) for y in range(kspace.shape[1])]


def draw(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.fixture
def image(rng):
    return draw(rng, COILS, NY, NX)


def images_of(data):
    return ifft2c(data.kspace)


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual, expected, atol=tolerance * np.abs(expected).max(), rtol=0)


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


def test_oversampling_is_removed(tmp_path, image):
    data = read(write(tmp_path / "a.h5", lines(oversampled(image))))
    close(images_of(data)[0], image)
    assert data.spacing == (5, 3, 2) and data.fully_sampled


@pytest.mark.parametrize("layout", [{"chunks": (5,)}, {"chunks": (4,), "compression": "gzip"}, {}])
def test_however_the_records_are_stored(tmp_path, image, layout):
    path = write(tmp_path / "a.h5", lines(oversampled(image)))
    with h5py.File(path, "r+") as file:
        records = file["dataset/data"][:]
        dtype = file["dataset/data"].dtype
        del file["dataset/data"]
        file["dataset"].create_dataset("data", data=records, dtype=dtype, **layout)
    close(images_of(read(path))[0], image)


def test_headers_are_read_without_the_data(tmp_path, image, monkeypatch):
    """And a slice without the lines of the others."""
    stacks = [lines(oversampled(image), slice=n, position=(0, 0, n)) for n in range(3)]
    scan = open_scan(write(tmp_path / "a.h5", [acq for stack in stacks for acq in stack]))
    asked, get = [], h5py.Dataset.__getitem__

    def spy(dataset, key, *args, **kwargs):
        if dataset.name == "/dataset/data":
            asked.extend(range(len(dataset))[key])
        return get(dataset, key, *args, **kwargs)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    scan.read_slice(1)
    assert sorted(asked) == list(range(NY, 2 * NY))


def test_image_orientation(tmp_path):
    """Rows are phase encoding; a point at (y, x) is at (y, x)."""
    point = np.zeros((1, NY, NX), complex)
    point[0, 2, 11] = 1
    found = images_of(read(write(tmp_path / "a.h5", lines(oversampled(point)))))[0, 0]
    assert np.unravel_index(np.abs(found).argmax(), found.shape) == (2, 11)


def test_slices_lie_in_the_order_of_their_positions(tmp_path, rng):
    images = [draw(rng, COILS, NY, NX) for _ in range(3)]
    heights = [7.0, -1.0, 3.0]
    # Lines of all slices alternate in the file.
    stacks = [lines(oversampled(im), slice=n, position=(10, 20, heights[n])) for n, im in enumerate(images)]
    path = write(tmp_path / "a.h5", [acq for row in zip(*stacks, strict=True) for acq in row])
    scan = open_scan(path)
    assert scan.n_slices == 3
    for index, number in enumerate((1, 2, 0)):
        close(images_of(scan.read_slice(index))[0], images[number])
    loaded = scan.form.load(path, scan.entry, slice(1, 2))
    assert loaded.spacing == (4, 3, 2)
    # The centre of the first slice, from left, posterior, superior to right, anterior, superior.
    close(loaded.affine @ [0, NY // 2, NX // 2, 1], [-10, -20, -1, 1])
    close(loaded.affine @ [2, NY // 2 + 1, NX // 2 + 1, 1], [-12, -23, 7, 1])
    np.testing.assert_array_equal(scan.read().kspace[1], scan.read_slice(1).kspace[0])


def test_without_directions_there_is_no_affine(tmp_path, image):
    path = write(tmp_path / "a.h5", lines(oversampled(image), directions=False))
    scan = open_scan(path)
    assert scan.form.load(path, scan.entry, slice(None)).affine is None


def test_averages_are_averaged_line_by_line(tmp_path, rng):
    one, two = draw(rng, COILS, NY, NX), draw(rng, COILS, NY, NX)
    path = write(tmp_path / "a.h5", lines(oversampled(one)) + lines(oversampled(two), average=1)[:5])
    mean = fft2c(one)
    mean[:, :5] = (mean + fft2c(two))[:, :5] / 2
    close(read(path).kspace[0], mean)


def test_contrasts_and_sets_are_entries(tmp_path, rng):
    images = {(c, s): draw(rng, COILS, NY, NX) for c in (0, 1) for s in (0, 2)}
    path = write(
        tmp_path / "a.h5", [acq for (c, s), im in images.items() for acq in lines(oversampled(im), contrast=c, set=s)]
    )
    assert [entry.name for entry in entries(path)] == [f"contrast {c}, set {s}" for c, s in images]
    for (c, s), im in images.items():
        close(images_of(read(path, variable=f"contrast {c}, set {s}"))[0], im)
    with pytest.raises(InvalidInput, match="nothing named 'contrast 3'"):
        read(path, variable="contrast 3")


def test_encodings_and_groups_are_entries(tmp_path, rng):
    one, two = draw(rng, COILS, NY, NX), draw(rng, COILS, NY, NX)
    path = write(tmp_path / "a.h5", lines(oversampled(one)), name="first")
    write(path, lines(oversampled(two)) + lines(oversampled(one), encoding=1), header(encodings=2), name="second")
    assert [entry.name for entry in entries(path)] == ["first", "second: encoding 0", "second: encoding 1"]
    close(images_of(read(path, variable="second: encoding 0"))[0], two)


def test_reverse_lines_are_turned_round(tmp_path, image):
    """Sample i of a reverse line lies at k = centre - i."""
    kspace = oversampled(image)
    acquisitions = []
    for y, acq in enumerate(lines(kspace)):
        if y % 2:  # from k = nx - 1 down to -nx + 1, and k = -nx, which is k = nx
            stored = np.concatenate([kspace[:, y, :1], kspace[:, y, :0:-1]], axis=1)
            acq = line(stored, y, (ismrmrd.ACQ_IS_REVERSE,), centre=NX)
        acquisitions.append(acq)
    close(images_of(read(write(tmp_path / "a.h5", acquisitions)))[0], image)


def test_partial_echo_is_put_where_it_belongs(tmp_path, image):
    kspace = fft2c(image)
    path = write(
        tmp_path / "a.h5",
        [line(kspace[:, y, 5:], y, centre=NX // 2 - 5) for y in range(NY)],
        header(matrix=(1, NY, NX)),
    )
    data = read(path)
    assert not data.acquired[:, :5].any() and data.acquired[:, 5:].all()
    close(data.kspace[0], kspace * (np.arange(NX) >= 5))


def test_discarded_samples_are_not_used(tmp_path, image):
    kspace = fft2c(image)
    acquisitions = lines(kspace)
    for acq in acquisitions:
        acq.data[:, :2], acq.data[:, -1:] = 99, 99
        acq.discard_pre, acq.discard_post = 2, 1
    data = read(write(tmp_path / "a.h5", acquisitions, header(matrix=(1, NY, NX))))
    assert not data.acquired[:, [0, 1, NX - 1]].any()
    close(data.kspace[0], kspace * ((np.arange(NX) >= 2) & (np.arange(NX) < NX - 1)))


def test_partial_fourier_along_phase_goes_by_the_centre_of_the_limits(tmp_path, image):
    kspace = oversampled(image)
    first = 4  # rows 0 to 3 were not measured: step 0 is row 4, and the centre, row 6, is step 2
    path = write(
        tmp_path / "a.h5",
        [line(kspace[:, y], y - first) for y in range(first, NY)],
        header(limits={1: (NY - first, NY // 2 - first)}),
    )
    data = read(path)
    np.testing.assert_array_equal(data.acquired.all(axis=1), np.arange(NY) >= first)
    close(data.kspace[0], fft2c(image) * (np.arange(NY) >= first)[:, None])


def test_lines_that_are_not_of_the_image_are_left_out(tmp_path, image, rng):
    kspace = oversampled(image)
    others = (
        ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,
        ismrmrd.ACQ_IS_NAVIGATION_DATA,
        ismrmrd.ACQ_IS_PHASECORR_DATA,
        ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
        ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
    )
    wrong = [line(draw(rng, COILS, 2 * NX), 3, (flag,)) for flag in others]
    right = [line(kspace[:, y], y) for y in range(0, NY, 2)]
    right += [line(kspace[:, 5], 5, (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING,))]
    both = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    path = write(tmp_path / "a.h5", [*wrong, *right, line(kspace[:, 7], 7, both)])
    data = read(path)
    seen = [0, 2, 4, 5, 6, 7, 8, 10]
    np.testing.assert_array_equal(np.flatnonzero(data.acquired.all(axis=1)), seen)
    close(data.kspace[0], fft2c(image) * np.isin(np.arange(NY), seen)[:, None])
    assert "1 calibration-only lines" in entries(path)[0].note and "4 lines of navigators" in entries(path)[0].note


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


def volume_lines(volume, keep=lambda z, y: True):
    """Acquisitions of a volume (coil, nz, ny, nx), and its k-space."""
    axes = (1, 2, 3)
    shifted = np.fft.ifftshift(volume, axes=axes)
    kspace = np.fft.fftshift(np.fft.fftn(shifted, axes=axes, norm="ortho"), axes=axes)
    nz, ny = volume.shape[1:3]
    return [
        line(kspace[:, z, y], y, kspace_encode_step_2=z, position=(1, 2, 3))
        for z in range(nz)
        for y in range(ny)
        if keep(z, y)
    ], kspace


@pytest.mark.parametrize("nz", [6, 7])
def test_three_dimensions(tmp_path, rng, nz):
    volume = draw(rng, COILS, nz, NY, NX)
    acquisitions, _ = volume_lines(volume)
    limits = {1: (NY, NY // 2), 2: (nz, nz // 2)}
    path = write(tmp_path / "a.h5", acquisitions, header((nz, NY, NX), (4, NY, NX), limits))
    scan = open_scan(path)
    assert scan.n_slices == 4
    inner = volume[:, nz // 2 - 2 : nz // 2 + 2].swapaxes(0, 1)  # without the oversampling along z
    close(images_of(scan.read()), inner)
    close(images_of(scan.read_slice(3))[0], inner[3])
    loaded = scan.form.load(path, scan.entry, slice(0, 1))
    assert loaded.spacing == (5, 3, 2)
    close(loaded.affine @ [2, NY // 2, NX // 2, 1], [-1, -2, 3, 1])
    close(loaded.affine @ [3, NY // 2, NX // 2, 1], [-1, -2, 8, 1])


def test_elliptical_scan_is_zero_outside(tmp_path, rng):
    nz, volume = 6, draw(rng, 1, 6, NY, NX)

    def keep(z, y):
        return ((z - 3) / 3) ** 2 + ((y - 6) / 6) ** 2 <= 0.8

    acquisitions, kspace = volume_lines(volume, keep)
    limits = {1: (NY, NY // 2), 2: (nz, nz // 2)}
    data = read(write(tmp_path / "a.h5", acquisitions, header((nz, NY, NX), (nz, NY, NX), limits)))
    seen = np.array([[keep(z, y) for y in range(NY)] for z in range(nz)])
    cut = kspace[0] * seen[..., None]
    along = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(cut, axes=0), axis=0, norm="ortho"), axes=0)
    close(data.kspace[:, 0], along)
    np.testing.assert_array_equal(data.acquired.all(axis=1), seen.any(axis=0))


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


def test_fastmri_files_are_not_taken(tmp_path, rng):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = draw(rng, 2, COILS, NY, NX)
        file["ismrmrd_header"] = header()
    assert open_scan(tmp_path / "a.h5").form.name == "fastMRI .h5"
