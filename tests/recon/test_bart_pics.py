"""BART itself beside the methods of this package: the same problems must have the same solutions, scales and axes."""

import numpy as np
import pytest
import torch
from tiny import collect, tiny_scan

from napari_lossguide.data.formats.bart import Bart, write_cfl
from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.engine import reconstruct, reconstruction
from napari_lossguide.recon.methods import METHODS
from napari_lossguide.recon.problem import make_problem
from napari_lossguide.recon.program import BART
from napari_lossguide.recon.recipe import Recipe

pytestmark = pytest.mark.skipif(
    bool(BART.missing()), reason="BART is not here: its images are not compared with ours, in scale, axes or weights"
)


def pics(kdata, **settings):
    named = {f"guidance.{name}": value for name, value in settings.items()}
    return reconstruct(kdata, maps=kdata.maps, method="bart-pics", settings=named, device="cpu", real=kdata.real)


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("shape", [(24, 20), (21, 30), (23, 17)])
def test_barts_transform_is_ours(tmp_path, rng, shape):
    kspace = (rng.normal(size=(1, 2, *shape)) + 1j * rng.normal(size=(1, 2, *shape))).astype(np.complex64)
    write_cfl(tmp_path / "k", kspace)
    for flags, expected in ((["-u"], fft2c), (["-u", "-i"], ifft2c)):
        BART.run(["fft", *flags, "3", "k", "out"], tmp_path, 1, lambda: None)
        found = Bart().load(tmp_path / "out.cfl", "kspace", slice(None)).array
        assert distance(found, expected(kspace)) < 1e-5


@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("shape", [(24, 20), (32, 50), (23, 26), (25, 27)])
def test_tikhonov_is_cg_sense(coils, real, shape):
    """Scale, weight, axes, maps and mask at once: no size equals another, and no half of the image the other one.

    Sizes that four does not divide have another sign, or shift, in BART 0.8.
    """
    scan = tiny_scan(coils, shape=shape)
    kdata = scan if scan.real == real else type(scan)(**{**vars(scan), "real": real})
    weight = {"guidance.regularization": 0.05}
    ours = reconstruct(kdata, maps=kdata.maps, method="cg-sense", steps=1000, settings=weight, device="cpu")
    found = pics(kdata, regularizer="l2", regularization=0.05, iterations=200)
    assert distance(found.image, ours.image) < 1e-4
    assert distance(found.image[:, ::-1], ours.image) > 0.05 and distance(found.image[..., ::-1], ours.image) > 0.05


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_the_units_of_the_k_space_do_not_matter(factor):
    kdata = tiny_scan(2)
    scaled = type(kdata)(**{**vars(kdata), "kspace": (factor * kdata.kspace).astype(np.complex64), "reference": None})
    for kind in ("l1-wavelet", "tv", "l2"):
        expected = pics(kdata, regularizer=kind).image
        assert distance(pics(scaled, regularizer=kind).image / factor, expected) < 1e-3


def objective(problem, image, weight, penalty):
    """1/2 |A x - y|^2 + weight penalty(x) of an image (ny, nx) in the units of the problem."""
    x = torch.from_numpy(image.astype(np.complex64))[None]
    return 0.5 * float((problem.A.forward(x) - problem.y).abs().square().sum()) + weight * penalty(image)


def length_of_gradient(image):
    return np.sqrt(sum(np.abs(image - np.roll(image, 1, axis)) ** 2 for axis in (0, 1))).sum()


def isotropic(problem, weight, iterations):
    """Minimise by Condat and Vu's steps the objective with the length of the gradient."""
    sigma, (ny, nx) = 0.1, problem.A.image_shape
    tau = 0.9 / (0.5 + 8 * sigma)
    x, u = np.zeros((ny, nx), complex), np.zeros((2, ny, nx), complex)
    for _ in range(iterations):
        residual = problem.A.forward(torch.from_numpy(x.astype(np.complex64))[None]) - problem.y
        adjoint = sum(u[axis] - np.roll(u[axis], -1, axis) for axis in (0, 1))
        new = x - tau * (problem.A.adjoint(residual)[0].numpy() + adjoint)
        over = 2 * new - x
        u = u + sigma * np.stack([over - np.roll(over, 1, axis) for axis in (0, 1)])
        u = u / np.maximum(1, np.sqrt((np.abs(u) ** 2).sum(0)) / weight)
        x = new
    return x


def unit_problem(kdata):
    return make_problem(kdata, 0, kdata.maps[0], real=False, noise_std=None, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def phantom():
    mask = MaskRecipe.of("random", acceleration=2.5, center_fraction=0.15, seed=0)
    return simulate(shepp_logan(48), n_coils=3, noise_std=0.01, seed=0).undersample(mask.make((48, 48)))


@pytest.mark.parametrize("weight", [0.005, 0.05])
def test_total_variation_is_nearly_the_minimum(phantom, weight):
    problem = unit_problem(phantom)
    least = objective(problem, isotropic(problem, weight, 2000), weight, length_of_gradient)
    found = pics(phantom, regularizer="tv", regularization=weight).image[0] / problem.scale
    assert objective(problem, found, weight, length_of_gradient) == pytest.approx(least, rel=5e-3)


def test_the_weight_of_wavelets_is_the_threshold_of_their_coefficients(rng):
    """Of a full scan each coefficient shrinks by the weight, all but those of the coarsest level.

    BART hands out what its last step towards the data, of length 0.95, makes of that: a twentieth is left.
    """
    noise = rng.normal(size=(64, 48)) + 1j * rng.normal(size=(64, 48))
    kdata = simulate(noise.astype(np.complex64), n_coils=1)
    kdata = type(kdata)(**{**vars(kdata), "real": False})
    found = pics(kdata, regularization=1e-4, cycle_spinning=False).image[0]
    shrunk = np.linalg.norm(found - ifft2c(kdata.kspace[0, 0])) / unit_problem(kdata).scale
    assert 0.95 < shrunk / (0.05 * 1e-4 * np.sqrt(noise.size)) < 1.01


def test_barts_own_complaint_is_told(tmp_path):
    write_cfl(tmp_path / "k", np.ones((1, 2, 8, 6), np.complex64))
    write_cfl(tmp_path / "m", np.ones((1, 2, 8, 8), np.complex64))
    with pytest.raises(ValueError, match=r"^BART \(pics\) (failed|was stopped) .*\d: .*bart: "):
        BART.run(["pics", "k", "m", "out"], tmp_path, 1, lambda: None)


def test_the_version_is_kept(phantom):
    out = pics(phantom, iterations=2)
    assert out.provenance["bart"].startswith("v0.") or out.provenance["bart"].startswith("v1.")
    assert METHODS["bart-pics"].missing() == ""


def test_a_stack_is_made_slice_by_slice():
    kdata = tiny_scan(2, slices=3)
    _, out = collect_of(kdata)
    alone = pics(kdata.select(1)).image[0]
    assert distance(out.image[1], alone) < 1e-5


def collect_of(kdata):
    return collect(reconstruction(kdata, Recipe.for_method("bart-pics"), maps=kdata.maps, device="cpu"))
