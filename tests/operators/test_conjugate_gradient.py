import numpy as np
import pytest
import torch

from napari_lossguide.operators.conjugate_gradient import conjugate_gradient, inner


def hermitian(n, eigenvalues, seed=0):
    """A complex Hermitian matrix with these eigenvalues, whose real and imaginary parts matter alike."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
    return torch.from_numpy((q * np.asarray(eigenvalues)) @ q.conj().T).to(torch.complex64)


def apply_of(matrix):
    return lambda v: (matrix @ v.flatten(1).T).T.reshape(v.shape)


def draw(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.complex64)


def test_inner_product_is_of_each_sample_and_conjugates_the_first():
    a, b = draw(3, 4, 5), draw(3, 4, 5, seed=2)
    got = inner(a, b)
    assert got.shape == (3, 1, 1)
    expected = [np.vdot(u, v).real for u, v in zip(a.numpy(), b.numpy(), strict=True)]
    np.testing.assert_allclose(got.flatten(), expected, rtol=1e-5)
    assert inner(a.real, b.real).dtype == torch.float32


def test_solves_a_hermitian_system():
    matrix = hermitian(12, np.linspace(0.2, 2, 12))
    b = draw(2, 3, 4)
    x = conjugate_gradient(apply_of(matrix), b, b * 0, max_iter=50, tolerance=1e-6)
    expected = np.linalg.solve(matrix.numpy().astype(complex), b.numpy().reshape(2, -1).T).T
    np.testing.assert_allclose(x.numpy().reshape(2, -1), expected, atol=2e-5)


def test_needs_no_more_iterations_than_there_are_different_eigenvalues():
    """Not true of descent along gradients, nor with an inner product that does not conjugate."""
    matrix = hermitian(12, [0.5] * 4 + [1.0] * 4 + [3.0] * 4)
    b = draw(1, 3, 4)
    x = conjugate_gradient(apply_of(matrix), b, b * 0, max_iter=3, tolerance=0)
    torch.testing.assert_close(apply_of(matrix)(x), b, atol=1e-5, rtol=0)


def test_start_is_used():
    matrix = hermitian(12, np.linspace(0.2, 2, 12))
    solution = draw(1, 3, 4)
    b = apply_of(matrix)(solution)
    x = conjugate_gradient(apply_of(matrix), b, solution, max_iter=1, tolerance=1e-3)
    torch.testing.assert_close(x, solution, atol=0, rtol=0)


def test_a_sample_does_not_depend_on_its_batch():
    """One sample is easy, one hard, one solved from the start: each takes its own steps and stops by itself."""
    matrix = hermitian(12, np.linspace(0.01, 2, 12))
    b = draw(3, 3, 4) * torch.tensor([1.0, 1e4, 0.0])[:, None, None]
    together = conjugate_gradient(apply_of(matrix), b, b * 0, max_iter=7, tolerance=1e-2)
    for i in range(3):
        alone = conjugate_gradient(apply_of(matrix), b[i : i + 1], b[i : i + 1] * 0, max_iter=7, tolerance=1e-2)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-4)
    assert not together[2].any()


def test_tolerance_stops_early():
    calls = []
    matrix = hermitian(12, np.linspace(0.1, 2, 12))

    def apply(v):
        calls.append(1)
        return apply_of(matrix)(v)

    b = draw(1, 3, 4)
    x = conjugate_gradient(apply, b, b * 0, max_iter=50, tolerance=0.1)
    residual = torch.linalg.vector_norm(apply_of(matrix)(x) - b) / torch.linalg.vector_norm(b)
    assert 0.1 >= residual > 1e-3
    assert len(calls) < 12


def test_a_singular_consistent_system_gives_the_solution_of_least_norm():
    matrix = hermitian(12, [0.0] * 5 + list(np.linspace(0.3, 1, 7)))
    b = apply_of(matrix)(draw(2, 3, 4))
    x = conjugate_gradient(apply_of(matrix), b, b * 0, max_iter=100, tolerance=1e-6)
    expected = np.linalg.pinv(matrix.numpy().astype(complex), rcond=1e-4) @ b.numpy().reshape(2, -1).T
    np.testing.assert_allclose(x.numpy().reshape(2, -1), expected.T, atol=1e-4)


@pytest.mark.parametrize("floor", [1e-3, torch.full((1, 1, 1), 1e-3)])
def test_what_a_singular_system_cannot_reach_is_not_followed(floor):
    """Rounding leaves in b a part outside the range, which would be divided by a curvature of zero."""
    keep = torch.tensor([0.0, 0.0, 1.0, 0.5])
    b = torch.tensor([[[3e-5, -2e-5], [1.0, 1.0]]])
    x = conjugate_gradient(lambda v: keep.reshape(1, 2, 2) * v, b, b * 0, max_iter=100, tolerance=1e-6, floor=floor)
    torch.testing.assert_close(x, torch.tensor([[[0.0, 0.0], [1.0, 2.0]]]), atol=1e-3, rtol=0)


def test_floor_means_solved():
    b = torch.full((1, 2, 2), 1e-7)
    x = conjugate_gradient(lambda v: v, b, b * 0, max_iter=5, tolerance=1e-6, floor=1e-6)
    assert not x.any()
