"""Drawing from a prior without data, step by step: the engine for samples. Qt, shell and Python all drive it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.recon.diffusion import SampleNoise, diffusion_steps, open_prior
from napari_lossguide.recon.drive import cancellable, last_of
from napari_lossguide.recon.knobs import knobs_of, live_limits
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.methods import METHODS, method
from napari_lossguide.recon.provenance import classifier_facts, finished, hash_of, versions
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress
from napari_lossguide.recon.run import choose_device
from napari_lossguide.recon.samples import Samples, sample_recipe
from napari_lossguide.types import Denoiser, Diverged, InvalidInput, Problem, Step


def no_data(shape: tuple[int, int], real: bool, device: torch.device) -> Problem:
    """A problem in which nothing was measured."""
    A = CartesianSense(
        torch.zeros(shape, dtype=torch.bool, device=device),
        torch.ones((1, *shape), dtype=torch.complex64, device=device),
    )
    y = torch.zeros((1, 1, *shape), dtype=torch.complex64, device=device)
    return Problem(y, A, noise_std=0.0, scale=1.0, real=real, n_measured=0)


class Draw:
    """State of one run; ``steps`` is the generator, ``result`` what it leaves."""

    def __init__(self, recipe: Recipe, device: str, live: Live, denoiser: Denoiser | None) -> None:
        self.start = time.perf_counter()
        self.live, self.chosen = live, method(recipe.method)
        if self.chosen.needs_data:
            free = ", ".join(m.name for m in METHODS.values() if not m.needs_data)
            raise InvalidInput(f"The method '{recipe.method}' needs k-space; samples are drawn with {free}.")
        if recipe.shape is None:
            raise InvalidInput("The recipe has no shape; samples need one, as in shape = [128, 128].")
        self.shape: tuple[int, int] = recipe.shape
        self.device = choose_device(device)
        live.declare(live_limits(recipe), knobs_of(recipe))
        self.denoiser = denoiser or open_prior(recipe, self.device)
        self.real = recipe.image != "complex"
        facts = {"image": "real" if self.real else "complex", "prior_sha256": self.denoiser.info.sha256}
        self.recipe = recipe.model_copy(update=facts)
        self.images: NDArray[Any] = np.zeros((recipe.samples, *self.shape), np.float32 if self.real else np.complex64)
        self.reached = 0
        self.trace: list[dict[str, float]] = []
        self.nfe = 0

    def batches(self) -> list[range]:
        """Sample numbers that go through the network together."""
        n, b = self.recipe.samples, self.recipe.batch
        return [range(i, min(i + b, n)) for i in range(0, n, b)]

    def steps(self) -> Iterator[Progress]:
        """All batches; every estimate is kept, so that a cancelled run has images."""
        problem = no_data(self.shape, self.real, self.device)
        for batch in self.batches():
            noise = SampleNoise(self.recipe.seed, [(0, p) for p in batch], self.shape, self.real, self.device)
            read = partial(self.knobs, len(self.trace))
            steps = diffusion_steps(problem, self.denoiser, self.chosen, self.recipe, read, noise)
            while True:
                self.live.checkpoint()
                step = next(steps, None)
                if step is None:
                    break
                yield self.progress(batch, step)

    def knobs(self, first: int, step: int) -> Mapping[str, float]:
        """Live values at a step of the batch that began after so many steps."""
        return self.live.read(first + step)

    def progress(self, batch: range, step: Step) -> Progress:
        """Keep the estimate; figures of a step, and how to get its images."""
        x0 = step.x0.cpu().numpy()
        if not np.isfinite(x0).all():
            last = np.abs(self.images[batch.start]) if step.index else None
            raise Diverged(step.index, step.sigma, last)
        self.images[batch.start : batch.stop] = x0
        self.reached, self.nfe = batch.stop, self.nfe + 1
        self.trace.append({"step": len(self.trace) + 1, "sigma": step.sigma})
        return Progress(
            step=len(self.trace),
            total=step.total * len(self.batches()),
            slice=batch.start,
            slices=1,
            sigma=step.sigma,
            residual=math.nan,
            loss=math.nan,
            nfe=step.nfe,
            params=step.params,
            stage=self.chosen.title,
            image=lambda: np.abs(x0).astype(np.float32),
            state=lambda: magnitudes(step.x),
        )

    def result(self, status: str) -> Samples:
        """What is there, finished or not."""
        images = self.images[: self.reached]
        return Samples(
            images=images,
            recipe=self.recipe.model_copy(update={"changes": self.live.changes}),
            trace=tuple(self.trace),
            status="done" if status == "done" else "cancelled",
            seconds=time.perf_counter() - self.start,
            nfe=self.nfe,
            provenance={
                **versions(self.device),
                **finished(),
                **classifier_facts(self.recipe.guidance),
                "image_sha256": hash_of(images),
            },
        )


def magnitudes(x: Tensor) -> np.ndarray:
    """|x|, float32 (B, ny, nx)."""
    out: np.ndarray = x.detach().abs().float().cpu().numpy()
    return out


def sampling(
    recipe: Recipe, *, device: str = "auto", live: Live | None = None, denoiser: Denoiser | None = None
) -> Generator[Progress, None, Samples]:
    """Run a recipe of samples step by step.

    Parameters
    ----------
    recipe : of a method that needs no data, with a shape; see ``sample_recipe``.
    device : auto, cpu, cuda or mps.
    live : knobs, pause and cancel; a run without one replays the recipe's changes.
    denoiser : in the place of the recipe's prior.

    Yields
    ------
    Progress after every step: ``slice`` is the number of the batch's first sample, ``image`` and ``state`` give the
    whole batch, float32 (B, ny, nx).

    Returns
    -------
    Samples, "cancelled" when ``live`` was cancelled: those that were begun.

    Raises
    ------
    InvalidInput
        If the method needs data, or the prior, the shape or the device do not fit.
    Diverged
        When an estimate is not finite.
    """
    return (yield from cancellable(Draw(recipe, device, live or Live(recipe.changes), denoiser)))


def sample(
    *,
    prior: str = "brain",
    shape: tuple[int, int] = (128, 128),
    count: int = 4,
    real: bool = True,
    contrast: str = "any",
    plane: str = "any",
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    callback: Callable[[Progress], None] | None = None,
    settings: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
) -> Samples:
    """Draw images from a prior, without data.

    Parameters
    ----------
    prior, shape, count, real, contrast, plane, steps, seed, settings : see ``sample_recipe``.
    device : auto, cpu, cuda or mps.
    callback : called with the ``Progress`` of every step.
    recipe : a whole recipe, in the place of all of these but device and callback.

    Raises
    ------
    InvalidInput, Diverged
        See ``sampling``.
    """
    if recipe is None:
        recipe = sample_recipe(
            prior=prior,
            shape=shape,
            count=count,
            real=real,
            contrast=contrast,
            plane=plane,
            steps=steps,
            seed=seed,
            settings=settings,
        )
    return last_of(sampling(recipe, device=device), callback)
