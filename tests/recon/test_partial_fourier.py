"""Homodyne detection and POCS of several coils, against closed forms."""

import numpy as np
import pytest
import torch
from closed_form import dense_sense

from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import simulate
from napari_lossguide.data.raw.partial_fourier import homodyne as of_one_coil
from napari_lossguide.masks.rules import PartialParams, partial_fourier
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.problem import make_problem
from napari_lossguide.types import InvalidInput

SHAPES = [(24, 20), (23, 21)]


def half(shape, axis, side="low", fraction=0.65):
    return partial_fourier(np.ones(shape, bool), PartialParams(axis="yx"[axis], side=side, fraction=fraction))


def smooth(shape):
    """Unit numbers whose phase the centre of k-space holds."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(1j * (0.5 + 0.3 * np.sin(2 * np.pi * y / shape[0]) + 0.2 * np.cos(2 * np.pi * x / shape[1])))


def blob(shape):
    """Not the same from any side, with edges, which the lines beyond the centre hold."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 0.3 + 0.3 * ((y // 3 + x // 3) % 2) + np.exp(-((y - 0.4 * shape[0]) ** 2 + (x - 0.6 * shape[1]) ** 2) / 9)


def coils(shape, rng, count=3):
    """Maps with phases, with one as their root-sum-of-squares."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    maps = [(1 + 0.5 * np.sin(y / 7 + c)) * np.exp(1j * (c + 0.3 * np.cos(x / 5 + 2 * c))) for c in range(count)]
    return (maps / np.linalg.norm(maps, axis=0)).astype(np.complex64)


def scan(image, maps, mask):
    kspace = (fft2c(maps * image) * mask).astype(np.complex64)[None]
    return KData.from_array(kspace, mask=mask)


def run(method, kdata, maps, **fields):
    return reconstruct(kdata, maps=maps, method=method, device="cpu", **fields).image[0]


@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_real_image_is_found_exactly(shape, axis, side, rng):
    spectrum = fft2c(rng.normal(size=shape))
    for n, line in zip(shape, (spectrum, spectrum.T), strict=True):
        line[0] *= n % 2  # the lowest line of an even size is its own mirror image
    image = ifft2c(spectrum).real.astype(np.float32)
    kdata = simulate(image).undersample(half(shape, axis, side))
    for method in ("homodyne", "pocs"):
        found = run(method, kdata, None)
        np.testing.assert_allclose(found, image, atol=1e-5 * np.abs(image).max())
    zero = run("zero-filled", kdata, None)
    assert np.linalg.norm(zero - image) > 0.2 * np.linalg.norm(image)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_coil_is_nolls_formula(shape, axis):
    mask = half(shape, axis)
    image = blob(shape) * smooth(shape)
    kdata = scan(image, np.ones((1, *shape), np.complex64), mask)
    found = run("homodyne", kdata, None)
    turned = (lambda a: a) if axis == 0 else (lambda a: np.swapaxes(a, -2, -1))
    expected = turned(of_one_coil(turned(kdata.kspace[0, 0]), turned(mask).all(axis=1)))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)
    assert np.linalg.norm(found - image) < 0.8 * np.linalg.norm(run("zero-filled", kdata, None) - image)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("method", ["homodyne", "pocs"])
def test_one_phase_all_over_is_found_exactly_by_several_coils(method, axis, rng):
    """Of a full scan each is A^H y; of half of one, what is missing follows from symmetry."""
    shape, phase = (24, 20), np.exp(0.7j)
    maps = np.ones((3, *shape), np.complex64) * np.array([0.6, 0.64j, -0.48])[:, None, None]
    image = phase * (rng.random(shape) + 0.5)
    found = run(method, scan(image, maps, half(shape, axis)), maps)
    # check_maps scales by the largest root-sum-of-squares, which is one here
    np.testing.assert_allclose(found, image, atol=2e-4)


@pytest.mark.parametrize("method", ["homodyne", "pocs"])
def test_coils_and_a_smooth_phase_are_nearer_than_zero_filling(method, rng):
    shape = (32, 28)
    maps, image, mask = coils(shape, rng), blob(shape) * smooth(shape), half(shape, 0)
    kdata = scan(image, maps, mask)
    error = {m: np.linalg.norm(run(m, kdata, maps) - image) for m in (method, "zero-filled")}
    assert error[method] < 0.6 * error["zero-filled"]


def test_pocs_goes_to_the_image_of_that_phase_that_fits_best(rng):
    shape = (10, 8)
    mask, maps = half(shape, 0, fraction=0.7), coils(shape, rng)
    noise = 0.05 * (rng.normal(size=(3, *shape)) + 1j * rng.normal(size=(3, *shape)))
    kdata = scan(blob(shape) * smooth(shape), maps, mask)
    kdata = KData.from_array((kdata.kspace + noise * mask).astype(np.complex64), mask=mask)
    found = run("pocs", kdata, maps, steps=1000)
    problem = make_problem(kdata, 0, maps, real=False, noise_std=None, device=torch.device("cpu"))
    rows = np.flatnonzero(mask.all(axis=1))
    reach = min(5 - rows[0], rows[-1] - 5)
    centre = (np.abs(np.arange(10) - 5) <= reach)[:, None]
    low = (maps.conj() * ifft2c(kdata.kspace[0] * centre)).sum(0)
    phase = (low / np.abs(low)).ravel()
    a = dense_sense(mask, maps) * phase  # of real images
    stacked, y = np.concatenate([a.real, a.imag]), kdata.kspace[0].ravel()
    size, *_ = np.linalg.lstsq(stacked, np.concatenate([y.real, y.imag]), rcond=None)
    expected = (size * phase).reshape(shape)
    assert problem.scale > 0
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


FOUND = {
    "gaps": (lambda m: m & (np.arange(24) % 3 != 1)[:, None], r"has \d+ of 24 rows, in \d+ ranges with gaps between"),
    "points": (lambda m: m & (np.add.outer(np.arange(24), np.arange(20)) % 5 > 0), r"has \d+\.\d% of the points"),
    "one side": (lambda m: (np.arange(24) <= 12)[:, None] & m, r"rows 0 to 12 of 24, and not both sides of the cent"),
    "columns": (lambda m: np.ones_like(m) & (np.arange(20) < 8), r"columns 0 to 7 of 20, and not both sides"),
}


@pytest.mark.parametrize("method", ["homodyne", "pocs"])
@pytest.mark.parametrize("what", FOUND)
def test_other_masks_are_refused_in_words(method, what):
    change, sentence = FOUND[what]
    mask = change(half((24, 20), 0))
    kdata = simulate(blob((24, 20)).astype(np.float32)).undersample(mask)
    with pytest.raises(InvalidInput, match=f"'{method}' needs a mask of partial Fourier, whole rows .*{sentence}"):
        run(method, kdata, None)


def test_all_of_k_space_is_no_reason_to_refuse():
    image = blob((24, 20)).astype(np.float32)
    for method in ("homodyne", "pocs"):
        np.testing.assert_allclose(run(method, simulate(image), None), image, atol=1e-5)
