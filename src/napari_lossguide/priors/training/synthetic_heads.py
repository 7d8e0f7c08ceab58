"""Heads of random contrast from label maps: images of sequences that the real training data do not hold.

The idea is SynthSeg's (Billot et al. 2023, Med Image Anal 86:102789): intensities per label, bias field, blur, noise.
Here the intensities are not free numbers but signal equations of randomly drawn sequences on relaxation times of the
tissues, so that what comes out is some proton-density, T1, T2, FLAIR, STIR or gradient-echo image, with or without fat
suppression. The deformation is left to ``augment.random_views``, which every training image passes through.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from napari_lossguide.priors.domain import REFERENCE_QUANTILE
from napari_lossguide.priors.training.augment import smooth_field, uniform
from napari_lossguide.types import InvalidInput


class Tissue(NamedTuple):
    """T1 and T2 in ms at 1.5 to 3 T, proton density relative to water."""

    t1: float
    t2: float
    density: float


# Textbook values (Bernstein, King & Zhou 2004; Stanisz et al. 2005, Magn Reson Med 54:507), spread by JITTER per image.
FLUID = Tissue(4000, 1500, 1.0)
GREY = Tissue(1350, 100, 0.82)
DEEP_GREY = Tissue(1200, 88, 0.8)
WHITE = Tissue(850, 76, 0.7)
VESSEL = Tissue(1700, 180, 0.85)
MUSCLE = Tissue(1150, 42, 0.75)
FAT = Tissue(330, 75, 0.95)
GLAND = Tissue(1000, 80, 0.8)
BONE = Tissue(600, 3, 0.1)
AIR = Tissue(1000, 50, 0.0)
OUTSIDE = (MUSCLE, FAT, GLAND, BONE, FLUID)  # what an extracerebral label may be in one image
JITTER = 0.12  # standard deviation of ln T1, ln T2 and ln density

# FreeSurfer's numbers; left and right halves are one tissue. Labels from 500 are outside the brain.
TISSUES = {
    FLUID: (4, 5, 14, 15, 24, 43, 44, 72),
    GREY: (3, 8, 17, 18, 42, 47, 53, 54),
    DEEP_GREY: (10, 11, 12, 13, 26, 49, 50, 51, 52, 58, 136, 137, 163, 164),
    WHITE: (2, 7, 16, 28, 41, 46, 60, 85),
    VESSEL: (30, 62),
    Tissue(1500, 140, 0.85): (25, 57),  # lesions
}
MIRRORED = {42: 3, 41: 2, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13, 53: 17, 54: 18, 57: 25, 58: 26}
MIRRORED |= {60: 28, 62: 30, 137: 136, 164: 163}


def signal(t1: Tensor, t2: Tensor, density: Tensor, rng: Generator) -> Tensor:
    """Magnitude signal of every label in one randomly drawn sequence.

    Spin echo: PD (1 - e^(-TR/T1)) e^(-TE/T2); inversion recovery: PD |1 - 2 e^(-TI/T1) + e^(-TR/T1)| e^(-TE/T2);
    spoiled gradient echo: PD sin a (1 - E1)/(1 - E1 cos a) e^(-TE/T2*), with T2* about T2/1.5. Bernstein et
    al. 2004, ch. 14.

    Parameters
    ----------
    t1, t2 : (labels,), ms. density : (labels,), relative.
    """
    kind = int(torch.randint(3, (), generator=rng))
    u = torch.rand(4, generator=rng)
    if kind == 0:
        tr, te = 400 * 15 ** float(u[0]), 8 * 15 ** float(u[1])
        return density * (1 - (-tr / t1).exp()) * (-te / t2).exp()
    if kind == 1:
        tr, te, ti = 5000 + 6000 * float(u[0]), 8 * 15 ** float(u[1]), 150 * 18 ** float(u[2])
        return density * (1 - 2 * (-ti / t1).exp() + (-tr / t1).exp()).abs() * (-te / t2).exp()
    tr, te, a = 6 * 80 ** float(u[0]), 2 + 18 * float(u[1]), math.radians(5 + 65 * float(u[2]))
    e1 = (-tr / t1).exp()
    return density * math.sin(a) * (1 - e1) / (1 - e1 * math.cos(a)) * (-1.5 * te / t2).exp()


class SyntheticHeads:
    """Draws slices of synthetic heads.

    Parameters
    ----------
    path : ``.npz`` with ``labels`` uint8 (N, n, n, n), indices into ``freesurfer_id`` int (labels,).

    Raises
    ------
    InvalidInput
        If the arrays are not these.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        with np.load(path, allow_pickle=False) as f:
            if not {"labels", "freesurfer_id"} <= set(f.files):
                raise InvalidInput(f"{path} holds {', '.join(f.files)}; label maps need labels and freesurfer_id.")
            labels, self.ids = torch.from_numpy(f["labels"]), f["freesurfer_id"].tolist()
        if labels.ndim != 4 or len(set(labels.shape[1:])) != 1 or int(labels.max()) >= len(self.ids):
            raise InvalidInput(
                f"{path}: labels is {tuple(labels.shape)} with values up to {int(labels.max())}; "
                f"needed are cubes (N, n, n, n) of indices below {len(self.ids)}."
            )
        self.labels = labels
        # Slices with enough of a head in them: (volume, axis, position).
        self.places = [
            (v, axis, int(i))
            for v in range(len(labels))
            for axis in range(3)
            for i in ((labels[v] > 0).float().mean([k for k in range(3) if k != axis]) > 0.15).nonzero()
        ]

    def __len__(self) -> int:
        return len(self.places)

    def intensities(self, rng: Generator) -> Tensor:
        """Signal of every label in one image, (labels,) float32."""
        brain = {i: tissue for tissue, ids in TISSUES.items() for i in ids}
        chosen = [
            AIR if i == 0 else brain[i] if i in brain else OUTSIDE[int(torch.randint(len(OUTSIDE), (), generator=rng))]
            for i in self.ids
        ]
        spread = (JITTER * torch.randn((3, len(self.ids)), generator=rng)).exp()
        for k, i in enumerate(self.ids):
            if i in MIRRORED:
                spread[:, k] = spread[:, self.ids.index(MIRRORED[i])]
        t1, t2, density = torch.tensor(chosen).T * spread
        s = signal(t1, t2, density, rng)
        if torch.rand((), generator=rng) < 0.4:  # fat suppression, never quite complete
            fat = torch.tensor([t is FAT for t in chosen])
            s = torch.where(fat, s * 0.25 * torch.rand((), generator=rng), s)
        return s

    def draw(self, rng: Generator) -> Tensor:
        """One slice, (1, n, n) float32, the reference quantile at one."""
        v, axis, i = self.places[int(torch.randint(len(self.places), (), generator=rng))]
        labels = self.labels[v].select(axis, i).long()
        n = labels.shape[-1]
        mean = self.intensities(rng)[labels]
        texture = uniform(0.01, 0.06, (), rng) * torch.randn((n, n), generator=rng)
        patches = uniform(0, 0.06, (), rng) * smooth_field(1, n, 40, rng)[0]
        bias = (uniform(0, 0.3, (), rng) * smooth_field(1, n, 4, rng)[0]).exp()
        image = blur(mean * (1 + texture + patches) * bias, float(uniform(0.4, 1.1, (), rng)))
        floor = uniform(0, 0.015, (), rng) * image.max()  # Rician noise of a magnitude image
        re, im = floor * torch.randn((2, n, n), generator=rng)
        image = ((image + re).square() + im.square()).sqrt()
        top = image.flatten().quantile(REFERENCE_QUANTILE)
        return (image / top.clamp(min=1e-6))[None]


def blur(image: Tensor, width: float) -> Tensor:
    """Gaussian blur of (n, n) by ``width`` pixels: partial volume at the borders of labels."""
    reach = max(1, math.ceil(3 * width))
    t = torch.arange(-reach, reach + 1.0)
    kernel = (-t.square() / (2 * width**2)).exp()
    kernel = kernel / kernel.sum()
    padded = F.pad(image[None, None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[0, 0]
