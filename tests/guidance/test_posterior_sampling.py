"""The step of DPS against the gradient of the residual's norm: in closed form, and by differences through a network."""

import math

import numpy as np
import pytest
import torch
from closed_form import LinearCase, to_vector
from tiny import tiny_denoiser

from napari_lossguide.guidance.posterior_sampling import DPSParams, PosteriorSampling
from napari_lossguide.priors.analytic import GaussianPrior

CASES = [
    LinearCase(shape, coils, real, 0.2) for shape in ((8, 6), (7, 9)) for coils in (1, 3) for real in (True, False)
]
SIGMA, NEXT = 0.8, 0.3


def name(case):
    return f"{case.shape[0]}x{case.shape[1]}-{case.coils}coil-{'real' if case.real else 'complex'}"


def affine(case):
    """A denoiser whose Jacobian is diagonal and not a number: another spread in every pixel."""
    std = torch.linspace(0.2, 1.5, math.prod(case.shape)).reshape(case.shape)
    return GaussianPrior(torch.from_numpy(case.mu), std), std.numpy().astype(float).ravel()


def step(case, denoise, x, zeta=1.7):
    guide, params = PosteriorSampling(case.problem(), 0.5), DPSParams(zeta=zeta)
    d, x0 = guide.estimate(denoise, x, SIGMA, params)
    return d, x0, guide.correct_next(x, SIGMA, NEXT, params)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_the_step_is_the_gradient_of_the_norm_in_closed_form(case):
    """On u = x / sqrt(1 + sigma^2): u' <- u' - zeta grad_u |y - A D|, from one level to the next."""
    denoise, std = affine(case)
    x = 2 * case.noise(3, 4)()
    d, x0, after = step(case, denoise, x)
    torch.testing.assert_close(d, denoise(x, SIGMA))
    assert x0 is d or torch.equal(x0, d)
    y = np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    jacobian = np.tile(std**2 / (std**2 + SIGMA**2), 1 if case.real else 2)
    residual = y - to_vector(d.numpy(), case.real) @ case.matrix.T
    gradient = -jacobian * (residual @ case.matrix) / np.linalg.norm(residual, axis=1, keepdims=True)
    scale = math.sqrt(1 + SIGMA**2) * math.sqrt(1 + NEXT**2)
    expected = to_vector(x.numpy(), case.real) - 1.7 * scale * gradient
    np.testing.assert_allclose(to_vector(after.numpy(), case.real), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_the_gradient_goes_through_the_network(dtype):
    """Along directions, by central differences of the norm in double precision."""
    case = LinearCase((16, 16), 1, dtype == torch.float32, 0.2)
    network, problem = tiny_denoiser(), case.problem()
    x = case.noise(1, 4)()
    guide = PosteriorSampling(problem, 0.25)
    guide.estimate(network, x, SIGMA, DPSParams())
    assert guide.gradient.dtype == dtype

    def norm(x):
        return float(torch.linalg.vector_norm((problem.y - problem.A.forward(network(x, SIGMA))).to(torch.complex128)))

    for seed in range(3):
        v, h = case.noise(1, 20 + seed)(), 3e-2
        numeric = (norm(x + h * v) - norm(x - h * v)) / (2 * h)
        along = float((guide.gradient.conj() * v).real.sum())
        assert along == pytest.approx(numeric, rel=0.02, abs=2e-3)


@pytest.mark.parametrize("case", CASES[:2], ids=name)
def test_each_image_of_a_batch_has_the_gradient_of_its_own_norm(case):
    denoise, _ = affine(case)
    x = case.noise(3, 4)() * torch.tensor([0.1, 1.0, 50.0])[:, None, None]
    _, _, together = step(case, denoise, x)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], step(case, denoise, x[i : i + 1])[2], rtol=1e-5, atol=1e-5)


def test_nothing_of_the_graph_is_kept_and_gradients_need_not_be_on():
    case = CASES[0]
    with torch.no_grad():
        d, x0, after = step(case, affine(case)[0], case.noise(2, 4)())
    assert not (d.requires_grad or x0.requires_grad or after.requires_grad)


def test_an_estimate_that_meets_the_data_exactly_is_left_where_it_is():
    """The norm has no gradient at zero; not a number would end the run."""
    case = LinearCase((7, 9), 1, False, 0.0)
    case.__dict__["y"] = 0 * case.y
    x = case.noise(2, 4)()
    _, _, after = step(case, lambda x, sigma: 0 * x, x)
    torch.testing.assert_close(after, x)
