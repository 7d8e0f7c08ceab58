"""The thesis's update against automatic differentiation of its loss, and what the mended one does otherwise."""

import math

import numpy as np
import pytest
import torch
from closed_form import LinearCase, dense_sense

from napari_lossguide.guidance.classifier import ClassGuidance, ClassParams
from napari_lossguide.guidance.loss_guidance import (
    LossGuidance,
    LossParams,
    ThesisLossGuidance,
    ThesisParams,
    thesis_factor,
)
from napari_lossguide.operators.fourier import fft2c

SHAPES = [(12, 10), (9, 11)]


def states(case, batch=3, seed=5):
    return case.noise(batch, seed)() + torch.from_numpy(case.mu)


def gradient_by_hand(case, x):
    """A^H (y - A x) with the dense matrix, its real part for a real image."""
    a = dense_sense(case.mask, case.maps)
    step = [a.conj().T @ (case.y.ravel() - a @ u.ravel()) for u in x.numpy()]
    step = np.reshape(step, x.shape)
    return torch.from_numpy(step.real if case.real else step).to(x.dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("coils", "real"), [(1, True), (1, False), (4, False), (4, True)])
@pytest.mark.parametrize("sigma", [0.0, 0.7, 20.0])
def test_thesis_update_is_u_plus_eta_re_adjoint_residual(shape, coils, real, sigma):
    case = LinearCase(shape, coils, real, 0.1)
    u = states(case)
    norm = math.sqrt(1 + sigma**2)
    x = ThesisLossGuidance(case.problem(), 0.5).correct_state(norm * u, sigma, ThesisParams(strength=0.8))
    torch.testing.assert_close(x / norm, u + 0.8 * gradient_by_hand(case, u), atol=3e-6, rtol=3e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 4])
def test_thesis_update_is_a_step_down_its_own_loss(shape, batch):
    """u <- u - g grad_u [mse(M F u, y) / mean(M)], mse over batch, pixels and both channels of k-space."""
    case = LinearCase(shape, 1, True, 0.0)
    problem, strength = case.problem(), 0.5
    mask, coverage = torch.from_numpy(case.mask), float(case.mask.mean())
    u = states(case, batch).requires_grad_()
    measured = torch.view_as_real((mask * fft2c(u))[:, None])
    target = torch.view_as_real(problem.y.expand(batch, -1, -1, -1))
    loss = torch.nn.functional.mse_loss(measured, target) / coverage
    (gradient,) = torch.autograd.grad(loss, u)
    g = thesis_factor(strength, batch=batch, shape=shape, coverage=coverage)
    assert g == pytest.approx(strength * batch * case.mask.sum())
    u = u.detach()
    expected = u - g * gradient
    got = ThesisLossGuidance(problem, 0.5).correct_state(u, 0.0, ThesisParams(strength=strength))
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=2e-6)
    assert float((expected - u).abs().max()) > 0.1


def test_strength_does_not_depend_on_the_batch_and_samples_do_not_mix():
    case = LinearCase((9, 11), 4, False, 0.1)
    for kind, params in ((ThesisLossGuidance, ThesisParams()), (LossGuidance, LossParams(target="state"))):
        guide, x = kind(case.problem(), 0.5), states(case)
        torch.testing.assert_close(guide.correct_state(x, 1.0, params)[1:2], guide.correct_state(x[1:2], 1.0, params))


def measured(case, x):
    """Mean over the mask of F x / y."""
    k = fft2c(x)[:, case.mask]
    return float((k.abs() / torch.from_numpy(case.y)[0, case.mask].abs()).median())


def test_thesis_is_biased_at_high_noise_and_the_mended_update_is_not():
    """Strength 1 puts the measured points of x at sqrt(1 + sigma^2) y, the mended one at y."""
    case = LinearCase((9, 11), 1, False, 0.0)
    x, problem = states(case), case.problem()
    for sigma in (0.0, 1.0, 5.0):
        old = ThesisLossGuidance(problem, 0.5).correct_state(x, sigma, ThesisParams(strength=1.0))
        new = LossGuidance(problem, 0.5).correct_state(x, sigma, LossParams(strength=1.0, target="state"))
        assert measured(case, old) == pytest.approx(math.sqrt(1 + sigma**2), rel=1e-3)
        assert measured(case, new) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("sigma", [0.1, 10.0])
def test_mended_update_corrects_its_target_and_nothing_else(sigma):
    case = LinearCase((9, 11), 4, False, 0.1)
    x, guide = states(case), LossGuidance(case.problem(), 0.5)
    expected = x + 0.6 * gradient_by_hand(case, x)
    on_state, on_estimate = LossParams(strength=0.6, target="state"), LossParams(strength=0.6, target="estimate")
    torch.testing.assert_close(guide.correct_state(x, sigma, on_state), expected, atol=3e-6, rtol=3e-6)
    torch.testing.assert_close(guide.correct_estimate(x, x, sigma, on_estimate), expected, atol=3e-6, rtol=3e-6)
    assert guide.correct_state(x, sigma, on_estimate) is x
    assert guide.correct_estimate(x, x, sigma, on_state) is x


def test_strength_zero_and_no_guidance_leave_everything():
    case = LinearCase((9, 11), 1, True, 0.1)
    x, problem = states(case), case.problem()
    none = ClassGuidance(problem, 0.5)
    assert none.correct_state(x, 1.0, ClassParams()) is x and none.correct_estimate(x, x, 1.0, ClassParams()) is x
    thesis = ThesisLossGuidance(problem, 0.5)
    torch.testing.assert_close(thesis.correct_state(x, 1.0, ThesisParams(strength=0)), x)
    assert thesis.correct_estimate(x, x, 1.0, ThesisParams()) is x


@pytest.mark.parametrize("coils", [1, 4])
def test_two_is_the_limit_of_stability(coils):
    case = LinearCase((9, 11), coils, False, 0.0)
    guide = LossGuidance(case.problem(), 0.5)

    def misfit(strength):
        x = states(case)
        for _ in range(200):
            x = guide.correct_estimate(x, x, 1.0, LossParams.model_construct(strength=strength, target="estimate"))
        return float(torch.linalg.vector_norm(case.problem().A.forward(x) - case.problem().y))

    start = float(torch.linalg.vector_norm(case.problem().A.forward(states(case)) - case.problem().y))
    assert misfit(1.9) < 0.5 * start
    assert misfit(2.3) > 10 * start
