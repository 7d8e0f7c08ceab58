"""Models of other libraries as priors: which format a path has, what is known of it, the denoiser itself.

Everything but ``load_model`` does without torch, so that a form can look at a model before a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_lossguide.priors.formats.checkpoint import Contents, contents
from napari_lossguide.priors.formats.diffusers_folder import DiffusersFolder
from napari_lossguide.priors.formats.edm import EDM
from napari_lossguide.priors.formats.guided_diffusion import GuidedDiffusion
from napari_lossguide.priors.formats.monai_bundle import MonaiBundle
from napari_lossguide.priors.formats.score_sde import ScoreSDE
from napari_lossguide.priors.formats.sidecar import Incomplete, Sidecar, read_sidecar
from napari_lossguide.priors.formats.thesis import Thesis
from napari_lossguide.types import InvalidInput, PriorInfo

if TYPE_CHECKING:
    from torch import nn

    from napari_lossguide.priors.domain import NetworkDenoiser

CHANNELS = {
    1: "one channel: a complex image is denoised as two images, its real and its imaginary part",
    2: "two channels, real and imaginary part: a real image has an imaginary channel of zeros",
    3: "three channels (RGB): a grey image is given three times and the estimates are averaged; a complex one is two",
}
SIGMA_DATA = 0.25  # of the images that we make, where a model says nothing of its own


class Format(Protocol):
    """A kind of model.

    Attributes
    ----------
    name, title : for a sidecar, for people.
    usual : the range that most models of this kind were trained on, as it is suggested.
    accepts : parameterisations.
    """

    name: str
    title: str
    usual: tuple[float, float]
    accepts: tuple[str, ...]

    def recognises(self, found: Contents) -> bool:
        """Whether a path holds a model of this kind, by what is in it."""
        ...

    def describe(self, found: Contents, given: Sidecar) -> Sidecar:
        """What the sidecar and the files say together; InvalidInput if the model cannot be a prior here."""
        ...

    def lacks(self, found: Contents, card: Sidecar) -> Sequence[str]:
        """Options of ``lossguide priors check`` for the settings of the network that are still unknown."""
        ...

    def build(self, found: Contents, card: Sidecar) -> nn.Module:
        """The model (channels (B, C, ny, nx), sigma (B,)) -> channels, in its own units."""
        ...


# The first that recognises a path takes it: the more particular before the more general.
FORMATS: tuple[Format, ...] = (DiffusersFolder(), MonaiBundle(), Thesis(), GuidedDiffusion(), EDM(), ScoreSDE())


@dataclass(frozen=True)
class Model:
    """A model of another library, not read yet."""

    path: Path
    format: Format
    found: Contents
    card: Sidecar


def find_model(path: Path, given: Sidecar | None = None, *, complete: bool = True) -> Model:
    """Recognise a model and gather what is known of it.

    Parameters
    ----------
    path : file or folder.
    given : in the place of its sidecar.
    complete : a model that lacks a fact is refused.

    Raises
    ------
    Incomplete
        If only its owner knows something that is needed.
    InvalidInput
        If it cannot be read, is of no known kind, or cannot be a prior.
    """
    found = contents(path)
    given = read_sidecar(path) if given is None else given
    known = {f.name: f for f in FORMATS}
    if given.format is not None and given.format not in known:
        raise InvalidInput(f"The sidecar of {path}: format is '{given.format}'; accepted are {', '.join(known)}.")
    kind = known[given.format] if given.format else next((f for f in FORMATS if f.recognises(found)), None)
    if kind is None:
        raise InvalidInput(unknown(found))
    card = kind.describe(found, given).model_copy(update={"format": kind.name})
    if card.parameterisation not in (None, *kind.accepts):
        raise InvalidInput(
            f"The settings of {path}: parameterisation is {card.parameterisation}; of {kind.title} accepted are "
            f"{', '.join(kind.accepts)}."
        )
    if card.channels not in CHANNELS:
        raise InvalidInput(
            f"{path} has images of {card.channels} channels; a prior here needs 1, 2 (real and imaginary part) or 3."
        )
    missing = lacking(kind, found, card)
    if missing and complete:
        raise Incomplete(path, missing, kind.title)
    return Model(path, kind, found, card)


def lacking(kind: Format, found: Contents, card: Sidecar) -> list[str]:
    """Options that would say what is missing, the range first."""
    low, high = kind.usual
    missing = [] if card.range else [f"--range {low:g} {high:g}"]
    missing += [] if card.schedule else ["--set schedule.kind=linear"]
    missing += [] if card.parameterisation else ["--set parameterisation=epsilon"]
    return missing + list(kind.lacks(found, card))


def unknown(found: Contents) -> str:
    """Why a path is not a prior, with what it holds."""
    kinds = "; ".join(f.title for f in FORMATS)
    if found.path.is_dir():
        held = ", ".join(sorted(p.name for p in found.path.iterdir())[:5]) or "nothing"
        what = f"the folder holds {held}"
    else:
        names = list(found.shapes or found.tree)
        what = f"it holds {', '.join(map(str, names[:4])) or 'nothing'}{', …' if len(names) > 4 else ''}"
    return f"{found.path} is not a prior of this program, nor a model of a known kind ({kinds}): {what}."


def model_info(model: Model, checksum: str = "") -> PriorInfo:
    """What the prior says of itself.

    Raises
    ------
    InvalidInput
        If its schedule has no noise level that can be used.
    """
    card, path = model.card, model.path
    assert card.schedule is not None
    assert card.range is not None
    assert card.channels is not None
    _, sigmas = card.schedule.levels()
    if len(sigmas) < 2:
        raise InvalidInput(f"The schedule of {path} has {len(sigmas)} usable noise levels; at least 2 are needed.")
    low, high = card.range
    notes = [CHANNELS[card.channels]]
    if card.size:
        notes.append(f"trained at {card.size} x {card.size}; other sizes run, how well is not known")
    if model.found.weights:
        notes.append(model.found.weights)
    return PriorInfo(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        sigma_min=float(sigmas[0]) / card.gain,
        sigma_max=float(sigmas[-1]) / card.gain,
        sigma_data=card.sigma_data / card.gain if card.sigma_data else SIGMA_DATA,
        channels=card.channels,
        divisible_by=card.divisible_by or 1,
        range=f"trained on intensities from {low:g} to {high:g}",
        sha256=checksum,
        licence=card.licence,
        trained_on=card.trained_on,
        extra={"format": model.format.title, "predicts": card.parameterisation, "notes": notes},
    )


def load_model(model: Model, device: str) -> NetworkDenoiser:
    """The denoiser.

    Raises
    ------
    InvalidInput
        If its weights cannot be read or do not fit.
    """
    import torch

    from napari_lossguide.priors.domain import Domain, NetworkDenoiser

    card = model.card
    network = model.format.build(model.found, card).to(torch.device(device))
    domain = Domain(card.channels or 1, card.offset, card.gain, card.divisible_by or 1)
    return NetworkDenoiser(network, model_info(model, checksum(model)), domain)


def checksum(model: Model) -> str:
    """SHA-256 of the weights' files and of what is said of them: with another range it is another prior."""
    digest = hashlib.sha256(model.card.model_dump_json(exclude={"licence", "trained_on"}).encode())
    path = model.path
    files = (
        [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in WEIGHTS and p.is_file())
    )
    for file in files:
        with open(file, "rb") as f:
            digest.update(hashlib.file_digest(f, "sha256").digest())
    return digest.hexdigest()


WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
