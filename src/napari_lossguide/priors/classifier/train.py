"""Training of a noise-conditional classifier on the encoder of a prior, resumable from any kill.

Dhariwal & Nichol 2021, arXiv 2105.05233, section 4: cross-entropy on noisy images, at the noise levels of the diffusion
model's own training, ln sigma ~ N(P_mean, P_std^2). The encoder of the prior already knows how to look through noise;
it is taken over as it is, and only what follows the pooling is trained. So each view has to go through it just once:
views are drawn in chunks, whose pooled features are kept in the folder, and the heads are fitted to all of them at the
end.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_lossguide.priors.classifier.classifier import CLASSES, save_classifier
from napari_lossguide.priors.classifier.data import UNKNOWN, ClassifierData, noisy
from napari_lossguide.priors.classifier.network import HalfUNet, powers
from napari_lossguide.priors.load import load_prior
from napari_lossguide.priors.network import UNet
from napari_lossguide.priors.training.augmentation import Augmentation
from napari_lossguide.priors.training.config import read_toml
from napari_lossguide.priors.training.data import generator
from napari_lossguide.types import InvalidInput

Row = dict[str, Any]
Features = tuple[Tensor, Tensor, Tensor]  # pooled (N, features), sigma (N,), answers (N, questions)
TRUNK = ("label", "stem", "down")  # what the classifier takes over from the prior's network
CHUNK = 256  # views
DRAWN_BY = ("widths", "p_mean", "p_std", "size", "whole_extent", "seed")  # beside the encoder
BATCH = 16  # of them that go through the encoder together


class ClassifierConfig(BaseModel):
    """Everything that decides the training of a classifier; read from TOML."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field("brain", description="of the classifier")
    prior: str = Field("brain", description="bundled prior or file whose encoder is used")
    widths: tuple[int, ...] = Field((64, 96, 128), description="levels of the prior's encoder that are used")
    hidden: int = Field(96, ge=8, description="features that the heads see")
    p_mean: float = Field(-0.9, description="mean of ln sigma in training")
    p_std: float = Field(1.4, gt=0, description="standard deviation of ln sigma in training")
    size: int = Field(128, ge=32, multiple_of=16, description="side of the square views in pixels")
    whole_extent: tuple[float, float] = Field(
        (0.8, 1.35), description="width of the view of a whole slice over that of the source"
    )
    chunks: int = Field(100, ge=2, description="of 256 views, at most")
    minutes: float = Field(math.inf, gt=0, description="for drawing views, of every start of the program")
    epochs: int = Field(40, ge=1, description="passes over the views when the heads are fitted")
    learning_rate: float = Field(1e-3, gt=0, description="at the start of the fit; a cosine brings it to zero")
    weight_decay: float = Field(1.0, ge=0, description="of AdamW")
    seed: int = Field(0, ge=0, description="of the initial weights and of every draw")
    licence: str = Field("", description="of the weights")
    trained_on: str = Field("", description="attribution of the training images")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ClassifierConfig:
        """Parse a TOML file.

        Raises
        ------
        InvalidInput
            If the file cannot be read, or the first wrong key.
        """
        return read_toml(cls, path)


def with_encoder(prior: str, config: ClassifierConfig) -> tuple[HalfUNet, str]:
    """A classifier with the encoder of a prior and random heads, and the prior's checksum.

    Raises
    ------
    InvalidInput
        If there is no such prior, it is not a U-Net of this program, or its levels have other widths than configured.
    """
    denoiser = load_prior(prior)
    network = getattr(denoiser.model, "network", None)
    network = getattr(network, "coarse", network)  # of two experts the one that sees the whole image
    if not isinstance(network, UNet):
        raise InvalidInput(f"The prior '{prior}' is not a U-Net of this program; its encoder cannot be used.")
    theirs = network.state_dict()
    with torch.random.fork_rng(devices=[]):  # initial weights only; every later draw has its own generator
        torch.manual_seed(config.seed)
        heads = {question: len(answers) for question, answers in CLASSES.items()}
        model = HalfUNet(heads, denoiser.info.sigma_data, widths=config.widths, hidden=config.hidden)
    ours = model.state_dict()
    shared = {k: theirs.get(k) for k in ours if k.split(".")[0] in TRUNK}
    if any(v is None or v.shape != ours[k].shape for k, v in shared.items()):
        raise InvalidInput(f"The encoder of the prior '{prior}' has other widths than {list(config.widths)}.")
    model.load_state_dict(ours | shared)
    return model.to(memory_format=torch.channels_last).requires_grad_(False), denoiser.info.sha256


class ClassifierTrainer:
    """One training in one folder; ``run`` continues from the chunks that are there.

    Parameters
    ----------
    config : what to do.
    data : folder of the training files.
    out : folder for the chunks and the classifier.
    """

    def __init__(self, config: ClassifierConfig, data: Path, out: Path) -> None:
        self.config, self.out = config, out
        out.mkdir(parents=True, exist_ok=True)
        self.model, sha = with_encoder(config.prior, config)
        drawn_by = {k: v for k, v in config.model_dump(mode="json").items() if k in DRAWN_BY}
        self.key = json.dumps({**drawn_by, "prior_sha256": sha}, sort_keys=True)
        self.data = ClassifierData(data)
        self.augmentation = Augmentation(size=config.size, whole_extent=config.whole_extent)

    def chunk_path(self, number: int) -> Path:
        """File of a chunk."""
        return self.out / f"features-{number:05d}.pt"

    @torch.no_grad()
    def chunk(self, number: int) -> Features:
        """Pooled features of new views; a chunk is the same whenever it is drawn."""
        c, rng = self.config, generator(self.config.seed, number)
        parts = []
        for _ in range(0, CHUNK, BATCH):
            views, answers = zip(*(self.data.view(rng, self.augmentation) for _ in range(BATCH)), strict=True)
            sigma = (c.p_mean + c.p_std * torch.randn(BATCH, generator=rng)).exp()
            x = noisy(torch.stack(views), sigma, rng).contiguous(memory_format=torch.channels_last)
            parts.append((self.model.pooled(x, sigma), sigma, torch.stack(answers)))
        pooled, sigmas, asked = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return pooled, sigmas, asked

    def read(self, path: Path) -> Features:
        """A chunk from its file.

        Raises
        ------
        InvalidInput
            If it was drawn with another encoder or configuration.
        """
        key, pooled, sigma, answers = torch.load(path, weights_only=True)
        if key != self.key:
            raise InvalidInput(
                f"{path} was drawn with another prior or configuration than '{self.config.prior}' is now; "
                "give another --out, or remove the old chunks."
            )
        return pooled, sigma, answers

    def draw(self, report: Callable[[Row], None]) -> int:
        """Draw the chunks that are missing until the time is up; returns how many there are."""
        start = time.perf_counter()
        for number in range(self.config.chunks):
            path = self.chunk_path(number)
            if path.exists():
                self.read(path)
            else:
                if time.perf_counter() - start > 60 * self.config.minutes:
                    return number
                part = path.with_suffix(".part")
                torch.save((self.key, *self.chunk(number)), part)
                os.replace(part, path)
            report({"views": (number + 1) * CHUNK, "minutes": round((time.perf_counter() - start) / 60, 2)})
        return self.config.chunks

    def run(self, report: Callable[[Row], None]) -> None:
        """Draw, fit, write the classifier; rows of figures go to ``report``.

        Raises
        ------
        InvalidInput
            If the time was not even enough for two chunks.
        """
        n = self.draw(report)
        if n < 2:
            raise InvalidInput(f"minutes = {self.config.minutes:g} was enough for {n} chunk of views; needed are two.")
        chunks = [self.read(self.chunk_path(k)) for k in range(n)]
        held = max(1, n // 10)  # the last chunks tell when to stop
        report(fit(self.model, stack(chunks[:-held]), stack(chunks[-held:]), self.config))
        c = self.config
        save_classifier(
            self.out / f"{c.name}.safetensors",
            self.model.state_dict(),
            network=self.model.config,
            info={
                "name": c.name,
                "classes": CLASSES,
                "sigma_min": 0.002,
                "sigma_max": 10.0,
                "views": n * CHUNK,
                "licence": c.licence,
                "trained_on": c.trained_on,
            },
        )


def stack(chunks: list[Features]) -> Features:
    """All chunks as one."""
    pooled, sigmas, answers = (torch.cat(tensors) for tensors in zip(*chunks, strict=True))
    return pooled, sigmas, answers


def cross_entropy(model: HalfUNet, features: Features) -> tuple[Tensor, dict[str, float]]:
    """Mean over images of the cross-entropy of the questions asked, and the accuracy of each question."""
    pooled, sigma, answers = features
    logits = model.decide(pooled, sigma)
    loss, accuracy = torch.zeros(()), {}
    for k, question in enumerate(CLASSES):
        asked = answers[:, k] != UNKNOWN
        loss = loss + F.cross_entropy(logits[question], answers[:, k], reduction="sum", ignore_index=UNKNOWN)
        right = (logits[question].argmax(1) == answers[:, k])[asked].float()
        accuracy[question] = round(float(right.mean()), 4)
    return loss / len(pooled), accuracy


def standardise(model: HalfUNet, pooled: Tensor, sigma: Tensor) -> None:
    """Set mean and spread of the pooled features, as functions of the noise level, by least squares."""
    t, pooled = powers(sigma).double(), pooled.double()
    normal = t.T @ t / len(t) + 1e-8 * torch.eye(t.shape[1], dtype=t.dtype)  # levels may be too alike for a polynomial
    center = torch.linalg.solve(normal, t.T @ pooled / len(t))
    size = (pooled - t @ center).abs()
    # E ln|d| of a normal d is 0.635 below the logarithm of its standard deviation.
    width = torch.linalg.solve(normal, t.T @ ((size + 1e-5).log() + 0.635) / len(t))
    model.center.copy_(center)
    model.width.copy_(width)


def fit(model: HalfUNet, training: Features, held_out: Features, config: ClassifierConfig) -> Row:
    """Fit what follows the pooling, in place, and keep the pass with the least loss on views that were held out.

    Returns
    -------
    Loss and accuracy on the views that were held out.
    """
    rng = generator(config.seed, 1, 1)
    standardise(model, training[0], training[1])
    parameters = [p for name, p in model.named_parameters() if name.split(".")[0] not in TRUNK]
    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs)
    best: tuple[float, Row, dict[str, Tensor]] = (math.inf, {}, {})
    for epoch in range(config.epochs):
        for picked in torch.randperm(len(training[0]), generator=rng).split(128):
            optimizer.zero_grad()
            cross_entropy(model, (training[0][picked], training[1][picked], training[2][picked]))[0].backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            loss, accuracy = cross_entropy(model, held_out)
        if float(loss) < best[0]:
            row = {"epoch": epoch + 1, "held out": round(float(loss), 4), **accuracy}
            best = float(loss), row, {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(best[2])
    model.requires_grad_(False)
    return best[1]
