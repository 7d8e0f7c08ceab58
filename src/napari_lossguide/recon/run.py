"""One reconstruction: its state, its steps, and the result that it leaves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_lossguide.data.kdata import KData
from napari_lossguide.guidance.loss_terms import Loss
from napari_lossguide.recon.classical import classical_steps
from napari_lossguide.recon.diffusion import SampleNoise, diffusion_steps, open_prior
from napari_lossguide.recon.drive import bearable
from napari_lossguide.recon.knobs import knobs_of, live_limits
from napari_lossguide.recon.listening import Listening
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.problem import check_maps, coil_maps, data_residual, make_problem
from napari_lossguide.recon.provenance import classifier_facts, provenance
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.tape import Tape
from napari_lossguide.types import Denoiser, Diverged, InvalidInput, Problem, Step


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
        maps_of: Callable[[KData, int, int], NDArray[np.complex64]] = coil_maps,
    ) -> None:
        self.start, self.maps_of = time.perf_counter(), maps_of
        self.live, self.losses, self.tape = live, losses, tape
        self.chosen = method(recipe.method)
        self.device = choose_device(device)
        self.kdata = kdata if recipe.mask is None else kdata.undersample(recipe.mask.make(kdata.image_shape))
        self.real = kdata.real if recipe.image == "auto" else recipe.image == "real"
        self.given_maps = None if maps is None else check_maps(np.asarray(maps), kdata)
        if self.real and kdata.n_coils > 1 and maps is None:
            raise InvalidInput(
                f"A real image was asked for from {kdata.n_coils} coils without maps: estimated maps leave the "
                "image a phase, so it must be complex; give the maps or ask for a complex image."
            )
        self.region = None if recipe.region is None else recipe.region.make(kdata.image_shape)
        if self.region is None and self.chosen.needs_region:
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
        self.recipe = recipe.model_copy(update={"image": "real" if self.real else "complex", "prior_sha256": sha})
        shape = (kdata.n_slices, recipe.samples if self.chosen.needs_prior else 1, *kdata.image_shape)
        self.samples = np.zeros(shape, np.complex64)
        self.reached = np.zeros(kdata.n_slices, int)  # samples of each slice that have an estimate
        self.zero_filled = np.zeros((kdata.n_slices, *kdata.image_shape), np.complex64)
        self.maps = np.zeros(kdata.kspace.shape, np.complex64)
        self.problems: dict[int, Problem] = {}  # by slice
        self.failed: dict[int, str] = {}  # slices without an image, and why
        self.trace: list[dict[str, float]] = []
        self.done_steps = 0
        self.nfe = 0
        # Batches that were too large for the memory; steps that slices which failed will never take.
        self.split = self.lost = 0

    def batches(self) -> list[range]:
        """Sample numbers that go through the network together."""
        p, b = self.samples.shape[1], self.recipe.batch
        return [range(i, min(i + b, p)) for i in range(0, p, b)]

    def total(self, slices: int | None = None) -> int:
        """Steps over all batches of the first so many slices, or of all."""
        if self.chosen.schedule is not None:
            per_batch = self.chosen.schedule(**self.recipe.schedule).falls()
        else:
            per_batch = self.recipe.guidance.get("iterations", 1)
        count = self.kdata.n_slices if slices is None else slices
        return int(per_batch) * (len(self.batches()) * count + self.split) - self.lost

    def steps(self) -> Iterator[Progress]:
        """All slices, one after another. In a stack, one that fails is left out; the error is raised if all do."""
        for index in range(self.kdata.n_slices):
            try:
                yield from self.slice_steps(index)
            except Exception as error:
                why = bearable(error)
                if not why or len(self.failed) == self.kdata.n_slices - 1:
                    raise
                self.failed[index] = why
                self.samples[index] = np.nan
                self.lost += self.total(index + 1) - self.done_steps

    def slice_steps(self, index: int) -> Iterator[Progress]:
        """All batches of samples of a slice."""
        self.live.checkpoint()
        maps = (
            self.maps_of(self.kdata, index, self.recipe.calibration)
            if self.given_maps is None
            else self.given_maps[index]
        )
        problem = make_problem(
            self.kdata,
            index,
            maps,
            real=self.real,
            noise_std=self.recipe.noise_std,
            device=self.device,
            region=self.region,
        )
        self.maps[index] = maps
        self.zero_filled[index] = problem.A.adjoint(problem.y)[0].cpu().numpy() * problem.scale
        self.problems[index] = problem
        self.start_image = self.classical_start(problem)
        for batch in self.batches():
            yield from self.batch_steps(index, problem, batch)

    def classical_start(self, problem: Problem) -> Tensor | None:
        """The image that a warm start begins from, (1, ny, nx); None without one."""
        if self.recipe.start == "noise" or self.denoiser is None:
            return None
        image = None
        for step in classical_steps(problem, Recipe.for_method(self.recipe.start)):
            self.live.checkpoint()
            image = step.x0
        return image

    def batch_steps(self, index: int, problem: Problem, batch: range) -> Iterator[Progress]:
        """One batch of samples of one slice; every estimate is kept, so that a cancelled run has an image."""
        first, before = self.done_steps, self.nfe
        if self.denoiser is None:
            steps = classical_steps(problem, self.recipe)
        else:
            noise = SampleNoise(self.recipe.seed, index, batch, problem.A.image_shape, self.real, self.device)
            steps = diffusion_steps(
                problem,
                self.denoiser,
                self.chosen,
                self.recipe,
                lambda i: self.live.read(first + i),
                noise,
                self.start_image,
                self.losses,
            )
        last: NDArray[np.float32] | None = None
        while True:
            self.live.checkpoint()
            try:
                step = next(steps, None)
            except torch.OutOfMemoryError:
                if len(batch) == 1 or self.done_steps > first:
                    raise
                yield from self.halves(index, problem, batch)
                return
            if step is None:
                break
            if not bool(torch.isfinite(torch.view_as_real(step.x0) if step.x0.is_complex() else step.x0).all()):
                raise Diverged(step.index, step.sigma, last)
            self.samples[index, batch.start : batch.stop] = step.x0.cpu().numpy() * problem.scale
            self.reached[index] = batch.stop
            last = np.abs(self.samples[index, batch.start])
            self.done_steps = first + step.index + 1
            self.nfe = before + step.nfe
            if self.tape is not None and self.denoiser is not None:
                state, estimate = magnitude(step.x[0], problem.scale), magnitude(step.x0[0], problem.scale)
                self.tape.mark(self.done_steps, index, step.sigma, state, estimate)
            yield self.progress(index, problem, step)

    def halves(self, index: int, problem: Problem, batch: range) -> Iterator[Progress]:
        """A batch that memory does not hold, in two parts: no sample depends on what else is in its batch."""
        self.split += 1
        if self.tape is not None:
            self.tape.split = True
        middle = batch.start + len(batch) // 2
        yield from self.batch_steps(index, problem, range(batch.start, middle))
        yield from self.batch_steps(index, problem, range(middle, batch.stop))

    def progress(self, index: int, problem: Problem, step: Step) -> Progress:
        """Figures of a step, and how to get its images."""
        residual, loss = data_residual(problem, step.x0[:1])
        self.trace.append(
            {"step": self.done_steps, "slice": index, "sigma": step.sigma, "residual": residual, "loss": loss}
        )
        x0, x, scale = step.x0[0], step.x[0], problem.scale
        ends = self.done_steps == self.total(index + 1)
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
        levels = [p.noise_std * p.scale for p in self.problems.values()]
        return Result(
            image=image,
            zero_filled=self.zero_filled,
            mask=self.kdata.acquired,
            maps=self.maps,
            samples=self.samples if several else None,
            mean=image if several else None,
            std=np.stack([s.std(axis=0) for s in reached]).astype(np.float32) if several else None,
            recipe=self.recipe.model_copy(update={"changes": self.live.changes}),
            trace=tuple(self.trace),
            status="done" if status == "done" else "cancelled",
            seconds=time.perf_counter() - self.start,
            nfe=self.nfe,
            residual=self.overall_residual(image),
            noise_std=float(np.mean(levels)) if levels else math.nan,
            scale=tuple(self.problems[i].scale if i in self.problems else math.nan for i in range(len(image))),
            provenance=provenance(self.kdata, image, self.device) | classifier_facts(self.recipe.guidance),
            simulated=self.kdata.simulated,
            failed=dict(self.failed),
        )

    def overall_residual(self, image: NDArray[np.complex64]) -> float:
        """Root mean square of the residuals of the slices that have an image."""
        values = []
        for index, problem in self.problems.items():
            if index in self.failed:
                continue
            x = torch.from_numpy(image[index : index + 1] / np.float32(problem.scale)).to(self.device)
            values.append(data_residual(problem, x)[0] ** 2)
        return float(np.sqrt(np.mean(values))) if values else math.nan
