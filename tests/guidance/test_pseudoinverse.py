"""Both steps of pseudoinverse guidance against dense linear algebra, with a denoiser that is affine."""

import math

import numpy as np
import pytest
import torch
from closed_form import LinearCase, to_vector

from napari_lossguide.guidance.pseudoinverse import PseudoinverseGuidance, PseudoinverseParams
from napari_lossguide.priors.analytic import GaussianPrior

CASES = [
    LinearCase(shape, coils, real, 0.2) for shape in ((8, 6), (7, 9)) for coils in (1, 3) for real in (True, False)
]
EXACT = {"iterations": 200, "tolerance": 1e-6}
SIGMA, NEXT, S = 0.8, 0.3, 0.5
R2 = SIGMA**2 * S**2 / (SIGMA**2 + S**2)


def name(case):
    return f"{case.shape[0]}x{case.shape[1]}-{case.coils}coil-{'real' if case.real else 'complex'}"


def affine(case):
    """A denoiser whose Jacobian is diagonal and not a number: another spread in every pixel."""
    std = torch.linspace(0.2, 1.5, math.prod(case.shape)).reshape(case.shape)
    return GaussianPrior(torch.from_numpy(case.mu), std), std.numpy().astype(float).ravel()


def gradient(case, d, std):
    """J^T r^2 A^T (r^2 A A^T + sigma_y^2)^-1 (y - A D), in real channels: the paper's eq. 7 in the space of data."""
    a = case.matrix
    y = np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    residual = y - to_vector(d.numpy(), case.real) @ a.T
    covariance = R2 * a @ a.T + case.noise_std**2 / 2 * np.eye(len(a))
    pull = R2 * np.linalg.solve(covariance, residual.T).T @ a
    return np.tile(std**2 / (std**2 + SIGMA**2), 1 if case.real else 2) * pull


def guided(case, denoise, x, **params):
    guide = PseudoinverseGuidance(case.problem(), S)
    chosen = PseudoinverseParams(**EXACT, **params)
    d, x0 = guide.estimate(denoise, x, SIGMA, chosen)
    return d, x0, guide.correct_next(x, SIGMA, NEXT, chosen)


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_adaptive_step_leaves_the_estimate_and_moves_the_next_state(case, scale):
    """x' + scale sqrt(1 + sigma'^2) g."""
    denoise, std = affine(case)
    x = 2 * case.noise(2, 4)()
    d, x0, after = guided(case, denoise, x, step="adaptive", scale=scale)
    torch.testing.assert_close(d, denoise(x, SIGMA))
    assert torch.equal(x0, d)
    g = gradient(case, d, std)
    expected = to_vector(x.numpy(), case.real) + scale * math.sqrt(1 + NEXT**2) * g
    np.testing.assert_allclose(to_vector(after.numpy(), case.real), expected, atol=3e-4)


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_bayes_step_moves_the_estimate_and_leaves_the_next_state(case, scale):
    """D + scale (sigma^2 / r^2) g."""
    denoise, std = affine(case)
    x = 2 * case.noise(2, 4)()
    d, x0, after = guided(case, denoise, x, step="bayes", scale=scale)
    assert after is x
    torch.testing.assert_close(d, denoise(x, SIGMA))
    expected = to_vector(d.numpy(), case.real) + scale * SIGMA**2 / R2 * gradient(case, d, std)
    np.testing.assert_allclose(to_vector(x0.numpy(), case.real), expected, atol=1e-3)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_bayes_step_is_the_posterior_mean_of_a_gaussian_prior(case):
    """E[x0 | x, y] from the precisions of prior, noisy image and data."""
    x = torch.from_numpy(case.mu) + SIGMA * case.noise(2, 4)()
    _, x0, _ = guided(case, GaussianPrior(torch.from_numpy(case.mu), S), x, step="bayes")
    a, v = case.matrix, case.noise_std**2 / 2
    y = np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    precision = a.T @ a / v + (1 / S**2 + 1 / SIGMA**2) * np.eye(a.shape[1])
    right = a.T @ y / v + to_vector(case.mu, case.real) / S**2 + to_vector(x.numpy(), case.real) / SIGMA**2
    expected = np.linalg.solve(precision, right.T).T
    np.testing.assert_allclose(to_vector(x0.numpy(), case.real), expected, atol=1e-3)


def test_the_step_decides_where_it_corrects():
    assert PseudoinverseGuidance.hooks(PseudoinverseParams(step="adaptive")) == {"next"}
    assert PseudoinverseGuidance.hooks(PseudoinverseParams(step="bayes")) == {"gradient"}


@pytest.mark.parametrize("step", ["adaptive", "bayes"])
def test_images_of_a_batch_do_not_mix_and_no_graph_is_kept(step):
    case = CASES[3]
    denoise, _ = affine(case)
    x = case.noise(3, 4)() * torch.tensor([0.1, 1.0, 20.0])[:, None, None]
    with torch.no_grad():
        together = guided(case, denoise, x, step=step)
    assert not any(t.requires_grad for t in together)
    for i in range(3):
        for whole, alone in zip(together, guided(case, denoise, x[i : i + 1], step=step), strict=True):
            torch.testing.assert_close(whole[i : i + 1], alone, rtol=1e-3, atol=1e-3)
