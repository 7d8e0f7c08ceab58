import numpy as np
import pytest

from napari_lossguide.data.fourier import fft2c, ifft2c, mirrored, rss

SIZES = [(8, 6), (7, 6), (8, 5), (9, 7), (1, 4)]


def dft_matrix(n: int) -> np.ndarray:
    """The centred orthonormal DFT written out: index n // 2 is the origin of both sides."""
    index = np.arange(n) - n // 2
    return np.exp(-2j * np.pi * np.outer(index, index) / n) / np.sqrt(n)


def complex_array(rng, shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


@pytest.mark.parametrize("shape", SIZES)
def test_agrees_with_the_dft_matrix(shape, rng):
    image = complex_array(rng, (3, *shape))
    expected = dft_matrix(shape[0]) @ image @ dft_matrix(shape[1]).T
    np.testing.assert_allclose(fft2c(image), expected, atol=1e-12)


@pytest.mark.parametrize("shape", SIZES)
def test_inverse_and_adjoint_and_norm(shape, rng):
    image, kspace = complex_array(rng, shape), complex_array(rng, shape)
    np.testing.assert_allclose(ifft2c(fft2c(image)), image, atol=1e-12)
    np.testing.assert_allclose(fft2c(ifft2c(kspace)), kspace, atol=1e-12)
    np.testing.assert_allclose(np.vdot(kspace, fft2c(image)), np.vdot(ifft2c(kspace), image))
    np.testing.assert_allclose(np.linalg.norm(fft2c(image)), np.linalg.norm(image))


@pytest.mark.parametrize("shape", SIZES)
def test_a_constant_is_a_point_in_the_centre(shape):
    kspace = fft2c(np.ones(shape))
    centre = shape[0] // 2, shape[1] // 2
    assert kspace[centre] == pytest.approx(np.sqrt(shape[0] * shape[1]))
    kspace[centre] = 0
    assert np.abs(kspace).max() < 1e-12


def test_single_precision_stays_single(rng):
    assert fft2c(complex_array(rng, (4, 4)).astype(np.complex64)).dtype == np.complex64
    assert ifft2c(complex_array(rng, (4, 4)).astype(np.complex64)).dtype == np.complex64
    assert fft2c(np.ones((4, 4), np.float32)).dtype == np.complex64


def test_rss_is_over_the_coils(rng):
    images = complex_array(rng, (2, 3, 4, 5)).astype(np.complex64)
    assert rss(images).shape == (2, 4, 5)
    assert rss(images).dtype == np.float32
    np.testing.assert_allclose(rss(images), np.sqrt((np.abs(images) ** 2).sum(1)), rtol=1e-6)
    np.testing.assert_allclose(rss(images.real, axis=0), np.linalg.norm(images.real, axis=0), rtol=1e-6)


@pytest.mark.parametrize("shape", [(6, 8), (5, 8), (7, 5)])
def test_a_real_image_is_conjugate_symmetric_and_only_a_real_one(shape, rng):
    image = rng.standard_normal((2, *shape))
    k = fft2c(image)
    np.testing.assert_allclose(mirrored(k).conj(), k, atol=1e-12)
    k = fft2c(image + 0.1j * rng.standard_normal(image.shape))
    assert np.abs(mirrored(k).conj() - k).max() > 0.05
