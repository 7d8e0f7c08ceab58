"""Noise-conditional classifiers log p(c | x, sigma): their files, and how images are put to them.

A file is like a prior's (``priors.weights``), with a format of its own, so that neither can be taken for the other. The
bundled ones are beside this file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.priors.weights import load_network, read_header, save_weights
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.priors.classifier.network import HalfUNet

FORMAT = "napari-lossguide classifier 1"
EXACT = ("center", "width")  # the pooled features differ by less from their mean than 16 bits resolve
BUNDLED = Path(__file__).parent
CLASSES: dict[str, tuple[str, ...]] = {
    "contrast": ("T1w", "T2w", "FLAIR", "T1c"),
    "plane": ("axial", "coronal", "sagittal"),
}
"""What the brain classifier is asked, and the answers it knows."""


@dataclass(frozen=True)
class ClassifierInfo:
    """What a classifier says of itself; the sigmas are in units of the scaled image (see ``priors.domain``)."""

    name: str
    classes: Mapping[str, tuple[str, ...]]
    sigma_min: float
    sigma_max: float
    sha256: str = ""
    licence: str = ""
    trained_on: str = ""


class NoiseClassifier:
    """log p(c | x, sigma) of images from a network on channels; satisfies ``types.Classifier``.

    Parameters
    ----------
    model : (channels (B, 2, ny, nx), sigma (B,)) -> logits (B, answers) of each question.
    info : what the classifier says of itself.
    """

    def __init__(self, model: HalfUNet, info: ClassifierInfo) -> None:
        self.model = model.eval().requires_grad_(False)
        self.info = info
        self.classes = info.classes

    def __call__(self, x: Tensor, sigma: float) -> dict[str, Tensor]:
        """Log-probabilities (B, answers) of each question for images (B, ny, nx), real or complex.

        Above ``sigma_max`` x is all but noise and is shrunk to that level; below ``sigma_min`` the label stays there.

        Raises
        ------
        InvalidInput
            If the image is smaller than the network's coarsest cell.
        """
        import torch

        from napari_lossguide.priors.domain import to_channels, within_limits

        limits = self.info.sigma_min, self.info.sigma_max
        x, sigma = within_limits(x, sigma, f"the classifier '{self.info.name}'", self.model.stride, limits)
        channels = to_channels(x).contiguous(memory_format=torch.channels_last)
        logits = self.model(channels, channels.new_full((len(x),), sigma))
        return {question: value.log_softmax(dim=1) for question, value in logits.items()}


def save_classifier(
    path: Path, state: Mapping[str, Tensor], network: Mapping[str, Any], info: Mapping[str, Any]
) -> None:
    """Write weights as float16 safetensors, all but ``EXACT``, atomically.

    Parameters
    ----------
    path : target, ``NAME.safetensors``.
    state : state dict of the ``HalfUNet``.
    network : its constructor arguments.
    info : ``name``, ``classes``, ``sigma_min``, ``sigma_max``, ``licence``, ``trained_on`` and whatever else the card
        states.
    """
    save_weights(path, state, kind=FORMAT, network=network, info=info, exact=EXACT)


def find_classifier(name: str) -> Path:
    """Path of a bundled classifier's name or of a file.

    Raises
    ------
    InvalidInput
        If there is none; the sentence names the bundled ones.
    """
    bundled = {p.stem: p for p in sorted(BUNDLED.glob("*.safetensors"))}
    path = bundled.get(name, Path(name).expanduser())
    if not path.is_file():
        raise InvalidInput(
            f"There is no classifier '{name}'; give one of {', '.join(bundled)} or the path of a .safetensors file."
        )
    return path


def load_classifier(name: str, device: str = "cpu") -> NoiseClassifier:
    """A classifier from a bundled one's name or a file.

    Raises
    ------
    InvalidInput
        If there is no such classifier, the file is not one, or its weights do not fit its own configuration.
    """
    import torch

    from napari_lossguide.priors.classifier.network import HalfUNet

    path = find_classifier(name)
    metadata = read_header(path, FORMAT)
    try:
        info = read_info(json.loads(metadata["info"]), hashlib.sha256(path.read_bytes()).hexdigest())
        config = json.loads(metadata["network"])
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidInput(f"The metadata of the classifier {path} are incomplete or damaged ({error!r}).") from error
    network = load_network(path, lambda: HalfUNet(**config))
    return NoiseClassifier(network.to(torch.device(device), memory_format=torch.channels_last), info)


def read_info(info: Mapping[str, Any], sha256: str = "") -> ClassifierInfo:
    """The facts in a file's metadata."""
    return ClassifierInfo(
        name=info["name"],
        classes={question: tuple(answers) for question, answers in info["classes"].items()},
        sigma_min=float(info["sigma_min"]),
        sigma_max=float(info["sigma_max"]),
        sha256=sha256,
        licence=info.get("licence", ""),
        trained_on=info.get("trained_on", ""),
    )
