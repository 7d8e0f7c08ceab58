"""Dense double-precision linear algebra that shares no code with the package: the truth that tests compare with.

Everything is done in real channels: a complex image is [Re x, Im x] in R^2n, a real one x in R^n, and k-space always
[Re y, Im y]. So "restricted to real images" needs no formula here: it is what leaving the imaginary columns out does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.types import Problem


def dft(n: int) -> np.ndarray:
    """Centred orthonormal transform of n points, from its definition."""
    k = np.arange(n) - n // 2
    return np.exp(-2j * np.pi * np.outer(k, k) / n) / np.sqrt(n)


def dense_sense(mask: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """The complex matrix (coil ny nx, ny nx) of y_c = mask . F(maps_c . x)."""
    fourier = np.kron(dft(mask.shape[0]), dft(mask.shape[1]))
    return np.concatenate([mask.reshape(-1, 1) * fourier * m.reshape(1, -1) for m in maps.astype(complex)])


def smooth_maps(coils: int, shape: tuple[int, int]) -> np.ndarray:
    """Coils on a ring with their own phases, root-sum-of-squares 1, complex64; ones for one coil."""
    if coils == 1:
        return np.ones((1, *shape), np.complex64)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    angle = 2 * np.pi * np.arange(coils)[:, None, None] / coils
    distance = (y - np.sin(angle)) ** 2 + (x - np.cos(angle)) ** 2
    maps = np.exp(-distance + 1j * (angle + 0.7 * y * np.cos(angle) - 0.5 * x))
    return (maps / np.linalg.norm(maps, axis=0)).astype(np.complex64)


def to_vector(image: np.ndarray, real: bool) -> np.ndarray:
    """(..., ny, nx) -> (..., n) or (..., 2n) float64."""
    flat = np.asarray(image).reshape(*image.shape[:-2], -1)
    return flat.real.astype(float) if real else np.concatenate([flat.real, flat.imag], -1).astype(float)


@dataclass(frozen=True)
class LinearCase:
    """A linear-Gaussian problem: x0 ~ N(mu, s^2) per channel, y = A x0 + n, E|n|^2 = noise_std^2 on the mask."""

    shape: tuple[int, int]
    coils: int
    real: bool
    noise_std: float
    s: float = 0.5
    seed: int = 0

    @cached_property
    def mask(self) -> np.ndarray:
        """Nearly half of the points at random, and three full columns in the centre."""
        mask = np.random.default_rng(self.seed).random(self.shape) < 0.4
        mask[:, self.shape[1] // 2 - 1 : self.shape[1] // 2 + 2] = True
        return mask

    @cached_property
    def maps(self) -> np.ndarray:
        return smooth_maps(self.coils, self.shape)

    @cached_property
    def mu(self) -> np.ndarray:
        """Mean image, of size one, complex64 or float32."""
        y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in self.shape), indexing="ij")
        mu = 1 + np.cos(3 * y + x)
        return mu.astype(np.float32) if self.real else (mu * np.exp(0.8j * (x - y))).astype(np.complex64)

    @cached_property
    def truth(self) -> np.ndarray:
        z = np.random.default_rng([self.seed, 1]).standard_normal((2, *self.shape))
        return self.mu + (self.s * (z[0] if self.real else z[0] + 1j * z[1])).astype(self.mu.dtype)

    @cached_property
    def y(self) -> np.ndarray:
        """Measured k-space complex64 (coil, ny, nx)."""
        z = np.random.default_rng([self.seed, 2]).standard_normal((2, *self.maps.shape))
        noise = self.noise_std / np.sqrt(2) * (z[0] + 1j * z[1])
        clean = (dense_sense(self.mask, self.maps) @ self.truth.ravel()).reshape(self.maps.shape)
        return ((clean + noise) * self.mask).astype(np.complex64)

    @cached_property
    def matrix(self) -> np.ndarray:
        """A in real channels."""
        a = dense_sense(self.mask, self.maps)
        re, im = np.concatenate([a.real, a.imag]), np.concatenate([-a.imag, a.real])
        return re if self.real else np.concatenate([re, im], axis=1)

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues and eigenvectors (columns) of A^T A: how well each mode of the image is measured."""
        values, vectors = np.linalg.eigh(self.matrix.T @ self.matrix)
        return values.clip(0), vectors

    def posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean in real channels, and variance of each mode; the noise may be zero."""
        values, vectors = self.modes
        mu, y = to_vector(self.mu, self.real), np.concatenate([self.y.real.ravel(), self.y.imag.ravel()]).astype(float)
        gradient = vectors.T @ (self.matrix.T @ (y - self.matrix @ mu))
        measured = values > 1e-9
        per_channel = self.noise_std**2 / 2
        gain = np.where(measured, self.s**2 / np.where(measured, self.s**2 * values + per_channel, 1), 0)
        return mu + vectors @ (gain * gradient), self.s**2 * (1 - gain * values)

    def problem(self) -> Problem:
        mask, maps = torch.from_numpy(self.mask), torch.from_numpy(self.maps)
        y = torch.from_numpy(self.y)[None]
        return Problem(y, CartesianSense(mask, maps), self.noise_std, 1.0, self.real, int(self.mask.sum()) * self.coils)

    def noise(self, batch: int, seed: int = 0, quiet: int = 0):
        """Unit noise draws of this kind of image; those of the first ``quiet`` samples are zero."""
        return QuietNoise(self, batch, seed, quiet)


class QuietNoise:
    """Unit noise of a batch, zero for its first images."""

    def __init__(self, case: LinearCase, batch: int, seed: int, quiet: int) -> None:
        self.case, self.batch, self.quiet = case, batch, quiet
        self.rng = torch.Generator().manual_seed(seed)

    def draw(self, *shape: int) -> torch.Tensor:
        z = torch.randn((2, self.batch, *shape), generator=self.rng)
        z[:, : self.quiet] = 0
        return z

    def __call__(self) -> torch.Tensor:
        z = self.draw(*self.case.shape)
        return z[0] if self.case.real else torch.complex(z[0], z[1])

    def of_data(self, coils: int) -> torch.Tensor:
        z = self.draw(coils, *self.case.shape)
        return torch.complex(z[0], z[1])
