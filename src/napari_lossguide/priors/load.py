"""Priors by name or path. Our own files are those of ``priors.weights``; all others go to ``priors.formats``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.priors.weights import load_network, read_header, save_weights, says
from napari_lossguide.types import InvalidInput, PriorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.priors.domain import NetworkDenoiser

FORMAT = "napari-lossguide prior 1"
BUNDLED = Path(__file__).parent


def save_prior(path: Path, state: dict[str, Tensor], network: dict[str, Any], info: dict[str, Any]) -> None:
    """Write network weights as float16 safetensors, atomically.

    Parameters
    ----------
    path : target, ``NAME.safetensors``.
    state : state dict of the ``UNet``.
    network : its constructor arguments.
    info : ``name``, ``sigma_data``, ``licence``, ``trained_on`` and whatever else the model card states.
    """
    save_weights(path, state, kind=FORMAT, network=network, info=info)


def find_prior(name: str) -> Path:
    """Path of a bundled prior's name, or of a file or folder.

    Raises
    ------
    InvalidInput
        If there is none; the sentence names the bundled ones.
    """
    bundled = {p.stem: p for p in sorted(BUNDLED.glob("*.safetensors"))}
    path = bundled.get(name, Path(name).expanduser())
    if not path.exists():
        from napari_lossguide.priors.published import fetched

        path = fetched(name) or path
    if not path.exists():
        raise InvalidInput(
            f"There is no prior '{name}'; give one of {', '.join(bundled)} or the path of a .safetensors file, "
            "or of another library's model (docs/own_models.md)."
        )
    return path


def is_ours(path: Path) -> bool:
    """Whether a file says that it is a prior of this program, of whatever version."""
    return says(path, "napari-lossguide prior")


def prior_info(path: Path, *, checksum: bool = False) -> PriorInfo:
    """Facts about a prior, without loading its weights (nor torch).

    Raises
    ------
    InvalidInput
        If it is not one, or a fact is missing.
    """
    if not is_ours(path):
        from napari_lossguide.priors.formats.registry import checksum as model_checksum
        from napari_lossguide.priors.formats.registry import find_model, model_info

        model = find_model(path)
        return model_info(model, model_checksum(model) if checksum else "")
    metadata = read_header(path, FORMAT)
    try:
        network, info = json.loads(metadata["network"]), json.loads(metadata["info"])
        known = ("name", "sigma_data", "licence", "trained_on")
        return PriorInfo(
            name=info["name"],
            sigma_min=0.002,
            sigma_max=10.0,
            sigma_data=float(info["sigma_data"]),
            channels=network["channels"],
            divisible_by=8,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest() if checksum else "",
            licence=info.get("licence", ""),
            trained_on=info.get("trained_on", ""),
            extra={k: v for k, v in info.items() if k not in known},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"The metadata of the prior {path} are incomplete or damaged ({error!r}).") from error


def list_priors() -> list[PriorInfo]:
    """The bundled priors."""
    return [prior_info(p) for p in sorted(BUNDLED.glob("*.safetensors"))]


def load_prior(name: str, device: str = "cpu") -> NetworkDenoiser:
    """A denoiser from a bundled prior's name, a file or a folder.

    Raises
    ------
    InvalidInput
        If there is no such prior, or its weights do not fit its own configuration.
    """
    path = find_prior(name)
    if not is_ours(path):
        from napari_lossguide.priors.formats.registry import find_model, load_model

        return load_model(find_model(path), device)
    return load_own(path, device)


def load_own(path: Path, device: str) -> NetworkDenoiser:
    """A denoiser from one of our files.

    Raises
    ------
    InvalidInput
        If the weights do not fit the configuration.
    """
    import torch

    from napari_lossguide.priors.domain import NetworkDenoiser
    from napari_lossguide.priors.experts import build_network
    from napari_lossguide.priors.precond import EDMPrecond

    info = prior_info(path, checksum=True)
    config = json.loads(read_header(path, FORMAT)["network"])
    if config.get("channels") != 2:
        raise InvalidInput(
            f"The prior {path} has {config.get('channels')} channels; 2 are needed (real and imaginary part)."
        )
    network = load_network(path, lambda: build_network(config))
    model = EDMPrecond(network, info.sigma_data).to(torch.device(device), memory_format=torch.channels_last)
    return NetworkDenoiser(model, info)
