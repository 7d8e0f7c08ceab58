"""Every sampler with every guidance against the closed-form posterior of a Gaussian prior.

x0 ~ N(mu, s^2) per channel and y = A x0 + n, E|n|^2 = noise_std^2, have a Gaussian posterior, which ``closed_form``
computes densely. The prior's denoiser is affine, and so is each guidance: hence every sampler is affine in its noise. A
sample whose noise is always zero follows the sampler's own mean *exactly*: biases are seen without a statistical
error; spreads come from the other samples. Errors are in units of the posterior's standard deviation, mode by mode of
A^H A.

Where a guidance takes account of the noise, y is noisy and all modes count ("noisy"). Where it does not, y is free of
noise; then measured modes must equal y and unmeasured ones follow the prior ("clean"; units of s, modes in between left
out).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_form import LinearCase, to_vector
from tiny import collect

from napari_lossguide.data.kdata import KData
from napari_lossguide.guidance.annealed_likelihood import AnnealedLikelihood
from napari_lossguide.guidance.classifier import ClassGuidance, ClassifierGuidance
from napari_lossguide.guidance.gaussian_draw import GaussianDraw
from napari_lossguide.guidance.inpainting import Inpainting
from napari_lossguide.guidance.loss_guidance import LossGuidance, ThesisLossGuidance
from napari_lossguide.guidance.null_space import NullSpaceGuidance
from napari_lossguide.guidance.posterior_sampling import PosteriorSampling
from napari_lossguide.guidance.preconditioned import PreconditionedLangevin
from napari_lossguide.guidance.proximal import ProximalGuidance
from napari_lossguide.guidance.pseudoinverse import PseudoinverseGuidance
from napari_lossguide.guidance.replacement import FrequencyReplacement
from napari_lossguide.priors.analytic import GaussianPrior, MixturePrior
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.methods import GUIDANCES as GUIDED
from napari_lossguide.recon.methods import METHODS, combinations
from napari_lossguide.recon.methods import SAMPLERS as REGISTERED
from napari_lossguide.recon.problem import make_problem
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.samplers import path
from napari_lossguide.samplers.ancestral import AncestralSampler
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.decoupled import DecoupledSampler
from napari_lossguide.samplers.heun import HeunSampler
from napari_lossguide.samplers.langevin import LangevinSampler
from napari_lossguide.samplers.predictor_corrector import PredictorCorrectorSampler
from napari_lossguide.samplers.pula import PulaSampler
from napari_lossguide.samplers.red_diff import RedDiffSampler
from napari_lossguide.samplers.schedules import KarrasSchedule

NOISE = 0.3
CASES = [
    LinearCase((8, 6), 1, True, NOISE),
    LinearCase((7, 9), 1, False, NOISE),
    LinearCase((7, 9), 3, True, NOISE),
    LinearCase((8, 6), 3, False, NOISE),
]
SCHEDULE = KarrasSchedule(steps=60, sigma_max=50, sigma_min=0.01)
CG = {"iterations": 25, "tolerance": 1e-5}

SAMPLERS = {
    "ode": (DDIMSampler, {"eta": 0.0}),
    "half": (DDIMSampler, {"eta": 0.5}),
    "fresh": (DDIMSampler, {"eta": 1.0}),
    "averaged": (DDIMSampler, {"eta": 1.0, "average_below": 0.5, "momentum": 0.9}),
    "network": (DDIMSampler, {"eta": 0.85, "direction": "network"}),  # DDNM's and DDS's
    "beta": (AncestralSampler, {"variance": "beta"}),
    "posterior": (AncestralSampler, {"variance": "posterior"}),
    "heun": (HeunSampler, {}),
    "euler": (HeunSampler, {"order": "euler"}),
    "churn": (HeunSampler, {"churn": 20.0}),
    "corrected": (PredictorCorrectorSampler, {"snr": 0.16}),
    "langevin": (LangevinSampler, {"step": 0.2, "repeats": 3}),
    "decoupled": (DecoupledSampler, {"flow_steps": 1}),
    "flow": (DecoupledSampler, {"flow_steps": 5}),
    "red-diff": (RedDiffSampler, {"learning_rate": 0.02}),
    "pula": (PulaSampler, {"step": 0.5, "repeats": 2}),
}
GUIDANCES = {
    "posterior": (ProximalGuidance, {"weight": "posterior", **CG}, "noisy"),
    "noise": (ProximalGuidance, {"weight": "noise", **CG}, "noisy"),
    "constant": (ProximalGuidance, {"weight": "constant", **CG}, "clean"),
    "hard": (ProximalGuidance, {"weight": "hard", **CG}, "clean"),
    "null space": (NullSpaceGuidance, CG, "noisy"),
    "loss": (LossGuidance, {"strength": 1.0, "target": "estimate"}, "clean"),
    "loss on state": (LossGuidance, {"strength": 1.0, "target": "state"}, "clean"),
    "thesis": (ThesisLossGuidance, {"strength": 1.0}, "clean"),
    "none": (ClassGuidance, {}, "noisy"),
    "no class": (ClassifierGuidance, {"weight": "posterior", **CG}, "noisy"),
    "default": (ProximalGuidance, {}, "noisy"),
    "replacement": (FrequencyReplacement, {}, "clean"),
    "k-space noise": (FrequencyReplacement, {"noise": "k-space"}, "clean"),
    "score-mri": (FrequencyReplacement, {"noise": "none"}, "clean"),
    "gaussian filter": (FrequencyReplacement, {"filter": "gaussian"}, "clean"),
    "likelihood": (AnnealedLikelihood, {}, "noisy"),
    "dps": (PosteriorSampling, {"zeta": 0.3}, "noisy"),
    "pseudoinverse": (PseudoinverseGuidance, {"step": "bayes", **CG}, "noisy"),
    "adaptive": (PseudoinverseGuidance, {"step": "adaptive", **CG}, "noisy"),
    "draw": (GaussianDraw, {"spread": "posterior", "tau": 0.0, **CG}, "noisy"),
    "daps": (GaussianDraw, {"spread": "sigma", "tau": 0.0, **CG}, "noisy"),
    "preconditioned": (PreconditionedLangevin, {"tau": 0.01, **CG}, "noisy"),
}


def walk(case, sampler, guidance, batch, quiet=1, schedule=SCHEDULE, prior=None):
    """Last estimates in real channels, (batch, n)."""
    kind, params = SAMPLERS[sampler]
    guide, theirs, _ = GUIDANCES[guidance]
    prior = prior or GaussianPrior(torch.from_numpy(case.mu), case.s)
    sigmas, noise = schedule.sigmas(), case.noise(batch, quiet=quiet)
    guided = guide(case.problem(), prior.info.sigma_data, noise)
    knobs = kind.Params(**params), guide.Params(**theirs)
    *_, last = path.walk(kind, prior, guided, sigmas[0] * noise(), sigmas, lambda i: knobs, noise)
    return to_vector(last.x0.numpy(), case.real)


def aim(case, guidance):
    """The case, mean (n,), unit of each mode (n,) and groups of modes that a guidance is measured by."""
    regime = GUIDANCES[guidance][2]
    case = case if regime == "noisy" else replace(case, noise_std=0.0)
    mean, variance = case.posterior()
    values, _ = case.modes
    if guidance == "none":
        mean, variance = to_vector(case.mu, case.real), np.full_like(variance, case.s**2)
    if regime == "noisy":
        return case, mean, np.sqrt(variance), {"all": values >= 0}
    return case, mean, np.full_like(mean, case.s), {"measured": values > 0.3, "unmeasured": values < 1e-6}


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def measure(case, sampler, guidance, samples=48, **options):
    """Bias, and ratio of the spread to the right one, of each group of modes: {group: (bias, spread)}."""
    case, mean, unit, groups = aim(case, guidance)
    x = walk(case, sampler, guidance, samples + 1, **options)
    error = (x - mean) @ case.modes[1] / unit
    spread = error[1:] - error[1:].mean(0)
    correction = math.sqrt(samples / (samples - 1))
    return {g: (rms(error[0, m]), correction * rms(spread[:, m])) for g, m in groups.items() if m.any()}


# Bias (the largest of the cases) and spread of what the data decide, measured at 60 steps from sigma = 50:
# "noisy", ratio to the posterior's; "clean", 0 is right, in units of s. Bias 0 means exact; the reasons:
# * weight "posterior" is E[x0 | x, y] exactly, and so the mean is exact for every eta. At eta = 0 what is left of the
#   start (drawn around 0 and not around mu) is s mu / sigma_max, and no more; the spread is that of an Euler step.
# * keeping the *network's* noise points away from the data: with it the mean goes towards a fit of the noise.
# * weight "noise" (DiffPIR) has no prior variance in it and trusts the data too much while sigma > s.
# * "constant" and the loss guidances fit the data whatever their noise. Without noise they come to them step by step,
#   slowly for modes that are only partly measured: eigenvalues of A^H A below 1, of a real image or with many coils.
# * eta = 1 is under-dispersed by a third at any number of steps: each step draws from its own estimate's mean.
# * Averaging antithetic draws keeps the mean and takes most of the spread away: that is its purpose.
# * A draw of the clean image from its Gaussian given x and y, then noise ("draw", "decoupled"), is a chain of exact
#   kernels: mean and spread are right at any number of steps. DAPS's r = sigma, and the end of the flow in the place of
#   the mean ("flow"), are not: both are too wide at high noise.
# * Jacobians ("pseudoinverse") change nothing here: the prior is a Gaussian. PiGDM's adaptive step is smaller than
#   Bayes' while sigma > s, and so is late. DPS steps by a norm, not by a likelihood.
# * DDNM+ trusts the data while the fresh noise is larger than theirs, and the network where it is not: between the two
#   it does not weigh them against each other. It takes the singular values of several coils as one.
# * Jalal's likelihood is that of the noisy image: too weak while sigma > s.
# * Langevin steps of finite size are too wide (1.2 at a fifth of sigma^2); pULA's noise floor tau biases its mean.
# * RED-diff is an optimiser with noise in its gradient.
EXPECTED = {
    "posterior": {
        "ode": (0.025, 0.96),
        "half": (0.0, 0.93),
        "fresh": (0.0, 0.67),
        "averaged": (0.0, 0.17),
        "network": (0.33, 0.66),
        "beta": (0.0, 1.07),
        "posterior": (0.0, 0.92),
        "heun": (0.026, 1.0),
        "euler": (0.025, 0.96),
        "churn": (0.0, 1.02),
        "corrected": (0.0, 1.05),
        "langevin": (0.0, 1.23),
        "red-diff": (0.476, 0.165),
    },
    "noise": {"ode": (0.28, 0.86), "network": (0.34, 0.63), "beta": (0.17, 1.03)},
    "constant": {"ode": (0.124, 0.134), "network": (0.005, 0.017), "beta": (0.062, 0.086)},
    "hard": {"ode": (0.0, 0.0), "network": (0.0, 0.0), "beta": (0.0, 0.0)},
    "loss": {
        "ode": (0.062, 0.081),
        "half": (0.035, 0.051),
        "fresh": (0.003, 0.012),
        "network": (0.001, 0.010),
        "beta": (0.027, 0.048),
        "posterior": (0.027, 0.041),
    },
    "loss on state": {
        "ode": (0.001, 0.0),
        "half": (0.002, 0.006),
        "fresh": (0.004, 0.012),
        "network": (0.003, 0.010),
        "beta": (0.002, 0.010),
        "posterior": (0.002, 0.008),
    },
    "thesis": {
        "ode": (0.001, 0.0),
        "half": (0.001, 0.006),
        "fresh": (0.004, 0.012),
        "network": (0.002, 0.010),
        "beta": (0.002, 0.010),
        "posterior": (0.002, 0.008),
    },
    "draw": {"decoupled": (0.0, 0.99), "flow": (0.184, 1.07)},
    "daps": {"flow": (0.234, 1.09)},
    "preconditioned": {"pula": (0.058, 1.05)},
    "likelihood": {"langevin": (0.27, 1.19)},
    "dps": {"posterior": (0.488, None)},
    "pseudoinverse": {"fresh": (0.0, 0.67), "network": (0.334, 0.66), "heun": (0.026, 1.0)},
    "adaptive": {"fresh": (0.08, 0.69), "posterior": (0.51, 0.56)},
    "null space": {"network": (0.678, None), "half": (0.468, None), "beta": (0.558, None), "posterior": (0.5, None)},
    "replacement": {"beta": (0.001, 0.008), "posterior": (0.001, 0.006), "corrected": (0.0, 0.064)},
    "k-space noise": {"beta": (0.001, 0.007)},
    "score-mri": {"corrected": (0.0, 0.06)},
    "gaussian filter": {"beta": (0.001, 0.008)},
    "none": {
        "ode": (0.023, 0.96),
        "half": (0.0, 0.93),
        "fresh": (0.0, 0.68),
        "network": (0.0, 0.84),
        "beta": (0.0, 1.04),
        "posterior": (0.0, 0.93),
        "heun": (0.023, 1.0),
        "churn": (0.0, 1.02),
        "corrected": (0.0, 1.04),
        "langevin": (0.0, 1.2),
    },
}
EXPECTED["no class"] = EXPECTED["posterior"]  # nothing is stated: the proximal step alone
# The pairs that no preset has, on the first and the last case.
OTHERS = {
    "no class": {"decoupled": (0.0, 0.665)},
    "posterior": {"decoupled": (0.0, 0.665)},
    "loss": {"heun": (0.055, 0.062), "corrected": (0.027, 0.037), "langevin": (0.01, 0.025)},
    "thesis": {"heun": (0.001, 0.0), "corrected": (0.0005, 0.098), "langevin": (0.0005, 0.014)},
    "replacement": {"fresh": (0.003, 0.007), "heun": (0.001, 0.004), "langevin": (0.0, 0.006)},
    "likelihood": {
        "fresh": (0.146, 0.657),
        "posterior": (0.333, 0.826),
        "heun": (0.466, 0.393),
        "corrected": (0.333, 1.027),
        "decoupled": (0.146, 0.657),
        "red-diff": (0.395, 0.517),
    },
    "dps": {"fresh": (0.582, None)},
    "null space": {"decoupled": (0.596, None)},
    "pseudoinverse": {"posterior": (0.0, 0.923), "corrected": (0.0, 1.05), "langevin": (0.0, 1.237)},
    "draw": {
        "fresh": (0.0, 0.99),
        "posterior": (0.0, 0.985),
        "heun": (0.0245, 1.03),
        "corrected": (0.0, 1.136),
        "langevin": (0.0, 1.267),
        "red-diff": (0.431, 0.285),
    },
}
OTHERS["loss"] |= {"decoupled": (0.003, 0.009), "red-diff": (0.052, 0.028)}
UNMEASURED_SPREAD = {"ode": 0.97, "half": 0.90, "fresh": 0.66, "network": 0.82, "beta": 1.01, "posterior": 0.90}
UNMEASURED_SPREAD |= {"heun": 1.03, "corrected": 1.07, "langevin": 1.19, "decoupled": 0.65, "red-diff": 0.13}
UNMEASURED_BIAS = {"ode": 0.01, "heun": 0.01, "red-diff": 0.2}  # what is left of the start; Adam's early end
ROWS = [(g, s) for table in (EXPECTED, OTHERS) for g, row in table.items() for s in row]


def test_every_registered_sampler_and_guidance_is_in_the_table():
    """But for inpainting, which knows pixels and not k-space: see below."""
    pairs = {(REGISTERED[s], GUIDED[g]) for (s, g), why_not in combinations().items() if not why_not}
    presets = {(m.sampler, m.guidance) for m in METHODS.values() if m.needs_prior}
    tested = {(SAMPLERS[s][0], GUIDANCES[g][0]) for g, s in ROWS}
    assert {(s, g) for s, g in pairs | presets if g is not Inpainting} <= tested


@pytest.mark.parametrize(("guidance", "sampler"), ROWS)
def test_posterior(guidance, sampler):
    known = sampler in EXPECTED.get(guidance, {})
    bias, spread = (EXPECTED if known else OTHERS)[guidance][sampler]
    # noise, constant and hard are slow with many coils
    cases = CASES if known and guidance not in ("noise", "constant", "hard") else CASES[::3]
    found = [measure(case, sampler, guidance) for case in cases]
    if GUIDANCES[guidance][2] == "noisy":
        assert max(f["all"][0] for f in found) == pytest.approx(bias, rel=0.25, abs=5e-4)
        if spread is not None:  # DPS's depends on the norm of the residual, DDNM+'s on what share is measured at all
            assert [f["all"][1] for f in found] == pytest.approx([spread] * len(found), abs=0.05 + 0.2 * (bias > 0.2))
        return
    assert max(f["measured"][0] for f in found) == pytest.approx(bias, rel=0.25, abs=1e-3)
    assert max(f["measured"][1] for f in found) == pytest.approx(spread, rel=0.25, abs=1e-3)
    free = [f["unmeasured"] for f in found if "unmeasured" in f]
    assert free and max(b for b, _ in free) < UNMEASURED_BIAS.get(sampler, 5e-4)
    assert [s for _, s in free] == pytest.approx([UNMEASURED_SPREAD[sampler]] * len(free), abs=0.06)


@pytest.mark.parametrize("sampler", ["ode", "beta", "posterior"])
def test_more_steps_bring_the_right_covariance(sampler):
    """The Euler path of the probability flow, and the reverse kernels, are exact in the limit."""
    error = [
        abs(
            measure(CASES[1], sampler, "posterior", 128, schedule=SCHEDULE.model_copy(update={"steps": n}))["all"][1]
            - 1
        )
        for n in (30, 240)
    ]
    assert error[1] < 0.03 and error[0] > 0.06


def test_more_steps_do_not_help_fresh_noise():
    fine = SCHEDULE.model_copy(update={"steps": 240})
    bias, spread = measure(CASES[1], "fresh", "posterior", 64, schedule=fine)["all"]
    assert bias < 1e-3 and 0.6 < spread < 0.75


@pytest.mark.parametrize("sigma_max", [5.0, 50.0, 500.0])
def test_the_deterministic_path_remembers_its_start(sigma_max):
    """Drawn around 0 instead of around mu: a share s / sigma_max of mu is left."""
    case, mean, *_ = aim(CASES[0], "none")
    schedule = KarrasSchedule(steps=400, sigma_max=sigma_max, sigma_min=0.01)
    error = walk(case, "ode", "none", 1, schedule=schedule)[0] - mean
    assert rms(error) == pytest.approx(case.s / sigma_max * rms(mean), rel=0.15, abs=5e-5)


@pytest.mark.parametrize("case", CASES[2:], ids=["real", "complex"])
def test_the_default_conjugate_gradients_are_enough(case):
    exact, default = (walk(case, "fresh", guidance, 1) for guidance in ("posterior", "default"))
    assert rms(default - exact) < 2e-3


def test_loss_guidance_fits_the_noise_and_the_posterior_does_not():
    """Residuals |A x - y| / (noise_std sqrt(m)) of the means: what is exact without noise is too much with it."""
    case = CASES[1]
    y = np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])

    def residual(guidance):
        x = walk(case, "beta", guidance, 1)[0]
        return np.linalg.norm(case.matrix @ x - y) / (case.noise_std * math.sqrt(case.mask.sum()))

    expected = np.linalg.norm(case.matrix @ case.posterior()[0] - y) / (case.noise_std * math.sqrt(case.mask.sum()))
    assert residual("posterior") == pytest.approx(expected, rel=1e-3)
    assert expected > 0.1
    for guidance in ("loss", "loss on state", "thesis"):
        assert residual(guidance) < 0.2 * expected


def two_images(case):
    """A mixture of the case's mean image, nine times likelier, and of the same with a bump."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in case.shape), indexing="ij")
    bump = 2 * np.exp(-((y - 0.3) ** 2 + (x + 0.2) ** 2) / 0.2)
    means = torch.from_numpy(np.stack([case.mu, case.mu + bump.astype(case.mu.dtype)]))
    return means, MixturePrior(means, torch.tensor([0.9, 0.1]), case.s)


def share_of_the_second(case, means, x):
    distance = [np.linalg.norm(x - to_vector(m.numpy(), case.real), axis=1) for m in means]
    return float(np.mean(distance[1] < distance[0]))


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.coils}-{'real' if c.real else 'complex'}")
def test_of_two_images_the_one_that_the_data_show_is_found_though_the_prior_prefers_the_other(case):
    """Weight "posterior" is a Gaussian's, weak while the choice is open: without fresh noise it finds 70 to 90 %."""
    case = replace(case, s=0.2)
    means, prior = two_images(case)
    case.__dict__["truth"] = case.truth + (means[1] - means[0]).numpy()  # the same draw, from the second image
    for sampler, guidance, least in (
        ("fresh", "default", 0.9),
        ("network", "hard", 1.0),
        ("half", "noise", 1.0),
        ("beta", "loss", 1.0),
        ("beta", "thesis", 1.0),
        ("ode", "default", 0.6),
        ("heun", "posterior", 0.6),
        ("fresh", "adaptive", 0.5),
        ("decoupled", "draw", 1.0),
        ("flow", "daps", 1.0),
        ("posterior", "replacement", 1.0),
        ("corrected", "score-mri", 1.0),
        ("posterior", "dps", 1.0),
        ("langevin", "likelihood", 0.8),
        ("red-diff", "posterior", 1.0),
        ("pula", "preconditioned", 1.0),
    ):
        x = walk(case, sampler, guidance, 32, quiet=0, prior=prior)
        assert share_of_the_second(case, means, x) >= least, (sampler, guidance)


def test_without_data_the_images_come_as_often_as_the_prior_says():
    case = replace(CASES[1], s=0.2)
    means, prior = two_images(case)
    fine = SCHEDULE.model_copy(update={"steps": 150})
    for sampler in ("ode", "beta", "posterior"):
        x = walk(case, sampler, "none", 400, quiet=0, prior=prior, schedule=fine)
        assert share_of_the_second(case, means, x) == pytest.approx(0.1, abs=0.05), sampler


@pytest.mark.parametrize("case", [LinearCase((12, 11), 1, True, 0.2), LinearCase((12, 11), 3, False, 0.2)])
def test_posterior_through_the_whole_engine(case):
    """Scale, channels, noise convention and batches included: the mean of 64 samples of the default method."""
    kdata = KData(case.y[None], case.mask, real=case.real)
    problem = make_problem(kdata, 0, case.maps, real=case.real, noise_std=0.2, device=torch.device("cpu"))
    prior = GaussianPrior(torch.from_numpy(case.mu) / problem.scale, case.s / problem.scale)
    recipe = Recipe.for_method("prox-ddim", steps=60, noise_std=0.2, samples=64, batch=40)
    _, out = collect(reconstruction(kdata, recipe, maps=case.maps, device="cpu", denoiser=prior))
    mean, variance = case.posterior()
    error = (to_vector(out.samples[0], case.real) - mean) @ case.modes[1] / np.sqrt(variance)
    spread = rms(error - error.mean(0)) * math.sqrt(64 / 63)
    assert spread == pytest.approx(0.67, abs=0.05)
    assert rms(error.mean(0)) == pytest.approx(spread / 8, rel=0.15)  # nothing but the statistical error


def test_inpainting_keeps_the_known_pixels_and_draws_the_others_from_the_prior():
    """Pixels of this prior are independent, so the posterior is the prior inside the region and the data outside."""
    case = LinearCase((8, 6), 1, False, 0.0)
    case.__dict__["mask"] = np.ones(case.shape, bool)
    region = np.zeros(case.shape, bool)
    region[2:5, 1:4] = True
    problem, noise = replace(case.problem(), region=torch.from_numpy(region)), case.noise(400)
    prior = GaussianPrior(torch.from_numpy(case.mu), case.s)
    guide, sigmas = Inpainting(problem, case.s, noise), SCHEDULE.sigmas()
    knobs = AncestralSampler.Params(variance="posterior"), guide.Params()
    *_, last = path.walk(AncestralSampler, prior, guide, 50 * noise(), sigmas, lambda i: knobs, noise)
    x = last.x0.numpy()
    np.testing.assert_allclose(x[:, ~region], np.broadcast_to(case.truth[~region], x[:, ~region].shape), atol=1e-5)
    inside = (x - case.mu)[:, region] / case.s
    assert rms(np.abs(inside.mean(0))) < 3 * np.sqrt(2 / 400)
    assert rms(np.abs(inside - inside.mean(0))) / np.sqrt(2) == pytest.approx(0.92, abs=0.04)


def test_resampling_with_noise_keeps_the_posterior_and_without_it_does_not():
    """Both only repeat steps of the reverse process; the thesis's restart takes an image for a noisy one."""
    case = CASES[1]
    mean, variance = case.posterior()

    def error(**resampling):
        schedule = SCHEDULE.model_copy(update={"jump": 0.25, **resampling})
        kind, params = SAMPLERS["posterior"]
        guide, theirs, _ = GUIDANCES["posterior"]
        noise = case.noise(1, quiet=1)
        prior = GaussianPrior(torch.from_numpy(case.mu), case.s)
        knobs = kind.Params(**params), guide.Params(**theirs)
        climb = path.add_noise if schedule.renoise else path.relabel
        sigmas = schedule.sigmas()
        guided = guide(case.problem(), prior.info.sigma_data, noise)
        *_, last = path.walk(kind, prior, guided, 0 * noise(), sigmas, lambda i: knobs, noise, climb)
        return rms((to_vector(last.x0.numpy(), case.real)[0] - mean) @ case.modes[1] / np.sqrt(variance))

    assert error(resample="long") < 1e-3
    assert error(resample="short", repeats=2) < 1e-3
    assert error(resample="long", renoise=False) > 0.02
