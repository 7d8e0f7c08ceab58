"""The three parts of a diffusion method put together, and the noise they run on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_lossguide.guidance.extra_losses import WithLosses
from napari_lossguide.guidance.loss_terms import Loss
from napari_lossguide.priors.load import load_prior
from napari_lossguide.recon.knobs import weights
from napari_lossguide.recon.methods import Method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.samplers.path import add_noise, relabel, walk
from napari_lossguide.types import Denoiser, InvalidInput, Problem, Step


class SampleNoise:
    """Unit noise for a batch, each sample from its own generator: it does not depend on what else is in the batch.

    Parameters
    ----------
    seed : of the run.
    draws : numbers of the slice and of the sample of every image of the batch.
    shape, real : of an image, (ny, nx), and its kind; drawn on the CPU, so that every device gets the same noise.
    """

    def __init__(
        self,
        seed: int,
        draws: Iterable[tuple[int, int]],
        shape: tuple[int, ...],
        real: bool,
        device: torch.device,
    ) -> None:
        seeds = [int(np.random.SeedSequence([seed, *draw]).generate_state(1, np.uint64)[0] >> 1) for draw in draws]
        self.generators = [torch.Generator().manual_seed(s) for s in seeds]
        self.shape, self.real, self.device = shape, real, device

    def __call__(self) -> Tensor:
        """(B, ny, nx), N(0, 1) in each real channel."""
        channels = 1 if self.real else 2
        z = torch.stack([torch.randn((channels, *self.shape), generator=g) for g in self.generators]).to(self.device)
        return z[:, 0] if self.real else torch.complex(z[:, 0], z[:, 1])

    def of_data(self, coils: int) -> Tensor:
        """Complex (B, coil, ny, nx), N(0, 1) in each real channel."""
        shape = (2, coils, *self.shape)
        z = torch.stack([torch.randn(shape, generator=g) for g in self.generators]).to(self.device)
        return torch.complex(z[:, 0], z[:, 1])


def open_prior(recipe: Recipe, device: torch.device) -> Denoiser:
    """The recipe's prior.

    Raises
    ------
    InvalidInput
        If there is no such prior, or it is not the one that the recipe was made with.
    """
    denoiser = load_prior(recipe.prior, str(device))
    sha = denoiser.info.sha256
    if recipe.prior_sha256 and sha != recipe.prior_sha256:
        raise InvalidInput(
            f"The recipe was made with another version of the prior '{recipe.prior}' "
            f"(sha256 {recipe.prior_sha256[:12]}…, here {sha[:12]}…)."
        )
    return denoiser


def diffusion_steps(
    problem: Problem,
    denoiser: Denoiser,
    chosen: Method,
    recipe: Recipe,
    read: Callable[[int], Mapping[str, float]],
    noise: SampleNoise,
    start: Tensor | None = None,
    losses: Sequence[Loss] = (),
) -> Iterator[Step]:
    """The method's three parts put together for one batch of images, of one slice or of several.

    Parameters
    ----------
    problem, denoiser, chosen, recipe : what to do with what.
    read : live values at a step.
    noise : of this batch.
    start : image (1 or B, ny, nx) that the noise of the first level is added to; None: nothing but noise.
    losses : further functions of the estimate, beside the recipe's; they have no weight that could change.
    """
    assert chosen.schedule is not None
    assert chosen.sampler is not None
    assert chosen.guidance is not None
    schedule = chosen.schedule(**recipe.schedule)
    sampler_params = chosen.sampler.Params(**recipe.sampler)
    guidance_params = chosen.guidance.Params(**recipe.guidance)
    guide = chosen.guidance(problem, denoiser.info.sigma_data, noise)
    terms = [*(term.loss(problem) for term in recipe.losses), *losses]
    further = WithLosses(guide, terms) if terms else None
    used: dict[str, float] = {}  # weights in this step

    def knobs(step: int) -> tuple[Any, Any]:
        now = read(step)
        if further is not None:
            used.update(weights(recipe.losses, now))
            further.weights = [*used.values(), *(1.0 for _ in losses)]
        own = {k.removeprefix("sampler."): v for k, v in now.items() if k.startswith("sampler.")}
        theirs = {k.removeprefix("guidance."): v for k, v in now.items() if k.startswith("guidance.")}
        return sampler_params.model_copy(update=own), guidance_params.model_copy(update=theirs)

    sigmas = schedule.sigmas()
    x = sigmas[0] * noise() + (0 if start is None else start)
    climb = add_noise if schedule.renoise else relabel
    for step in walk(chosen.sampler, denoiser, further or guide, x, sigmas, knobs, noise, climb):
        yield replace(step, params={**step.params, **used})
