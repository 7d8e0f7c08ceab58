"""Whether the check tells right from wrong: range, prediction, training.

The good model is exact: its images are among a few that it knows, so its estimate is their posterior mean.
"""

import numpy as np
import pytest
import torch

from napari_lossguide.priors.check import SIGMAS, Level, better_reading, check_denoiser, measure, phantoms, scaled
from napari_lossguide.priors.domain import Domain, NetworkDenoiser
from napari_lossguide.priors.formats.sidecar import Schedule
from napari_lossguide.priors.load import load_prior
from napari_lossguide.priors.precond import DDPMPrecond, EDMPrecond
from napari_lossguide.types import InvalidInput, PriorInfo

TIMES, LEVELS = Schedule(kind="linear").levels()


class FewImages(torch.nn.Module):
    """F(u, t) of a model whose training images are phantoms of a range, whatever it predicts."""

    def __init__(self, low, high, predicts="epsilon"):
        super().__init__()
        known = np.concatenate([phantoms(48), phantoms(48)[:, ::-1], phantoms(48)[:, :, ::-1]])
        self.images = torch.from_numpy(low + (high - low) * known.copy()).float()
        self.predicts = predicts

    def denoise(self, m, sigma):
        distance = (m - self.images).square().flatten(2).sum(-1) if m.ndim == 4 else None
        weights = (-distance / (2 * sigma**2)).softmax(1)
        return torch.einsum("bk,kyx->byx", weights, self.images)[:, None]

    def forward(self, u, t):
        sigma = float(np.exp(np.interp(float(t[0]), TIMES, np.log(LEVELS))))
        m = u * (1 + sigma**2) ** 0.5
        x0 = self.denoise(m, sigma)
        epsilon = (m - x0) / sigma
        return {"x0": x0, "epsilon": epsilon, "v": (epsilon - sigma * x0) / (1 + sigma**2) ** 0.5}[self.predicts]


def prior(network, low, high, prediction="epsilon"):
    scale = high - low
    info = PriorInfo("x", LEVELS[0] / scale, LEVELS[-1] / scale, 0.25, 1, 8)
    return NetworkDenoiser(DDPMPrecond(network, TIMES, LEVELS, prediction), info, Domain(1, low, scale, 8))


def check(denoiser):
    return check_denoiser(denoiser, phantoms(48))


@pytest.mark.parametrize("limits", [(0, 1), (-1, 1), (0, 255), (-1, 3)])
def test_a_good_model_of_the_stated_range(limits):
    report = check(prior(FewImages(*limits), *limits))
    assert report.verdict == "denoises" and (report.range, report.prediction) == (None, None)
    assert f"images of the range {limits[0]} to {limits[1]}" in report.words[0]
    assert [level.sigma for level in report.levels["real"]] == list(SIGMAS)
    assert all(level.after > level.before + 10 for level in report.levels["real"])


@pytest.mark.parametrize("stated", [(0, 1), (-1, 1), (0, 255)])
@pytest.mark.parametrize("true", [(0, 1), (-1, 1), (0, 255), (-1, 3)])
def test_a_good_model_with_the_wrong_range(true, stated):
    if true == stated:
        return
    report = check(prior(FewImages(*true), *stated))
    assert report.verdict == "other range" and report.range == true
    assert "better: the description is probably wrong" in report.words[0]


@pytest.mark.parametrize("stated", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("true", ["epsilon", "v", "x0"])
def test_a_good_model_with_the_wrong_prediction(true, stated):
    report = check(prior(FewImages(-1, 1, true), -1, 1, stated))
    assert report.verdict == ("denoises" if true == stated else "other prediction")
    assert report.prediction == (None if true == stated else true)


def test_both_may_be_wrong():
    report = check(prior(FewImages(-1, 1, "v"), 0, 1, "x0"))
    assert (report.range, report.prediction) == ((-1, 1), "v")


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_an_untrained_model_does_not_denoise(prediction, strength):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Conv2d(1, 1, 5, padding=2)
    torch.nn.init.normal_(network.weight, std=0.2 * strength, generator=torch.Generator().manual_seed(1))
    call = type("Net", (torch.nn.Module,), {"forward": lambda self, u, t: network(u)})()
    report = check(prior(call, -1, 1, prediction))
    assert report.verdict == "does not denoise" and "untrained" in report.words[-1]


def test_shrinking_alone_is_not_denoising():
    """An untrained network under EDM's preconditioning: D = c_skip x, which is better than the input."""
    network = type("Zero", (torch.nn.Module,), {"forward": lambda self, x, c: torch.zeros_like(x)})()
    info = PriorInfo("x", 0.002, 80, 0.25, 2, 8)
    report = check_denoiser(NetworkDenoiser(EDMPrecond(network, 0.25), info), phantoms(48))
    assert report.verdict == "does not denoise" and "than a paler image" in report.words[0]


@pytest.mark.parametrize(("there", "found"), [((15.0, 10.5, 12.0), True), ((15.0, 9.5, 12.0), False)])
def test_a_reading_must_not_lose_at_any_noise_level(monkeypatch, there, found):
    """Better on average is not enough: phantoms are not what a model was trained on."""
    denoiser = prior(FewImages(-1, 1), -1, 1)

    def canned(other, x0, sigmas):
        after = (10.0, 10.0, 10.0) if other is denoiser else there
        return [Level(s, 5.0, 6.0, a) for s, a in zip(sigmas, after, strict=True)]

    monkeypatch.setattr("napari_lossguide.priors.check.measure", canned)
    assert (better_reading(denoiser, torch.zeros(1, 8, 8)) is not None) == found


def test_an_estimate_that_is_not_finite_is_not_one():
    network = type("Nan", (torch.nn.Module,), {"forward": lambda self, u, t: u * float("nan")})()
    assert check(prior(network, -1, 1)).verdict == "does not denoise"


class AsEpsilon(torch.nn.Module):
    """The bundled prior as a network of the range [-1, 1] that predicts the noise."""

    def __init__(self, brain):
        super().__init__()
        self.brain = brain

    def forward(self, u, t):
        sigma = float(np.exp(np.interp(float(t[0]), TIMES, np.log(LEVELS))))
        m = u * (1 + sigma**2) ** 0.5
        return (m - (2 * self.brain((m[:, 0] + 1) / 2, sigma / 2) - 1)[:, None]) / sigma


def test_a_trained_network_in_the_wrong_range_is_told_though_it_still_denoises():
    network = AsEpsilon(load_prior("brain"))
    right, wrong = (check_denoiser(prior(network, low, 1), phantoms(128)) for low in (-1, 0))
    assert right.verdict == "denoises"
    assert wrong.verdict == "other range" and wrong.range == (-1, 1)
    assert all(level.after > level.before for level in wrong.levels["real"])


def test_a_prior_of_two_channels_is_tried_on_real_and_complex_images():
    report = check_denoiser(load_prior("brain"), phantoms(48)[:1])
    assert set(report.levels) == {"real", "complex"} and report.verdict == "denoises"
    before = [level.before for level in report.levels["complex"]]
    np.testing.assert_allclose(before, -20 * np.log10(SIGMAS), atol=0.3)  # sigma in each part


def test_figures_are_those_of_the_definition():
    half = type("Half", (), {"__call__": lambda self, x, sigma: 0.5 * x})()
    x0 = torch.from_numpy(phantoms(64))
    (level,) = measure(half, x0, [0.3])
    mse = 0.25 * float(x0.square().mean()) + 0.25 * 0.09
    assert level.after == pytest.approx(-10 * np.log10(mse), abs=0.1)
    variance = float(x0.var())
    assert level.shrunk == pytest.approx(-10 * np.log10(variance * 0.09 / (variance + 0.09)), abs=0.1)


def test_images_are_scaled_as_a_prior_sees_them():
    rng = np.random.default_rng(0)
    images = scaled(100 + 50 * rng.random((20, 32, 32)))
    assert images.shape == (6, 32, 32) and images.dtype == np.float32
    np.testing.assert_allclose(images.min(axis=(1, 2)), 0)
    np.testing.assert_allclose(np.quantile(images, 0.995, axis=(1, 2)), 1, rtol=1e-5)
    for wrong in (np.zeros((2, 8, 8)), np.ones((8, 8)), np.full((1, 8, 8), np.nan)):
        with pytest.raises(InvalidInput, match="images"):
            scaled(wrong)
