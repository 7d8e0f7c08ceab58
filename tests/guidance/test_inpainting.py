"""Inpainting: the known pixels are noised, the drawn region is nobody's but the prior's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_form import LinearCase
from tiny import tiny_denoiser, tiny_scan

from napari_lossguide.guidance.base import NoParams
from napari_lossguide.guidance.inpainting import Inpainting
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

SIGMA = 1.3


def region(shape):
    drawn = np.zeros(shape, bool)
    drawn[2:5, 1:4] = True
    return drawn


def guide(real, drawn, seed=9):
    """Of a fully sampled scan without noise, so that the known image is the true one."""
    case = LinearCase((8, 6), 1, real, 0.0)
    case.__dict__["mask"] = np.ones(case.shape, bool)
    problem = replace(case.problem(), region=None if drawn is None else torch.from_numpy(drawn))
    return case, Inpainting(problem, case.s, case.noise(3, seed))


@pytest.mark.parametrize("real", [True, False])
def test_known_pixels_are_noised_and_the_region_is_left_alone(real):
    drawn = region((8, 6))
    case, inpainting = guide(real, drawn)
    x = case.noise(3, 4)()
    out = inpainting.correct_state(x, SIGMA, NoParams())
    assert out.dtype == x.dtype
    assert torch.equal(out[:, drawn], x[:, drawn])
    expected = torch.from_numpy(case.truth) + SIGMA * case.noise(3, 9)()
    torch.testing.assert_close(out[:, ~drawn], expected[:, ~drawn], atol=1e-5, rtol=0)


def test_every_level_has_noise_of_its_own():
    case, inpainting = guide(False, region((8, 6)))
    x = case.noise(3, 4)()
    first, second = (inpainting.correct_state(x, SIGMA, NoParams()) for _ in range(2))
    assert float((first - second).abs().mean()) > 0.5 * SIGMA


@pytest.mark.parametrize("real", [True, False])
def test_the_last_image_has_the_known_pixels_themselves(real):
    drawn = region((8, 6))
    case, inpainting = guide(real, drawn)
    x = case.noise(3, 4)()
    assert inpainting.correct_next(x, 1.0, 0.5, NoParams()) is x
    out = inpainting.correct_next(x, 1.0, 0.0, NoParams())
    assert torch.equal(out[:, drawn], x[:, drawn])
    known = torch.from_numpy(case.truth).expand_as(out)
    torch.testing.assert_close(out[:, ~drawn], known[:, ~drawn], atol=1e-5, rtol=0)


def test_without_a_region_there_is_nothing_to_fill():
    case, inpainting = guide(False, None)
    with pytest.raises(InvalidInput, match=r"needs a region: the pixels to fill"):
        inpainting.correct_state(case.noise(3)(), SIGMA, NoParams())


@pytest.mark.parametrize("method", ["repaint", "karras+ddim+inpainting"])
def test_a_run_without_a_region_is_refused_before_it_begins(method):
    running = lambda: reconstruction(  # noqa: E731
        tiny_scan(), Recipe.for_method(method), device="cpu", denoiser=tiny_denoiser()
    )
    with pytest.raises(InvalidInput, match=rf"'{method.replace('+', '.')}' needs a region"):
        next(running())
