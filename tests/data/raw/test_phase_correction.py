"""The phase between lines read forwards and backwards, against a phase that was put there."""

import numpy as np
import pytest

from napari_lossguide.data.raw.phase_correction import correct_phase, linear_phase
from napari_lossguide.types import InvalidInput

NX = 32


def to_kspace(profile):
    return np.fft.fftshift(np.fft.fft(np.fft.ifftshift(profile, axes=-1), norm="ortho"), axes=-1)


def turned(profile, constant, slope):
    return profile * np.exp(1j * (constant + slope * (np.arange(profile.shape[-1]) - profile.shape[-1] // 2)))


@pytest.fixture
def profile(rng):
    """Three coils, and air at both ends."""
    values = rng.standard_normal((3, NX)) + 1j * rng.standard_normal((3, NX))
    values[:, :6] = values[:, -4:] = 0
    return values


@pytest.mark.parametrize("size", [NX, NX - 1])
@pytest.mark.parametrize(("constant", "slope"), [(0.0, 0.0), (0.7, 0.11), (-2.9, -0.4), (3.0, 1.5)])
def test_the_phase_is_found_and_taken_off(profile, constant, slope, size):
    profile = profile[:, :size]
    forward, reverse = to_kspace(profile), to_kspace(turned(profile, constant, slope))
    found = linear_phase(np.stack([forward, forward]), reverse[None])
    np.testing.assert_allclose(found, (constant, slope), atol=1e-10)
    np.testing.assert_allclose(correct_phase(reverse, *found), forward, atol=1e-10)


def test_a_shift_in_kspace_is_a_slope(profile):
    """A delay of one sample of backward lines: 2 pi / nx a pixel."""
    forward = to_kspace(profile)
    _, slope = linear_phase(forward[None], np.roll(forward, 1, -1)[None])
    assert slope == pytest.approx(2 * np.pi / NX)


def test_a_drift_cancels_between_two_forward_lines(profile):
    """A phase that grows from line to line, as off-resonance makes it, is none between the two kinds of lines."""
    lines = [to_kspace(turned(profile, drift, 0.2 if n == 1 else 0)) for n, drift in enumerate((-0.3, 0, 0.3))]
    constant, slope = linear_phase(np.stack([lines[0], lines[2]]), lines[1][None])
    np.testing.assert_allclose((constant, slope), (0, 0.2), atol=1e-10)


def test_noise_and_coils_of_other_phases_hardly_matter(profile, rng):
    noise = 0.05 * (rng.standard_normal((2, 3, NX)) + 1j * rng.standard_normal((2, 3, NX)))
    lines = to_kspace(np.stack([profile, turned(profile, 0.5, 0.1)]) * np.exp(1j * np.arange(3))[:, None]) + noise
    np.testing.assert_allclose(linear_phase(lines[:1], lines[1:]), (0.5, 0.1), atol=0.05)


def test_precision_is_kept(profile):
    assert correct_phase(to_kspace(profile).astype(np.complex64), 1, 0.1).dtype == np.complex64


def test_what_cannot_be_measured(profile):
    line = to_kspace(profile)[None]
    with pytest.raises(InvalidInput, match="there are 1 forwards and 0 backwards"):
        linear_phase(line, line[:0])
    with pytest.raises(InvalidInput, match="needs signal"):
        linear_phase(line, np.zeros_like(line))
