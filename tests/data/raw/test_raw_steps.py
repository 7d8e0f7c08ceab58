"""Steps on raw data, against closed forms."""

import numpy as np
import pytest

from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.raw.oversampling import remove_oversampling
from napari_lossguide.data.raw.partial_fourier import columns, homodyne, zero_fill
from napari_lossguide.data.raw.prewhiten import dwell_scale, noise_covariance, prewhiten, prewhitening_matrix
from napari_lossguide.types import InvalidInput


def draw(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


class TestPrewhiten:
    def test_noise_becomes_white(self, rng):
        noise = draw(rng, 4, 4) @ draw(rng, 4, 1000)
        covariance = noise_covariance(noise)
        np.testing.assert_allclose(covariance[1, 2], np.mean(noise[1] * noise[2].conj()))
        white = prewhitening_matrix(covariance) @ noise
        np.testing.assert_allclose(noise_covariance(white), np.eye(4), atol=1e-12)

    def test_independent_coils_are_divided_by_their_deviation(self):
        np.testing.assert_allclose(prewhitening_matrix(np.diag([4.0, 9.0])), np.diag([1 / 2, 1 / 3]))

    @pytest.mark.parametrize("shape", [(3, 5), (3, 4, 5), (2, 3, 4, 5)])
    def test_coils_are_mixed_and_nothing_else(self, rng, shape):
        kspace, matrix = draw(rng, *shape), draw(rng, 3, 3)
        axes = "cx" if len(shape) == 2 else "scyx"[-len(shape) :]
        expected = np.einsum(f"dc,{axes}->{axes.replace('c', 'd')}", matrix, kspace)
        np.testing.assert_allclose(prewhiten(kspace, matrix), expected)

    def test_dwell_time(self):
        assert dwell_scale(8, 2) == 2
        assert dwell_scale(8, 2, 0.25) == 1
        assert dwell_scale(0, 2) == dwell_scale(8, 0) == 1

    def test_a_dead_coil(self, rng):
        noise = draw(rng, 3, 100)
        noise[1] = 0
        with pytest.raises(InvalidInput, match="covariance of 3 coils is not positive definite"):
            prewhitening_matrix(noise_covariance(noise))


class TestOversampling:
    @pytest.mark.parametrize(("full", "size"), [(16, 8), (15, 8), (16, 7), (15, 7), (8, 8), (5, 1)])
    def test_central_pixels_are_kept(self, rng, full, size):
        image = draw(rng, 2, 3, full)
        inner = image[..., full // 2 - size // 2 :][..., :size]
        np.testing.assert_allclose(remove_oversampling(fft2c(image), size), fft2c(inner), atol=1e-12)

    def test_precision_is_kept(self, rng):
        assert remove_oversampling(draw(rng, 3, 8).astype(np.complex64), 4).dtype == np.complex64

    @pytest.mark.parametrize("size", [0, 9])
    def test_other_sizes(self, size):
        with pytest.raises(InvalidInput, match=f"{size} of 8 readout samples"):
            remove_oversampling(np.zeros(8, complex), size)


class TestPartialFourier:
    def test_zero_is_in_the_centre(self):
        np.testing.assert_array_equal(zero_fill(np.array([[1, 2, 3, 4, 5]]), 8, 1), [[0, 0, 0, 1, 2, 3, 4, 5]])
        np.testing.assert_array_equal(zero_fill(np.array([1, 2, 3]), 5, 2), [1, 2, 3, 0, 0])

    def test_reverse(self):
        np.testing.assert_array_equal(columns(5, 5, 2, reverse=True), [4, 3, 2, 1, 0])
        np.testing.assert_array_equal(columns(4, 4, 2, reverse=True), [0, 3, 2, 1])  # k = 2 is k = -2
        np.testing.assert_array_equal(columns(4, 4, 1, reverse=True), [3, 2, 1, 0])

    @pytest.mark.parametrize(("samples", "centre"), [(9, 4), (8, 3), (3, 6)])
    def test_what_does_not_fit(self, samples, centre):
        with pytest.raises(InvalidInput, match=f"{samples} samples with k = 0 at sample {centre} does not fit 8"):
            columns(samples, 8, centre)

    @pytest.mark.parametrize("rows", [slice(4, 16), slice(0, 11), slice(0, 16), slice(1, 10), slice(7, 16)])
    @pytest.mark.parametrize("ny", [16])
    def test_homodyne_is_exact_of_one_phase(self, rng, rows, ny):
        """A real image times one phase has conjugate symmetric k-space, so half of it tells all."""
        image = 30 + rng.uniform(size=(ny, 10))  # bright, so that the central rows have no other phase
        acquired = np.zeros(ny, bool)
        acquired[rows] = True
        full = fft2c(image * np.exp(0.7j))
        full[0] = 0 if not acquired[0] else full[0]  # the lowest row has no mirror image
        expected = (ifft2c(full) * np.exp(-0.7j)).real
        np.testing.assert_allclose(homodyne(full * acquired[:, None], acquired), expected, atol=1e-10)

    @pytest.mark.parametrize("rows", [[], [0, 1, 2], [4, 6], [4, 5, 6, 7]])
    def test_homodyne_needs_the_centre_from_both_sides(self, rows):
        acquired = np.zeros(8, bool)
        acquired[rows] = True
        with pytest.raises(InvalidInput, match="Homodyne detection needs"):
            homodyne(np.ones((8, 4), complex), acquired)
