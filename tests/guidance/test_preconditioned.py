"""The preconditioned Langevin step against its dense equation: drift without noise, noise of covariance 2 gamma M."""

import math

import numpy as np
import pytest
import torch
from closed_form import LinearCase, to_vector

from napari_lossguide.guidance.base import NoisyDataParams
from napari_lossguide.guidance.preconditioned import PreconditionedLangevin

CASES = [LinearCase((4, 5), coils, real, 0.4) for coils in (1, 3) for real in (True, False)]
DRAWS, SIGMA = 4000, 0.8
EXACT = {"iterations": 80, "tolerance": 1e-6}


def name(case):
    return f"{case.coils}coil-{'real' if case.real else 'complex'}"


def preconditioner(case, tau, sigma=SIGMA):
    """M = (A^T A / tau^2 + sigma^-2)^-1 in real channels."""
    a = case.matrix
    return np.linalg.inv(a.T @ a / tau**2 + np.eye(a.shape[1]) / sigma**2)


def steps(case, step, batch, quiet=0, sigma=SIGMA, **params):
    """State, estimate, and the states after one step of so many images from the same state."""
    x, d = case.noise(1, 4)(), torch.from_numpy(case.mu)[None] + 0.2 * case.noise(1, 5)()
    guide = PreconditionedLangevin(case.problem(), 0.5, case.noise(batch, 3, quiet))
    x, d = (v.expand(batch, -1, -1) for v in (x, d))
    after = guide.langevin(x, d, sigma, step, NoisyDataParams(**EXACT, **params))
    return tuple(to_vector(v.numpy(), case.real) for v in (x[:1], d[:1], after))


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize("sigma", [0.1, 0.8, 5.0])
def test_the_drift_is_the_preconditioned_score_of_prior_and_data(case, sigma):
    x, d, after = steps(case, 0.6, 1, quiet=1, sigma=sigma)
    a, tau = case.matrix, case.noise_std / math.sqrt(2)
    y = np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    score = (d - x) / sigma**2 + (y - x @ a.T) @ a / tau**2
    np.testing.assert_allclose(after, x + 0.6 * score @ preconditioner(case, tau, sigma), atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_the_noise_has_the_covariance_of_the_preconditioner(case):
    gamma = 0.6
    _, _, after = steps(case, gamma, DRAWS)
    drift = steps(case, gamma, 1, quiet=1)[2]
    covariance = 2 * gamma * preconditioner(case, case.noise_std / math.sqrt(2))
    white = np.linalg.solve(np.linalg.cholesky(covariance), (after - drift).T)
    assert np.mean(white**2) == pytest.approx(1, abs=0.02)
    assert np.sqrt(np.mean(white.mean(1) ** 2)) == pytest.approx(1 / math.sqrt(DRAWS), rel=0.5)
    values = np.linalg.eigvalsh(np.cov(white))
    edge = math.sqrt(len(white) / DRAWS)  # of a sample covariance of so many draws, Marchenko & Pastur 1967
    assert (1 - 1.2 * edge) ** 2 < values.min() and values.max() < (1 + 1.2 * edge) ** 2


@pytest.mark.parametrize(("params", "tau"), [({"tau": 0.9}, 0.9), ({"gamma": 4.0}, 0.4 / math.sqrt(2) / 2)])
def test_tau_is_the_least_noise_and_gamma_the_weight_of_the_data(params, tau):
    case = CASES[3]
    x, d, after = steps(case, 1.0, 1, quiet=1, **params)
    a, y = case.matrix, np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    score = (d - x) / SIGMA**2 + (y - x @ a.T) @ a / tau**2
    np.testing.assert_allclose(after, x + score @ preconditioner(case, tau), atol=1e-4)
