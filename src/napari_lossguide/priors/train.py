"""Training of a prior: the EDM objective on augmented slices, resumable from any kill.

Karras et al. 2022, arXiv 2206.00364, eq. 2 and table 1: minimise E lambda(sigma) |D(x0 + sigma z; sigma) - x0|^2 with
ln sigma ~ N(P_mean, P_std^2).
"""

from __future__ import annotations

import json
import math
import os
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_lossguide.priors.augment import Augmentation, noise_for, random_views
from napari_lossguide.priors.domain import REFERENCE_QUANTILE
from napari_lossguide.priors.load import load_prior, save_prior
from napari_lossguide.priors.network import UNet
from napari_lossguide.priors.precond import EDMPrecond, edm_weight
from napari_lossguide.priors.synthetic_heads import SyntheticHeads
from napari_lossguide.types import InvalidInput

VALIDATION_SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0)


class SliceFile(BaseModel):
    """One ``.npz`` of slices in ``images`` (slice, n, n), uint8 or float, or of label maps; and how often it is seen."""

    model_config = ConfigDict(extra="forbid")
    path: str
    share: float = Field(1.0, gt=0, description="how often it is seen, relative to the other files")


class ViewSize(BaseModel):
    """One size of training views and how they come."""

    model_config = ConfigDict(extra="forbid")
    size: int = Field(ge=32, multiple_of=16)
    batch: int = Field(ge=1)
    share: float = Field(1.0, gt=0, description="how often it is taken, relative to the other sizes")


class TrainConfig(BaseModel):
    """Everything that decides a training run; read from TOML."""

    model_config = ConfigDict(extra="forbid")
    name: str
    initial: str = Field("", description="bundled prior or file whose weights the training starts from (fine-tuning)")
    train: list[SliceFile]
    validation: list[str] = []
    widths: tuple[int, ...] = (64, 96, 128, 192)
    blocks: int = Field(1, ge=1)
    heads: int = Field(4, ge=1)
    sigma_data: float = Field(0.25, gt=0)
    p_mean: float = -1.6
    p_std: float = Field(1.4, gt=0)
    steps: int = Field(10000, ge=1, description="optimiser steps at most")
    minutes: float = Field(
        math.inf, gt=0, description="wall-clock budget over all resumed parts; the learning rate follows it"
    )
    learning_rate: float = Field(1.2e-3, gt=0)
    warmup: int = Field(200, ge=1)
    ema_halflife: float = Field(300.0, gt=0, description="in steps; shorter at the start")
    bfloat16: bool = True
    seed: int = 0
    save_every: int = Field(200, ge=1)
    complex_fraction: float = Field(0.5, ge=0, le=1)
    views: list[ViewSize] = [ViewSize(size=128, batch=8)]
    licence: str = ""
    trained_on: str = ""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> TrainConfig:
        """Parse a TOML file; pydantic's error names each wrong key."""
        with open(path, "rb") as f:
            return cls(**tomllib.load(f))


def load_slices(path: str | os.PathLike[str]) -> Tensor:
    """Slices of one ``.npz``, (N, 1, n, n) float16, the reference quantile of each at 1; nearly empty ones dropped."""
    with np.load(path, allow_pickle=False) as f:
        images = f["images"]
    x = torch.from_numpy(images.astype(np.float16))
    flat = x.flatten(1).float()
    top = torch.stack([row.quantile(REFERENCE_QUANTILE) for row in flat])
    kept = top > 0.15 * top.median()
    return (x[kept].float() / top[kept, None, None]).half()[:, None]


class Slices:
    """Real slices, drawn evenly."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.images = load_slices(path)

    def draw(self, rng: torch.Generator) -> Tensor:
        """(1, n, n) float32."""
        return self.images[int(torch.randint(len(self.images), (), generator=rng))].float()


def weighted_choice(shares: Sequence[float], n: int, rng: torch.Generator) -> list[int]:
    """``n`` indices, each drawn with a probability in proportion to its share."""
    return torch.multinomial(torch.tensor(shares), n, replacement=True, generator=rng).tolist()


class SlicePool:
    """Draws batches of slices, each file by its ``share``."""

    def __init__(self, files: list[SliceFile], folder: Path) -> None:
        self.shares = [f.share for f in files]
        self.sets: list[Slices | SyntheticHeads] = []
        for f in files:
            with np.load(folder / f.path, allow_pickle=False) as held:
                labels = "labels" in held.files
            self.sets.append(SyntheticHeads(folder / f.path) if labels else Slices(folder / f.path))

    def draw(self, batch: int, rng: torch.Generator) -> Tensor:
        """(batch, 1, n, n) float32."""
        return torch.stack([self.sets[k].draw(rng) for k in weighted_choice(self.shares, batch, rng)])


def denoising_psnr(denoiser: EDMPrecond, slices: Tensor, size: int = 128, seed: int = 0) -> dict[str, float]:
    """Mean PSNR in dB (peak 1, the reference quantile) of whole slices by noise level, real and with a phase."""
    rng = torch.Generator().manual_seed(seed)
    plain = Augmentation(
        size=size,
        plain_fraction=1,
        turned_fraction=0,
        whole_fraction=1,
        gamma=(1, 1),
        intensity=(1, 1),
        residue=0,
        noisy_fraction=0,
    )
    scores = {}
    for kind, fraction in (("real", 0.0), ("complex", 1.0)):
        x0 = random_views(slices, Augmentation(**{**plain.__dict__, "complex_fraction": fraction}), rng)
        for sigma in VALIDATION_SIGMAS:
            with torch.no_grad():
                d = denoiser(x0 + sigma * noise_for(x0, rng), torch.full((len(x0),), sigma))
            mse = (d - x0).square().sum(1).flatten(1).mean(1)
            scores[f"{kind} {sigma}"] = round(float((-10 * mse.log10()).mean()), 2)
    return scores


class Trainer:
    """One training run in one folder; ``run`` continues from the folder's checkpoint if there is one."""

    def __init__(self, config: TrainConfig, data: Path, out: Path, device: str = "cpu") -> None:
        self.config, self.out, self.device = config, out, torch.device(device)
        out.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng(devices=[]):  # initial weights only; every later draw has its own generator
            torch.manual_seed(config.seed)
            net = UNet(2, config.widths, config.blocks, config.heads)
        self.model = EDMPrecond(net, config.sigma_data).to(self.device, memory_format=torch.channels_last)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.pool = SlicePool(config.train, data)
        self.validation = [load_slices(data / f).float() for f in config.validation]
        self.step, self.seconds = 0, 0.0
        self.before = 0  # steps of the prior that the training starts from
        if config.initial:
            self.start_from(config.initial)
        self.checkpoint = out / "checkpoint.pt"
        if self.checkpoint.exists():
            self.load()

    def start_from(self, prior: str) -> None:
        """Take over the weights of a prior, which must have the configured network.

        Raises
        ------
        InvalidInput
            If there is no such prior, or its network or sigma_data is another.
        """
        denoiser = load_prior(prior)
        theirs = {**denoiser.model.network.config, "sigma_data": denoiser.info.sigma_data}
        ours = {**self.model.network.config, "sigma_data": self.config.sigma_data}
        if theirs != ours:
            raise InvalidInput(f"initial = {prior!r} is the network {theirs}; the configuration asks for {ours}.")
        self.model.load_state_dict(denoiser.model.state_dict())
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.before = int(str(denoiser.info.extra.get("steps", 0)))

    def load(self) -> None:
        """Continue from the checkpoint (tensors and numbers only; no code is unpickled)."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.ema = state["ema"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint and the EMA prior, each to a temporary name first."""
        state = {"model": self.model.state_dict(), "ema": self.ema, "optimizer": self.optimizer.state_dict()}
        part = self.checkpoint.with_suffix(".part")
        try:
            torch.save({**state, "step": self.step, "seconds": self.seconds}, part)
            os.replace(part, self.checkpoint)
        finally:
            part.unlink(missing_ok=True)
        net_state = {k.removeprefix("network."): v for k, v in self.ema.items()}
        c = self.config
        save_prior(
            self.out / f"{c.name}.safetensors",
            net_state,
            network=self.model.network.config,
            info={
                "name": c.name,
                "sigma_data": c.sigma_data,
                "steps": self.before + self.step,
                "licence": c.licence,
                "trained_on": c.trained_on,
            },
        )

    def progress(self) -> float:
        """Fraction of the budget that is used, by steps or by time, whichever is further."""
        return min(1.0, max(self.step / self.config.steps, self.seconds / 60 / self.config.minutes))

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to one hundredth."""
        c = self.config
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress()))
        return c.learning_rate * min(1.0, (self.step + 1) / c.warmup) * cosine

    def train_step(self) -> float:
        """One optimiser step; returns the weighted loss."""
        c = self.config
        rng = torch.Generator().manual_seed(c.seed * 1_000_003 + self.step)  # by step: a resumed run repeats no data
        view = c.views[weighted_choice([v.share for v in c.views], 1, rng)[0]]
        augmentation = Augmentation(size=view.size, complex_fraction=c.complex_fraction)
        x0 = random_views(self.pool.draw(view.batch, rng), augmentation, rng)
        sigma = (c.p_mean + c.p_std * torch.randn(view.batch, generator=rng)).exp()
        x = x0 + sigma[:, None, None, None] * noise_for(x0, rng)
        x0, x, sigma = (t.to(self.device) for t in (x0, x, sigma))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=c.bfloat16):
            d = self.model(x.contiguous(memory_format=torch.channels_last), sigma)
        weight = edm_weight(sigma, c.sigma_data)[:, None, None, None]
        loss = (weight * (d.float() - x0).square()).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.update_ema()
        return float(loss.detach())

    @torch.no_grad()
    def update_ema(self) -> None:
        """Exponential moving average whose half-life grows with the run (EDM, appendix F.2)."""
        beta = 0.5 ** (1 / max(min(self.config.ema_halflife, 0.05 * self.step), 1e-8))
        for name, value in self.model.state_dict().items():
            self.ema[name].lerp_(value, 1 - beta) if value.is_floating_point() else self.ema[name].copy_(value)

    def validate(self) -> dict[str, float]:
        """Denoising PSNR of the EMA weights on the validation slices, means over the files."""
        if not self.validation:
            return {}
        with torch.random.fork_rng(devices=[]):
            model = EDMPrecond(UNet(**self.model.network.config), self.config.sigma_data)
        model.load_state_dict({k: v.cpu() for k, v in self.ema.items()})
        scores = [denoising_psnr(model.eval(), s[::3]) for s in self.validation]
        return {k: round(float(np.mean([s[k] for s in scores])), 2) for k in scores[0]}

    def run(self, report: Callable[[str], None] = print) -> None:
        """Train until the budget is used; a line of text now and then, the same figures in ``log.jsonl``."""
        losses: list[float] = []
        while self.progress() < 1:
            start = time.perf_counter()
            losses.append(self.train_step())
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(
                    f"training diverged at step {self.step}: loss {losses[-1]}; lower learning_rate"
                )
            self.seconds += time.perf_counter() - start
            if self.step % self.config.save_every == 0 or self.progress() >= 1:
                self.save()
                row: dict[str, Any] = {
                    "step": self.step,
                    "minutes": round(self.seconds / 60, 1),
                    "loss": round(float(np.mean(losses)), 4),
                    "learning_rate": round(self.learning_rate(), 6),
                }
                if self.step % (5 * self.config.save_every) == 0 or self.progress() >= 1:
                    row["validation"] = self.validate()
                with open(self.out / "log.jsonl", "a") as f:
                    f.write(json.dumps(row) + "\n")
                report(json.dumps(row))
                losses.clear()
