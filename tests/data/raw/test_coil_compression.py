"""Coil compression, against singular values and simulated coils."""

from dataclasses import replace

import numpy as np
import pytest

from napari_lossguide.data.fourier import fft2c, ifft2c, rss
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.raw.coil_compression import (
    compress,
    compress_coils,
    compress_geometric,
    compression_matrix,
    geometric_matrices,
    readout_of,
)
from napari_lossguide.types import InvalidInput


def draw(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def energy(kspace):
    return float((np.abs(kspace) ** 2).sum())


@pytest.fixture(scope="module")
def scan():
    """Two slices seen by 8 coils of smooth sensitivities, with their maps."""
    head = shepp_logan(48)
    return simulate(np.stack([head, np.roll(head, 5, 1)]), n_coils=8, name="scan")


class TestOneCombination:
    def test_coils_of_low_rank_are_kept_whole(self, rng):
        kspace = np.einsum("cv,vyx->cyx", draw(rng, 6, 2), draw(rng, 2, 5, 4))
        matrix = compression_matrix(kspace, 2)
        np.testing.assert_allclose(matrix @ matrix.conj().T, np.eye(2), atol=1e-12)
        virtual = compress(kspace, matrix)
        np.testing.assert_allclose(np.einsum("vc,vyx->cyx", matrix.conj(), virtual), kspace, atol=1e-10)

    def test_energy_is_that_of_the_largest_singular_values(self, rng):
        kspace = draw(rng, 2, 6, 5, 4)
        singular = np.linalg.svd(np.moveaxis(kspace, 1, 0).reshape(6, -1), compute_uv=False)
        virtual = compress(kspace, compression_matrix(kspace, 3))
        assert virtual.shape == (2, 3, 5, 4)
        np.testing.assert_allclose((np.abs(virtual) ** 2).sum(axis=(0, 2, 3)), singular[:3] ** 2)

    @pytest.mark.parametrize("n_coils", [0, 3])
    def test_other_numbers(self, n_coils):
        with pytest.raises(InvalidInput, match=f"2 coils cannot be compressed to {n_coils}"):
            compression_matrix(np.ones((2, 3, 3)), n_coils)


@pytest.mark.parametrize("readout", ["x", "y"])
class TestGeometric:
    def test_more_energy_is_kept_than_by_one_combination(self, scan, readout):
        for n in (1, 2, 3, 4):
            matrices = geometric_matrices(scan.kspace[0], n, readout)
            kept = energy(compress_geometric(scan.kspace[0], matrices, readout))
            by_svd = energy(compress(scan.kspace[0], compression_matrix(scan.kspace[0], n)))
            assert by_svd < kept <= energy(scan.kspace[0]) * (1 + 1e-6)
            lost, lost_by_svd = (energy(scan.kspace[0]) - value for value in (kept, by_svd))
            assert lost < 0.75 * lost_by_svd

    def test_all_coils_are_a_rotation(self, scan, readout):
        kspace = scan.kspace[0].astype(complex)
        virtual = compress_geometric(kspace, geometric_matrices(kspace, 8, readout), readout)
        assert energy(virtual) == pytest.approx(energy(kspace), rel=1e-10)
        np.testing.assert_allclose(rss(ifft2c(virtual[None])), rss(ifft2c(kspace[None])), atol=1e-6)

    def test_two_coils_that_differ_from_place_to_place_are_kept_whole(self, rng, readout):
        """Each position sees two coils of six, and each other ones: no single combination holds them."""
        n = 32
        mixing = np.stack([np.linalg.qr(draw(rng, 6, 2))[0] for _ in range(n)])  # position, coil, source
        sources = draw(rng, 2, 20, n)
        image = np.einsum("pcs,syp->cyp", mixing, sources)
        kspace = fft2c(image if readout == "x" else image.swapaxes(1, 2))
        virtual = compress_geometric(kspace, geometric_matrices(kspace, 2, readout), readout)
        np.testing.assert_allclose(rss(ifft2c(virtual[None])), rss(ifft2c(kspace[None])), atol=1e-9)
        assert energy(compress(kspace, compression_matrix(kspace, 2))) < 0.7 * energy(kspace)

    def test_noise_stays_white_and_keeps_its_variance(self, scan, rng, readout):
        matrices = geometric_matrices(scan.kspace[0], 3, readout)
        np.testing.assert_allclose(
            matrices @ matrices.conj().swapaxes(1, 2), np.broadcast_to(np.eye(3), (48, 3, 3)), atol=1e-12
        )
        noise = draw(rng, 8, 48, 48) / np.sqrt(2)
        virtual = compress_geometric(noise, matrices, readout).reshape(3, -1)
        np.testing.assert_allclose(virtual @ virtual.conj().T / virtual.shape[1], np.eye(3), atol=0.08)

    def test_virtual_coils_change_smoothly_along_the_readout(self, scan, readout):
        """Neighbours are as near as their subspaces let them be, though each decomposition has phases of its own."""
        matrices = geometric_matrices(scan.kspace[0], 3, readout)
        inside = slice(10, 38)  # where the head is
        steps = np.linalg.norm(np.diff(matrices, axis=0), axis=(1, 2))[inside]
        angles = np.linalg.svd(matrices[1:] @ matrices[:-1].conj().swapaxes(1, 2), compute_uv=False)[inside]
        np.testing.assert_allclose(steps**2, 2 * (3 - angles.sum(axis=1)), atol=1e-10)
        assert steps.max() < 0.5


class TestKData:
    @pytest.mark.parametrize("method", ["svd", "gcc"])
    def test_maps_are_those_of_the_virtual_coils(self, scan, method):
        """What the maps say of the image is what was measured, though not by as many coils."""
        small = compress_coils(scan, 5, method)
        assert small.kspace.shape == small.maps.shape == (2, 5, 48, 48)
        np.testing.assert_allclose(fft2c(small.maps * scan.reference[:, None]), small.kspace, atol=1e-4)
        assert energy(small.kspace) > 0.98 * energy(scan.kspace)

    @pytest.mark.parametrize("method", ["svd", "gcc"])
    def test_a_slice_alone_is_the_slice_of_the_whole(self, scan, method):
        whole = compress_coils(scan, 3, method)
        alone = compress_coils(scan.select(1), 3, method)
        np.testing.assert_array_equal(whole.kspace[1], alone.kspace[0])
        np.testing.assert_array_equal(whole.maps[1], alone.maps[0])

    def test_the_rest_is_kept_and_the_source_says_so(self, scan):
        made = compress_coils(KData(scan.kspace, scan.acquired, noise_std=0.5, source="a.h5"), 3)
        assert (made.noise_std, made.maps, made.origin) == (0.5, None, None)
        assert made.source == "a.h5; 8 coils compressed to 3 (svd)"

    @pytest.mark.parametrize("axis", [0, 1])
    def test_the_readout_is_the_axis_of_whole_lines(self, scan, axis):
        mask = np.ones((48, 48), bool)
        mask[(slice(None), slice(1, None, 2)) if axis else slice(1, None, 2)] = False
        part = scan.undersample(mask)
        assert readout_of(part) == ("y" if axis else "x")
        small = compress_coils(part, 4, "gcc")
        assert not small.kspace[..., ~mask].any()
        np.testing.assert_allclose(mask * fft2c(small.maps * scan.reference[:, None]), small.kspace, atol=1e-4)

    def test_fully_sampled_data_are_read_out_along_x(self, scan):
        assert readout_of(scan) == "x"

    def test_points_have_no_readout(self, scan, rng):
        part = scan.undersample(rng.random((48, 48)) < 0.5)
        with pytest.raises(InvalidInput, match=r"scan has no readout axis.*svd compresses any data"):
            compress_coils(part, 4, "gcc")
        assert compress_coils(part, 4, "svd").n_coils == 4

    @pytest.mark.parametrize("method", ["svd", "gcc"])
    @pytest.mark.parametrize("n_coils", [0, 9])
    def test_other_numbers(self, scan, method, n_coils):
        with pytest.raises(InvalidInput, match=f"8 coils cannot be compressed to {n_coils}; accepted are 1 to 8"):
            compress_coils(scan, n_coils, method)


@pytest.mark.parametrize("method", ["svd", "gcc"])
def test_the_calibration_is_mixed_like_the_kspace(scan, method):
    """A block of the data gives the same block of the compressed data, exactly where it spans the readout."""
    under = scan.undersample(np.repeat(np.arange(48) % 2 == 1, 48).reshape(48, 48))
    whole = replace(under, calibration=scan.kspace[:, :, 12:36])
    expected = compress_coils(replace(under, calibration=scan.kspace), 3, method).calibration
    got = compress_coils(whole, 3, method)
    assert got.calibration.shape == (2, 3, 24, 48)
    np.testing.assert_allclose(got.calibration, expected[:, :, 12:36], atol=1e-4)
    np.testing.assert_array_equal(got.kspace, compress_coils(under, 3, method).kspace)
    short = compress_coils(replace(under, calibration=scan.kspace[:, :, 12:36, 8:40]), 3, method).calibration
    centre = expected[:, :, 12:36, 16:32]
    assert np.linalg.norm(short[..., 8:24] - centre) < (1e-5 if method == "svd" else 0.02) * np.linalg.norm(centre)
    assert compress_coils(under, 3, method).calibration is None
