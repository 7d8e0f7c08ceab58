"""Paths that go up again: their parts, what happens between them, and what a walk reports."""

import math
from itertools import pairwise

import pytest
import torch

from napari_lossguide.guidance.base import Guidance
from napari_lossguide.samplers.ancestral import AncestralSampler
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.path import add_noise, descents, relabel, walk
from napari_lossguide.samplers.schedules import CosineDDPMSchedule, KarrasSchedule

THESIS = 999


def draw(seed=0, batch=2, dtype=torch.complex64):
    return torch.randn((batch, 3, 4), generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ([3.0, 1.0, 0.0], [[3.0, 1.0, 0.0]]),
        ([3.0, 1.0, 0.0, 1.0, 0.0], [[3.0, 1.0, 0.0], [1.0, 0.0]]),
        ([3.0, 1.0, 2.0, 0.5, 0.0], [[3.0, 1.0], [2.0, 0.5, 0.0]]),
        ([1.0, 2.0, 3.0, 0.0], [[3.0, 0.0]]),  # nothing goes down before the last climb
        ([2.0, 1.0, 1.0, 0.0], [[2.0, 1.0], [1.0, 0.0]]),
        ([2.0], []),
    ],
)
def test_a_path_falls_in_parts(path, parts):
    assert descents(path) == parts


@pytest.mark.parametrize(("jump", "evaluations"), [(0.1, 5490), (0.2, 2995), (0.5, 1498)])
def test_long_grained_sampling_has_the_thesiss_evaluations(jump, evaluations):
    schedule = CosineDDPMSchedule(steps=THESIS, resample="long", jump=jump)
    assert schedule.falls() == evaluations
    levels, parts = schedule.levels(), descents(schedule.sigmas())
    assert all(part[-1] == 0 and part == levels[-len(part) :] for part in parts)
    starts = [THESIS - (len(part) - 1) for part in parts]
    assert starts == list(range(0, THESIS, round(jump * 1000)))


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_short_grained_sampling_goes_each_tenth_again(repeats):
    schedule = CosineDDPMSchedule(steps=THESIS, resample="short", jump=0.1, repeats=repeats)
    assert schedule.falls() == 999 + 900 * repeats
    sigmas, levels = schedule.sigmas(), schedule.levels()
    assert sigmas.count(0.0) == 1 and sigmas[-1] == 0
    climbs = [(low, high) for low, high in pairwise(sigmas) if high > low]
    expected = [(levels[i], levels[i - 100]) for i in range(100, 1000, 100) for _ in range(repeats)]
    assert climbs == expected


@pytest.mark.parametrize("resample", ["no", "long", "short"])
@pytest.mark.parametrize(("steps", "jump"), [(1, 0.5), (2, 0.9), (7, 0.3), (10, 0.01), (50, 0.2)])
def test_every_path_visits_all_levels_and_ends_at_zero(resample, steps, jump):
    schedule = KarrasSchedule(steps=steps, resample=resample, jump=jump)
    sigmas = schedule.sigmas()
    assert sigmas[-1] == 0 and set(sigmas) == set(schedule.levels())
    assert schedule.falls() == sum(len(part) - 1 for part in descents(sigmas)) >= steps
    assert schedule.ends() == sum(part[-1] == 0 for part in descents(sigmas))
    assert (schedule.falls() == steps) == (resample == "no" or len(descents(sigmas)) == 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_noise_is_added_up_to_the_higher_level(dtype):
    """Variances add: x + sqrt(sigma'^2 - sigma^2) z."""
    x = draw(dtype=dtype)
    torch.testing.assert_close(add_noise(x, 3.0, 5.0, lambda: draw(1, dtype=dtype)), x + 4 * draw(1, dtype=dtype))
    torch.testing.assert_close(add_noise(x, 0.0, 2.0, lambda: draw(1, dtype=dtype)), x + 2 * draw(1, dtype=dtype))


def test_relabelling_keeps_the_ddpms_state():
    x = draw()
    for low, high in ((0.0, 2.0), (1.0, 7.0)):
        u = x / math.sqrt(1 + low**2)
        torch.testing.assert_close(relabel(x, low, high, None) / math.sqrt(1 + high**2), u)


class Marks(Guidance):
    """At the end, says that it was there."""

    def __init__(self):
        pass

    def correct_next(self, x, sigma, sigma_next, params):
        return x + 100 if sigma_next == 0 else x


def walked(sigmas, sampler=DDIMSampler, guide=None, climb=add_noise, **params):
    """Steps of a walk, the (x, sigma) of the denoiser, the indices of the knobs and the climbs."""
    seen, read, climbed = [], [], []

    def denoise(x, sigma):
        seen.append((x, sigma))
        return 0.5 * x

    def knobs(i):
        read.append(i)
        return sampler.Params(**params), None

    def up(x, low, high, noise):
        climbed.append((x, low, high))
        return climb(x, low, high, noise)

    guide = guide or Guidance(None, 0.5)
    steps = list(walk(sampler, denoise, guide, draw(), sigmas, knobs, lambda: draw(1), up))
    return steps, seen, read, climbed


def test_a_walk_counts_over_all_its_parts():
    sigmas = [3.0, 1.0, 0.0, 1.0, 0.5, 0.0]
    steps, seen, read, climbed = walked(sigmas)
    assert [s.index for s in steps] == read == [0, 1, 2, 3]
    assert {s.total for s in steps} == {4}
    assert [s.nfe for s in steps] == [1, 2, 3, 4]
    assert [s.sigma for s in steps] == [sigma for _, sigma in seen] == [3.0, 1.0, 1.0, 0.5]
    assert [(low, high) for _, low, high in climbed] == [(0.0, 1.0)]


@pytest.mark.parametrize("climb", [add_noise, relabel])
def test_each_part_begins_where_the_last_one_ended_and_the_climb_put_it(climb):
    steps, seen, _, climbed = walked([3.0, 1.0, 2.0, 0.5, 0.0], AncestralSampler, climb=climb)
    (x, low, high) = climbed[0]
    assert torch.equal(x, steps[0].x)
    torch.testing.assert_close(seen[1][0], climb(x, low, high, lambda: draw(1)))


def test_a_path_that_only_falls_is_the_samplers_own():
    sigmas = [3.0, 1.0, 0.3, 0.0]
    steps, *_, climbed = walked(sigmas, eta=0.7)
    knobs = DDIMSampler.Params(eta=0.7), None
    own = DDIMSampler.steps(lambda x, s: 0.5 * x, Guidance(None, 0.5), draw(), sigmas, lambda i: knobs, lambda: draw(1))
    for step, expected in zip(steps, own, strict=True):
        assert torch.equal(step.x, expected.x) and torch.equal(step.x0, expected.x0)
    assert climbed == []


def test_at_level_zero_the_estimate_is_what_the_guidance_makes_of_the_image():
    steps, *_ = walked([3.0, 1.0, 0.0, 1.0, 0.0], guide=Marks())
    for step in steps:
        assert torch.equal(step.x0, step.x) == (step.sigma == 1.0)
    assert float(steps[-1].x0.real.min()) > 50
