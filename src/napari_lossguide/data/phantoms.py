"""Simulated acquisitions: the Shepp-Logan phantom, coil maps, smooth phase, noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.missing import check_slices
from napari_lossguide.types import InvalidInput

# L. A. Shepp and B. F. Logan, IEEE Trans. Nucl. Sci. 21 (1974): centre x, y, half axes, rotation in degrees; with the
# intensities of P. Toft, PhD thesis (DTU 1996), table B.3, whose soft tissue can be seen without windowing.
_ELLIPSES = (
    # intensity, x, y, half axis x, half axis y, rotation
    (1.0, 0.0, 0.0, 0.69, 0.92, 0.0),
    (-0.8, 0.0, -0.0184, 0.6624, 0.874, 0.0),
    (-0.2, 0.22, 0.0, 0.11, 0.31, -18.0),
    (-0.2, -0.22, 0.0, 0.16, 0.41, 18.0),
    (0.1, 0.0, 0.35, 0.21, 0.25, 0.0),
    (0.1, 0.0, 0.1, 0.046, 0.046, 0.0),
    (0.1, 0.0, -0.1, 0.046, 0.046, 0.0),
    (0.1, -0.08, -0.605, 0.046, 0.023, 0.0),
    (0.1, 0.0, -0.605, 0.023, 0.023, 0.0),
    (0.1, 0.06, -0.605, 0.023, 0.046, 0.0),
)


def _coordinates(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres y (ny, 1), downwards, and x (1, nx); the field of view is [-1, 1] on both axes."""
    ny, nx = shape
    y = (2 * np.arange(ny) + 1) / ny - 1
    x = (2 * np.arange(nx) + 1) / nx - 1
    return y[:, None], x[None, :]


def shepp_logan(n: int = 256) -> np.ndarray:
    """Shepp-Logan phantom with Toft's intensities in [0, 1].

    Returns
    -------
    float32 (n, n)
    """
    y, x = _coordinates((n, n))
    image = np.zeros((n, n))
    for intensity, centre_x, centre_y, half_x, half_y, degrees in _ELLIPSES:
        angle = np.deg2rad(degrees)
        dx, dy = x - centre_x, -y - centre_y
        along = dx * np.cos(angle) + dy * np.sin(angle)
        across = dy * np.cos(angle) - dx * np.sin(angle)
        image[(along / half_x) ** 2 + (across / half_y) ** 2 <= 1] += intensity
    # The sums of tenths leave rounding errors below 0.
    return image.clip(0, 1).astype(np.float32)


def coil_maps(n_coils: int, shape: tuple[int, int]) -> np.ndarray:
    """Smooth maps of coils on a ring around the field of view, as in a birdcage array.

    Coil c sits at z_c on the ring. Its magnitude falls with the distance d as a loop's field does on its axis,
    (a^2 + d^2)^(-3/2); its phase is that of 1 / (z - z_c), which turns from coil to coil by the angle between them.

    Parameters
    ----------
    n_coils : at least 1; one coil has the map 1
    shape : (ny, nx)

    Returns
    -------
    complex64 (coil, ny, nx), root-sum-of-squares 1, nowhere 0
    """
    if n_coils < 1:
        raise InvalidInput(f"n_coils is {n_coils}; at least 1 is needed.")
    if n_coils == 1:
        return np.ones((1, *shape), np.complex64)
    y, x = _coordinates(shape)
    # Outside the corners of the field of view, which are at sqrt(2). Eight coils then have a mean g-factor of 1.2, 2.1
    # and 6.8 at 2, 3 and 4 along one axis.
    centres = 1.7 * np.exp(2j * np.pi * np.arange(n_coils) / n_coils)[:, None, None]
    offset = (x + 1j * y)[None] - centres
    maps = np.exp(-1j * np.angle(offset)) * (0.7**2 + np.abs(offset) ** 2) ** -1.5
    maps /= np.linalg.norm(maps, axis=0)
    return maps.astype(np.complex64)


def smooth_phase(shape: tuple[int, int], seed: int = 0, strength: float = 1.5) -> np.ndarray:
    """Random phase without detail: a random combination of all products of cosines with up to one and a half periods.

    Parameters
    ----------
    shape : (ny, nx)
    seed : of its own generator
    strength : largest magnitude, in radians

    Returns
    -------
    float32 (ny, nx)
    """
    y, x = _coordinates(shape)
    rng = np.random.default_rng(seed)
    orders = np.arange(4)[:, None, None]
    along_y, along_x = np.cos(np.pi * orders * (y + 1) / 2), np.cos(np.pi * orders * (x + 1) / 2)
    weights = rng.standard_normal((4, 4)) / (1 + np.hypot(*np.meshgrid(np.arange(4), np.arange(4)))) ** 2
    weights[0, 0] = 0
    phase = np.einsum("ab,ayi,bjx->yx", weights, along_y, along_x)
    return (strength * phase / np.abs(phase).max()).astype(np.float32)


def simulate(
    images: np.ndarray,
    *,
    n_coils: int = 1,
    noise_std: float = 0.0,
    maps: np.ndarray | None = None,
    phase: np.ndarray | None = None,
    seed: int = 0,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    name: str = "simulation",
    source: str = "simulated from an image",
) -> KData:
    """Fully sampled k-space of an image: y_c = F (map_c x) + n.

    Parameters
    ----------
    images : (slice, ny, nx) or (ny, nx), real or complex
    n_coils : used where `maps` is None
    noise_std : E|n|^2 = noise_std^2 per point and coil, complex, white, circular
    maps : (coil, ny, nx) or (slice, coil, ny, nx); None: `coil_maps`
    phase : radians, (ny, nx) or (slice, ny, nx), added to the image
    seed : of the noise

    Returns
    -------
    KData
        With `reference` (the image, phase included) and `maps`; `real` if the image is real, has one coil and no phase.
        Slices that are missing (NaN) stay so.

    Raises
    ------
    InvalidInput
        If the image has another number of axes, is zero everywhere or not finite, or maps or phase do not fit it.
    """
    truth = _image_stack(images, phase, name)
    shape = truth.shape[-2:]
    given_maps = maps is not None
    maps = coil_maps(n_coils, shape) if maps is None else np.asarray(maps)
    if maps.ndim not in (3, 4) or maps.shape[-2:] != shape or (maps.ndim == 4 and len(maps) != len(truth)):
        raise InvalidInput(f"The coil maps have shape {maps.shape}, which does not fit images of shape {truth.shape}.")
    kspace = fft2c((maps * truth[:, None]).astype(np.complex64))
    fields: dict[str, Any] = {"spacing": spacing, "name": name, "source": source, "noise_std": float(noise_std)}
    return KData.from_array(
        kspace + complex_noise(kspace.shape, noise_std, seed),
        np.ones(shape, bool),
        reference=truth,
        maps=maps,
        simulated=True,
        real=not (np.iscomplexobj(truth) or given_maps or kspace.shape[1] > 1),
        **fields,
    )


def complex_noise(shape: tuple[int, ...], noise_std: float, seed: int) -> np.ndarray:
    """White circular complex noise with E|n|^2 = noise_std^2, complex64."""
    if not 0 <= noise_std < np.inf:
        raise InvalidInput(f"noise_std is {noise_std}; accepted are finite numbers from 0.")
    if noise_std == 0:
        return np.zeros(shape, np.complex64)
    parts = np.random.default_rng(seed).standard_normal((*shape, 2), dtype=np.float32)
    return parts.view(np.complex64)[..., 0] * np.float32(noise_std / np.sqrt(2))


def _image_stack(images: np.ndarray, phase: np.ndarray | None, name: str) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype.kind not in "buifc" or images.ndim not in (2, 3) or 0 in images.shape:
        raise InvalidInput(
            f"The image {name} has shape {images.shape} and type {images.dtype}; "
            "accepted are numbers of shape (ny, nx) or (slice, ny, nx)."
        )
    stack = images.reshape(-1, *images.shape[-2:])
    stack = stack.astype(np.complex64 if np.iscomplexobj(images) else np.float32)
    missing = check_slices(stack, f"The image {name}")
    if not np.delete(stack, missing, axis=0).any():
        raise InvalidInput(f"The image {name} is zero everywhere; there is nothing to simulate.")
    if phase is None:
        return stack
    if np.shape(phase) not in (stack.shape, stack.shape[1:]):
        raise InvalidInput(f"The phase has shape {np.shape(phase)}, which does not fit images of shape {stack.shape}.")
    return (stack * np.exp(1j * np.asarray(phase))).astype(np.complex64)
