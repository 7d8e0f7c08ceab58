"""Siemens .dat: lines come out where they were put in; the layout is checked by another reader and a scanner's file."""

import numpy as np
import pytest
from twix_files import (
    ALSO_IMAGE,
    CALIBRATION,
    NOISE,
    PHASE_CORRECTION,
    PROTOCOL,
    REVERSE,
    SYNC,
    Line,
    header,
    lines_of,
    write,
)

from napari_lossguide.data.formats.registry import format_of
from napari_lossguide.data.formats.twix import Twix
from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.raw.oversampling import remove_oversampling
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.types import InvalidInput

KEEP = {"remove_oversampling": False}


def noise(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.fixture
def kspace(rng):
    return noise(rng, 3, 2, 12, 16)


def scan(path, lines, version="VD", more=None, **how):
    return write(path, [(header(PROTOCOL | (more or {}), **how), lines)], version)


@pytest.mark.parametrize("version", ["VD", "VB"])
def test_lines_are_where_they_belong_and_oversampling_is_removed(tmp_path, kspace, version):
    path = scan(tmp_path / "meas.dat", lines_of(kspace), version)
    assert isinstance(format_of(path), Twix)
    (entry,) = entries(path)
    assert (entry.name, entry.kind, entry.shape) == ("kspace", "kspace", (3, 2, 12, 8))
    whole = read(path, steps=KEEP)
    np.testing.assert_array_equal(whole.kspace, kspace)
    assert whole.spacing == (5, 2, 3) and whole.fully_sampled
    usual = read(path)
    np.testing.assert_allclose(usual.kspace, remove_oversampling(kspace, 8), atol=1e-6)
    np.testing.assert_array_equal(open_scan(path).read_slice(1).kspace, usual.kspace[1:2])


def test_what_is_no_line_is_passed_over(tmp_path, kspace):
    lines = lines_of(kspace)
    lines.insert(5, Line(np.zeros((1, 0)), SYNC))
    lines.insert(9, Line(kspace[0, :, 0] + 9, 1 << 1))  # feedback
    lines.insert(11, Line(kspace[0, :, 0] + 9, CALIBRATION))
    lines[0].flags = CALIBRATION | ALSO_IMAGE
    path = scan(tmp_path / "a.dat", lines)
    np.testing.assert_array_equal(read(path, steps=KEEP).kspace, kspace)
    assert "calibration-only lines" in entries(path)[0].note


def test_lines_for_calibration_alone_make_the_coil_maps(tmp_path, rng):
    """Every second line of the image and, measured apart with another contrast, or in the gaps, those of the centre."""
    kspace, reference = noise(rng, 2, 2, 24, 16), noise(rng, 2, 2, 24, 16)
    more = {"sKSpace.lPhaseEncodingLines": "24"}
    image = [line for line in lines_of(kspace, centres=(12, 0)) if line.counters["lin"] % 2 == 0]
    apart = [line for line in lines_of(reference, centres=(12, 0)) if 7 <= line.counters["lin"] < 17]
    for line in apart:
        line.flags = CALIBRATION
    path = scan(tmp_path / "apart.dat", apart + image, more=more)
    data = read(path, steps=KEEP)
    np.testing.assert_array_equal(data.kspace[:, :, ::2], kspace[:, :, ::2])
    np.testing.assert_array_equal(data.acquired.all(axis=1), np.arange(24) % 2 == 0)
    np.testing.assert_array_equal(data.calibration, reference[:, :, 7:17])
    np.testing.assert_array_equal(open_scan(path, steps=KEEP).read_slice(1).calibration, reference[1:, :, 7:17])
    np.testing.assert_allclose(read(path).calibration, remove_oversampling(reference[:, :, 7:17], 8), atol=1e-6)
    assert entries(path)[0].note == "calibration-only lines for coil maps"
    gaps = [line for line in lines_of(kspace, centres=(12, 0)) if 7 <= line.counters["lin"] < 17]
    for line in gaps:
        line.flags = CALIBRATION | ALSO_IMAGE * (line.counters["lin"] % 2 == 0)
    outside = [line for line in image if not 7 <= line.counters["lin"] < 17]
    path = scan(tmp_path / "embedded.dat", gaps + outside, more=more)
    data = read(path, steps=KEEP)
    np.testing.assert_array_equal(data.calibration, kspace[:, :, 7:17])
    np.testing.assert_array_equal(data.acquired.all(axis=1), np.arange(24) % 2 == 0)


def test_averages_and_entries(tmp_path, rng):
    one, two = noise(rng, 1, 2, 12, 16), noise(rng, 1, 2, 12, 16)
    lines = lines_of(one)
    for line in lines_of(two):
        line.counters = {**line.counters, "ave": 1}
        lines.append(line)
    for rep, eco in ((0, 1), (1, 0)):
        for line in lines_of((1 + rep) * one):
            line.counters = {**line.counters, "eco": eco, "rep": rep}
            lines.append(line)
    path = write(tmp_path / "a.dat", [(header(PROTOCOL), lines_of(two)), (header(PROTOCOL), lines)])
    names = [entry.name for entry in entries(path)]
    assert names[0] == "measurement 0, contrast 0, repetition 0"
    assert names[1:] == [f"measurement 1, contrast {e}, repetition {r}" for e, r in ((0, 0), (0, 1), (1, 0))]
    with pytest.raises(InvalidInput, match="holds 4 things to read"):
        read(path)
    np.testing.assert_allclose(read(path, variable=names[1], steps=KEEP).kspace, (one + two) / 2, rtol=1e-5)
    np.testing.assert_array_equal(read(path, variable=names[2], steps=KEEP).kspace, 2 * one)
    np.testing.assert_array_equal(read(path, variable=names[0], steps=KEEP).kspace, two)


@pytest.mark.parametrize("own", [False, True])
def test_the_noise_scan_of_the_file_whitens(tmp_path, rng, own):
    mix = np.array([[2.0, 0], [1.5j, 0.5]])
    kspace = (mix @ noise(rng, 1, 12, 2, 256)).transpose(0, 2, 1, 3)  # (slice, coil, ny, nx), of noise alone
    scans = [Line(mix @ noise(rng, 2, 256), NOISE) for _ in range(40)]
    more = {"sKSpace.lBaseResolution": "128"}
    lines = lines_of(kspace.astype(np.complex64))
    measured = [(header(PROTOCOL | more), scans)] * own + [(header(PROTOCOL | more), lines if own else scans + lines)]
    path = write(tmp_path / "a.dat", measured)
    data = read(path, steps=KEEP)
    assert data.noise_std == 1 and "noise scan" in entries(path)[0].note
    whitened = np.moveaxis(data.kspace[0], 0, 1).reshape(-1, 2, 256)
    covariance = np.mean([v @ v.conj().T / 256 for v in whitened], axis=0) / 0.793  # of the noise of other scans
    np.testing.assert_allclose(covariance, np.eye(2), atol=0.08)
    assert read(path, steps={"prewhiten": False}).noise_std is None


def test_lines_read_backwards_are_turned_and_corrected(tmp_path, rng):
    truth = np.zeros((1, 1, 12, 16), np.complex64)
    truth[0, 0, 3:9, 5:12] = 1 + rng.random((6, 7))
    kspace, lines = fft2c(truth), []
    turn = np.exp(0.7j)

    def backwards(line):
        """As the receiver gets it: index n // 2 is k = 0 in both directions."""
        return np.roll(line[:, ::-1], 1, axis=1) * turn

    for flags in (PHASE_CORRECTION, PHASE_CORRECTION | REVERSE):
        centre = kspace[0, :, 6]
        lines.append(Line(backwards(centre) if flags & REVERSE else centre, flags))
    for lin in range(12):
        line, flags = kspace[0, :, lin], REVERSE * (lin % 2)
        lines.append(Line(backwards(line) if flags else line, flags, counters={"lin": lin}))
    path = scan(tmp_path / "a.dat", lines)
    image = ifft2c(read(path, steps=KEEP).kspace)
    np.testing.assert_allclose(np.abs(image), np.abs(truth), atol=0.02)
    ghosts = ifft2c(read(path, steps=KEEP | {"phase_correction": False}).kspace)
    assert np.abs(np.abs(ghosts) - np.abs(truth)).max() > 0.2


def test_partial_fourier_and_partial_echoes(tmp_path, rng):
    kspace = noise(rng, 1, 2, 12, 16)
    kspace[:, :, :3] = 0
    kspace[:, :, :, :4] = 0
    lines = [Line(kspace[0, :, lin, 4:], centre=4, counters={"lin": lin}) for lin in range(3, 12)]
    for line in lines[::2]:  # some scanners write what they leave out
        line.data, line.cut, line.centre = np.pad(line.data, ((0, 0), (4, 0)), constant_values=7), (4, 0), 8
    data = read(scan(tmp_path / "a.dat", lines), steps=KEEP)
    np.testing.assert_array_equal(data.kspace, kspace)
    np.testing.assert_array_equal(data.acquired, kspace[0, 0] != 0)


def test_3d_scans_are_transformed_into_slices(tmp_path, rng):
    image = noise(rng, 8, 2, 12, 16)
    kspace = fft2c(image)
    slab = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(kspace, axes=0), axis=0, norm="ortho"), axes=0)
    lines = [
        Line(slab[par, :, lin], counters={"par": par, "lin": lin}, centres=(6, 4))
        for par in range(8)
        for lin in range(12)
    ]
    more = {"sKSpace.ucDimension": "0x4", "sKSpace.lPartitions": "8", "sSliceArray.asSlice[0].dThickness": "10.0"}
    path = scan(tmp_path / "a.dat", lines, more=more)
    data = read(path, steps=KEEP)
    np.testing.assert_allclose(data.kspace, kspace[2:6], atol=1e-5)  # lImagesPerSlab is 4
    assert data.spacing == (2.5, 2, 3)
    np.testing.assert_allclose(open_scan(path, steps=KEEP).read_slice(2).kspace, kspace[4:5], atol=1e-5)


def test_slices_lie_where_the_lines_say(tmp_path, kspace):
    # Turned by 90 degrees about the axis to the head: phase encoding runs to the back, readout to the right.
    quaternion = (np.sqrt(0.5), 0, 0, np.sqrt(0.5))
    heights = (0.0, 12.0, 6.0)  # the second slice in time is the last one
    lines = lines_of(kspace)
    for line in lines:
        line.quaternion, line.position = quaternion, (-10.0, 20.0, heights[line.counters["sli"]])
    data = read(scan(tmp_path / "a.dat", lines), steps=KEEP)
    np.testing.assert_array_equal(data.kspace, kspace[[0, 2, 1]])
    assert data.spacing == (6, 2, 3)
    # rows to the front and columns to the left; pixel n // 2 of the grid is at the position
    # (readout pixels of the oversampled field of view are as large as those of the image)
    expected = np.array([[0, 0, -3, 10 + 24], [0, 2, 0, -20 - 12], [6, 0, 0, 0], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(data.affine, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("more", "how", "says"),
    [
        ({"sKSpace.ucTrajectory": "0x2"}, {}, "has a radial trajectory; accepted are"),
        ({"sKSpace.ucTrajectory": "0x20"}, {}, "has a non-Cartesian trajectory"),
        ({}, {"ramp": 2}, r"gradient ramps \(EPI\)"),
        ({"sKSpace.lBaseResolution": "0"}, {}, "a matrix of 1 x 12 x 0"),
        ({"sKSpace.lBaseResolution": "much"}, {}, "sKSpace.lBaseResolution = much; it must be a number"),
        ({"sKSpace.lPhaseEncodingLines": "6"}, {}, "do not fit the 6 steps"),
    ],
)
def test_what_is_not_read_is_refused_in_one_sentence(tmp_path, kspace, more, how, says):
    path = scan(tmp_path / "a.dat", lines_of(kspace), more=more, **how)
    with pytest.raises(InvalidInput, match=says):
        read(path)


def test_damaged_files_are_refused_in_one_sentence(tmp_path, kspace):
    path = scan(tmp_path / "a.dat", lines_of(kspace))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InvalidInput, match="is incomplete: measurement 0 ends at byte"):
        read(path)
    scan(path, lines_of(kspace), "VB")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InvalidInput, match="ends in the middle of a line"):
        read(path)
    scan(path, [Line(np.ones((2, 16)), NOISE)])
    with pytest.raises(InvalidInput, match="has no lines of an image"):
        entries(path)
    for size in range(10300, 11400, 150):
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidInput):
            read(path)


@pytest.mark.parametrize("content", [b"", b"1 2 3\n4 5 6\n" * 500, bytes(6000), b"\0\0\0\0\1\0\0\0" * 900])
def test_other_files_of_that_name_are_left_alone(tmp_path, content):
    path = tmp_path / "a.dat"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"another kind; accepted are .*Siemens \.dat"):
        format_of(path)


def test_a_slice_is_read_alone(tmp_path, kspace, monkeypatch):
    path = scan(tmp_path / "a.dat", lines_of(kspace))
    asked = []
    from napari_lossguide.data.formats.twix_lines import Lines

    whole = Lines._values
    monkeypatch.setattr(Lines, "_values", lambda self, row: asked.append(int(row["slice"])) or whole(self, row))
    open_scan(path).read_slice(2)
    assert asked == [2] * 12


def test_another_reader_finds_the_same_lines(tmp_path, kspace):
    twixtools = pytest.importorskip("twixtools", reason="without twixtools, nobody else reads the files of these tests")
    lines = lines_of(kspace, quaternion=(0.5, 0.5, 0.5, 0.5), position=(1.0, 2.0, 3.0))
    path = write(tmp_path / "a.dat", [(header(PROTOCOL), lines[:2]), (header(PROTOCOL), lines)])
    found = twixtools.read_twix(str(path), verbose=False, parse_pmu=False, parse_geometry=False)
    assert len(found) == 2 and len(found[1]["mdb"]) == len(lines)
    for theirs, line in zip(found[1]["mdb"], lines, strict=True):
        np.testing.assert_array_equal(theirs.data, line.data)
        assert (theirs.cLin, theirs.cSlc) == (line.counters["lin"], line.counters["sli"])
        assert (theirs.mdh.CenterLin, theirs.mdh.CenterCol) == (6, 8)
        np.testing.assert_array_equal(theirs.mdh.SliceData.Quaternion, line.quaternion)
    assert found[1]["hdr"]["MeasYaps"]["sKSpace"]["lBaseResolution"] == 8


def test_a_file_of_a_scanner(shared_data):
    path = shared_data / "twix" / "gre.dat"
    if not path.exists():
        pytest.skip(f"{path}, from the source distribution of twixtools, is not there: no scanner's file is read")
    (entry,) = entries(path)
    assert entry.shape == (1, 2, 160, 160)
    data = read(path)
    assert data.spacing == (4, 1.25, 1.25) and data.fully_sampled
    image = np.sqrt((np.abs(ifft2c(data.kspace[0])) ** 2).sum(axis=0))
    # A phantom full of water, with air at its top: the front of the patient, where the rows run to.
    assert data.affine[1, 1] > 1.2 and image[2:6, 60:100].mean() < 0.2 * image[20:30, 60:100].mean()
    assert image[150:158, 60:100].mean() < 0.2 * image[20:30, 60:100].mean()
    with pytest.raises(InvalidInput, match="EPI"):
        read(path.with_name("epi.dat"))
