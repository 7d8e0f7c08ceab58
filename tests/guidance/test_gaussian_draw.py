"""Many draws against the dense Gaussian that they are drawn from."""

import math

import numpy as np
import pytest
import torch
from closed_form import LinearCase, to_vector

from napari_lossguide.guidance.gaussian_draw import DrawParams, GaussianDraw

CASES = [LinearCase((4, 5), coils, real, 0.4) for coils in (1, 3) for real in (True, False)]
DRAWS, SIGMA, S = 4000, 0.8, 0.5
EXACT = {"iterations": 60, "tolerance": 1e-5}


def name(case):
    return f"{case.coils}coil-{'real' if case.real else 'complex'}"


def draws(case, d, batch=DRAWS, quiet=0, **params):
    guide = GaussianDraw(case.problem(), S, case.noise(batch, 3, quiet))
    d = d.expand(batch, -1, -1)
    return to_vector(guide.correct_estimate(d, d, SIGMA, DrawParams(**EXACT, **params)).numpy(), case.real)


def gaussian(case, d, r, tau):
    """Mean and precision of N(v; d, r^2) N(y; A v, tau^2)."""
    a, y = case.matrix, np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    precision = np.eye(a.shape[1]) / r**2 + a.T @ a / tau**2
    return np.linalg.solve(precision, to_vector(d.numpy(), case.real)[0] / r**2 + a.T @ y / tau**2), precision


def check(x, mean, precision):
    """Bias within the statistical error, and the covariance that of the Gaussian in every direction."""
    root = np.linalg.cholesky(precision)
    white = (x - mean) @ root
    n = len(mean)
    assert np.sqrt(np.mean(white.mean(0) ** 2)) == pytest.approx(1 / math.sqrt(len(x)), rel=0.5)
    assert np.mean(white**2) == pytest.approx(1, abs=0.02)
    values = np.linalg.eigvalsh(np.cov(white.T))
    edge = math.sqrt(n / len(x))  # of a sample covariance of so many draws, Marchenko & Pastur 1967
    assert (1 - 1.2 * edge) ** 2 < values.min() and values.max() < (1 + 1.2 * edge) ** 2


def estimate(case):
    return torch.from_numpy(case.mu) + 0.3 * case.noise(1, 8)()


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize("spread", ["sigma", "posterior"])
def test_draws_have_the_mean_and_the_covariance_of_the_posterior(case, spread):
    d = estimate(case)
    r = SIGMA if spread == "sigma" else SIGMA * S / math.sqrt(SIGMA**2 + S**2)
    check(draws(case, d, spread=spread), *gaussian(case, d, r, case.noise_std / math.sqrt(2)))


def test_the_noise_of_the_data_is_at_least_tau():
    case = CASES[1]
    d = estimate(case)
    for tau in (0.1, 0.7):
        mean, _ = gaussian(case, d, SIGMA, max(tau, case.noise_std / math.sqrt(2)))
        np.testing.assert_allclose(draws(case, d, 1, quiet=1, tau=tau)[0], mean, atol=1e-4)


def test_gamma_weights_the_data():
    case = CASES[3]
    d = estimate(case)
    mean, precision = gaussian(case, d, SIGMA, case.noise_std / math.sqrt(2) / math.sqrt(4))
    check(draws(case, d, gamma=4.0), mean, precision)


def test_data_without_noise_are_met_by_every_draw():
    case = LinearCase((5, 5), 1, False, 0.0)
    x = draws(case, estimate(case), 20, tau=0.0)
    y = np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    np.testing.assert_allclose(x @ case.matrix.T, np.broadcast_to(y, (20, len(y))), atol=1e-4)
    assert x.std(0).mean() > 0.1


@pytest.mark.parametrize("width", [0.3, 0.7])
def test_a_part_of_the_spread_is_a_narrower_gaussian(width):
    case = CASES[1]
    d = estimate(case)
    check(draws(case, d, width=width), *gaussian(case, d, width * SIGMA, case.noise_std / math.sqrt(2)))
