import numpy as np
import pytest
import torch
from closed_form import dft

from napari_lossguide.data import fourier as numpy_twin
from napari_lossguide.operators.fourier import fft2c, ifft2c

SHAPES = [(8, 8), (7, 8), (8, 9), (7, 9), (1, 5)]


def image(shape, rng):
    return (rng.standard_normal((2, *shape)) + 1j * rng.standard_normal((2, *shape))).astype(np.complex64)


@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_centred_orthonormal_transform_of_the_definition(shape, rng):
    x = image(shape, rng)
    expected = dft(shape[0]) @ x @ dft(shape[1]).T
    np.testing.assert_allclose(fft2c(torch.from_numpy(x)).numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_inverse_undoes_it_and_twins_agree(shape, rng):
    x = torch.from_numpy(image(shape, rng))
    torch.testing.assert_close(ifft2c(fft2c(x)), x)
    np.testing.assert_allclose(fft2c(x).numpy(), numpy_twin.fft2c(x.numpy()), atol=2e-6)
    np.testing.assert_allclose(ifft2c(x).numpy(), numpy_twin.ifft2c(x.numpy()), atol=2e-6)


def test_keeps_single_precision():
    assert fft2c(torch.ones(1, 4, 4)).dtype == torch.complex64
