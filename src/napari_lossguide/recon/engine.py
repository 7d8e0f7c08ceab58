"""The engine: k-space and a recipe in, steps out, a result at the end. Qt, shell and Python all drive it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from napari_lossguide.data.kdata import KData
from napari_lossguide.guidance.loss_terms import Loss
from napari_lossguide.recon.drive import cancellable, last_of
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.run import Run
from napari_lossguide.recon.tape import Tape
from napari_lossguide.types import Denoiser


def reconstruction(
    kdata: KData,
    recipe: Recipe,
    *,
    maps: ArrayLike | None = None,
    device: str = "auto",
    live: Live | None = None,
    denoiser: Denoiser | None = None,
    losses: Sequence[Loss] = (),
    tape: Tape | None = None,
) -> Generator[Progress, None, Result]:
    """Run a recipe step by step.

    Parameters
    ----------
    kdata : k-space; the recipe's mask undersamples it further.
    recipe : what to do.
    maps : complex (slice, coil, ny, nx) or (coil, ny, nx) sensitivities; estimated from the centre when absent.
    device : auto, cpu, cuda or mps.
    live : knobs, pause and cancel; a run without one replays the recipe's changes.
    denoiser : in the place of the recipe's prior.
    losses : functions of the estimates (B, ny, nx), in scaled units, to losses (B,), beside the recipe's; a recipe
        cannot keep them.
    tape : records the run, so that it can be looked at again and branched; one that is a branch plays what it knows.
        Methods without a prior record nothing.

    Yields
    ------
    Progress after every step.

    Returns
    -------
    Result, "cancelled" when ``live`` was cancelled: the slices reached so far, the rest zero.

    Raises
    ------
    InvalidInput
        If the data, the maps, the prior or the device do not fit.
    Diverged
        When an estimate is not finite.
    """
    live = live or Live(recipe.changes)
    return (yield from cancellable(Run(kdata, recipe, maps, device, live, denoiser, losses, tape)))


def reconstruct(
    kspace: ArrayLike | KData,
    mask: ArrayLike | None = None,
    maps: ArrayLike | None = None,
    *,
    prior: str = "brain",
    method: str = "prox-mean",
    steps: int | None = None,
    samples: int = 1,
    seed: int = 0,
    device: str = "auto",
    callback: Callable[[Progress], None] | None = None,
    real: bool = False,
    settings: Mapping[str, Any] | None = None,
    noise_std: float | None = None,
    losses: Sequence[Loss] = (),
    recipe: Recipe | None = None,
) -> Result:
    """Reconstruct k-space.

    Parameters
    ----------
    kspace : complex (ny, nx), (coil, ny, nx) or (slice, coil, ny, nx), zero where not acquired; or a ``KData``.
    mask : bool (ny, nx), acquired points; the non-zero ones when absent.
    maps : complex coil sensitivities (coil, ny, nx) or with slices; estimated from the acquired centre when absent.
    prior : bundled prior or path of one.
    method : one of ``recon.methods.METHODS``.
    steps : network evaluations; the method's own number when absent.
    samples : posterior samples; with several the image is their mean.
    seed, device : see ``Recipe``; auto, cpu, cuda or mps.
    callback : called with the ``Progress`` of every step.
    real : the image behind the k-space is known to be real (a simulation).
    settings : further parameters by full name, ``{"guidance.gamma": 2.0}``.
    noise_std : noise level of the k-space, E|n|^2 = noise_std^2; estimated when absent.
    losses : see ``reconstruction``.
    recipe : a whole recipe, in the place of the method's settings.

    Raises
    ------
    InvalidInput, Diverged
        See ``reconstruction``.
    """
    given = None if mask is None else np.asarray(mask)
    if isinstance(kspace, KData):
        kdata = kspace if given is None else kspace.undersample(given)
    else:
        kdata = KData.from_array(np.asarray(kspace), mask=given, real=real)
    if recipe is None:
        image = {"image": "real"} if real else {}
        recipe = Recipe.for_method(
            method,
            steps=steps,
            settings=settings or {},
            prior=prior,
            samples=samples,
            seed=seed,
            noise_std=noise_std,
            **image,
        )
    return last_of(reconstruction(kdata, recipe, maps=maps, device=device, losses=losses), callback)
