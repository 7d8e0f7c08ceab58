"""What a classifier is trained and measured on: noisy views of slices whose contrast or plane is known.

Two precautions against learning which data set a slice is from instead of what it shows. (a) A question is only asked
where its answer does not follow from the data set: the contrast of axial slices, which all four contrasts have; the
plane within the T1c set, and on synthetic heads, whose contrast is random. (b) The background is made alike: the floor
is taken off by a random amount, and half of the slices get the noise of a magnitude image.

The plane is that of the anatomy. So it is the same when a slice is mirrored or turned by quarters, as the prior's
augmentation does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from napari_lossguide.priors.classifier.classifier import CLASSES
from napari_lossguide.priors.domain import REFERENCE_QUANTILE
from napari_lossguide.priors.training.augment import noise_for, random_views, uniform
from napari_lossguide.priors.training.augmentation import Augmentation
from napari_lossguide.priors.training.synthetic_heads import SyntheticHeads
from napari_lossguide.types import InvalidInput

AXIAL, T1C = "train_brain_t1_t2_flair_256_u8.npz", "train_brain_t1c_256_u8.npz"
HEADS = "train_head_labels_256_u8.npz"
NAMES = {"T1W": "T1w", "T2W": "T2w", "FLAIR": "FLAIR"}  # as the files spell them
AXES = {"axial": 2, "coronal": 1, "sagittal": 0}  # of the label maps
UNKNOWN = -100  # the answer that cross-entropy passes over
SHARES = {"contrast": 0.55, "plane of T1c": 0.27, "plane of heads": 0.18}
HELD_OUT = 3  # heads at the end of the file, for validation

Draw = Callable[[Generator], Tensor]


def read_slices(path: Path, *fields: str) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Slices (N, n, n) float16 with the reference quantile at one, and what the file says of each; empty ones dropped.

    Raises
    ------
    InvalidInput
        If the file is not there or lacks a field.
    """
    try:
        with np.load(path, allow_pickle=False) as f:
            images = torch.from_numpy(f["images"].astype(np.float16))
            facts = {name: f[name] for name in fields}
    except (OSError, KeyError) as error:
        raise InvalidInput(f"{path} cannot be used to train a classifier ({error}).") from error
    top = torch.stack([image.flatten().float().quantile(REFERENCE_QUANTILE) for image in images])
    kept = top > 0.15 * top.median()
    slices = (images[kept].float() / top[kept, None, None]).half()
    return slices, {name: values[kept.numpy()] for name, values in facts.items()}


def answer(question: str, word: str) -> int:
    """Number of an answer."""
    return CLASSES[question].index(word)


def same_background(image: Tensor, rng: Generator) -> Tensor:
    """A slice (n, n) with its floor taken off and, half of the time, Rician noise."""
    floor = uniform(0, 0.05, (), rng)
    image = (image - floor).clamp(min=0) / (1 - floor)
    level = uniform(0, 0.02, (), rng) * (torch.rand((), generator=rng) < 0.5)
    noise = level * torch.randn((2, *image.shape), generator=rng)
    return ((image + noise[0]).square() + noise[1].square()).sqrt()


class ClassifierData:
    """Training slices by question and answer.

    Parameters
    ----------
    folder : with the three files named above.
    """

    def __init__(self, folder: Path) -> None:
        axial, facts = read_slices(folder / AXIAL, "contrast")
        t1c, planes = read_slices(folder / T1C, "plane")
        contrasts = {NAMES[c]: axial[torch.from_numpy(facts["contrast"] == c)] for c in NAMES}
        by_plane = {p: t1c[torch.from_numpy(planes["plane"] == k)] for k, p in enumerate(CLASSES["plane"])}
        heads = SyntheticHeads(folder / HEADS)
        last = len(heads.labels) - HELD_OUT
        self.sources: dict[str, Mapping[str, Draw]] = {
            "contrast": {c: from_slices(s) for c, s in {**contrasts, "T1c": by_plane["axial"]}.items()},
            "plane of T1c": {p: from_slices(s) for p, s in by_plane.items()},
            "plane of heads": {p: from_heads(heads, p, range(last)) for p in CLASSES["plane"]},
        }

    def view(self, rng: Generator, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
        """A view (2, size, size), and the answers to the questions (2,) int64, ``UNKNOWN`` where none is asked."""
        source = list(SHARES)[int(torch.multinomial(torch.tensor(list(SHARES.values())), 1, generator=rng))]
        question = source.split(maxsplit=1)[0]
        word = CLASSES[question][int(torch.randint(len(CLASSES[question]), (), generator=rng))]
        image = same_background(self.sources[source][word](rng), rng)
        answers = [answer(q, word) if q == question else UNKNOWN for q in CLASSES]
        return random_views(image[None, None], augmentation, rng)[0], torch.tensor(answers)


def from_slices(slices: Tensor) -> Draw:
    """Draws evenly from slices."""
    return lambda rng: slices[int(torch.randint(len(slices), (), generator=rng))].float()


def from_heads(heads: SyntheticHeads, plane: str, volumes: range) -> Draw:
    """Draws synthetic slices of one plane from some of the heads."""
    some = copy.copy(heads)  # the label maps are shared
    some.places = [place for place in heads.places if place[0] in volumes and place[1] == AXES[plane]]
    return lambda rng: some.draw(rng)[0].rot90(int(torch.randint(4, (), generator=rng)))  # they lie on their side


def noisy(x0: Tensor, sigma: Tensor, rng: Generator) -> Tensor:
    """x0 + sigma z of views (B, 2, n, n) at levels (B,)."""
    return x0 + sigma[:, None, None, None] * noise_for(x0, rng)
