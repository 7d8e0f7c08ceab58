import numpy as np
import pytest
import torch
from closed_form import dense_sense, smooth_maps

from napari_lossguide.operators.cartesian_sense import CartesianSense

SHAPES = [(8, 12), (9, 11), (16, 7)]
CASES = [(shape, coils) for shape in SHAPES for coils in (1, 5)]


def operator(shape, coils, seed=0):
    mask = np.random.default_rng(seed).random(shape) < 0.5
    return CartesianSense(torch.from_numpy(mask), torch.from_numpy(smooth_maps(coils, shape)))


def draw(*shape, real=False, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng, dtype=torch.float32 if real else torch.complex64)


def dot(a, b):
    return complex(torch.vdot(a.to(torch.complex128).flatten(), b.to(torch.complex128).flatten()))


@pytest.mark.parametrize(("shape", "coils"), CASES)
@pytest.mark.parametrize("real", [False, True])
def test_forward_is_the_matrix_of_the_definition(shape, coils, real):
    A, x = operator(shape, coils), draw(2, *shape, real=real)
    matrix = dense_sense(A.mask.numpy(), A.maps.numpy())
    expected = (matrix @ x.numpy().reshape(2, -1).T).T.reshape(2, coils, *shape)
    np.testing.assert_allclose(A.forward(x).numpy(), expected, atol=3e-6)
    assert (A.image_shape, A.data_shape) == (shape, (coils, *shape))


@pytest.mark.parametrize(("shape", "coils"), CASES)
@pytest.mark.parametrize("real", [False, True])
def test_adjoint_to_1e_5_in_single_precision(shape, coils, real):
    A = operator(shape, coils)
    x, y = draw(3, *shape, real=real), draw(3, coils, *shape, seed=2)
    left, right = dot(A.forward(x), y), dot(x, A.adjoint(y))
    size = float(torch.linalg.vector_norm(A.forward(x)) * torch.linalg.vector_norm(y))
    assert abs(left - right) <= 1e-5 * size
    assert abs(left) > 1e-3 * size  # or the comparison says nothing


@pytest.mark.parametrize(("shape", "coils"), CASES)
def test_normal_operator_stays_in_the_space_of_its_argument(shape, coils):
    """<v, N x> = <A v, A x>: over the complex numbers, and its real part when v and x are real."""
    A = operator(shape, coils)
    for real in (False, True):
        x, v = draw(1, *shape, real=real), draw(1, *shape, real=real, seed=3)
        n = A.normal(x)
        assert n.dtype == x.dtype
        expected = dot(A.forward(v), A.forward(x))
        size = float(torch.linalg.vector_norm(x) * torch.linalg.vector_norm(v))
        assert abs(dot(v, n) - (expected.real if real else expected)) <= 1e-5 * size


def test_points_outside_the_mask_are_ignored_and_zero():
    A = operator((9, 11), 3)
    y = draw(1, 3, 9, 11)
    torch.testing.assert_close(A.adjoint(y * A.mask), A.adjoint(y))
    assert not A.forward(draw(1, 9, 11))[..., ~A.mask].any()


@pytest.mark.parametrize("coils", [1, 5])
def test_norm_is_at_most_one_for_normalised_maps(coils):
    A = operator((9, 11), coils)
    x = draw(1, 9, 11)
    for _ in range(30):
        x = A.normal(x)
        norm = float(torch.linalg.vector_norm(x))
        x = x / norm
    assert 0.5 < norm <= 1 + 1e-5
