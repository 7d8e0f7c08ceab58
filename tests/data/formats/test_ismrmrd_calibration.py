"""Lines for parallel imaging's calibration alone: which block of k-space they make, and what becomes of it."""

import pickle

import ismrmrd
import numpy as np
import pytest
from ismrmrd_files import close, draw, header, line, oversampled, write

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.phantoms import coil_maps, shepp_logan, smooth_phase
from napari_lossguide.data.raw.coil_compression import compress, compress_geometric, compression_matrix
from napari_lossguide.data.raw.coil_compression import geometric_matrices as gcc
from napari_lossguide.data.raw.prewhiten import noise_covariance, prewhitening_matrix
from napari_lossguide.data.readers import entries, open_scan, read
from napari_lossguide.data.writers import write_npz
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

NY, NX, COILS = 24, 20, 3
ONLY, ALSO = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING
XML = header(matrix=(1, NY, 2 * NX), recon=(1, NY, NX))
EVEN, CENTRE = range(0, NY, 2), range(NY // 2 - 5, NY // 2 + 5)


@pytest.fixture
def image(rng):
    return draw(rng, COILS, NY, NX)


def taken(kspace, rows, flags=(), **same):
    return [line(kspace[:, y], y, flags, **same) for y in rows]


def block_of(image, rows=CENTRE):
    return fft2c(image)[:, rows.start : rows.stop]


def test_separate_lines_of_another_contrast_and_phase_are_a_block_of_their_own(tmp_path, image, rng):
    other = draw(rng, COILS, NY, NX)
    acquisitions = taken(oversampled(other), CENTRE, (ONLY,)) + taken(oversampled(image), EVEN)
    path = write(tmp_path / "a.h5", acquisitions, XML)
    data = read(path)
    assert data.calibration.dtype == np.complex64 and data.calibration.shape == (1, COILS, len(CENTRE), NX)
    close(data.calibration[0], block_of(other))
    np.testing.assert_array_equal(data.acquired, (np.arange(NY) % 2 == 0)[:, None] & np.ones((NY, NX), bool))
    close(data.kspace[0], fft2c(image) * data.acquired)
    assert entries(path)[0].note == "10 calibration-only lines for coil maps"


@pytest.mark.parametrize("flags", [(ALSO,), (ONLY, ALSO), ()])
def test_embedded_lines_go_together_with_those_of_the_image_between_them(tmp_path, image, flags):
    kspace = oversampled(image)
    acquisitions = []
    for y in range(NY):
        if y % 2 == 0:
            acquisitions.append(line(kspace[:, y], y, flags if y in CENTRE else ()))
        elif y in CENTRE:
            acquisitions.append(line(kspace[:, y], y, (ONLY,)))
    data = read(write(tmp_path / "a.h5", acquisitions, XML))
    # those of the image that lie at the border, here row 16, count where they say so
    close(data.calibration[0], block_of(image, CENTRE if flags else range(8, 16)))
    np.testing.assert_array_equal(np.flatnonzero(data.acquired.all(axis=1)), EVEN)


def test_lines_that_were_measured_twice_are_averaged(tmp_path, image, rng):
    both = draw(rng, 2, COILS, NY, NX)
    acquisitions = [a for one in both for a in taken(oversampled(one), CENTRE, (ONLY,))]
    data = read(write(tmp_path / "a.h5", acquisitions + taken(oversampled(image), EVEN), XML))
    close(data.calibration[0], block_of(both.mean(axis=0)))


def test_every_slice_has_its_own_alone_or_with_the_others(tmp_path, rng):
    images, others = draw(rng, 3, COILS, NY, NX), draw(rng, 3, COILS, NY, NX)
    acquisitions = []
    for number, z in ((0, 10.0), (1, -5.0), (2, 3.0)):
        same = {"slice": number, "position": (0, 0, z)}
        rows = CENTRE if number else range(CENTRE.start - 1, CENTRE.stop + 1)  # more in one slice than in the others
        acquisitions += taken(oversampled(others[number]), rows, (ONLY,), **same)
        acquisitions += taken(oversampled(images[number]), EVEN, **same)
    path = write(tmp_path / "a.h5", acquisitions, XML)
    data = read(path)
    for index, number in enumerate((1, 2, 0)):  # along slice_dir
        close(data.calibration[index], block_of(others[number]))
        np.testing.assert_array_equal(data.select(index).calibration[0], data.calibration[index])
        np.testing.assert_array_equal(open_scan(path).read_slice(index).calibration[0], data.calibration[index])


def test_the_raw_steps_are_those_of_the_image(tmp_path, image, rng):
    """Prewhitened with its matrix, also where its dwell time is another one; oversampling removed or kept with it."""
    mixing, kspace = draw(rng, COILS, COILS), oversampled(image)
    noise = (mixing @ draw(rng, COILS, 400)).astype(np.complex64)
    acquisitions = [line(noise, 0, (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,))]
    acquisitions += taken(kspace, CENTRE, (ONLY,), dwell=20.0) + taken(kspace, EVEN)
    path = write(tmp_path / "a.h5", acquisitions, XML)
    white = prewhitening_matrix(noise_covariance(noise))
    close(read(path).calibration[0], 2 * np.einsum("cd,dyx->cyx", white, block_of(image)), 1e-4)
    whole = read(path, steps={"prewhiten": False, "remove_oversampling": False})
    close(whole.calibration[0], kspace[:, CENTRE.start : CENTRE.stop])
    one = read(path, steps={"coils": 2})
    matrix = compression_matrix(read(path).kspace[0], 2)
    close(one.calibration[0], compress(read(path).calibration[0], matrix))
    one = read(path, steps={"coils": 2, "compression": "gcc"})
    close(one.calibration[0], compress_geometric(read(path).calibration[0], gcc(read(path).kspace[0], 2, "x"), "x"))


def test_reverse_lines_and_partial_echoes_are_placed_like_those_of_the_image(tmp_path, image):
    kspace, xml = fft2c(image), header(matrix=(1, NY, NX), recon=(1, NY, NX))
    short = [line(kspace[:, y, 4:], y, (ONLY,), centre=NX // 2 - 4) for y in CENTRE]
    data = read(write(tmp_path / "a.h5", short + taken(kspace, EVEN), xml))
    close(data.calibration[0], block_of(image)[:, :, 4:17])  # the widest range around the centre, column 10
    odd = [line(kspace[:, y, :0:-1], y, (ONLY, ismrmrd.ACQ_IS_REVERSE), centre=NX // 2 - 1) for y in CENTRE]
    data = read(write(tmp_path / "b.h5", odd + taken(kspace, EVEN), xml))
    close(data.calibration[0], block_of(image)[:, :, 1:])


def test_lines_of_the_same_repetition_come_first_then_those_of_the_first_that_has_some(tmp_path, rng):
    images, others = draw(rng, 3, COILS, NY, NX), draw(rng, 3, COILS, NY, NX)
    acquisitions = []
    for repetition in range(3):
        acquisitions += taken(oversampled(images[repetition]), EVEN, repetition=repetition)
        if repetition:
            acquisitions += taken(oversampled(others[repetition]), CENTRE, (ONLY,), repetition=repetition)
    path = write(tmp_path / "a.h5", acquisitions, XML)
    for repetition, own in ((0, 1), (1, 1), (2, 2)):
        data = read(path, variable=f"repetition {repetition}")
        close(data.calibration[0], block_of(others[own]))


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        (range(NY // 2 - 3, NY // 2 + 4), {}),  # seven
        (range(NY // 2 + 1, NY), {}),  # not the centre
        (range(2, NY, 3), {}),  # with gaps
        (CENTRE, {"encoding": 1}),  # of another matrix
        (CENTRE, {"slice": 1}),
    ],
)
def test_lines_that_make_no_block_are_left_out(tmp_path, image, rows, more):
    acquisitions = taken(oversampled(image), range(NY // 2 - 1)) + taken(oversampled(image), rows, (ONLY,), **more)
    path = write(tmp_path / "a.h5", acquisitions, header(matrix=(1, NY, 2 * NX), recon=(1, NY, NX), encodings=2))
    (entry,) = entries(path)
    assert f"{len(rows)} calibration-only lines of the file left out" in entry.note
    assert read(path).calibration is None


def test_lines_off_the_grid_or_damaged_phase_correction_hide_no_image(tmp_path, image):
    wrong = [line(oversampled(image)[:, 3], 99, (ONLY,))]
    navigators = taken(oversampled(image), CENTRE, (ONLY, ismrmrd.ACQ_IS_PHASECORR_DATA))
    for name, added in (("a", wrong), ("b", navigators)):
        data = read(write(tmp_path / f"{name}.h5", added + taken(oversampled(image), EVEN), XML))
        assert data.calibration is None and data.acquired.any()


def test_partitions_with_gaps_are_left_out(tmp_path, rng):
    volume = draw(rng, COILS, 6, NY, NX)
    acquisitions = [line(volume[:, z, y], y, kspace_encode_step_2=z) for z in range(6) for y in EVEN]
    acquisitions += [line(volume[:, z, y], y, (ONLY,), kspace_encode_step_2=z) for z in (0, 3) for y in CENTRE]
    xml = header(matrix=(6, NY, NX), recon=(6, NY, NX))
    assert read(write(tmp_path / "a.h5", acquisitions, xml)).calibration is None


def test_partitions_are_transformed_as_those_of_the_image(tmp_path, rng):
    volume = draw(rng, COILS, 6, NY, NX)
    acquisitions = [line(volume[:, z, y], y, kspace_encode_step_2=z) for z in range(6) for y in EVEN]
    acquisitions += [line(volume[:, z, y], y, (ONLY,), kspace_encode_step_2=z) for z in range(6) for y in CENTRE]
    data = read(write(tmp_path / "a.h5", acquisitions, header(matrix=(6, NY, NX), recon=(6, NY, NX))))
    rows = [y for y in CENTRE if y % 2 == 0]
    np.testing.assert_allclose(
        data.calibration[:, :, [y - CENTRE.start for y in rows]], data.kspace[:, :, rows], atol=1e-5
    )
    assert data.calibration.shape == (6, COILS, 10, NX)


def test_a_file_with_calibration_lines_alone_is_refused(tmp_path, image):
    path = write(tmp_path / "a.h5", taken(oversampled(image), CENTRE, (ONLY,)), XML)
    with pytest.raises(InvalidInput, match=r"no acquisitions of an image but 10 lines for calibration alone; accepted"):
        read(path)


def test_the_block_goes_through_a_file_and_to_another_process(tmp_path, image, rng):
    acquisitions = taken(oversampled(draw(rng, COILS, NY, NX)), CENTRE, (ONLY,)) + taken(oversampled(image), EVEN)
    data = read(write(tmp_path / "a.h5", acquisitions, XML))
    write_npz(tmp_path / "a.npz", data.arrays())
    assert [entry.name for entry in entries(tmp_path / "a.npz")] == ["kspace"]
    for again in (read(tmp_path / "a.npz"), pickle.loads(pickle.dumps(data)), open_scan(tmp_path / "a.npz").read()):
        np.testing.assert_array_equal(again.calibration, data.calibration)


@pytest.mark.parametrize("estimator", ["espirit", "walsh"])
def test_every_second_line_without_a_centre_is_reconstructed_with_the_lines_for_calibration(tmp_path, estimator):
    """They have another contrast, phase and noise than the image; without them there are no maps."""
    n, maps, head = 64, coil_maps(6, (64, 64)), shepp_logan(64)
    turned = np.exp(1j * smooth_phase((n, n), seed=3))
    kspace = oversampled(maps * head)
    other = oversampled(3 * maps * (head > 0) * turned)
    rng = np.random.default_rng(1)
    other += (0.05 * draw(rng, *other.shape)).astype(np.complex64)
    xml = header(matrix=(1, n, 2 * n), recon=(1, n, n))
    image_lines = taken(kspace, range(1, n, 2))
    recipe = Recipe.for_method("cg-sense", settings={"guidance.regularization": 1e-3}, coil_maps=estimator)
    alone = read(write(tmp_path / "a.h5", image_lines, xml))
    with pytest.raises(InvalidInput, match="There are no calibration lines to estimate coil maps from"):
        reconstruct(alone, recipe=recipe, device="cpu")
    lines = taken(other, range(n // 2 - 12, n // 2 + 12), (ONLY,), dwell=7.0)
    data = read(write(tmp_path / "b.h5", lines + image_lines, xml))
    result = reconstruct(data, recipe=recipe, device="cpu")
    error = np.linalg.norm(np.abs(result.image[0]) - head) / np.linalg.norm(head)
    assert error < {"espirit": 0.1, "walsh": 0.15}[estimator]
    assert "of the calibration lines (24 x 64)" in result.provenance["coil_maps"]
    assert len(result.provenance["calibration_sha256"]) == 64
