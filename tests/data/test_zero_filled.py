import numpy as np
import pytest

from napari_lossguide.data.fourier import ifft2c, rss
from napari_lossguide.data.phantoms import complex_noise
from napari_lossguide.data.zero_filled import ZeroFilled


@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("shape", [(24, 30), (25, 31)])
def test_it_is_the_transform_of_the_masked_kspace(coils, shape, rng):
    kspace = complex_noise((coils, *shape), 1.0, seed=1)
    images = ZeroFilled(kspace)
    lines = [np.broadcast_to(rng.random(n) < 0.4, shape[::-1] if n == shape[0] else shape) for n in shape]
    for mask in (rng.random(shape) < 0.4, lines[1], lines[0].T, np.ones(shape, bool), rng.random(shape) < 0.1):
        shown = images.magnitude(mask)
        assert shown.dtype == np.float32
        np.testing.assert_allclose(shown, rss(ifft2c(kspace * mask)), atol=1e-5)
