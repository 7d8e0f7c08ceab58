"""Frequency replacement, its noise, its filters and its last step, against transforms written out as matrices."""

import math

import numpy as np
import pytest
import torch
from closed_form import LinearCase, dft

from napari_lossguide.data.fourier import mirrored
from napari_lossguide.guidance.replacement import FrequencyReplacement, ReplacementParams

SIGMA = 0.7
KINDS = {"real": True, "complex": False}


def transform(x):
    """Centred orthonormal F x of (..., ny, nx)."""
    return dft(x.shape[-2]) @ x @ dft(x.shape[-1]).T


def inverse(k):
    return dft(k.shape[-2]).conj() @ k @ dft(k.shape[-1]).conj()


def one_coil(real, mask=None, shape=(9, 11), noise_std=0.1):
    case = LinearCase(shape, 1, real, noise_std)
    if mask is not None:
        case.__dict__["mask"] = mask(case.mask)
    return case


def symmetric(mask):
    """Points measured together with their mirror images: the data of a real image have nothing to lose."""
    return mask & mirrored(mask)


def states(case, batch=2):
    return case.noise(batch, 5)() + torch.from_numpy(case.mu)


def replaced(case, x, sigma=SIGMA, seed=9, **params):
    guide = FrequencyReplacement(case.problem(), 0.5, case.noise(len(x), seed))
    return guide.correct_state(x, sigma, ReplacementParams(**params))


@pytest.mark.parametrize("real", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("noise", ["image", "k-space", "none"])
def test_measured_lines_become_a_mixture_of_the_states_and_the_noised_datas(real, strength, noise):
    case = one_coil(real)
    x = states(case)
    draws, target = case.noise(2, 9), case.y
    if noise == "image":
        target = case.y + SIGMA * transform(draws().numpy())
    elif noise == "k-space":
        unit = math.sqrt(0.5) if real else 1
        target = case.y + SIGMA * unit * draws.of_data(1).numpy()[:, 0]
    k = transform(x.numpy())
    expected = inverse(np.where(case.mask, (1 - strength) * k + strength * target, k))
    got = replaced(case, x, strength=strength, noise=noise)
    assert got.dtype == x.dtype
    np.testing.assert_allclose(got.numpy(), expected.real if real else expected, atol=2e-5)


@pytest.mark.parametrize("real", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("noise", ["image", "k-space"])
def test_the_noise_has_the_level_of_the_state(real, noise):
    """E|n|^2 is 2 sigma^2 at a point of a complex image and sigma^2 of a real one, whose k-space has a symmetry.

    Noise that does not have this symmetry loses half of its variance when the image is made real again.
    """
    case = one_coil(real, symmetric, (7, 7))
    x = torch.zeros((4000, 7, 7), dtype=torch.float32 if real else torch.complex64)
    k = transform(replaced(case, x, noise=noise).numpy())[:, case.mask]
    clean = transform(replaced(case, x[:1], noise="none").numpy())[:, case.mask]
    variance = np.mean(np.abs(k - clean) ** 2)
    expected = {True: {"image": 1.0, "k-space": 0.5}, False: {"image": 2.0, "k-space": 2.0}}[real][noise]
    assert variance / SIGMA**2 == pytest.approx(expected, rel=0.03)


def test_without_noise_the_lines_are_the_datas_own():
    case = one_coil(False)
    k = transform(replaced(case, states(case), noise="none").numpy())
    np.testing.assert_allclose(k[:, case.mask], np.broadcast_to(case.y[0, case.mask], k[:, case.mask].shape), atol=1e-5)


def shares(shape, sigma, **params):
    """Share of the data at every point of k-space, (ny, nx): all measured, no noise."""
    case = one_coil(False, np.ones_like, shape)
    x = states(case, 1)
    before = transform(x.numpy())
    after = transform(replaced(case, x, sigma, noise="none", **params).numpy())
    return ((after - before) / (case.y - before))[0].real


@pytest.mark.parametrize("shape", [(8, 12), (9, 11)])
@pytest.mark.parametrize("sigma", [0.2, 1.0, 30.0])
def test_gaussian_filter_has_its_width_at_every_frequency(shape, sigma):
    """exp(-k^2/2s^2), k = 1 at the edge of k-space, s = width sqrt(1 + sigma^2)/sigma."""
    ky, kx = np.meshgrid(*((np.arange(n) - n // 2) / (n / 2) for n in shape), indexing="ij")
    s = 0.4 * math.sqrt(1 + sigma**2) / sigma
    got = shares(shape, sigma, filter="gaussian", width=0.4)
    np.testing.assert_allclose(got, np.exp(-(ky**2 + kx**2) / (2 * s**2)), atol=1e-4)


def test_gaussian_filter_widens_as_the_noise_falls_to_all_of_k_space():
    edge = [shares((8, 8), sigma, filter="gaussian", width=0.4)[4, 0] for sigma in (100.0, 1.0, 0.3, 0.01)]
    assert edge == sorted(edge)
    assert edge[0] == pytest.approx(math.exp(-1 / (2 * 0.4**2)), abs=1e-3)
    assert edge[-1] == pytest.approx(1, abs=1e-3)


def test_box_takes_the_low_frequencies_whole_and_leaves_the_others():
    got = shares((8, 12), SIGMA, filter="box", width=0.5)
    expected = np.zeros((8, 12))
    expected[2:7, 3:10] = 1  # up to a quarter of the side each way, zero at 4 and 6
    np.testing.assert_allclose(got, expected, atol=1e-5)


def after_step(case, x, sigma_next, **params):
    return FrequencyReplacement(case.problem(), 0.5).correct_next(x, 0.1, sigma_next, ReplacementParams(**params))


def test_the_last_image_has_the_measured_lines_whatever_the_strength():
    case = one_coil(False)
    x = states(case)
    k = transform(after_step(case, x, 0.0, strength=0.2).numpy())
    expected = np.where(case.mask, case.y, transform(x.numpy()))
    np.testing.assert_allclose(k, expected, atol=2e-5)


@pytest.mark.parametrize(
    ("sigma_next", "params"), [(0.05, {}), (0.0, {"last": False}), (0.0, {"filter": "box", "width": 0.1})]
)
def test_no_other_step_nor_a_low_pass_is_made_exact(sigma_next, params):
    case = one_coil(False)
    x = states(case)
    assert after_step(case, x, sigma_next, **params) is x


@pytest.mark.parametrize("real", KINDS.values(), ids=KINDS)
def test_magnitude_of_the_state_is_what_the_thesiss_code_takes(real):
    case = one_coil(real)
    x = states(case) - 1
    signed, rectified = (replaced(case, x, magnitude=m) for m in (False, True))
    assert float(signed.real.min()) < -0.1
    torch.testing.assert_close(rectified, signed.abs().to(x.dtype))


def test_several_coils_step_along_the_adjoint():
    case = LinearCase((7, 9), 3, False, 0.1)
    x = states(case)
    a = case.matrix
    flat = np.concatenate([x.numpy().real.reshape(2, -1), x.numpy().imag.reshape(2, -1)], 1)
    y = np.concatenate([case.y.real.ravel(), case.y.imag.ravel()])
    expected = flat + 0.6 * (y - flat @ a.T) @ a
    got = replaced(case, x, strength=0.6, noise="none").numpy()
    np.testing.assert_allclose(got.real.reshape(2, -1), expected[:, :63], atol=2e-5)
    np.testing.assert_allclose(got.imag.reshape(2, -1), expected[:, 63:], atol=2e-5)
