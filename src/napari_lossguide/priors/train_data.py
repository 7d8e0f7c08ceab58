"""Training samples. Each is drawn from a generator of its own, seeded by its step and its number within the step.

So it does not matter which process draws a sample, in what order, or whether the run was interrupted before.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from napari_lossguide.priors.augment import Augmentation, noise_for, random_views
from napari_lossguide.priors.domain import REFERENCE_QUANTILE
from napari_lossguide.priors.processes import Processes
from napari_lossguide.priors.synthetic_heads import SyntheticHeads
from napari_lossguide.priors.train_config import SliceFile, TrainConfig, ViewSize

Key = tuple[int, int]  # step, number of the sample within it


def load_slices(path: str | os.PathLike[str]) -> Tensor:
    """Slices of one ``.npz``, (N, 1, n, n) float16, the reference quantile of each at 1; nearly empty ones dropped."""
    with np.load(path, allow_pickle=False) as f:
        images = f["images"]
    x = torch.from_numpy(images.astype(np.float16))
    flat = x.flatten(1).float()
    top = torch.stack([row.quantile(REFERENCE_QUANTILE) for row in flat])
    kept = top > 0.15 * top.median()
    return (x[kept].float() / top[kept, None, None]).half()[:, None]


class SliceSet(Protocol):
    """Where slices come from."""

    def draw(self, rng: Generator) -> Tensor:
        """One slice, (1, n, n) float32, the reference quantile at one."""
        ...


class Slices:
    """Real slices, drawn evenly."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.images = load_slices(path)

    def draw(self, rng: Generator) -> Tensor:
        """(1, n, n) float32."""
        return self.images[int(torch.randint(len(self.images), (), generator=rng))].float()


def open_sets(files: list[SliceFile], folder: Path) -> list[SliceSet]:
    """Slices or label maps of each file."""
    sets: list[SliceSet] = []
    for f in files:
        with np.load(folder / f.path, allow_pickle=False) as held:
            labels = "labels" in held.files
        sets.append(SyntheticHeads(folder / f.path) if labels else Slices(folder / f.path))
    return sets


def weighted_choice(shares: Sequence[float], rng: Generator) -> int:
    """An index, drawn with a probability in proportion to its share."""
    return int(torch.multinomial(torch.tensor(shares, dtype=torch.float32), 1, generator=rng))


def generator(*words: int) -> Generator:
    """A generator whose seed mixes these numbers."""
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)[0]
    return Generator().manual_seed(int(state) >> 1)


class Samples(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Noisy views of slices by ``Key``.

    Parameters
    ----------
    config : sizes, noise levels, seed.
    sets, shares : where slices come from, and how often from each.
    """

    def __init__(self, config: TrainConfig, sets: Sequence[SliceSet], shares: Sequence[float]) -> None:
        self.config, self.sets, self.shares = config, sets, shares

    def view(self, step: int) -> ViewSize:
        """Size and batch of one step."""
        views = self.config.views
        return views[weighted_choice([v.share for v in views], generator(self.config.seed, step))]

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor, Tensor]:
        """Clean and noisy view, (2, size, size) float32, and the noise level, ()."""
        c, (step, number) = self.config, key
        rng = generator(c.seed, step, number + 1)
        slices = self.sets[weighted_choice(self.shares, rng)].draw(rng)[None]
        augmentation = Augmentation(size=self.view(step).size, complex_fraction=c.complex_fraction)
        x0 = random_views(slices, augmentation, rng)
        sigma = (c.p_mean + c.p_std * torch.randn((), generator=rng)).exp()
        return x0[0], (x0 + sigma * noise_for(x0, rng))[0], sigma


class Keys:
    """The keys of one process's batches, step by step, pass by pass.

    The samples of a step are dealt to passes and processes so that two processes, or two passes, of a batch b see what
    one of 2 b sees.
    """

    def __init__(self, samples: Samples, start: int, processes: Processes) -> None:
        self.samples, self.start, self.processes = samples, start, processes

    def __iter__(self) -> Iterator[list[Key]]:
        c, p = self.samples.config, self.processes
        for step, part in itertools.product(range(self.start, c.steps), range(c.accumulate)):
            batch = self.samples.view(step).batch
            first = (part * p.count + p.rank) * batch
            yield [(step, first + i) for i in range(batch)]


def batches(samples: Samples, start: int, processes: Processes) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of this process from a step on, drawn ahead by the configured number of workers."""
    loader = DataLoader(
        samples,
        batch_sampler=Keys(samples, start, processes),
        num_workers=samples.config.workers,
        pin_memory=processes.device.type == "cuda",
        generator=Generator(),  # the loader seeds its workers; it must not take that from the global generator
    )
    return iter(loader)
