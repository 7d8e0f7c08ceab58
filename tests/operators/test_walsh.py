import numpy as np
import pytest

from napari_lossguide.data.phantoms import coil_maps, shepp_logan, simulate
from napari_lossguide.operators import walsh
from napari_lossguide.operators.coil_maps import espirit_maps
from napari_lossguide.operators.walsh import dominant, local_covariances, walsh_maps
from napari_lossguide.types import InvalidInput


@pytest.mark.usefixtures("global_numpy_state_untouched")
def test_walsh_finds_the_maps_of_a_simulation(scan):
    kdata, inside = scan
    maps = walsh_maps(kdata.kspace[0], kdata.acquired)
    assert maps.dtype == np.complex64 and maps.shape == (4, 49, 52)
    truth = coil_maps(4, (49, 52))
    assert np.abs(maps).sum(0)[inside].all()
    np.testing.assert_allclose(np.linalg.norm(maps[:, inside], axis=0), 1, atol=1e-4)
    # a common phase is free at every pixel: the correlation of the coil vectors is what counts
    correlation = np.abs((maps.conj() * truth).sum(0))[inside]
    assert correlation.min() > 0.97 and correlation.mean() > 0.998
    shuffled = np.abs((maps[[1, 2, 3, 0]].conj() * truth).sum(0))[inside]
    assert shuffled.mean() < 0.9


def test_walsh_has_the_phase_of_espirit(scan):
    """Its first coil has none, so an image has the same phase with either."""
    kdata, inside = scan
    maps, others = (estimate(kdata.kspace[0], kdata.acquired) for estimate in (walsh_maps, espirit_maps))
    np.testing.assert_allclose(maps[0].imag, 0, atol=1e-5)
    assert (maps[0].real >= 0).all()
    seen = inside & others.any(axis=0)
    assert np.abs(maps - others)[:, seen].mean() < 0.03


def test_one_dominant_source_is_found_to_rounding():
    """Coil images m_c(x) rho of constant maps: the covariance is |rho|^2 m m^H wherever there is signal."""
    m = np.array([0.6, -0.48j, 0.64 * np.exp(0.3j)], np.complex64)
    rho = np.zeros((40, 36))
    rho[10:30, 8:28] = 1 + np.random.default_rng(0).random((20, 20))
    kdata = simulate(rho, maps=np.broadcast_to(m[:, None, None], (3, 40, 36)))
    maps = walsh_maps(kdata.kspace[0], kdata.acquired)
    inside = maps.any(axis=0)
    assert inside[10:30, 8:28].all() and not inside[:3].any() and not inside[:, -3:].any()
    np.testing.assert_allclose(maps[:, inside], np.broadcast_to(m[:, None], (3, inside.sum())), atol=1e-4)


def test_a_hole_in_the_object_has_maps_too(scan):
    kdata, inside = scan
    y, x = np.mgrid[:49, :52]
    hole = np.hypot(y - 24, x - 26) < 9
    ring = simulate(inside & ~hole, n_coils=4).undersample(kdata.acquired)
    assert np.abs(walsh_maps(ring.kspace[0], ring.acquired)).sum(0)[hole].all()


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_units_do_not_matter(scan, scale):
    kdata, _ = scan
    scaled = (scale * kdata.kspace[0]).astype(np.complex64)
    maps = walsh_maps(kdata.kspace[0], kdata.acquired)
    np.testing.assert_allclose(walsh_maps(scaled, kdata.acquired), maps, atol=1e-3)


def test_walsh_uses_the_calibration_lines_alone(scan):
    kdata, _ = scan
    maps = walsh_maps(kdata.kspace[0], kdata.acquired, width=16)
    centre = np.zeros_like(kdata.acquired)
    centre[24 - 8 : 24 + 8, 26 - 8 : 26 + 8] = True
    np.testing.assert_array_equal(walsh_maps(kdata.kspace[0] * centre, kdata.acquired, width=16), maps)
    assert np.abs(walsh_maps(kdata.kspace[0], kdata.acquired, width=24) - maps).max() > 0.01


def test_few_calibration_lines_are_refused(scan):
    kdata, _ = scan
    mask = kdata.acquired.copy()
    mask[:, 26] = False
    with pytest.raises(InvalidInput, match=r"centre of k-space is 0 points wide, 8 are needed"):
        walsh_maps(kdata.kspace[0] * mask, mask)
    with pytest.raises(InvalidInput, match="calibration lines hold no signal"):
        walsh_maps(np.zeros((2, 32, 32), np.complex64), np.ones((32, 32), bool))


def test_a_dead_first_coil_has_an_empty_map_and_spoils_no_other(scan):
    kdata, _ = scan
    kspace = np.concatenate([np.zeros_like(kdata.kspace[0, :1]), kdata.kspace[0]])
    maps = walsh_maps(kspace, kdata.acquired)
    assert not maps[0].any()
    np.testing.assert_array_equal(maps[1:], walsh_maps(kdata.kspace[0], kdata.acquired))


def test_the_power_method_gives_what_the_eigenvalue_decomposition_gives(rng):
    draws = rng.standard_normal((5, 4, 6, 9)) + 1j * rng.standard_normal((5, 4, 6, 9))
    first = rng.standard_normal((5, 4, 6)) + 1j * rng.standard_normal((5, 4, 6))
    matrices = 0.05 * draws @ draws.conj().swapaxes(-1, -2) + 4 * first[..., None] * first[..., None, :].conj()
    matrices[0, 0] = 0
    vectors, values = dominant(matrices.astype(np.complex64))
    expected, all_vectors = np.linalg.eigh(matrices)
    np.testing.assert_allclose(values, expected[..., -1], rtol=1e-4)
    overlap = np.abs((all_vectors[..., -1].conj() * vectors).sum(-1))
    overlap[0, 0] = 1
    np.testing.assert_allclose(overlap, 1, atol=1e-4)
    assert not vectors[0, 0].any() and values[0, 0] == 0


def test_covariances_are_the_same_whether_rows_come_at_once_or_in_parts(rng, monkeypatch):
    images = (rng.standard_normal((3, 30, 14)) + 1j * rng.standard_normal((3, 30, 14))).astype(np.complex64)
    whole = next(local_covariances(images, (1.5, 2.0)))
    assert whole.shape == (30, 14, 3, 3)
    monkeypatch.setattr(walsh, "_BYTES", 8 * 9 * 14 * 7)  # seven rows
    parts = list(local_covariances(images, (1.5, 2.0)))
    assert [len(part) for part in parts] == [7, 7, 7, 7, 2]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    # closed form at one pixel: the Gaussian-weighted mean of the products
    y, x = np.mgrid[:30, :14]
    cut = (np.abs(y - 15) <= 6) & (np.abs(x - 7) <= 8)
    weight = cut * np.exp(-((y - 15) ** 2) / (2 * 1.5**2))
    columns = np.exp(-(np.arange(-8, 9) ** 2) / (2 * 2.0**2)).sum()
    weight = weight * np.exp(-((x - 7) ** 2) / (2 * 2.0**2))
    weight /= np.exp(-(np.arange(-6, 7) ** 2) / (2 * 1.5**2)).sum() * columns
    np.testing.assert_allclose(whole[15, 7, 0, 1], (weight * images[0] * images[1].conj()).sum(), atol=1e-5)


def test_many_lines_of_a_phantom_hold_the_coil_images():
    image = shepp_logan(96)
    kdata = simulate(image, n_coils=8, noise_std=0.01)
    maps = walsh_maps(kdata.kspace[0], kdata.acquired, width=32)
    coil_images = kdata.maps[0] * image
    outside = coil_images - maps * (maps.conj() * coil_images).sum(0)
    assert np.linalg.norm(outside) < 0.05 * np.linalg.norm(coil_images)
