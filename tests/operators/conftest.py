"""A scan that both estimators of coil maps are tried on."""

import numpy as np
import pytest

from napari_lossguide.data.phantoms import simulate


@pytest.fixture(scope="module")
def scan():
    """An ellipse with texture seen by four coils, odd sizes, every second column outside the centre."""
    y, x = np.mgrid[:49, :52]
    inside = ((y - 24) / 21) ** 2 + ((x - 26) / 22) ** 2 < 1
    image = inside * (1 + 0.3 * np.cos(0.7 * x) * np.sin(0.5 * y))
    kdata = simulate(image, n_coils=4, noise_std=1e-3, seed=1)
    mask = np.zeros((49, 52), bool)
    mask[:, ::2] = mask[:, 14:38] = True
    return kdata.undersample(mask), inside
