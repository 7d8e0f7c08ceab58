"""Where the lines of an ISMRMRD file belong, and which of them make the image."""

import ismrmrd
import numpy as np
import pytest
from ismrmrd_files import COILS, NX, NY, close, draw, header, images_of, line, lines, oversampled, write

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.readers import entries, read


@pytest.fixture
def image(rng):
    return draw(rng, COILS, NY, NX)


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
