"""The proximal correction against the dense solution of its least-squares problem."""

import numpy as np
import pytest
import torch
from closed_form import LinearCase, to_vector

from napari_lossguide.guidance.proximal import ProximalGuidance, ProximalParams

CASES = [
    LinearCase(shape, coils, real, 0.2)
    for shape in ((8, 6), (7, 9))
    for coils, real in ((1, True), (1, False), (3, True), (3, False))
]
EXACT = {"iterations": 200, "tolerance": 1e-6}


def name(case):
    return f"{case.shape[0]}x{case.shape[1]}-{case.coils}coil-{'real' if case.real else 'complex'}"


def dense(case, d, weight):
    """argmin_v |A v - y|^2 + |v - d|^2 / weight in real channels; weight inf: the nearest of the best fits."""
    A, y = case.matrix, np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    out = []
    for v in to_vector(d.numpy(), case.real):
        if np.isinf(weight):
            out.append(v + np.linalg.pinv(A, rcond=1e-5) @ (y - A @ v))
        else:
            out.append(np.linalg.solve(A.T @ A + np.eye(len(v)) / weight, A.T @ y + v / weight))
    return np.array(out)


def correct(case, d, sigma, sigma_data=0.5, **params):
    return ProximalGuidance(case.problem(), sigma_data).correct_estimate(d, d, sigma, ProximalParams(**params))


def estimates(case):
    return case.noise(2, 7)() + torch.from_numpy(case.mu)


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize("sigma", [0.05, 0.6, 8.0])
@pytest.mark.parametrize("weight", ["posterior", "noise", "constant"])
def test_solves_its_least_squares_problem(case, sigma, weight):
    """The weights by their papers: w = gamma 2 r^2 / noise_std^2, r = sigma or std(x0 | x), and DDS's gamma."""
    gamma, s = 1.7, 0.5
    w = {
        "posterior": gamma * 2 * (sigma**2 * s**2 / (sigma**2 + s**2)) / case.noise_std**2,
        "noise": gamma * 2 * sigma**2 / case.noise_std**2,
        "constant": gamma,
    }[weight]
    d = estimates(case)
    got = correct(case, d, sigma, s, gamma=gamma, weight=weight, **EXACT)
    assert got.dtype == d.dtype
    scale = np.abs(dense(case, d, w)).max()
    np.testing.assert_allclose(to_vector(got.numpy(), case.real), dense(case, d, w), atol=2e-3 * scale)
    if case.coils == 1:  # well conditioned
        np.testing.assert_allclose(to_vector(got.numpy(), case.real), dense(case, d, w), atol=2e-5)


@pytest.mark.parametrize("case", [c for c in CASES if c.coils == 1], ids=name)
def test_hard_weight_meets_the_data_and_moves_nothing_else(case):
    d = estimates(case)
    got = correct(case, d, 1.0, weight="hard", **EXACT)
    np.testing.assert_allclose(to_vector(got.numpy(), case.real), dense(case, d, np.inf), atol=2e-5)
    if not case.real:  # an image that is real cannot meet noisy data
        fitted = case.problem().A.forward(got)[:, 0, case.mask]
        expected = torch.from_numpy(case.y)[:, case.mask].expand_as(fitted)
        torch.testing.assert_close(fitted, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("weight", ["posterior", "noise"])
def test_data_without_noise_are_met_exactly(weight):
    case = LinearCase((7, 9), 1, False, 0.0)
    got = correct(case, estimates(case), 0.3, weight=weight, **EXACT)
    fitted = case.problem().A.forward(got)
    torch.testing.assert_close(fitted, case.problem().y.expand_as(fitted), atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_what_is_already_the_best_fit_stays(case):
    """Also where the residual is rounding alone, in a singular system: it used to be divided by nothing."""
    d = estimates(case)
    for _ in range(3):
        d = correct(case, d, 1.0, weight="hard", **EXACT)
    again = correct(case, d, 1.0, weight="hard", **EXACT)
    tolerance = 1e-4 if case.coils == 1 else 0.05
    torch.testing.assert_close(again, d, atol=tolerance, rtol=0)


def test_state_is_left_alone():
    case = CASES[0]
    x = estimates(case)
    assert ProximalGuidance(case.problem(), 0.5).correct_state(x, 1.0, ProximalParams()) is x


def test_larger_gamma_is_nearer_to_the_data():
    case = LinearCase((7, 9), 3, False, 0.5)
    d = estimates(case)

    def misfit(gamma):
        x = correct(case, d, 0.3, gamma=gamma, **EXACT)
        return float(torch.linalg.vector_norm(case.problem().A.forward(x) - case.problem().y))

    misfits = [misfit(g) for g in (0.01, 0.1, 1.0, 10.0, 100.0)]
    assert misfits == sorted(misfits, reverse=True)
    assert misfits[0] > 2 * misfits[-1]


def test_iterations_are_limited_and_the_default_is_enough_for_one_coil():
    case = LinearCase((7, 9), 1, False, 0.2)
    d = estimates(case)
    exact = correct(case, d, 0.3, **EXACT)
    torch.testing.assert_close(correct(case, d, 0.3), exact, atol=1e-3, rtol=0)
    several = LinearCase((7, 9), 3, False, 0.02)
    far = correct(several, estimates(several), 0.3, iterations=1)
    assert float((far - correct(several, estimates(several), 0.3, **EXACT)).abs().max()) > 0.05


def test_a_sample_does_not_depend_on_its_batch():
    case = LinearCase((7, 9), 3, False, 0.05)
    d = estimates(case) * torch.tensor([1.0, 100.0])[:, None, None]
    together = correct(case, d, 0.3)
    for i in range(2):
        torch.testing.assert_close(together[i : i + 1], correct(case, d[i : i + 1], 0.3), atol=1e-4, rtol=1e-4)
