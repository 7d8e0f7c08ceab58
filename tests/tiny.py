"""A network and a scan small enough for a unit test."""

from __future__ import annotations

import numpy as np
import torch

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import simulate
from napari_lossguide.priors.classifier.classifier import CLASSES, ClassifierInfo, NoiseClassifier
from napari_lossguide.priors.classifier.network import HalfUNet
from napari_lossguide.priors.domain import NetworkDenoiser
from napari_lossguide.priors.network import UNet
from napari_lossguide.priors.precond import EDMPrecond
from napari_lossguide.types import PriorInfo

WIDTHS = (8, 16)


def tiny_unet(seed: int = 0, widths: tuple[int, ...] = WIDTHS) -> UNet:
    """A UNet with every weight drawn: a fresh one has zeros at its end and in its residual branches."""
    with torch.random.fork_rng(devices=[]):
        network = UNet(widths=widths, heads=2)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(0.15 * torch.randn(p.shape, generator=rng))
    return network


def tiny_denoiser(seed: int = 0, sigma_data: float = 0.25) -> NetworkDenoiser:
    info = PriorInfo("tiny", sigma_min=0.002, sigma_max=10.0, sigma_data=sigma_data, channels=2, divisible_by=8)
    return NetworkDenoiser(EDMPrecond(tiny_unet(seed), sigma_data), info)


def tiny_classifier(seed=0):
    """Every weight drawn, so that no branch is silent."""
    with torch.random.fork_rng(devices=[]):
        network = HalfUNet({q: len(a) for q, a in CLASSES.items()}, 0.25, widths=(8, 16), hidden=16)
    rng = torch.Generator().manual_seed(seed)
    for p in network.parameters():
        p.data = 0.3 * torch.randn(p.shape, generator=rng)
    return NoiseClassifier(network, ClassifierInfo("tiny", CLASSES, 0.002, 10.0))


def tiny_scan(coils: int = 1, slices: int = 1, noise_std: float = 0.05, shape: tuple[int, int] = (24, 20)) -> KData:
    """Undersampled k-space of an ellipse with a bright spot, another one in each slice; centre columns all acquired."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    cy, cx = shape[0] / 2, shape[1] / 2
    ellipse = (((y - cy) / (0.42 * shape[0])) ** 2 + ((x - cx) / (0.4 * shape[1])) ** 2 < 1).astype(np.float32)
    spots = [np.exp(-((y - cy - i) ** 2 + (x - cx + 2 * i) ** 2) / 12) for i in range(slices)]
    mask = np.zeros(shape, bool)
    mask[:, ::3] = mask[:, shape[1] // 2 - 5 : shape[1] // 2 + 5] = True
    kdata = simulate(np.stack([ellipse + s for s in spots]), n_coils=coils, noise_std=noise_std, seed=3)
    return kdata.undersample(mask)


def halved(kdata: KData) -> KData:
    """The same scan as partial Fourier: the columns up to a few beyond the centre, without gaps."""
    mask = np.zeros(kdata.image_shape, bool)
    mask[:, : kdata.image_shape[1] // 2 + 5] = True
    full = simulate(kdata.reference, n_coils=kdata.n_coils, noise_std=0.05, seed=3)
    return full.undersample(mask)


def collect(run):
    """All of a run's progress, and its result."""
    progress = []
    while True:
        try:
            progress.append(next(run))
        except StopIteration as stop:
            return progress, stop.value
