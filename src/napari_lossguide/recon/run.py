"""One reconstruction: its state, its steps, and the result that it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_lossguide.data.kdata import KData
from napari_lossguide.guidance.loss_terms import Loss
from napari_lossguide.recon.batches import Batch, groups, slices_at_once
from napari_lossguide.recon.classical import classical_steps, classical_total
from napari_lossguide.recon.diffusion import SampleNoise, diffusion_steps, open_prior
from napari_lossguide.recon.drive import bearable
from napari_lossguide.recon.knobs import knobs_of, live_limits
from napari_lossguide.recon.listening import Listening
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.problem import check_maps, coil_maps, data_residual
from napari_lossguide.recon.provenance import classifier_facts, maps_facts, program_facts, provenance
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.slices import MapsOf, Slices
from napari_lossguide.recon.tape import Tape
from napari_lossguide.types import Denoiser, Diverged, InvalidInput, Step


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    InvalidInput
        If this machine does not have the device.
    """
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(d for d in ("cuda", "mps", "cpu") if has[d]))
    if not has.get(name.partition(":")[0], False):
        raise InvalidInput(
            f"The device '{name}' is not available here; choose auto or one of {', '.join(d for d in has if has[d])}."
        )
    return torch.device(name)


def magnitude(image: Tensor, scale: float) -> NDArray[np.float32]:
    """|x| on the input's scale, float32 (ny, nx)."""
    out: NDArray[np.float32] = (image.detach().abs() * scale).float().cpu().numpy()
    return out


class Run:
    """State of one reconstruction; ``steps`` is the generator, ``result`` what it leaves."""

    def __init__(
        self,
        kdata: KData,
        recipe: Recipe,
        maps: ArrayLike | None,
        device: str,
        live: Live,
        denoiser: Denoiser | None,
        losses: Sequence[Loss],
        tape: Tape | None = None,
        maps_of: MapsOf = coil_maps,
    ) -> None:
        self.start = time.perf_counter()
        self.live, self.losses, self.tape = live, losses, tape
        self.chosen = method(recipe.method).ready()
        self.device = choose_device(device)
        self.kdata = kdata if recipe.mask is None else kdata.undersample(recipe.mask.make(kdata.image_shape))
        self.real = kdata.real if recipe.image == "auto" else recipe.image == "real"
        given = None if maps is None else check_maps(np.asarray(maps), kdata)
        if self.real and kdata.n_coils > 1 and maps is None:
            raise InvalidInput(
                f"A real image was asked for from {kdata.n_coils} coils without maps: estimated maps leave the "
                "image a phase, so it must be complex; give the maps or ask for a complex image."
            )
        region = None if recipe.region is None else recipe.region.make(kdata.image_shape)
        if region is None and self.chosen.needs_region:
            raise InvalidInput(f"The method '{recipe.method}' needs a region: the pixels to fill, as a drawn mask.")
        if losses and not self.chosen.takes_losses:
            raise InvalidInput(
                f"The method '{recipe.method}' takes no further losses: they correct a prior's estimate, between the "
                "network and the step."
            )
        live.declare(live_limits(recipe), knobs_of(recipe))
        opened = (denoiser or open_prior(recipe, self.device)) if self.chosen.needs_prior else None
        self.denoiser = opened if tape is None or opened is None else Listening(opened, tape)
        sha = self.denoiser.info.sha256 if self.denoiser is not None else ""
        shape = (kdata.n_slices, recipe.samples if self.chosen.needs_prior else 1, *kdata.image_shape)
        at_once = slices_at_once(recipe, kdata.n_slices, self.device) if self.chosen.needs_prior else 1
        self.at_once = at_once if tape is None else tape.together(at_once)
        known = {"image": "real" if self.real else "complex", "prior_sha256": sha}
        self.recipe = recipe.model_copy(update=known | ({"slices": "together"} if self.at_once > 1 else {}))
        self.slices = Slices(self.kdata, self.recipe, given, maps_of, region, self.device)
        self.samples = np.zeros(shape, np.complex64)
        self.reached = np.zeros(kdata.n_slices, int)  # samples of each slice that have an estimate
        self.failed: dict[int, str] = {}  # slices without an image, and why
        self.trace: list[dict[str, float]] = []
        self.done_steps = self.nfe = 0
        # Batches that were asked again in parts; steps that slices which failed will never take, less those done again.
        self.split = self.lost = 0

    def batches(self) -> list[range]:
        """Sample numbers that go through the network together."""
        p, b = self.samples.shape[1], self.recipe.batch
        return [range(i, min(i + b, p)) for i in range(0, p, b)]

    @cached_property
    def groups(self) -> list[tuple[int, ...]]:
        """The slices that go through the network together."""
        return groups(self.slices.kinds(), self.at_once)

    @cached_property
    def per_batch(self) -> int:
        """Steps of a batch."""
        if self.chosen.schedule is not None:
            return self.chosen.schedule(**self.recipe.schedule).falls()
        return classical_total(self.recipe)

    def total(self) -> int:
        """Steps over all batches of all slices."""
        return self.per_batch * (len(self.batches()) * len(self.groups) + self.split) - self.lost

    def steps(self) -> Iterator[Progress]:
        """All slices, in order. In a stack, one that fails is left out; the error is raised if all do."""
        for group in self.groups:
            yield from self.group_steps(group)

    def fail(self, index: int, error: Exception) -> bool:
        """A slice has no image. False if that is not to be borne: the error is a fault, or no other slice is left."""
        why = bearable(error)
        if not why or len(self.failed) == self.kdata.n_slices - 1:
            return False
        self.failed[index] = why
        self.samples[index] = np.nan
        return True

    def group_steps(self, group: tuple[int, ...]) -> Iterator[Progress]:
        """All batches of samples of slices that go together."""
        for index in group:
            self.live.checkpoint()
            try:
                self.slices.prepare(index, self.live.checkpoint)
            except Exception as error:
                if not self.fail(index, error):
                    raise
        for samples in self.batches():
            yield from self.batch_steps(Batch(group, samples).without(self.failed))

    def walk(self, batch: Batch, first: int) -> Iterator[Step]:
        """The steps of one batch, begun after so many; nothing is computed before the first."""
        if self.denoiser is None:
            yield from classical_steps(self.slices.problem(batch), self.recipe, self.live.checkpoint)
            return
        yield from diffusion_steps(
            self.slices.problem(batch),
            self.denoiser,
            self.chosen,
            self.recipe,
            lambda i: self.live.read(first + i),
            SampleNoise(self.recipe.seed, batch.draws, self.kdata.image_shape, self.real, self.device),
            self.slices.start(batch),
            self.losses,
        )

    def batch_steps(self, batch: Batch) -> Iterator[Progress]:
        """One batch; every estimate is kept, so that a cancelled run has an image."""
        first, before = self.done_steps, self.nfe
        steps = self.walk(batch, first)
        while batch.without(self.failed).slices:
            self.live.checkpoint()
            try:
                step = next(steps, None)
            except Exception as error:
                if self.divisible(batch, error, first):
                    break  # out of here, where the error holds on to memory
                if not self.fail(batch.slices[0], error):
                    raise
                continue
            if step is None:
                return
            if self.keep(batch, step):
                self.done_steps = first + step.index + 1
                self.nfe = before + step.nfe * len(batch.slices)
                yield from self.reports(batch, step)
        else:  # every slice has failed
            self.lost += self.per_batch - (self.done_steps - first)
            return
        del steps
        yield from self.parts(batch, first)

    def divisible(self, batch: Batch, error: Exception, first: int) -> bool:
        """Whether a batch with an error is asked again in parts.

        The samples of one slice are, when memory was short for their first step. Of several slices nobody knows which
        one it was.
        """
        if len(batch.slices) > 1:
            return bool(bearable(error))
        memory = isinstance(error, torch.OutOfMemoryError)
        return memory and len(batch.samples) > 1 and self.done_steps == first

    def parts(self, batch: Batch, first: int) -> Iterator[Progress]:
        """A batch again from its start, in two parts, or without the slices that failed on the way."""
        left = batch.without(self.failed)
        parts = left.halves() if left == batch else (left,)
        self.split += len(parts) - 1
        self.lost -= self.done_steps - first
        if self.tape is not None:
            self.tape.split = True
        for part in parts:
            yield from self.batch_steps(part)

    def keep(self, batch: Batch, step: Step) -> bool:
        """Keep the estimates; a slice with one that is not finite fails. Whether there are any."""
        images = step.x0.cpu().numpy()
        for index in batch.without(self.failed).slices:
            found = images[batch.rows(index)]
            if not np.isfinite(found).all():
                last = np.abs(self.samples[index, batch.samples.start]) if step.index else None
                error = Diverged(step.index, step.sigma, last)
                if not self.fail(index, error):
                    raise error
                continue
            self.samples[index, batch.samples.start : batch.samples.stop] = found * self.slices.scale(index)
            self.reached[index] = batch.samples.stop
        return bool(batch.without(self.failed).slices)

    def reports(self, batch: Batch, step: Step) -> Iterator[Progress]:
        """Progress of a step: of the first slice of the batch, and at the end of each."""
        left = batch.without(self.failed).slices
        row, scale = batch.rows(left[0]).start, self.slices.scale(left[0])
        if self.tape is not None and self.denoiser is not None:
            images = [magnitude(x[row], scale) for x in (step.x, step.x0)]
            self.tape.mark(self.done_steps, left[0], step.sigma, *images)
        ends = step.index + 1 == step.total and batch.samples.stop == self.samples.shape[1]
        for index in left if ends else left[:1]:
            yield self.progress(index, batch.rows(index).start, step, ends)

    def progress(self, index: int, row: int, step: Step, ends: bool) -> Progress:
        """Figures of a step of a slice, whose first image is in a row of the batch, and how to get its images."""
        residual, loss = data_residual(self.slices.problems[index], step.x0[row : row + 1])
        figures = {"sigma": step.sigma, "residual": residual, "loss": loss}
        self.trace.append({"step": self.done_steps, "slice": index, **figures})
        x0, x, scale = step.x0[row], step.x[row], self.slices.scale(index)
        done = self.samples[index].mean(axis=0) if ends else None
        return Progress(
            step=self.done_steps,
            total=self.total(),
            slice=index,
            slices=self.kdata.n_slices,
            sigma=step.sigma,
            residual=residual,
            loss=loss,
            nfe=step.nfe,
            params=step.params,
            stage=self.chosen.title,
            image=lambda: magnitude(x0, scale) if done is None else np.abs(done),
            state=lambda: magnitude(x, scale),
            ends_slice=ends,
            failed=dict(self.failed),
        )

    def result(self, status: str) -> Result:
        """What is there, finished or not."""
        several = self.samples.shape[1] > 1
        reached = [s[: max(n, 1)] for s, n in zip(self.samples, self.reached, strict=True)]
        image = np.stack([s.mean(axis=0) for s in reached])
        return Result(
            image=image,
            zero_filled=self.slices.zero_filled,
            mask=self.kdata.acquired,
            maps=self.slices.maps,
            samples=self.samples if several else None,
            mean=image if several else None,
            std=np.stack([s.std(axis=0) for s in reached]).astype(np.float32) if several else None,
            recipe=self.recipe.model_copy(update={"changes": self.live.changes}),
            trace=tuple(self.trace),
            status="done" if status == "done" else "cancelled",
            seconds=time.perf_counter() - self.start,
            nfe=self.nfe,
            residual=self.slices.residual(image, self.failed),
            noise_std=self.slices.noise_std(),
            scale=tuple(self.slices.scale(i) for i in range(len(image))),
            provenance=provenance(self.kdata, image, self.device)
            | classifier_facts(self.recipe.guidance)
            | maps_facts(self.kdata, self.recipe.coil_maps, self.slices.given is not None)
            | program_facts(self.chosen)
            | {"slices_at_once": self.at_once, "batches_split": self.split},
            simulated=self.kdata.simulated,
            failed=dict(self.failed),
            spacing=self.kdata.spacing,
            affine=self.kdata.affine,
        )
