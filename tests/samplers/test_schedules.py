import math
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from napari_lossguide.recon.methods import METHODS
from napari_lossguide.samplers.schedules import CosineDDPMSchedule, KarrasSchedule

SCHEDULES = sorted({m.schedule for m in METHODS.values() if m.schedule}, key=lambda s: s.__name__)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 100, 999])
def test_every_schedule_falls_to_zero_in_so_many_steps(schedule, steps):
    sigmas = schedule(steps=steps).sigmas()
    assert len(sigmas) == steps + 1
    assert sigmas[-1] == 0.0
    assert all(isinstance(s, float) and math.isfinite(s) for s in sigmas)
    assert all(a > b for a, b in pairwise(sigmas))


def test_karras_is_even_in_the_rho_th_root():
    sigmas = KarrasSchedule(steps=11, sigma_max=8.0, sigma_min=0.05, rho=5.0).sigmas()
    assert sigmas[0] == pytest.approx(8.0) and sigmas[-2] == pytest.approx(0.05)
    np.testing.assert_allclose(np.diff(np.array(sigmas[:-1]) ** 0.2, 2), 0, atol=1e-12)
    even = KarrasSchedule(steps=4, sigma_max=3.0, sigma_min=0.5, rho=1).sigmas()
    assert even == pytest.approx([3.0, 3.0 - 2.5 / 3, 3.0 - 5 / 3, 0.5, 0.0])


def test_cosine_is_the_ddpms():
    """abar_t = prod (1 - beta_i), beta clipped; visited at t = T-1 ... 1 as sqrt((1 - abar)/abar)."""
    steps, s = 999, 0.008
    t = np.arange(1001) / 1000
    f = np.cos((t + s) / (1 + s) * np.pi / 2) ** 2
    beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
    abar = np.cumprod(1 - beta)
    expected = np.sqrt((1 - abar) / abar)[:0:-1]
    np.testing.assert_allclose(CosineDDPMSchedule(steps=steps).sigmas()[:-1], expected, rtol=1e-9)
    # where no beta is clipped, abar is f(t)/f(0) itself
    closed = (np.cos((500 / 1000 + s) / (1 + s) * np.pi / 2) / np.cos(s / (1 + s) * np.pi / 2)) ** 2
    assert expected[::-1][498] == pytest.approx(math.sqrt((1 - closed) / closed), rel=1e-9)


def test_clip_of_beta_bounds_the_largest_level():
    assert CosineDDPMSchedule(steps=99, max_beta=0.5).sigmas()[0] < CosineDDPMSchedule(steps=99).sigmas()[0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_steps_or_unknown_names_are_refused(schedule):
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        schedule(steps=0)
    with pytest.raises(ValidationError, match="not permitted"):
        schedule(step=3)


def test_a_path_that_would_go_up_is_refused():
    with pytest.raises(ValidationError, match="sigma_min"):
        KarrasSchedule(sigma_max=0.1, sigma_min=0.5)
