"""A run that begins from a classical image: what the first state is, and how it is left."""

import numpy as np
import pytest
from tiny import collect, tiny_scan

from napari_lossguide.priors.analytic import GaussianPrior
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

STARTS = [("zero-filled", 1), ("tv", 1), ("cg-sense", 3), ("l1-wavelet", 3)]


class Watched(GaussianPrior):
    """A denoiser that keeps what it was given."""

    def __init__(self):
        super().__init__(0.0, 0.5)
        self.seen = []

    def __call__(self, x, sigma):
        self.seen.append((x.numpy().copy(), sigma))
        return super().__call__(x, sigma)


def run(kdata, start="tv", live=None, method="prox-ddim", sigma_max=2.0, **fields):
    """The watched denoiser, and the result."""
    denoiser = Watched()
    settings = {"schedule.sigma_max": sigma_max, "schedule.sigma_min": min(0.01, sigma_max / 2)}
    recipe = Recipe.for_method(method, steps=3, settings=settings, start=start, **fields)
    maps = kdata.maps if kdata.n_coils > 1 else None
    return denoiser, collect(reconstruction(kdata, recipe, maps=maps, device="cpu", live=live, denoiser=denoiser))[1]


def classical(kdata, name):
    maps = kdata.maps if kdata.n_coils > 1 else None
    return collect(reconstruction(kdata, Recipe.for_method(name), maps=maps, device="cpu"))[1].image


@pytest.mark.parametrize(("start", "coils"), STARTS)
def test_the_first_state_is_the_classical_image_and_the_noise_of_the_first_level(start, coils):
    kdata = tiny_scan(coils)
    (warm, out), (cold, _) = run(kdata, start, samples=3), run(kdata, "noise", samples=3)
    (x, sigma), (noise, _) = warm.seen[0], cold.seen[0]
    assert sigma == pytest.approx(2.0) and x.shape == (3, 24, 20)
    assert x.dtype == (np.float32 if coils == 1 else np.complex64)
    image = classical(kdata, start)[0] / out.scale[0]
    np.testing.assert_allclose(x - noise, np.broadcast_to(image, x.shape), atol=2e-5)
    assert noise.real.std() == pytest.approx(2.0, rel=0.05)
    assert np.abs(image).max() > 0.5
    assert out.recipe.start == start


def test_from_a_tiny_first_level_the_result_is_near_the_classical_image():
    kdata = tiny_scan(3)
    image = classical(kdata, "tv")
    _, out = run(kdata, "tv", sigma_max=0.004)
    _, cold = run(kdata, "noise", sigma_max=0.004)
    size = np.linalg.norm(image)
    assert np.linalg.norm(out.image - image) < 0.05 * size
    assert np.linalg.norm(cold.image - image) > 0.3 * size


def test_every_slice_has_its_own_start():
    kdata = tiny_scan(1, slices=2)
    denoiser, out = run(kdata, "cg-sense", sigma_max=0.004)
    images = classical(kdata, "cg-sense")
    first = [denoiser.seen[0][0][0], denoiser.seen[3][0][0]]
    for x, image, scale in zip(first, images, out.scale, strict=True):
        np.testing.assert_allclose(x, image.real / scale, atol=0.03)
    assert np.abs(first[0] - first[1]).max() > 0.15


class CancelledAt(Live):
    """Cancels itself at one of the engine's checkpoints."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def checkpoint(self):
        self.left -= 1
        if self.left == 0:
            self.cancel()
        super().checkpoint()


@pytest.mark.parametrize("at", [2, 30])
def test_a_run_can_be_cancelled_inside_its_start(at):
    """200 iterations of total variation come before the first step."""
    live = CancelledAt(at)
    denoiser, out = run(tiny_scan(3), "tv", live=live)
    assert live.left == 0  # nothing went on
    assert out.status == "cancelled" and denoiser.seen == []
    assert out.nfe == 0 and out.trace == () and not out.image.any() and out.zero_filled.any()


def test_a_start_is_nothing_for_a_classical_method_and_is_one_of_a_few():
    with pytest.raises(InvalidInput, match=r"'cg-sense' is classical: it takes neither further losses nor a start"):
        Recipe.for_method("cg-sense", start="tv")
    with pytest.raises(InvalidInput, match=r"^start = 'magic': input should be 'noise', 'zero-filled'"):
        Recipe.for_method(start="magic")
