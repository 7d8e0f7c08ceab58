"""Training of a prior: the EDM objective on augmented slices, resumable from any kill.

Karras et al. 2022, arXiv 2206.00364, eq. 2 and table 1: minimise E lambda(sigma) |D(x0 + sigma z; sigma) - x0|^2 with
ln sigma ~ N(P_mean, P_std^2).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_lossguide.priors.experts import build_network
from napari_lossguide.priors.load import find_prior, is_ours, load_prior
from napari_lossguide.priors.precond import EDMPrecond, edm_weight
from napari_lossguide.priors.training.average import Averages, State
from napari_lossguide.priors.training.config import TrainConfig, same_network
from napari_lossguide.priors.training.data import Samples, TrainingData, batches
from napari_lossguide.priors.training.export import Choice, Scores, choose, export_prior
from napari_lossguide.priors.training.log import Board, LogFile, Window, has_tensorboard
from napari_lossguide.priors.training.processes import Processes
from napari_lossguide.priors.training.state import load_checkpoint, save_checkpoint
from napari_lossguide.priors.training.validate import denoising_psnr, evenly, sample_grid
from napari_lossguide.types import InvalidInput

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
Row = dict[str, Any]


class Trainer:
    """One training run in one folder; ``run`` continues from the folder's checkpoint if there is one.

    Parameters
    ----------
    config : what to do.
    data : training and validation slices.
    out : folder for the checkpoints, the log and the prior.
    processes : those that train together, and the device of this one.

    Attributes
    ----------
    path : of the exported prior.
    notes : sentences that a person should read before the training goes on.
    best : the ``Choice`` that was exported, as a dict, once there is one.

    Raises
    ------
    InvalidInput
        If ``initial`` cannot be used, or the folder holds the training of another network.
    """

    def __init__(self, config: TrainConfig, data: TrainingData, out: Path, processes: Processes | None = None) -> None:
        self.config, self.out, self.processes = config, out, processes or Processes()
        self.path = out / f"{config.name or out.resolve().name}.safetensors"
        self.device = self.processes.device
        out.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng(devices=[]):  # initial weights only; every later draw has its own generator
            torch.manual_seed(config.seed)
            net = build_network(config.network())
        self.model = EDMPrecond(net, config.sigma_data).to(self.device, memory_format=torch.channels_last)
        self.before = self.start_from(config.initial) if config.initial else 0
        self.averages = Averages(self.model, config.ema_halflives)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.samples, self.validation = Samples(config, data.sets, data.shares), data.validation
        self.fingerprint = data.cache.facts["sha256"]
        self.step, self.seconds, self.window, self.log_size = 0, 0.0, Window(), 0
        self.best: dict[str, Any] = {}
        self.notes: list[str] = []
        self.load()
        if config.tensorboard and not has_tensorboard():
            self.notes.append("TensorBoard is not installed (pip install 'napari-lossguide[train]'); see log.jsonl.")
        self.wrapped = self.processes.prepare(self.model)

    def start_from(self, prior: str) -> int:
        """Take over the weights of a prior, which must have the configured network; returns the steps it had.

        Raises
        ------
        InvalidInput
            If there is no such prior, or its network or sigma_data is another.
        """
        if not is_ours(find_prior(prior)):
            raise InvalidInput(f"initial = {prior!r} is of another library; give a prior of this program.")
        denoiser = load_prior(prior)
        theirs = {**denoiser.model.network.config, "sigma_data": denoiser.info.sigma_data}
        ours = {**self.model.network.config, "sigma_data": self.config.sigma_data}
        if theirs != ours:
            raise InvalidInput(f"initial = {prior!r} is the network {theirs}; the configuration asks for {ours}.")
        self.model.load_state_dict(denoiser.model.state_dict())
        return int(str(denoiser.info.extra.get("steps", 0)))

    def load(self) -> None:
        """Continue from the newest whole checkpoint."""
        state, self.notes = load_checkpoint(self.out, self.device)
        if state is None:
            return
        if other := same_network(self.config, state["config"]):
            raise InvalidInput(
                f"The training in {self.out} has other {', '.join(other)} than this configuration; "
                "give another --out, or the configuration it was begun with."
            )
        self.model.load_state_dict(state["model"])
        self.averages.states = state["averages"]
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.window, self.log_size = Window(state["window"]), state["log_size"]
        self.notes.append(f"Going on from step {self.step}.")
        log = self.out / "log.jsonl"
        if self.log_size > (log.stat().st_size if log.exists() else 0):
            self.notes.append("Rows of log.jsonl from before that step are gone.")
        if state["data"] != self.fingerprint:
            self.notes.append("The training slices are others than those it was begun with.")

    def save(self, log_size: int) -> None:
        """Write a checkpoint: all that the next step depends on."""
        state = {
            "model": self.model.state_dict(),
            "averages": self.averages.states,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "window": self.window.state(),
            "log_size": log_size,
            "config": self.config.model_dump(mode="json"),
            "data": self.fingerprint,
        }
        save_checkpoint(self.out, self.step, state)

    def progress(self) -> float:
        """Fraction of the budget that is used, by steps or by time, whichever is further."""
        return min(1.0, max(self.step / self.config.steps, self.seconds / 60 / self.config.minutes))

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to one hundredth."""
        c = self.config
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress()))
        return c.learning_rate * min(1.0, (self.step + 1) / c.warmup) * cosine

    def losses(self, x0: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """Weighted loss of each image, (B,)."""
        c = self.config
        x0, x, sigma = (t.to(self.device, non_blocking=True) for t in (x0, x, sigma))
        with torch.autocast(self.device.type, TYPES[c.precision], enabled=c.precision != "fp32"):
            d = self.wrapped(x.contiguous(memory_format=torch.channels_last), sigma)
        return edm_weight(sigma, c.sigma_data) * (d.float() - x0).square().flatten(1).mean(1)

    def train_step(self, source: Iterator[tuple[Tensor, Tensor, Tensor]]) -> float:
        """One optimiser step; returns its mean loss.

        Raises
        ------
        FloatingPointError
            If the loss is not finite.
        """
        c, parts = self.config, []
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        for part in range(c.accumulate):
            x0, x, sigma = next(source)
            with self.processes.backward_only(self.wrapped, part + 1 < c.accumulate):
                losses = self.losses(x0, x, sigma)
                self.scaler.scale(losses.mean() / c.accumulate).backward()
            parts.append(torch.stack([losses.detach(), sigma.to(self.device)], dim=1))
        self.scaler.unscale_(self.optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.averages.update(self.model, self.step)
        seen = self.processes.gather(torch.cat(parts)).cpu().double()
        loss = float(seen[:, 0].mean())
        if not math.isfinite(loss):
            raise FloatingPointError(f"training diverged at step {self.step}: loss {loss}; lower learning_rate")
        losses, sigmas = seen.T.tolist()
        self.window.add(losses, sigmas, norm if math.isfinite(norm) else 0.0)  # fp16 passes over infinite gradients
        return loss

    def denoiser(self, state: State) -> EDMPrecond:
        """A model of its own with these weights."""
        with torch.random.fork_rng(devices=[]):
            model = EDMPrecond(build_network(self.model.network.config), self.config.sigma_data)
        model.load_state_dict(state)
        return model.to(self.device, memory_format=torch.channels_last).eval()

    def validate(self) -> Scores:
        """Denoising PSNR of every average on the validation slices, means over the files."""
        scores, size = {}, self.config.views[0].size
        for halflife, state in self.averages.states.items():
            model = self.denoiser(state)
            each = [
                denoising_psnr(model, [s[i] for i in evenly(len(s))], size, device=str(self.device))
                for s in self.validation
            ]
            scores[halflife] = {k: round(float(np.mean([s[k] for s in each])), 2) for k in (each[0] if each else ())}
        return scores

    def export(self, scores: Scores) -> Choice:
        """Write the chosen average as the prior, unless an earlier one denoised better; returns what was chosen."""
        chosen = choose(self.config, scores, self.step)
        if not self.best or not chosen.worse_than(Choice(**self.best)):
            self.best = asdict(chosen)
            state = self.averages.states[chosen.halflife]
            export_prior(self.path, state, self.model.network.config, self.config, chosen, self.before)
        return chosen

    def row(self) -> Row:
        """The figures since the last row."""
        p = self.progress()
        return {
            "step": self.step,
            "steps": self.config.steps,
            "minutes": round(self.seconds / 60, 2),
            "minutes_left": round(self.seconds / 60 * (1 - p) / p, 2),
            "learning_rate": round(self.learning_rate(), 8),
            **self.window.row(),
        }

    def due(self, every: int) -> bool:
        """It is this step's turn, or the end."""
        return self.step % every == 0 or self.progress() >= 1

    def run(self, report: Callable[[Row], None] = print) -> None:
        """Train until the budget is used; rows of figures go to ``log.jsonl``, to TensorBoard and to ``report``."""
        log = board = None
        if self.processes.main:
            log = LogFile(self.out / "log.jsonl", self.log_size)
            board = Board(self.out, self.step + 1) if self.config.tensorboard and has_tensorboard() else None
        source = batches(self.samples, self.step, self.processes)
        while self.progress() < 1:
            start = time.perf_counter()
            self.train_step(source)
            self.seconds = self.processes.agree(self.seconds + time.perf_counter() - start)
            if log is not None:
                self.after_step(log, board, report)

    def after_step(self, log: LogFile, board: Board | None, report: Callable[[Row], None]) -> None:
        """Log, validate, export and save when it is time; in this order, so that a checkpoint knows all of it."""
        validating = bool(self.validation) and self.due(self.config.validate_every)
        if validating or self.due(self.config.log_every):
            row = self.row()
            self.window = Window()
            if validating:
                row |= self.validation_row(board)
            log.append(row)
            if board is not None:
                board.add(row)
            report(row)
        if self.due(self.config.save_every):
            if not self.validation:
                self.export({h: {} for h in self.averages.states})
            self.save(log.size)

    def validation_row(self, board: Board | None) -> Row:
        """Measure, export if it is the best so far, draw samples for TensorBoard."""
        scores = self.validate()
        chosen = self.export(scores)
        if board is not None:
            state, size = self.averages.states[chosen.halflife], self.config.views[0].size
            board.picture(sample_grid(self.denoiser(state), size, device=str(self.device)), self.step)
        return {
            "psnr": chosen.psnr,
            "halflife": chosen.halflife,
            "validation": {f"{h:g}": s for h, s in scores.items()},
        }

    def summary(self) -> str:
        """What came out, in a sentence."""
        return Choice(**self.best).in_words(self.path) if self.best else "Nothing was exported."
