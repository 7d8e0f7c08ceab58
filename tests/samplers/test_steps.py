"""One step of each sampler against its formula, and what they all have to do."""

import math

import pytest
import torch

from napari_lossguide.guidance.base import Guidance
from napari_lossguide.recon.methods import SAMPLERS
from napari_lossguide.samplers.ancestral import AncestralSampler
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.decoupled import DecoupledSampler
from napari_lossguide.samplers.heun import HeunSampler
from napari_lossguide.samplers.langevin import LangevinSampler
from napari_lossguide.samplers.predictor_corrector import PredictorCorrectorSampler
from napari_lossguide.samplers.red_diff import RedDiffSampler

SIGMA, NEXT = 1.3, 0.4


def draw(seed, dtype=torch.complex64):
    return torch.randn((2, 3, 4), generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Shift(Guidance):
    """Adds one to the state and two to the estimate, so that each can be seen; times what the knob says."""

    def __init__(self):
        pass

    def correct_state(self, x, sigma, params):
        return x + params

    def correct_estimate(self, d, x, sigma, params):
        return d + 2 * params

    def langevin(self, x, d, sigma, step, params):
        return x + step * (d - x)


def denoise(x, sigma):
    return x / (1 + sigma) + 0.1


def first(sampler, x, z, shift=1.0, sigmas=(SIGMA, NEXT, 0.0), **params):
    knobs = sampler.Params(**params)
    return next(sampler.steps(denoise, Shift(), x, sigmas, lambda i: (knobs, shift), lambda: z))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("direction", ["network", "estimate"])
def test_ddim(dtype, eta, direction):
    x, z = draw(0, dtype), draw(1, dtype)
    step = first(DDIMSampler, x, z, eta=eta, direction=direction)
    d = denoise(x + 1, SIGMA)
    torch.testing.assert_close(step.x0, d + 2)
    e = (x + 1 - (d if direction == "network" else d + 2)) / SIGMA
    torch.testing.assert_close(step.x, d + 2 + NEXT * (math.sqrt(1 - eta**2) * e + eta * z))
    assert step.x.dtype == dtype
    assert step.params["sampler.eta"] == eta


def test_ddim_without_guidance_is_the_papers_formula_in_its_own_units():
    """Song et al. 2021, eq. 12, on u = sqrt(abar) x: what is drawn anew is not kept."""
    x, z, eta = draw(0), draw(1), 0.7
    abar, abar_next = 1 / (1 + SIGMA**2), 1 / (1 + NEXT**2)
    u = math.sqrt(abar) * x
    d = denoise(x, SIGMA)
    epsilon = (u - math.sqrt(abar) * d) / math.sqrt(1 - abar)
    std = eta * math.sqrt(1 - abar_next)
    expected = math.sqrt(abar_next) * d + math.sqrt(1 - abar_next - std**2) * epsilon + std * z
    step = first(DDIMSampler, x, z, shift=0.0, eta=eta)
    torch.testing.assert_close(math.sqrt(abar_next) * step.x, expected)


def test_ancestral_beta_is_the_ddpms_in_its_own_units():
    """Ho et al. 2020, algorithm 2: u' = (u - beta/sqrt(1 - abar) epsilon)/sqrt(alpha) + sqrt(beta) z."""
    x, z = draw(0), draw(1)
    abar, abar_next = 1 / (1 + SIGMA**2), 1 / (1 + NEXT**2)
    alpha = abar / abar_next
    beta = 1 - alpha
    u = math.sqrt(abar) * x
    epsilon = (u - math.sqrt(abar) * denoise(x, SIGMA)) / math.sqrt(1 - abar)
    expected = (u - beta / math.sqrt(1 - abar) * epsilon) / math.sqrt(alpha) + math.sqrt(beta) * z
    step = first(AncestralSampler, x, z, shift=0.0, variance="beta")
    torch.testing.assert_close(math.sqrt(abar_next) * step.x, expected)


def test_ancestral_posterior_is_the_ddpms_smaller_variance():
    """beta~ = (1 - abar')/(1 - abar) beta, the variance of q(u' | u, u0)."""
    x, z = draw(0), draw(1)
    abar, abar_next = 1 / (1 + SIGMA**2), 1 / (1 + NEXT**2)
    smaller = (1 - abar_next) / (1 - abar) * (1 - abar / abar_next)
    step = first(AncestralSampler, x, z, shift=0.0, variance="posterior")
    mean = first(AncestralSampler, x, 0 * z, shift=0.0, variance="posterior").x
    torch.testing.assert_close(math.sqrt(abar_next) * (step.x - mean), math.sqrt(smaller) * z)


def test_ancestral_uses_the_corrected_state_and_estimate():
    x, z = draw(0), draw(1)
    step = first(AncestralSampler, x, 0 * z)
    x0 = denoise(x + 1, SIGMA) + 2
    torch.testing.assert_close(step.x0, x0)
    torch.testing.assert_close(step.x, x0 + (NEXT / SIGMA) ** 2 * (x + 1 - x0))


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_every_sampler_walks_the_whole_path_and_ends_with_its_estimate(sampler):
    sigmas, seen, read = [3.0, 1.0, 0.3, 0.0], [], []

    def watched(x, sigma):
        seen.append(sigma)
        return denoise(x, sigma)

    def knobs(i):
        read.append(i)
        return sampler.Params(), float(i)

    steps = list(sampler.steps(watched, Shift(), draw(0), sigmas, knobs, Draws()))
    assert len(seen) == sampler.evaluations(sampler.Params(), 3) == steps[-1].nfe
    assert sorted(set(read)) == [0, 1, 2] and read[-3:] == [0, 1, 2]  # once a step
    assert [(s.index, s.total, s.sigma) for s in steps] == [(i, 3, sigmas[i]) for i in range(3)]
    torch.testing.assert_close(steps[-1].x, steps[-1].x0)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_steps_are_lazy_and_leave_their_input_alone(sampler):
    x, count = draw(0), []

    def counted(state, sigma):
        count.append(1)
        return denoise(state, sigma)

    kept = x.clone()
    steps = sampler.steps(counted, Shift(), x, [3.0, 1.0, 0.0], lambda i: (sampler.Params(), 1.0), Draws())
    assert count == []
    next(steps)
    assert 0 < len(count) <= sampler.evaluations(sampler.Params(), 1) + 1  # a second one for Heun
    assert torch.equal(x, kept)


@pytest.mark.parametrize("sampler", [DDIMSampler, AncestralSampler])
def test_corrections_of_state_and_estimate_are_where_the_network_is(sampler):
    steps = list(sampler.steps(denoise, Shift(), draw(0), [1.0, 0.3, 0.0], lambda i: (sampler.Params(), i), Draws()))
    torch.testing.assert_close(steps[-1].x0, denoise(steps[0].x + 1, 0.3) + 2)


def test_heun_is_the_papers_algorithm_and_euler_is_ddim_without_noise():
    """Karras et al. 2022, algorithm 1, on a denoiser without guidance."""
    x = draw(0)
    slope = (x - denoise(x, SIGMA)) / SIGMA
    end = x + (NEXT - SIGMA) * slope
    slope_end = (end - denoise(end, NEXT)) / NEXT
    step = first(HeunSampler, x, x * 0, shift=0.0)
    torch.testing.assert_close(step.x, x + (NEXT - SIGMA) * (slope + slope_end) / 2)
    assert step.nfe == 2
    euler = first(HeunSampler, x, x * 0, shift=0.0, order="euler")
    torch.testing.assert_close(euler.x, first(DDIMSampler, x, x * 0, shift=0.0, eta=0.0).x)


def test_churn_adds_the_noise_it_takes_away():
    x, z = draw(0), draw(1)
    raised = SIGMA * min(1 + 1.0 / 2, 2**0.5)
    expected = first(HeunSampler, x + (raised**2 - SIGMA**2) ** 0.5 * z, z, shift=0.0, sigmas=(raised, NEXT, 0.0))
    step = first(HeunSampler, x, z, shift=0.0, churn=1.0)
    torch.testing.assert_close(step.x, expected.x)
    assert step.sigma == pytest.approx(raised)


def test_predictor_and_corrector_are_the_papers():
    """Song et al. 2021, algorithms 2 and 4, written out for one image of a batch."""
    x, z = draw(0), draw(1)
    step = first(PredictorCorrectorSampler, x, z, shift=0.0, snr=0.3)
    score = (denoise(x, SIGMA) - x) / SIGMA**2
    eps = 2 * (0.3 * torch.linalg.norm(z[1]) / torch.linalg.norm(score[1])) ** 2
    moved = x[1] + eps * score[1] + (2 * eps).sqrt() * z[1]
    change = SIGMA**2 - NEXT**2
    expected = moved + change * (denoise(moved, SIGMA) - moved) / SIGMA**2 + change**0.5 * z[1]
    torch.testing.assert_close(step.x[1], expected)


def test_langevin_steps_are_the_papers():
    x, z = draw(0), draw(1)
    step = first(LangevinSampler, x, z, shift=0.0, step=0.1, repeats=1)
    a = 0.1 * SIGMA**2
    torch.testing.assert_close(step.x, x + a * (denoise(x, SIGMA) - x) / SIGMA**2 + (2 * a) ** 0.5 * z)


def test_decoupled_noises_the_end_of_the_flow():
    x, z = draw(0), draw(1)
    step = first(DecoupledSampler, x, z, shift=0.0, flow_steps=1)
    torch.testing.assert_close(step.x, denoise(x, SIGMA) + NEXT * z)


def test_red_diff_is_adam_on_the_papers_gradient():
    """Its first step has the size of the learning rate, against the sign of the gradient."""
    x, z = draw(0, torch.float32), draw(1, torch.float32)
    step = first(RedDiffSampler, x, z, shift=1.0, weight=0.5, learning_rate=0.05)
    mu = x * 0 + 2  # the guidance's estimate of nothing
    e = (mu + SIGMA * z - denoise(mu + SIGMA * z, SIGMA)) / SIGMA
    gradient = -2 + 0.5 * SIGMA * (e - z)
    torch.testing.assert_close(step.x, mu - 0.05 * gradient.sign())


class Draws:
    """Unit noise that is always the same."""

    def __call__(self):
        return draw(1)

    def of_data(self, coils):
        return draw(1)[:, None].expand(-1, coils, -1, -1)


def walked(params, draws, sigmas):
    """DDIM with an estimate that is the state: what the sampler itself adds. Returns the steps."""

    source = iter(draws)
    noise = lambda: next(source)  # noqa: E731
    start = torch.zeros(1, 2, 2)
    return list(DDIMSampler.steps(lambda x, s: 0.5 * x, Shift(), start, sigmas, lambda i: (params, 0.0), noise))


def test_averaging_takes_the_noise_in_pairs_and_follows_its_equation():
    """v' = (x0 + x0_before)/2 + kappa (v - v_before) and x' = v' +- sigma' z, written out; the last state is x0."""
    sigmas = [4.0, 1.0, 0.5, 0.25, 0.125, 0.0]
    z = [torch.full((1, 2, 2), float(k)) for k in (1, 2, 3, 5)]
    params = DDIMSampler.Params(eta=1.0, average_below=1.0, momentum=0.5)
    steps = walked(params, z, sigmas)
    x = v = torch.zeros(1, 2, 2)
    before, move = None, 0.0
    signed = [z[0], -z[0], z[1], -z[1], z[2]]
    for i, (step, sigma, after) in enumerate(zip(steps, sigmas, sigmas[1:], strict=False)):
        x0 = 0.5 * x
        if 0 < i < 4:
            v, move = (x0 + before) / 2 + 0.5 * move, (x0 + before) / 2 + 0.5 * move - v
        else:
            v = x0
        before = x0
        x = v + after * signed[i]
        torch.testing.assert_close(step.x0, x0)
        torch.testing.assert_close(step.x, x)
        assert step.sigma == sigma
    torch.testing.assert_close(steps[-1].x, steps[-1].x0)


def test_without_averaging_every_level_has_noise_of_its_own():
    sigmas = [4.0, 1.0, 0.5, 0.0]
    z = [torch.full((1, 2, 2), float(k)) for k in (1, 2, 3)]
    steps = walked(DDIMSampler.Params(eta=1.0), z, sigmas)
    x = torch.zeros(1, 2, 2)
    for step, after, own in zip(steps, sigmas[1:], z, strict=True):
        x = 0.5 * x + after * own
        torch.testing.assert_close(step.x, x)
