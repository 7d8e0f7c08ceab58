"""How good the zero-filled image of a mask is, against the full scan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.data.fourier import ifft2c, rss
from napari_lossguide.recon.metrics import psnr


def zero_filled_psnr(kspace: NDArray[np.complex64]) -> Callable[[NDArray[np.bool_]], float]:
    """Peak signal-to-noise ratio of the zero-filled image against that of all points, coils combined.

    Parameters
    ----------
    kspace : (coil, ny, nx), fully sampled

    Returns
    -------
    callable
        mask, bool (ny, nx) -> dB; the full scan is transformed once.
    """
    truth = rss(ifft2c(kspace))
    return lambda mask: psnr(truth, rss(ifft2c(kspace * mask)))
