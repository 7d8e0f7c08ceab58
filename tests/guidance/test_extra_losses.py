"""Further losses of the estimate: their gradients, how far they move it, and what a whole run makes of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_form import LinearCase, dense_sense
from pydantic import ValidationError
from tiny import collect, tiny_scan, tiny_unet

from napari_lossguide import reconstruct
from napari_lossguide.guidance.base import Guidance
from napari_lossguide.guidance.extra_losses import WithLosses
from napari_lossguide.guidance.loss_terms import (
    EDGE,
    LossTerm,
    outside,
    region_residual,
    total_variation,
)
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.priors.analytic import GaussianPrior
from napari_lossguide.priors.load import save_prior
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

KINDS = [torch.float64, torch.complex128]
SIGMA, S = 0.8, 0.5
R2 = SIGMA**2 * S**2 / (SIGMA**2 + S**2)


def images(dtype=torch.float64, batch=3, shape=(7, 9)):
    return torch.randn((batch, *shape), generator=torch.Generator().manual_seed(2), dtype=dtype)


def gradient(loss, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(loss(x).sum(), x)[0]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("loss", [total_variation, lambda x: outside(x, 0.5, 1.2)], ids=["tv", "range"])
def test_a_gradient_is_that_of_differences_and_each_image_has_its_own_loss(loss, dtype):
    x = images(dtype)
    g = gradient(loss, x)
    assert loss(x).shape == (3,) and g.dtype == dtype
    for seed in range(3):
        v = torch.randn(x.shape, generator=torch.Generator().manual_seed(10 + seed), dtype=dtype)
        numeric = (loss(x + 1e-6 * v) - loss(x - 1e-6 * v)) / 2e-6
        torch.testing.assert_close((g.conj() * v).real.sum((1, 2)), numeric, rtol=1e-5, atol=1e-6)
    for i in range(3):
        torch.testing.assert_close(loss(x[i : i + 1])[0], loss(x)[i])


def test_total_variation_and_range_are_what_they_say():
    step = torch.zeros(1, 6, 8, dtype=torch.float64)
    step[:, :, 3:] = 2.0  # up once and, around the end, down once, in each of six rows
    assert float(total_variation(step)) == pytest.approx(6 * 2 * 2.0 + 6 * 6 * EDGE, rel=1e-3)
    values = torch.tensor([[[0.1, 0.5, 1.0, -2.0]]], dtype=torch.float64)
    assert float(outside(values, 0.3, 1.2)) == pytest.approx(0.5 * (0.2**2 + 0.8**2), rel=1e-6)


def with_region(real, coils=1):
    case = LinearCase((7, 9), coils, real, 0.2)
    drawn = np.zeros(case.shape, bool)
    drawn[1:4, 2:6] = True
    return case, drawn, replace(case.problem(), region=torch.from_numpy(drawn))


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("coils", [1, 3])
def test_region_is_the_residual_inside_it(real, coils):
    """Half of |R A^H (y - A x)|^2, whose gradient is -A^H A R A^H (y - A x), its real part for a real image."""
    case, drawn, problem = with_region(real, coils)
    x = case.noise(2, 4)()
    a = dense_sense(case.mask, case.maps)
    pull = np.array([a.conj().T @ (case.y.ravel() - a @ v.ravel()) for v in x.numpy()]) * drawn.ravel()
    expected = -(pull @ (a.conj().T @ a).T).reshape(x.shape)
    np.testing.assert_allclose(region_residual(x, problem).numpy(), 0.5 * np.sum(np.abs(pull) ** 2, 1), rtol=1e-4)
    got = gradient(lambda v: region_residual(v, problem), x).numpy()
    np.testing.assert_allclose(got, expected.real if real else expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["tv", "range", "region"])
def test_a_term_is_its_loss_without_its_weight(kind):
    case, _, problem = with_region(False)
    x = case.noise(2, 4)()
    plain = {
        "tv": total_variation(x),
        "range": outside(x, 0.2, 0.9),
        "region": region_residual(x, problem),
    }[kind]
    term = LossTerm(kind=kind, weight=0.3, low=0.2, high=0.9)
    torch.testing.assert_close(term.loss(problem)(x), plain)


def test_weights_may_be_set_between_steps_and_one_of_0_is_not_asked():
    problem, x, target = LinearCase((7, 9), 1, True, 0.2).problem(), images(), images().flip(0)

    def never(x):
        raise AssertionError("its weight is 0")

    guide = WithLosses(Guidance(problem, S), [quadratic(target), never], [0.5, 0.0])
    torch.testing.assert_close(guide.correct_estimate(x, x, SIGMA, None), x - 0.5 * R2 * (x - target))
    guide.weights = [0.2, 0.0]
    torch.testing.assert_close(guide.correct_estimate(x, x, SIGMA, None), x - 0.2 * R2 * (x - target))
    guide.weights = [0.0, 0.0]
    assert torch.equal(guide.correct_estimate(x, x, SIGMA, None), x)


def quadratic(target):
    """Half the squared distance from an image."""
    return lambda x: 0.5 * (x - target).abs().square().sum((-2, -1))


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("sigma", [0.01, 0.8, 50.0])
def test_the_estimate_moves_by_the_variance_that_a_gaussian_prior_leaves(dtype, sigma):
    """r^2 = sigma^2 s^2 / (sigma^2 + s^2) times the gradient: all of s^2 at high noise, nothing at the end."""
    problem = LinearCase((7, 9), 1, dtype == torch.float64, 0.2).problem()
    x, target = images(dtype), images(dtype).flip(0)
    r2 = 1 / (1 / sigma**2 + 1 / S**2)
    guide = WithLosses(Guidance(problem, S), [quadratic(target), quadratic(2 * target)])
    expected = x - r2 * (2 * x - 3 * target)
    torch.testing.assert_close(guide.correct_estimate(x, x, sigma, None), expected)
    d, x0 = guide.estimate(lambda x, sigma: x, x, sigma, None)
    torch.testing.assert_close(x0, expected)
    assert torch.equal(d, x) and not x0.requires_grad


def test_with_a_gaussian_prior_the_move_is_nearly_that_of_the_posterior_for_a_weak_loss():
    """Of the prior times exp(-w |x - t|^2 / 2), whose denoiser is known; exact in the first order of w."""
    problem, target, weight = LinearCase((7, 9), 1, True, 0.2).problem(), images()[:1], 1e-3
    x, mean = images(), 0.4
    d = GaussianPrior(mean, S)(x, SIGMA)
    moved = WithLosses(Guidance(problem, S), [lambda v: weight * quadratic(target)(v)]).correct_estimate(
        d, x, SIGMA, None
    )
    exact = (x / SIGMA**2 + mean / S**2 + weight * target) / (1 / SIGMA**2 + 1 / S**2 + weight)
    torch.testing.assert_close(moved - d, exact - d, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("weight", [1.0, 30.0, 1e3, 1e6])
def test_a_heavy_loss_does_not_overshoot(weight):
    """Its plain step would end weight r^2 - 1 times as far on the other side."""
    problem, target, x = LinearCase((7, 9), 1, True, 0.2).problem(), images().flip(0), images()
    guide = WithLosses(Guidance(problem, S), [lambda v: weight * quadratic(target)(v)])
    x0 = guide.correct_estimate(x, x, SIGMA, None)
    assert float((x0 - target).abs().max()) < float((x - target).abs().max())
    for _ in range(60):
        x0 = guide.correct_estimate(x0, x, SIGMA, None)
    torch.testing.assert_close(x0, target, atol=1e-2, rtol=0)


def test_a_light_loss_beside_a_heavy_one_moves_its_own_image_as_if_alone():
    problem, x = LinearCase((7, 9), 1, True, 0.2).problem(), images()
    weights = torch.tensor([0.5, 1e4, 0.5], dtype=x.dtype)
    guide = WithLosses(Guidance(problem, S), [lambda v: weights[: len(v)] * quadratic(0 * v)(v)])
    torch.testing.assert_close(guide.correct_estimate(x, x, SIGMA, None)[::2], x[::2] * (1 - 0.5 * R2))


class Marks(Guidance):
    """Leaves a mark in each place."""

    def correct_state(self, x, sigma, params):
        return x + 1

    def correct_estimate(self, d, x, sigma, params):
        return d + 2

    def expect_fresh(self, std):
        self.told = std

    def shape_noise(self, z, std, params):
        return 4 * z

    def correct_next(self, x, sigma, sigma_next, params):
        return x + 3


def test_the_guidance_speaks_first_and_as_it_would_alone():
    problem, x, target = LinearCase((7, 9), 1, True, 0.2).problem(), images(), images().flip(0)
    guide = WithLosses(Marks(problem, S), [quadratic(target)])
    assert torch.equal(guide.correct_state(x, SIGMA, None), x + 1)
    assert torch.equal(guide.correct_next(x, SIGMA, 0.1, None), x + 3)
    guide.expect_fresh(0.7)
    assert guide.guide.told == 0.7 and torch.equal(guide.shape_noise(x, 0.7, None), 4 * x)
    torch.testing.assert_close(guide.correct_estimate(x, x, SIGMA, None), x + 2 - R2 * (x + 2 - target))


@pytest.mark.parametrize("dtype", KINDS)
def test_an_image_does_not_depend_on_its_batch(dtype):
    problem = LinearCase((7, 9), 1, dtype == torch.float64, 0.2).problem()
    guide = WithLosses(Guidance(problem, S), [total_variation, lambda x: outside(x, 0.5, 1.2)])
    x = images(dtype) * torch.tensor([0.1, 1.0, 30.0])[:, None, None]
    together = guide.correct_estimate(x, x, SIGMA, None)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], guide.correct_estimate(x[i : i + 1], x, SIGMA, None))


def run(kdata, method="prox-ddim", mine=(), steps=15, **fields):
    """The image in the problem's units, and the result; ``mine`` are functions, the recipe's terms are ``losses``."""
    recipe = Recipe.for_method(method, steps=steps, **fields)
    prior = GaussianPrior(0.5, 0.5)
    out = collect(reconstruction(kdata, recipe, device="cpu", denoiser=prior, losses=mine))[1]
    return torch.from_numpy(out.image / np.float32(out.scale[0])), out


def test_total_variation_lowers_that_of_a_run():
    kdata = tiny_scan()
    rough, *smooth = (
        float(total_variation(run(kdata, losses=terms)[0]))
        for terms in ((), *((LossTerm(kind="tv", weight=w),) for w in (0.05, 0.5)))
    )
    assert smooth[0] < 0.97 * rough and smooth[1] < 0.8 * rough


def test_range_keeps_the_values_in():
    kdata = tiny_scan()
    term = LossTerm(kind="range", weight=4.0, low=0.2, high=0.8)
    free, kept = (run(kdata, "unconditional", steps=30, losses=terms)[0] for terms in ((), (term,)))
    assert float(outside(kept, 0.2, 0.8)) < 0.7 * float(outside(free, 0.2, 0.8))


def test_a_region_is_fitted_better_than_the_rest():
    kdata = tiny_scan()
    drawn = np.zeros(kdata.image_shape, bool)
    drawn[6:12, 6:12] = True
    settings = {"guidance.strength": 0.1}

    def misfits(terms):
        """Of the pull of the data: inside the region, and outside."""
        image, out = run(kdata, "loss-guidance", settings=settings, region=MaskRecipe.drawn(drawn), **terms)
        image = image[0].real.numpy() * out.scale[0]
        k = np.where(kdata.acquired, kdata.kspace[0, 0] - transform(image), 0)
        pull = np.abs(inverse(k).real)
        return np.linalg.norm(pull[drawn]), np.linalg.norm(pull[~drawn])

    plain, weighted = misfits({}), misfits({"losses": (LossTerm(kind="region", weight=3.0),)})
    assert weighted[0] < 0.9 * plain[0]
    assert weighted[0] / plain[0] < 0.9 * weighted[1] / plain[1]


def transform(x):
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x), norm="ortho"))


def inverse(k):
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(k), norm="ortho"))


def test_a_function_of_ones_own_moves_the_reconstruction(tmp_path):
    network, path = tiny_unet(), tmp_path / "tiny.safetensors"
    save_prior(path, network.state_dict(), network.config, {"name": "tiny", "sigma_data": 0.25})
    kdata, seen = tiny_scan(), []

    def dark(x):
        seen.append(x.shape)
        return 20 * x.abs().square().sum((-2, -1))

    fields = {"prior": str(path), "method": "prox-ddim", "steps": 3, "samples": 3, "device": "cpu"}
    plain = reconstruct(kdata, **fields)
    darker = reconstruct(kdata, losses=[dark], **fields)
    assert set(seen) == {(3, 24, 20)} and len(seen) >= 6  # in each step, before the move and after it
    assert np.linalg.norm(darker.image) < 0.95 * np.linalg.norm(plain.image)


def test_terms_of_a_recipe_and_ones_own_add():
    kdata, term = tiny_scan(), LossTerm(kind="tv", weight=0.2)
    mine = lambda x: 0.2 * total_variation(x)  # noqa: E731
    both, _ = run(kdata, mine=[mine], losses=(term,))
    double, _ = run(kdata, losses=(LossTerm(kind="tv", weight=0.4),))
    torch.testing.assert_close(both, double, atol=1e-5, rtol=0)


def test_losses_start_and_region_survive_json():
    drawn = np.zeros((13, 9), bool)
    drawn[2:5, 3:4] = True
    recipe = Recipe.for_method(
        "loss-guidance",
        start="tv",
        losses=(LossTerm(kind="tv", weight=0.1), LossTerm(kind="range", low=0.1, high=2.0), LossTerm(kind="region")),
        region=MaskRecipe.drawn(drawn),
    )
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.start == "tv" and [t.kind for t in again.losses] == ["tv", "range", "region"]
    assert (again.losses[0].weight, again.losses[1].low, again.losses[1].high) == (0.1, 0.1, 2.0)
    np.testing.assert_array_equal(again.region.make((13, 9)), drawn)


@pytest.mark.parametrize(
    ("method", "losses", "sentence"),
    [
        ("tv", ({"kind": "tv"},), r"^The method 'tv' is classical: it takes neither further losses nor a start"),
        ("pula", ({"kind": "tv"},), r"^losses: the method 'pula' lets nothing but its own step correct the estimate"),
        ("prox-mean", ({"kind": "magic"},), r"^losses.0.kind = 'magic': input should be 'tv', 'range' or 'region'"),
        ("prox-mean", ({"kind": "tv", "weight": -1},), r"^losses.0.weight = -1: input should be greater"),
        ("prox-mean", ({"kind": "range", "low": 2.0, "high": 1.0},), r"^low = 2.0 must be less than high = 1.0"),
    ],
)
def test_losses_that_cannot_be_are_refused_in_a_sentence(method, losses, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        Recipe.for_method(method, losses=losses)


def test_a_term_is_frozen_and_knows_its_names():
    with pytest.raises(ValidationError, match="not permitted"):
        LossTerm(kind="tv", wieght=1.0)


def test_the_loss_of_a_region_wants_one():
    with pytest.raises(InvalidInput, match=r"[Tt]he loss 'region' needs a region"):
        run(tiny_scan(), losses=(LossTerm(kind="region"),))


@pytest.mark.parametrize("method", ["zero-filled", "pula", "karras+pula+preconditioned"])
def test_a_function_is_refused_where_a_term_would_be(method):
    with pytest.raises(InvalidInput, match=rf"The method '{method.replace('+', '.')}' takes no further losses"):
        run(tiny_scan(), method, mine=[total_variation])


@pytest.mark.parametrize(
    "loss", [lambda x: x.abs().mean(), lambda x: x.abs(), lambda x: 1.0, lambda x: x.detach().abs().sum((1, 2))]
)
def test_a_function_that_is_no_loss_of_each_image_is_refused_in_a_sentence(loss):
    """A mean over the batch would make every sample depend on how many there are."""
    with pytest.raises(InvalidInput, match=r"^A loss must be a differentiable function of images \(B, ny, nx\)"):
        run(tiny_scan(), mine=[loss], samples=2)
