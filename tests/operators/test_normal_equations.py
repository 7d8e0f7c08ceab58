import numpy as np
import pytest
import torch

from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.operators.normal_equations import fit, solve

SHAPES = [(6, 6), (5, 6), (6, 5), (5, 7)]


def one_coil(shape, value=1.0, seed=0):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > 0.5
    return CartesianSense(mask, torch.full((1, *shape), value, dtype=torch.complex64))


def four_coils(shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    maps = torch.randn(4, *shape, dtype=torch.complex64, generator=g)
    maps = maps / (maps.abs() ** 2).sum(0).max().sqrt()
    return CartesianSense(torch.rand(shape, generator=g) > 0.3, maps)


def draw(*shape, real=False, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float32 if real else torch.complex64)


def dense(A, real):
    """A^H A as a matrix, column by column, on real or complex images."""
    n = int(np.prod(A.image_shape))
    basis = torch.eye(n, dtype=torch.float32 if real else torch.complex64).reshape(n, *A.image_shape)
    return A.normal(basis).reshape(n, n).T.numpy().astype(float if real else complex)


def both(f):
    return pytest.mark.parametrize("real", [False, True])(pytest.mark.parametrize("shape", SHAPES)(f))


@both
def test_eigenvalues_of_one_uniform_coil_are_those_of_the_matrix(shape, real):
    A = one_coil(shape, 0.5 + 0.5j)
    own = A.eigenvalues(real=real)
    assert own.shape == shape
    np.testing.assert_allclose(np.sort(own.flatten()), np.linalg.eigvalsh(dense(A, real)), atol=1e-5)


@pytest.mark.parametrize("real", [False, True])
def test_other_operators_have_no_eigenvalues_in_that_basis(real):
    assert four_coils((6, 6)).eigenvalues(real=real) is None
    uneven = torch.ones(1, 6, 6, dtype=torch.complex64)
    uneven[0, 2, 3] = 0.9
    assert CartesianSense(torch.ones(6, 6, dtype=torch.bool), uneven).eigenvalues(real=real) is None


@both
@pytest.mark.parametrize("damping", [0.03, 0.0])
@pytest.mark.parametrize("operator", [one_coil, four_coils])
def test_solves_the_normal_equations(operator, shape, damping, real):
    A = operator(shape)
    r = draw(2, *A.data_shape)
    b = A.adjoint(r)
    b = b.real if real else b
    matrix = dense(A, real)
    inverse = np.linalg.pinv(damping * np.eye(len(matrix)) + matrix, rcond=1e-4)
    expected = (b.reshape(2, -1).numpy() @ inverse.T).reshape(b.shape)
    x = solve(A, b, damping, max_iter=300, tolerance=1e-7, floor=1e-5)
    np.testing.assert_allclose(x, expected, atol=2e-3)
    np.testing.assert_allclose(
        fit(A, r, damping, real=real, max_iter=300, tolerance=1e-7, floor=1e-5), expected, atol=2e-3
    )


@both
def test_a_right_hand_side_outside_the_range_is_divided_by_the_damping(shape, real):
    A = one_coil(shape)
    b = draw(1, *shape, real=real)
    matrix = dense(A, real)
    expected = np.linalg.solve(0.2 * np.eye(len(matrix)) + matrix, b.reshape(-1).numpy()).reshape(b.shape)
    np.testing.assert_allclose(solve(A, b, 0.2, max_iter=1, tolerance=1.0), expected, rtol=0, atol=1e-4)
