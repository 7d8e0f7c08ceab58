import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_form import LinearCase, to_vector

from napari_lossguide.guidance.null_space import NullSpaceGuidance, NullSpaceParams
from napari_lossguide.guidance.proximal import ProximalGuidance, ProximalParams
from napari_lossguide.operators.fourier import fft2c

NOISE = 0.3  # E|n|^2 = NOISE^2
ONE_COIL = [LinearCase((8, 6), 1, True, NOISE), LinearCase((7, 9), 1, False, NOISE)]
COILS = [LinearCase((7, 9), 3, True, NOISE), LinearCase((8, 6), 3, False, NOISE)]
PARAMS = NullSpaceParams(iterations=100, tolerance=1e-6)
case_of = pytest.mark.parametrize("case", [*ONE_COIL, *COILS], ids=["real", "complex", "coils-real", "coils-complex"])
one_coil = pytest.mark.parametrize("case", ONE_COIL, ids=["real", "complex"])


def guide(case, fresh, noise=None):
    out = NullSpaceGuidance(case.problem(), case.s, noise)
    out.expect_fresh(fresh)
    return out


def estimate(case, n=2):
    """Any image that does not fit the data."""
    return case.noise(n)()


def spectrum(case, guided):
    """Eigenvalue of A^H A and whether anything is measured, at every frequency."""
    own = guided.problem.A.eigenvalues(real=case.real)
    return own, own > 0


@case_of
def test_data_without_noise_are_met_as_ddnm_meets_them(case):
    clean = replace(case, noise_std=0.0)
    d = estimate(clean)
    hard = ProximalGuidance(clean.problem(), clean.s)
    expected = hard.correct_estimate(d, d, 1.0, ProximalParams(weight="hard", iterations=100, tolerance=1e-6))
    guided = guide(clean, 0.1)
    np.testing.assert_allclose(guided.correct_estimate(d, d, 1.0, PARAMS), expected, atol=1e-5)
    z = estimate(clean)
    np.testing.assert_array_equal(guided.shape_noise(z, 0.1, PARAMS), 0.1 * z)


@case_of
def test_the_last_step_is_the_networks(case):
    d = estimate(case)
    np.testing.assert_allclose(guide(case, 0.0).correct_estimate(d, d, 0.01, PARAMS), d, atol=1e-6)


@case_of
def test_much_fresh_noise_meets_the_data(case):
    d = estimate(case)
    x0 = guide(case, 50.0).correct_estimate(d, d, 60.0, PARAMS)
    y = np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    left = [np.linalg.norm(case.matrix.T @ (case.matrix @ v - y)) for v in to_vector(x0.numpy(), case.real)]
    assert max(left) < 1e-3 * np.linalg.norm(case.matrix.T @ y)


@one_coil
@pytest.mark.parametrize("fresh", [0.05, 0.22, 1.0])
def test_noise_of_the_data_and_fresh_noise_together_have_the_variance_of_the_step(case, fresh):
    """At each frequency: lambda^2 var(A^+ n) + var(shaped) = f^2, and lambda as large as that allows."""
    noise = case.noise(4000)
    guided = guide(case, fresh)
    eigenvalues, known = spectrum(case, guided)
    d = estimate(case, 1)
    moved = guided.correct_estimate(d, d, 1.0, PARAMS) - d
    full = guide(case, 1e6).correct_estimate(d, d, 1.0, PARAMS) - d
    share = ((fft2c(moved) / fft2c(full)).real)[0][known]
    sigma_y = NOISE / math.sqrt(2) / eigenvalues[known].sqrt()
    torch.testing.assert_close(share, (fresh / sigma_y).clamp(max=1.0), atol=1e-3, rtol=0)
    channels = 1 if case.real else 2
    found = fft2c(guided.shape_noise(noise(), fresh, PARAMS)).abs().square().mean(0) / channels
    torch.testing.assert_close(found[~known], torch.full_like(found[~known], fresh**2), rtol=0.15, atol=0)
    total = found[known] + share**2 * sigma_y**2
    torch.testing.assert_close(total, torch.full_like(total, fresh**2), rtol=0.15, atol=0)


@pytest.mark.parametrize("case", COILS, ids=["real", "complex"])
def test_several_coils_are_taken_as_of_singular_values_of_one(case):
    d, z = estimate(case), estimate(case)
    sigma_y = NOISE / math.sqrt(2)
    whole = guide(case, 10.0).correct_estimate(d, d, 1.0, PARAMS) - d
    half = guide(case, sigma_y / 2).correct_estimate(d, d, 1.0, PARAMS) - d
    torch.testing.assert_close(half, whole / 2, atol=1e-5, rtol=1e-4)
    shaped = guide(case, sigma_y / 2).shape_noise(z, sigma_y / 2, PARAMS)
    values, modes = case.modes
    left = to_vector(shaped.numpy(), case.real) @ modes
    assert np.abs(left[:, values > 0.05]).max() < 0.05 * sigma_y  # the data bring all of it


@case_of
def test_strength_takes_the_data_for_less_noisy(case):
    d = estimate(case)
    fresh = NOISE / math.sqrt(2) / 4
    moved = [
        guide(case, fresh).correct_estimate(d, d, 1.0, PARAMS.model_copy(update={"gamma": g})) - d for g in (1.0, 4.0)
    ]
    torch.testing.assert_close(moved[1], 2 * moved[0], atol=1e-5, rtol=1e-4)
