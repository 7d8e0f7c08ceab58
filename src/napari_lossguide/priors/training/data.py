"""Training samples. Each is drawn from a generator of its own, seeded by its step and its number within the step.

So it does not matter which process draws a sample, in what order, or whether the run was interrupted before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from napari_lossguide.data.training.cache import Progress, SliceCache, prepare, silent
from napari_lossguide.data.training.sources import Dropped, Source, find_sources, listed_sources
from napari_lossguide.priors.training.augment import noise_for, random_views
from napari_lossguide.priors.training.config import TrainConfig, ViewSize
from napari_lossguide.priors.training.processes import Processes
from napari_lossguide.priors.training.synthetic_heads import SyntheticHeads
from napari_lossguide.types import InvalidInput

Key = tuple[int, int]  # step, number of the sample within it
LABEL_SHARE = 0.1  # of the training views, if a folder holds label maps beside scans


class SliceSet(Protocol):
    """Where slices come from."""

    def draw(self, rng: Generator) -> Tensor:
        """One slice, (1, n, n) float32, the reference quantile at one."""
        ...


class Slices:
    """Slices of the cache, drawn evenly."""

    def __init__(self, cache: SliceCache, places: Sequence[tuple[int, int]]) -> None:
        self.cache, self.places = cache, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, k: int) -> Tensor:
        """(1, n, n) float32."""
        return torch.from_numpy(self.cache.slice(*self.places[k]).astype(np.float32))[None]

    def draw(self, rng: Generator) -> Tensor:
        """(1, n, n) float32."""
        return self[int(torch.randint(len(self.places), (), generator=rng))]


@dataclass
class TrainingData:
    """All that a training sees.

    Attributes
    ----------
    sets, shares : of training slices, and how often one of each is drawn.
    validation : sets of slices that are never trained on.
    changes : sentences on what has changed since the slices were cached.
    """

    cache: SliceCache
    sets: list[SliceSet]
    shares: list[float]
    validation: list[Slices]
    changes: list[str]


def open_data(config: TrainConfig, folder: Path, out: Path, progress: Progress = silent) -> TrainingData:
    """The slices of the files that the configuration names or, if it names none, of all that the folder holds.

    Parameters
    ----------
    folder : of the data. out : of the training; the slices are cached in it.

    Raises
    ------
    InvalidInput
        If there is nothing to train on.
    """
    if config.train:
        listed = listed_sources(folder, [(f.path, f.share) for f in config.train], config.validation)
        found: tuple[Sequence[Source], Sequence[Dropped], int] = listed, [], 0
    else:
        found = find_sources(folder)
    cache, changes = prepare(found, out / "cache", config.folder, progress)
    names = [s.name for s in found[0]] if config.train else [None]
    shares = {s.name: s.share for s in found[0]}
    sets: list[tuple[SliceSet, float]] = [
        (Slices(cache, places), shares.get(name or "", 1 - LABEL_SHARE))
        for name in names
        if (places := cache.slices("train", name))
    ]
    labels = cache.facts["labels"]
    sets += [
        (SyntheticHeads(folder / name), shares[name] if config.train else LABEL_SHARE / len(labels)) for name in labels
    ]
    if not sets:
        raise InvalidInput(f"No slice in {folder} is left to train on.")
    validation = [Slices(cache, places) for name in names if (places := cache.slices("validation", name))]
    return TrainingData(cache, [s for s, _ in sets], [share for _, share in sets], validation, changes)


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
        augmentation = c.augmentation.model_copy(update={"size": self.view(step).size})
        x0 = random_views(slices, augmentation, rng)
        sigma = (c.p_mean + c.p_std * torch.randn((), generator=rng)).exp().clamp(max=c.sigma_max)
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
