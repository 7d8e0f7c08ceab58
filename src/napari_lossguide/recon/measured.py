"""What the data say of an image and what the prior filled in: its parts in the measured space and in the null space.

With A^H A of eigenvalues e, a mode of the image x is heard through the noise as far as

    e / (e + lambda),    lambda = sigma_y^2 / mean |x|^2,

the Wiener filter of data with noise of sigma_y: x_measured = (A^H A + lambda)^-1 A^H A x, and the rest was filled in.
Without noise lambda is ``LEAST`` and, for one coil, the parts are exact projections. Both are shown along the phase of
the image, Re(part exp(-i phase)), so that they add up to its magnitude pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.recon.result import Result

LEAST = 1e-4
ITERATIONS = 100


class Parts(NamedTuple):
    """Parts of an image, float32 (slice, ny, nx) on its scale; their sum is its magnitude.

    Attributes
    ----------
    measured : what the data say.
    filled : what the prior filled in; of either sign.
    share : energy of the filled-in part over that of the image, of each slice.
    result : what was split.
    """

    measured: NDArray[np.float32]
    filled: NDArray[np.float32]
    share: NDArray[np.float32]
    result: Result


def parts(result: Result, checkpoint: Callable[[], None] = lambda: None) -> Parts:
    """Split the image of a result.

    Parameters
    ----------
    result : of a reconstruction.
    checkpoint : called before each slice; may raise to end it.
    """
    import torch

    from napari_lossguide.operators.cartesian_sense import CartesianSense
    from napari_lossguide.operators.normal_equations import fit

    measured, filled, share = [], [], []
    mask, real = torch.from_numpy(result.mask), result.recipe.image == "real"
    for image, maps in zip(result.image, result.maps, strict=True):
        checkpoint()
        A = CartesianSense(mask, torch.from_numpy(maps))
        x = torch.from_numpy(image)[None]
        x = x.real if real else x
        power = max(float(np.mean(np.abs(image) ** 2)), 1e-30)
        damping = max(LEAST, result.noise_std**2 / 2 / power) if np.isfinite(result.noise_std) else LEAST
        heard = fit(A, A.forward(x), damping, real=real, max_iter=ITERATIONS, tolerance=1e-5)[0].numpy()
        phase = np.exp(-1j * np.angle(image))
        measured.append((heard * phase).real.astype(np.float32))
        filled.append(((image - heard) * phase).real.astype(np.float32))
        share.append(np.sum(np.abs(image - heard) ** 2) / (power * image.size))
    return Parts(np.stack(measured), np.stack(filled), np.asarray(share, np.float32), result)
