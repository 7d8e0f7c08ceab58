"""What is taken from the measured data: maps, noise level, scale. Nothing else may be looked at."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_form import smooth_maps

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import make_mask
from napari_lossguide.operators.coil_maps import espirit_maps
from napari_lossguide.operators.walsh import walsh_maps
from napari_lossguide.recon.problem import (
    check_maps,
    coil_maps,
    estimate_noise_std,
    make_problem,
    noise_from_periphery,
    noise_from_symmetry,
)
from napari_lossguide.types import InvalidInput

CPU = torch.device("cpu")
IMAGE = shepp_logan(128)


def smooth(image, fwhm):
    """A scan that reaches into the noise: the edges of a phantom have signal everywhere."""
    ny, nx = image.shape
    y, x = np.mgrid[:ny, :nx]
    window = np.exp(-4 * np.log(2) * (((y - ny // 2) / ny) ** 2 + ((x - nx // 2) / nx) ** 2) / fwhm**2)
    return np.abs(np.fft.ifft2(np.fft.ifftshift(np.fft.fftshift(np.fft.fft2(image)) * window))).astype(np.float32)


def lines(shape, seed=0):
    return make_mask("random", shape, acceleration=4, center_fraction=0.08, seed=seed)


@pytest.mark.parametrize("level", [0.003, 0.05])
@pytest.mark.parametrize("shape", [(128, 128), (127, 120)])
def test_noise_of_a_real_image_from_its_symmetry(level, shape):
    kdata = simulate(IMAGE[: shape[0], : shape[1]], noise_std=level, seed=1)
    assert kdata.real
    for mask in (np.ones(shape, bool), lines(shape)):
        k = kdata.undersample(mask)
        assert estimate_noise_std(k.kspace[0], k.acquired, real=True) == pytest.approx(level, rel=0.1)


def test_symmetry_shows_no_noise_where_there_is_none():
    kdata = simulate(IMAGE)
    assert noise_from_symmetry(kdata.kspace[0], kdata.acquired) < 1e-6


def test_symmetry_needs_points_on_both_sides():
    half = np.zeros((64, 64), bool)
    half[:, :31] = True
    half[0] = False  # 31 columns, whose mirror images are columns 34 to 63
    assert noise_from_symmetry(np.ones((1, 64, 64), np.complex64), half) is None


@pytest.mark.parametrize("level", [0.01, 0.1])
@pytest.mark.parametrize("coils", [1, 8])
def test_noise_from_the_periphery_of_a_complex_image(level, coils):
    phase = np.exp(1j * np.linspace(0, 2, 128))[None]
    kdata = simulate(smooth(IMAGE, 0.25) * phase, n_coils=coils, noise_std=level, seed=2)
    for mask in (np.ones((128, 128), bool), lines((128, 128))):
        k = kdata.undersample(mask)
        assert estimate_noise_std(k.kspace[0], k.acquired, real=False) == pytest.approx(level, rel=0.1)


def test_several_coils_use_the_periphery_even_if_the_image_is_real():
    """Coil phases break the symmetry."""
    kdata = simulate(smooth(IMAGE, 0.25), n_coils=4, noise_std=0.05, seed=2)
    got = estimate_noise_std(kdata.kspace[0], kdata.acquired, real=True)
    assert got == noise_from_periphery(kdata.kspace[0], kdata.acquired)
    assert got == pytest.approx(0.05, rel=0.1)


def test_periphery_is_an_upper_bound_when_there_is_signal_everywhere():
    kdata = simulate(IMAGE, noise_std=1e-4, seed=2)
    assert noise_from_periphery(kdata.kspace[0], kdata.acquired) >= 0.9e-4


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_noise_estimates_follow_the_units(scale):
    kdata = simulate(IMAGE, noise_std=0.02, seed=1)
    for real in (True, False):
        expected = scale * estimate_noise_std(kdata.kspace[0], kdata.acquired, real=real)
        scaled = (scale * kdata.kspace[0]).astype(np.complex64)
        assert estimate_noise_std(scaled, kdata.acquired, real=real) == pytest.approx(expected, rel=1e-4)


def test_one_coil_has_a_map_of_ones():
    kdata = simulate(IMAGE)
    np.testing.assert_array_equal(coil_maps(kdata, 0, 24), np.ones((1, 128, 128), np.complex64))


def test_the_estimator_is_the_one_that_is_asked_for():
    kdata = simulate(IMAGE, n_coils=4, noise_std=1e-3)
    own = kdata.kspace[0], kdata.acquired
    np.testing.assert_array_equal(coil_maps(kdata, 0, 16, "walsh"), walsh_maps(*own, width=16))
    np.testing.assert_array_equal(coil_maps(kdata, 0, 16), espirit_maps(*own, width=16))


@pytest.mark.parametrize("estimator", ["espirit", "walsh"])
@pytest.mark.parametrize("shape", [(20, 24), (21, 17)])
def test_maps_come_from_the_calibration_where_there_is_one(estimator, shape):
    """Those of the data that it was cut from, whatever the points of the k-space are."""
    kdata = simulate(IMAGE, n_coils=4, noise_std=1e-3)
    (top, left), (cy, cx) = (64 - shape[0] // 2, 64 - shape[1] // 2), shape
    block = kdata.kspace[:, :, top : top + cy, left : left + cx]
    under = replace(kdata.undersample(np.arange(128) % 2 == 1), kspace=0 * kdata.kspace, calibration=block)
    np.testing.assert_array_equal(coil_maps(under, 0, 16, estimator), coil_maps(kdata, 0, 16, estimator))
    width = min(shape)
    np.testing.assert_array_equal(coil_maps(under, 0, 24, estimator), coil_maps(kdata, 0, width, estimator))
    with pytest.raises(InvalidInput, match="centre of k-space is 6 points wide"):
        coil_maps(replace(under, calibration=block[:, :, 1:7, 1:7]), 0, 24, estimator)


def test_true_maps_of_a_simulation_are_not_used_by_themselves():
    kdata = simulate(IMAGE, n_coils=4, noise_std=1e-3)
    assert kdata.maps is not None
    assert not np.allclose(coil_maps(kdata, 0, 24), kdata.maps[0], atol=1e-2)


def scan(slices=2, coils=3, shape=(12, 10)):
    rng = np.random.default_rng(0)
    k = rng.standard_normal((slices, coils, *shape)) + 1j * rng.standard_normal((slices, coils, *shape))
    return KData.from_array(k.astype(np.complex64), lines(shape))


def test_maps_of_one_slice_serve_all():
    kdata, maps = scan(), smooth_maps(3, (12, 10))
    got = check_maps(maps, kdata)
    assert got.shape == kdata.kspace.shape and got.dtype == np.complex64
    np.testing.assert_allclose(got[0], maps, atol=1e-6)
    np.testing.assert_array_equal(got[1], got[0])


@pytest.mark.parametrize("scale", [1e-3, 50])
def test_maps_in_any_unit_are_brought_to_one(scale):
    """Otherwise the step sizes would be unstable, or the prior would see images of another brightness."""
    maps = smooth_maps(3, (12, 10)) * np.linspace(0.5, 1, 10, dtype=np.float32)
    np.testing.assert_allclose(check_maps(scale * maps, scan())[0], maps, atol=1e-6)


@pytest.mark.parametrize(
    ("maps", "sentence"),
    [
        (np.ones((2, 12, 10)), r"shape \(2, 12, 10\); the k-space needs \(2, 3, 12, 10\)"),
        (np.ones((3, 10, 12)), "shape"),
        (np.ones((3, 3, 12, 10)), "shape"),
        (np.ones((12, 10)), "shape"),
        (np.full((3, 12, 10), np.nan), "NaN or infinity"),
        (np.zeros((3, 12, 10)), "all zero"),
        (np.full((3, 12, 10), "a"), "numbers"),
    ],
)
def test_maps_that_do_not_fit(maps, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        check_maps(maps, scan())


@pytest.mark.parametrize("noise_std", [None, 0.3])
def test_problem_is_scaled_and_says_by_how_much(noise_std):
    kdata = scan()
    maps = smooth_maps(3, (12, 10))
    problem = make_problem(kdata, 1, maps, real=False, noise_std=noise_std, device=CPU)
    np.testing.assert_allclose(problem.y[0].numpy() * problem.scale, kdata.kspace[1], rtol=1e-5, atol=1e-6)
    expected = noise_std or estimate_noise_std(kdata.kspace[1], kdata.acquired, real=False)
    assert problem.noise_std * problem.scale == pytest.approx(expected)
    assert problem.n_measured == 3 * kdata.acquired.sum()
    assert problem.A.data_shape == (3, 12, 10)
    top = torch.quantile(problem.A.adjoint(problem.y).abs().flatten(), 0.995)
    assert float(top) == pytest.approx(0.75, rel=1e-4)


def test_the_noise_level_is_measured_even_if_a_simulation_knows_it():
    kdata = simulate(IMAGE, noise_std=0.05)
    lie = replace(kdata, noise_std=0.5)
    maps = np.ones((1, 128, 128), np.complex64)
    for given, expected in ((None, 0.05), (0.3, 0.3), (0.0, 0.0)):
        problem = make_problem(lie, 0, maps, real=True, noise_std=given, device=CPU)
        assert problem.noise_std * problem.scale == pytest.approx(expected, rel=0.1 if given is None else 1e-5)


def test_reference_is_never_looked_at():
    kdata = simulate(IMAGE[:64, :64], noise_std=0.01).undersample(lines((64, 64)))
    other = KData(kdata.kspace, kdata.acquired, noise_std=0.01, real=True)
    maps = np.ones((1, 64, 64), np.complex64)
    a, b = (make_problem(k, 0, maps, real=True, noise_std=None, device=CPU) for k in (kdata, other))
    assert (a.scale, a.noise_std) == (b.scale, b.noise_std)


def test_k_space_of_an_empty_slice():
    kdata = scan()
    k = kdata.kspace.copy()
    k[1] = 0
    with pytest.raises(InvalidInput, match="empty image"):
        make_problem(KData(k, kdata.acquired), 1, smooth_maps(3, (12, 10)), real=False, noise_std=None, device=CPU)
