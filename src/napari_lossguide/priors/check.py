"""Does a prior denoise, and does it denoise images of the range that is said of it?

Noise of known strength is added to images, and the estimate compared with them. A model in the wrong range or with the
wrong prediction still gives an image; what gives it away is that another reading of the same weights does better.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_lossguide.data.phantoms import shepp_logan, smooth_phase
from napari_lossguide.priors.domain import REFERENCE_QUANTILE, Domain, NetworkDenoiser
from napari_lossguide.priors.precond import PREDICTIONS, DDPMPrecond
from napari_lossguide.types import InvalidInput

SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0)
PROBES = (0.1, 0.3, 1.0)  # enough to tell readings of the same weights apart
USUAL = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-1.0, 3.0))
SYMMETRIC = ((-1.0, 1.0), (-0.5, 0.5), (-255.0, 255.0))  # of real and imaginary parts, where zero is zero
NAMES = {(-1.0, 3.0): "-1 to 3, as of z-scores"}
DENOISES = 1.0  # dB above the best constant shrinkage, which needs no knowledge of images
BETTER = 0.5  # dB by which the right reading wins on average, without losing at any noise level
PROBED = 2  # images
MOST = 6  # images


@dataclass(frozen=True)
class Level:
    """One noise level: PSNR in dB (peak 1) of the noisy image, of its best constant shrinkage, of the estimate."""

    sigma: float
    before: float
    shrunk: float
    after: float


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes
    ----------
    levels : of the reading that was checked, by kind of image, "real" or "complex".
    verdict : "denoises", "other range", "other prediction" or "does not denoise".
    range, prediction : of the better reading, if there is one.
    words : sentences for a person.
    """

    levels: dict[str, list[Level]]
    verdict: str
    range: tuple[float, float] | None
    prediction: str | None
    words: list[str]

    def values(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def phantoms(side: int) -> np.ndarray:
    """Three phantoms, with other contrasts and turned, float32 (3, side, side), the reference quantile at one."""
    plain = shepp_logan(side)
    y, x = np.mgrid[:side, :side] / side
    shaded = np.rot90(plain) * (0.6 + 0.4 * x)
    inverted = np.where(plain > 0, 1.1 - plain, 0) * (0.7 + 0.3 * np.sin(9 * y) * np.cos(7 * x))
    return scaled(np.stack([plain, shaded, inverted]))


def scaled(images: np.ndarray) -> np.ndarray:
    """Real images (slice, ny, nx), each with its minimum at zero and the reference quantile at one, at most six.

    Raises
    ------
    InvalidInput
        If they are not such images, or one is empty.
    """
    if images.ndim != 3 or not len(images):
        raise InvalidInput(f"The images have the shape {images.shape}; (slice, ny, nx) is needed.")
    chosen = np.abs(images[np.unique(np.linspace(0, len(images) - 1, min(len(images), MOST)).astype(int))])
    chosen = chosen.astype(np.float32)
    chosen -= chosen.min(axis=(1, 2), keepdims=True)
    top = np.quantile(chosen, REFERENCE_QUANTILE, axis=(1, 2), keepdims=True)
    if not (np.isfinite(top).all() and (top > 0).all()):
        raise InvalidInput("The images are empty or not finite in part; give slices with something in them.")
    return chosen / top


def check_denoiser(denoiser: NetworkDenoiser, images: np.ndarray, device: str = "cpu") -> Report:
    """Denoise images at five noise levels, and with other readings of the same weights.

    Parameters
    ----------
    denoiser : the prior as it would be used.
    images : (slice, ny, nx), as ``scaled`` gives them.
    """
    kinds = {"real": torch.from_numpy(images).to(device)}
    if denoiser.domain.channels == 2:
        phase = torch.from_numpy(smooth_phase(images.shape[-2:], seed=1)).to(device)
        kinds["complex"] = torch.polar(kinds["real"], phase.float().expand_as(kinds["real"]))
    levels = {kind: measure(denoiser, x, SIGMAS) for kind, x in kinds.items()}
    best = max(levels, key=lambda k: gain(levels[k]))
    return report(denoiser, levels, best, better_reading(denoiser, kinds[best][:PROBED]))


@dataclass(frozen=True)
class Reading:
    """Another way to read the same weights: what differs (None is as described), and the dB that it gains by it."""

    range: tuple[float, float] | None
    prediction: str | None
    better: float = 0.0

    def words(self) -> str:
        """For a sentence."""
        names = []
        if self.range:
            low, high = self.range
            names.append(f"a model of the range {NAMES.get(self.range, f'{low:g} to {high:g}')}")
        if self.prediction:
            names.append(f"one that predicts {self.prediction}")
        return " and ".join(names)


def better_reading(denoiser: NetworkDenoiser, x0: Tensor) -> Reading | None:
    """The best other reading of the weights, if it wins at every noise level."""
    here = measure(denoiser, x0, PROBES)
    found: list[Reading] = []
    for reading, other in readings(denoiser):
        there = measure(other, x0, PROBES)
        wins = [b.after - max(a.after, a.before - 10) for a, b in zip(here, there, strict=True)]
        better = float(np.mean(wins))
        if better >= BETTER and min(wins) >= 0 and all(b.after > b.shrunk + DENOISES for b in there):
            found.append(dataclasses.replace(reading, better=better))
    return max(found, key=lambda r: r.better, default=None)


def measure(denoiser: NetworkDenoiser, x0: Tensor, sigmas: Sequence[float]) -> list[Level]:
    """PSNR before and after, over all images."""
    rng = torch.Generator().manual_seed(0)
    out = []
    parts = 2 if x0.is_complex() else 1
    power = float((x0 - x0.mean()).abs().square().mean()) / parts
    for sigma in sigmas:
        noise = torch.randn((parts, *x0.shape), generator=rng).to(x0.device)
        x = x0 + sigma * (torch.complex(noise[0], noise[1]) if x0.is_complex() else noise[0])
        with torch.no_grad():
            estimate = torch.cat([denoiser(image[None], sigma) for image in x])
        error = float((estimate - x0).abs().square().mean()) / parts
        shrunk = power * sigma**2 / (power + sigma**2)
        out.append(Level(sigma, decibel(sigma**2), decibel(shrunk), decibel(error)))
    return out


def decibel(mse: float) -> float:
    """PSNR of a mean squared error, for a peak of one; that of an estimate that is not finite is -inf."""
    return -10 * float(np.log10(max(mse, 1e-20))) if np.isfinite(mse) else -np.inf


def gain(levels: Sequence[Level]) -> float:
    """Mean improvement in dB. Worse than the input by a little or by a lot is the same: it counts -10 dB at most."""
    return float(np.mean([max(level.after - level.before, -10.0) for level in levels]))


def readings(denoiser: NetworkDenoiser) -> Iterator[tuple[Reading, NetworkDenoiser]]:
    """The same weights with other ranges and predictions."""
    model, domain = denoiser.model, denoiser.domain
    models: dict[str | None, nn.Module] = {None: model}
    if isinstance(model, DDPMPrecond):
        for name in set(PREDICTIONS) - {model.prediction}:
            models[name] = changed = copy.copy(model)
            changed.prediction = name
    for prediction, candidate in sorted(models.items(), key=lambda item: str(item[0])):
        if prediction is not None:
            yield Reading(None, prediction), NetworkDenoiser(candidate, denoiser.info, domain)
        for low, high in SYMMETRIC if domain.channels == 2 else USUAL:
            offset, scale = (0.0, high) if domain.channels == 2 else (low, high - low)
            if (offset, scale) != (domain.offset, domain.gain):
                factor = domain.gain / scale
                info = dataclasses.replace(
                    denoiser.info,
                    sigma_min=denoiser.info.sigma_min * factor,
                    sigma_max=denoiser.info.sigma_max * factor,
                )
                other = Domain(domain.channels, offset, scale, domain.multiple)
                yield Reading((low, high), prediction), NetworkDenoiser(candidate, info, other)


def report(denoiser: NetworkDenoiser, levels: dict[str, list[Level]], best: str, other: Reading | None) -> Report:
    """The verdict, with its sentences."""
    domain = denoiser.domain
    low, high = (-domain.gain if domain.channels == 2 else domain.offset), domain.offset + domain.gain
    images = f"images of the range {low:g} to {high:g}"
    if domain.channels == 2:
        images = f"images whose real and imaginary part have the range {low:g} to {high:g}"
    shown = levels[best]
    average = gain(shown)
    beats = sum(level.after > level.shrunk + DENOISES for level in shown)
    if other is not None:
        sure = "is probably" if other.better > 1.5 else "may be"
        words = [
            f"As it is described (range {low:g} to {high:g}) it gains {average:.1f} dB; read as {other.words()} "
            f"it does {other.better:.1f} dB better: the description {sure} wrong."
        ]
        verdict = "other prediction" if other.prediction else "other range"
        return Report(levels, verdict, other.range, other.prediction, words)
    if beats >= len(shown) - 1:
        words = [f"It denoises {images}: {average:.1f} dB are gained on average."]
        if "complex" in levels and gain(levels["real"]) < gain(levels["complex"]) - 3:
            words.append("It does worse on real images, whose imaginary part has neither signal nor noise.")
        return Report(levels, "denoises", None, None, words)
    if average <= 0:
        words = ["It does not denoise: its estimates are no better than the noisy images."]
    else:
        words = [f"It does not denoise: only at {beats} of {len(shown)} noise levels is it better than a paler image."]
    words.append("Its weights are untrained or of another network, or what is said of it is wrong.")
    return Report(levels, "does not denoise", None, None, words)
