"""Classifier guidance against a prior whose classifier is known: a mixture of Gaussians, and its responsibilities."""

import numpy as np
import pytest
import torch
from closed_form import LinearCase
from tiny import tiny_classifier, tiny_denoiser

from napari_lossguide.guidance.classifier import (
    ClassGuidance,
    ClassifierGuidance,
    ClassifierParams,
    ClassParams,
    log_probability_gradient,
)
from napari_lossguide.guidance.proximal import ProximalGuidance, ProximalParams
from napari_lossguide.priors.analytic import MixturePrior
from napari_lossguide.priors.classifier.classifier import CLASSES
from napari_lossguide.samplers.ancestral import AncestralSampler
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.schedules import KarrasSchedule
from napari_lossguide.types import InvalidInput

KINDS = [torch.float32, torch.complex64]
WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1])  # of T1w, T2w, FLAIR, T1c


class ExactClassifier:
    """The contrast says which component of a mixture the image is from: log-responsibilities, in closed form."""

    classes = CLASSES

    def __init__(self, prior):
        self.prior = prior

    def __call__(self, x, sigma):
        distance = (x[:, None] - self.prior.means).abs().square().flatten(2).sum(-1)
        log_joint = self.prior.log_weights - distance / (2 * (self.prior.std**2 + sigma**2))
        return {"contrast": log_joint.log_softmax(1)}


def mixture(dtype, shape=(5, 6), spread=1.0):
    means = spread * torch.randn((4, *shape), generator=torch.Generator().manual_seed(1), dtype=dtype)
    return MixturePrior(means, WEIGHTS, 0.3)


def case(dtype, shape=(5, 6), noise_std=0.1):
    return LinearCase(shape, 1, dtype == torch.float32, noise_std)


def last_estimate(sampler, prior, guide, sigmas, noise, own, theirs):
    """Of a walk down a path."""
    *_, last = sampler.steps(prior, guide, sigmas[0] * noise(), sigmas, lambda i: (own, theirs), noise)
    return last.x0


def images(dtype, n=3, shape=(18, 20)):
    return torch.randn((n, *shape), generator=torch.Generator().manual_seed(2), dtype=dtype)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("sigma", [0.2, 3.0, 30.0])
@pytest.mark.parametrize("known", [{"contrast": "FLAIR"}, {"contrast": "T1c", "plane": "coronal"}])
def test_the_gradient_is_that_of_finite_differences(dtype, sigma, known):
    """In every real channel; above sigma_max too, where the image is shrunk before it is looked at."""
    classifier, x = tiny_classifier(), images(dtype, 2)
    classifier.model.double()
    x = x.to(torch.complex128 if dtype.is_complex else torch.float64)
    g = log_probability_gradient(classifier, x, sigma, known)
    assert g.dtype == x.dtype and g.shape == x.shape

    def total(x):
        log_p = classifier(x, sigma)
        return sum(log_p[q][:, CLASSES[q].index(a)] for q, a in known.items())

    rng, h = torch.Generator().manual_seed(3), 1e-5 * max(sigma, 1)
    for _ in range(3):
        v = torch.randn(x.shape, generator=rng, dtype=x.dtype)
        numeric = (total(x + h * v) - total(x - h * v)) / (2 * h)
        along = (g.conj() * v).real.sum((1, 2)) if x.is_complex() else (g * v).sum((1, 2))
        torch.testing.assert_close(along, numeric, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("dtype", KINDS)
def test_probabilities_and_gradients_do_not_depend_on_the_batch(dtype):
    classifier, x = tiny_classifier(), images(dtype, 5)
    together = classifier(x, 0.4)
    gradient = log_probability_gradient(classifier, x, 0.4, {"contrast": "T2w", "plane": "axial"})
    for i in range(5):
        alone = classifier(x[i : i + 1], 0.4)
        for question, log_p in together.items():
            assert log_p.shape == (5, len(CLASSES[question]))
            torch.testing.assert_close(log_p.exp().sum(1), torch.ones(5))
            torch.testing.assert_close(alone[question][0], log_p[i], rtol=1e-4, atol=1e-5)
        own = log_probability_gradient(classifier, x[i : i + 1], 0.4, {"contrast": "T2w", "plane": "axial"})
        torch.testing.assert_close(own[0], gradient[i], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", KINDS)
def test_scale_one_turns_the_estimate_of_the_mixture_into_that_of_its_component(dtype):
    """E[x0 | x, c] in closed form, at every noise level."""
    prior = mixture(dtype)
    guide = ClassGuidance(case(dtype).problem(), 0.5, classifier=ExactClassifier(prior))
    for sigma in (0.1, 1.0, 5.0):
        x = sigma * images(dtype, 4, (5, 6)) + prior.means[1]
        guided = guide.correct_estimate(prior(x, sigma), x, sigma, ClassParams(contrast="FLAIR", scale=1))
        v = prior.std**2
        expected = (v * x + sigma**2 * prior.means[2]) / (v + sigma**2)
        torch.testing.assert_close(guided, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("wanted", ["T1w", "T1c"])
def test_sampling_with_scale_one_draws_the_component_with_its_own_spread(dtype, wanted):
    prior, k = mixture(dtype), CLASSES["contrast"].index(wanted)
    guide = ClassGuidance(case(dtype).problem(), 0.5, classifier=ExactClassifier(prior))
    sigmas = KarrasSchedule(steps=150, sigma_max=30, sigma_min=0.01).sigmas()
    noise = case(dtype).noise(48, seed=5)
    own = AncestralSampler.Params(variance="posterior")
    x0 = last_estimate(AncestralSampler, prior, guide, sigmas, noise, own, ClassParams(contrast=wanted, scale=1))
    deviation = x0 - prior.means[k]
    nearest = (x0[:, None] - prior.means).abs().square().sum((-2, -1)).argmin(1)
    assert (nearest == k).all()
    assert float(deviation.mean(0).abs().max()) < 5 * 0.3 / 48**0.5 * (2 if dtype.is_complex else 1)
    parts = torch.view_as_real(deviation) if dtype.is_complex else deviation
    assert float(parts.std()) == pytest.approx(0.3, rel=0.06)


def test_without_a_class_the_components_come_as_often_as_their_weights_say():
    """What the guided sampling above is seen against."""
    prior = mixture(torch.float32)
    guide = ClassGuidance(case(torch.float32).problem(), 0.5, classifier=ExactClassifier(prior))
    sigmas = KarrasSchedule(steps=60, sigma_max=30, sigma_min=0.01).sigmas()
    noise = case(torch.float32).noise(400, seed=5)
    own = AncestralSampler.Params(variance="posterior")
    x0 = last_estimate(AncestralSampler, prior, guide, sigmas, noise, own, ClassParams())
    nearest = (x0[:, None] - prior.means).abs().square().sum((-2, -1)).argmin(1)
    share = torch.bincount(nearest, minlength=4) / 400
    torch.testing.assert_close(share, WEIGHTS, atol=0.08, rtol=0)


@pytest.mark.parametrize("dtype", KINDS)
def test_any_is_exactly_the_method_without_guidance(dtype):
    problem, x = case(dtype, (18, 20)).problem(), images(dtype)
    d = tiny_denoiser()(x, 0.5)
    for params in (ClassifierParams(scale=50), ClassifierParams(contrast="T1w", plane="axial", scale=0)):
        guided = ClassifierGuidance(problem, 0.25, classifier=tiny_classifier()).correct_estimate(d, x, 0.5, params)
        assert torch.equal(guided, ProximalGuidance(problem, 0.25).correct_estimate(d, x, 0.5, ProximalParams()))
    assert ClassGuidance(problem, 0.25).correct_estimate(d, x, 0.5, ClassParams()) is d
    assert ClassGuidance(problem, 0.25).correct_state(x, 0.5, ClassParams(contrast="T1w")) is x
    changed = ClassifierParams(contrast="T1w")
    assert not torch.equal(
        ClassifierGuidance(problem, 0.25, classifier=tiny_classifier()).correct_estimate(d, x, 0.5, changed), guided
    )


@pytest.mark.parametrize("dtype", KINDS)
def test_the_scale_multiplies_the_gradient(dtype):
    problem, x, known = case(dtype, (18, 20)).problem(), images(dtype), {"plane": "sagittal"}
    g = log_probability_gradient(tiny_classifier(), x, 0.5, known)
    guide = ClassGuidance(problem, 0.25, classifier=tiny_classifier())
    guided = guide.correct_estimate(x, x, 0.5, ClassParams(scale=3, **known))
    torch.testing.assert_close(guided, x + 3 * 0.25 * g)
    assert not x.requires_grad and not guided.requires_grad


@pytest.mark.parametrize("dtype", KINDS)
def test_the_data_hold_whatever_class_is_claimed(dtype):
    """Noiseless data are met exactly, and noisy ones within their noise, also when the stated contrast is wrong."""
    prior = mixture(dtype)
    for noise_std, weight in ((0.0, "hard"), (0.1, "posterior")):
        c = case(dtype, noise_std=noise_std)
        problem = c.problem()
        guide = ClassifierGuidance(problem, 0.5, classifier=ExactClassifier(prior))
        sigmas, noise = KarrasSchedule(steps=30, sigma_max=10, sigma_min=0.01).sigmas(), c.noise(4)
        theirs = ClassifierParams(contrast="T2w", scale=5, weight=weight, iterations=50)
        x0 = last_estimate(DDIMSampler, prior, guide, sigmas, noise, DDIMSampler.Params(), theirs)
        error = torch.linalg.vector_norm((problem.A.forward(x0) - problem.y).flatten(1), dim=1)
        bound = 1e-3 * float(torch.linalg.vector_norm(problem.y)) + 1.5 * noise_std * problem.n_measured**0.5
        assert float(error.max()) < bound


def test_with_data_the_class_decides_what_was_not_measured():
    """Two components that agree on every measured point: the data cannot tell them apart, the class can."""
    c = case(torch.float32, (8, 8), noise_std=0.0)
    problem = c.problem()
    hidden = torch.randn((2, 8, 8), generator=torch.Generator().manual_seed(4))
    hidden = 3 * (hidden - problem.A.normal(hidden))  # not quite the null space of a real image: taken off below
    for _ in range(200):
        hidden = hidden - problem.A.normal(hidden)
    base = torch.from_numpy(c.truth)
    prior = MixturePrior(torch.stack([base + hidden[0], base + hidden[1], base, base - hidden[0]]), WEIGHTS, 0.05)
    sigmas, noise = KarrasSchedule(steps=40, sigma_max=10, sigma_min=0.01).sigmas(), c.noise(6)
    for k, wanted in enumerate(CLASSES["contrast"]):
        guide = ClassifierGuidance(problem, 0.5, classifier=ExactClassifier(prior))
        theirs = ClassifierParams(contrast=wanted, scale=1, weight="hard", iterations=50)
        x0 = last_estimate(DDIMSampler, prior, guide, sigmas, noise, DDIMSampler.Params(), theirs)
        distance = (x0[:, None] - prior.means).square().mean((-2, -1)).sqrt()
        assert (distance.argmin(1) == k).all(), wanted


def test_an_image_that_is_too_small_is_refused():
    with pytest.raises(InvalidInput, match="3 x 20 pixels; the classifier 'tiny' needs at least 4 x 4"):
        tiny_classifier()(torch.zeros((1, 3, 20)), 1.0)


def test_odd_sizes_are_looked_at_whole():
    classifier, x = tiny_classifier(), images(torch.float32, 1, (17, 23))
    before = classifier(x, 0.3)["contrast"]
    for place in ((0, 0), (16, 22)):
        other = x.clone()
        other[0, *place] += 5
        assert np.abs((classifier(other, 0.3)["contrast"] - before).numpy()).max() > 1e-5
