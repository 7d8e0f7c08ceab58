import numpy as np
import pytest
from skimage.data import shepp_logan_phantom
from skimage.transform import resize

from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.phantoms import coil_maps, complex_noise, shepp_logan, simulate, smooth_phase
from napari_lossguide.types import InvalidInput

SHAPES = [(64, 48), (33, 51)]


@pytest.mark.parametrize("n", [64, 63, 256])
def test_shepp_logan(n):
    phantom = shepp_logan(n)
    assert phantom.shape == (n, n)
    assert phantom.dtype == np.float32
    assert phantom.min() == 0
    assert phantom.max() == 1
    # Ventricles are empty, the skull is bright, soft tissue is at 0.2.
    np.testing.assert_allclose(phantom[n // 2, [round(0.39 * n), round(0.61 * n)]], 0, atol=1e-6)
    assert phantom[round(0.47 * n), round(0.16 * n) :].max() == 1
    assert phantom[round(0.7 * n), n // 2] == pytest.approx(0.2)


def test_shepp_logan_is_the_well_known_one():
    # scikit-image ships a drawing of the same ellipses, 400 x 400, framed a little differently.
    other = resize(shepp_logan_phantom(), (200, 200), anti_aliasing=True)
    assert np.corrcoef(shepp_logan(200).ravel(), other.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_coils", [2, 4, 8, 12])
def test_coil_maps_are_normalised_smooth_and_nowhere_zero(shape, n_coils):
    maps = coil_maps(n_coils, shape)
    assert maps.shape == (n_coils, *shape)
    assert maps.dtype == np.complex64
    np.testing.assert_allclose(np.linalg.norm(maps, axis=0), 1, rtol=1e-5)
    assert np.abs(maps).min() > 1e-3
    steps = [np.abs(np.diff(maps, axis=axis)).max() * shape[axis - 1] for axis in (1, 2)]
    assert max(steps) < 8  # in units of the field of view: no jump, no singularity


def test_coils_are_different_enough_to_unfold():
    maps = coil_maps(8, (32, 32))
    folded = maps.reshape(8, 32, 2, 16)  # pixels that a 2-fold acceleration along x puts on top of each other
    normal = np.einsum("cyai,cybi->yiab", folded.conj(), folded)
    unfolding = np.einsum("yiaa->yia", np.linalg.inv(normal)).real
    g = np.sqrt(unfolding * np.einsum("yiaa->yia", normal).real)
    assert g.max() < 1.5


def test_each_coil_is_strongest_on_its_own_side():
    maps = np.abs(coil_maps(4, (40, 40)))
    brightest = [np.unravel_index(m.argmax(), m.shape) for m in maps]
    assert brightest[0][1] > 35
    assert brightest[1][0] > 35
    assert brightest[2][1] < 5
    assert brightest[3][0] < 5


def test_one_coil_has_the_map_one():
    np.testing.assert_array_equal(coil_maps(1, (5, 4)), np.ones((1, 5, 4)))
    with pytest.raises(InvalidInput, match="n_coils is 0"):
        coil_maps(0, (5, 4))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("global_numpy_state_untouched")
def test_smooth_phase(shape):
    phase = smooth_phase(shape, seed=3, strength=2.0)
    assert phase.shape == shape
    assert phase.dtype == np.float32
    assert np.abs(phase).max() == pytest.approx(2.0)
    for axis in (0, 1):
        assert np.abs(np.diff(phase, axis=axis)).max() < 2.0 * 4 * np.pi / shape[axis]
    np.testing.assert_array_equal(phase, smooth_phase(shape, seed=3, strength=2.0))
    assert not np.allclose(phase, smooth_phase(shape, seed=4, strength=2.0))


def test_simulate_one_coil_of_a_real_image(rng):
    images = rng.uniform(size=(2, 9, 8)).astype(np.float32)
    kdata = simulate(images)
    assert kdata.simulated
    assert kdata.real
    assert kdata.fully_sampled
    assert kdata.noise_std == 0
    np.testing.assert_allclose(kdata.kspace, fft2c(images)[:, None], atol=1e-6)
    np.testing.assert_array_equal(kdata.reference, images)
    np.testing.assert_array_equal(kdata.maps, np.ones((2, 1, 9, 8)))


def test_simulate_many_coils_with_phase(rng):
    image, phase = rng.uniform(size=(9, 8)), smooth_phase((9, 8))
    kdata = simulate(image, n_coils=4, phase=phase, spacing=(3, 2, 1), name="head")
    assert not kdata.real
    assert kdata.simulated
    assert (kdata.spacing, kdata.name) == ((3.0, 2.0, 1.0), "head")
    truth = image * np.exp(1j * phase)
    np.testing.assert_allclose(kdata.reference[0], truth, atol=1e-6)
    np.testing.assert_allclose(ifft2c(kdata.kspace)[0], coil_maps(4, (9, 8)) * truth, atol=1e-6)


def test_only_a_real_image_seen_by_one_coil_is_real(rng):
    image = rng.uniform(size=(6, 6))
    assert simulate(image).real
    assert not simulate(image, n_coils=2).real
    assert not simulate(image, phase=np.ones((6, 6))).real
    assert not simulate(image + 0j).real
    assert not simulate(image, maps=np.full((1, 6, 6), 1j)).real


def test_simulate_with_given_maps(rng):
    images = rng.uniform(size=(2, 6, 6))
    maps = rng.standard_normal((2, 3, 6, 6)) + 1j * rng.standard_normal((2, 3, 6, 6))
    kdata = simulate(images, maps=maps)
    np.testing.assert_allclose(ifft2c(kdata.kspace), maps * images[:, None], atol=1e-5)
    np.testing.assert_array_equal(kdata.maps, maps.astype(np.complex64))


@pytest.mark.usefixtures("global_numpy_state_untouched")
def test_noise_has_the_stated_variance_and_is_circular():
    image = np.zeros((200, 201), np.float32)
    image[0, 0] = 1
    clean, noisy = simulate(image, n_coils=2), simulate(image, n_coils=2, noise_std=0.5, seed=7)
    noise = noisy.kspace - clean.kspace
    assert noisy.noise_std == 0.5
    # 80 400 complex values: the variance is known to 0.4 %.
    assert np.mean(np.abs(noise) ** 2) == pytest.approx(0.25, rel=0.02)
    assert np.mean(noise.real**2) == pytest.approx(0.125, rel=0.03)
    assert abs(np.mean(noise**2)) < 0.005
    assert abs(np.mean(noise[0, 0] * noise[0, 1].conj())) < 0.005
    np.testing.assert_array_equal(noisy.kspace, simulate(image, n_coils=2, noise_std=0.5, seed=7).kspace)
    assert not np.allclose(noisy.kspace, simulate(image, n_coils=2, noise_std=0.5, seed=8).kspace)


def test_no_noise_is_exactly_none():
    assert not complex_noise((3, 4), 0.0, seed=1).any()
    assert complex_noise((3, 4), 1.0, seed=1).dtype == np.complex64


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.ones(4), {}, r"shape \(4,\)"),
        (np.ones((1, 2, 3, 4)), {}, r"shape \(1, 2, 3, 4\)"),
        (np.full((4, 4), "a"), {}, "type <U1"),
        (np.full((4, 4), np.nan), {}, "NaN"),
        (np.zeros((4, 4)), {}, "zero everywhere"),
        (np.ones((4, 4)), {"noise_std": -1}, "noise_std is -1"),
        (np.ones((4, 4)), {"noise_std": np.nan}, "noise_std is nan"),
        (np.ones((4, 4)), {"n_coils": 0}, "n_coils is 0"),
        (np.ones((4, 4)), {"maps": np.ones((2, 4, 5))}, r"\(2, 4, 5\)"),
        (np.ones((4, 4)), {"maps": np.ones((4, 4))}, r"maps have shape \(4, 4\)"),
        (np.ones((4, 4)), {"phase": np.ones((4, 5))}, r"phase has shape \(4, 5\)"),
    ],
)
def test_bad_simulations_are_refused(images, options, message):
    with pytest.raises(InvalidInput, match=message):
        simulate(images, **options)
