import numpy as np
import pytest
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.data.fourier import fft2c, mirrored
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.measured import parts
from napari_lossguide.recon.recipe import Recipe


def done(coils=1, noise_std=0.0, image="complex", **fields):
    kdata = tiny_scan(coils, slices=2, noise_std=noise_std)
    recipe = Recipe.for_method("prox-ddim", steps=4, image=image, noise_std=noise_std, **fields)
    return kdata, collect(reconstruction(kdata, recipe, maps=kdata.maps, device="cpu", denoiser=tiny_denoiser()))[1]


@pytest.mark.parametrize(("coils", "image"), [(1, "real"), (1, "complex"), (3, "complex")])
def test_the_parts_add_up_to_the_magnitude(coils, image):
    _, result = done(coils, image=image)
    p = parts(result)
    np.testing.assert_allclose(p.measured + p.filled, np.abs(result.image), atol=1e-5 * np.abs(result.image).max())
    assert p.measured.dtype == p.filled.dtype == np.float32 and p.share.shape == (2,)


def test_of_one_coil_the_filled_in_part_has_nothing_of_the_measured_points():
    _, result = done(image="real")
    result.image[:] = np.abs(result.image)  # no signs, which would mix frequencies
    p, known = parts(result), result.mask | mirrored(result.mask)
    filled, measured = (np.abs(fft2c(x)) ** 2 for x in (p.filled, p.measured))
    assert filled[:, known].sum() < 1e-6 * measured.sum()
    assert measured[:, ~known].sum() < 1e-6 * filled.sum()


@pytest.mark.parametrize("image", ["real", "complex"])
def test_the_share_is_the_energy_that_was_not_measured(image):
    _, result = done(image=image)
    known = result.mask | mirrored(result.mask) if image == "real" else result.mask
    energy = np.abs(fft2c(result.image)) ** 2
    np.testing.assert_allclose(parts(result).share, energy[:, ~known].sum(1) / energy.sum((1, 2)), rtol=1e-3)


def test_noise_leaves_less_to_the_data_and_a_full_scan_all():
    quiet, loud = (parts(done(3, noise_std=n)[1]).share.mean() for n in (0.01, 0.5))
    assert loud > quiet > 0
    _, result = done()
    result.mask[:] = True
    assert parts(result).share.max() < 1e-6


def test_more_coils_say_more():
    assert parts(done(4)[1]).share.mean() < parts(done(1)[1]).share.mean()


def test_it_can_be_ended():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts(done()[1], stop)
