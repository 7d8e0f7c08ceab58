"""Priors by name or path. Ours are 16-bit safetensors with the network's configuration and the facts in the metadata.

The header can be read without torch, so that a form can list priors; nothing in a file is ever run as code. Whatever is
not ours goes to ``priors.formats``.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.types import InvalidInput, PriorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.priors.domain import NetworkDenoiser

FORMAT = "napari-lossguide prior 1"
BUNDLED = Path(__file__).parent
MAX_HEADER = 100_000_000  # bytes, the limit of the safetensors format


def save_prior(path: Path, state: dict[str, Tensor], network: dict[str, Any], info: dict[str, Any]) -> None:
    """Write network weights as float16 safetensors, atomically.

    Parameters
    ----------
    path : target, ``NAME.safetensors``.
    state : state dict of the ``UNet``.
    network : its constructor arguments.
    info : ``name``, ``sigma_data``, ``licence``, ``trained_on`` and whatever else the model card states.
    """
    import torch
    from safetensors.torch import save_file

    part = path.with_suffix(".part")
    tensors = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in state.items()}
    metadata = {"format": FORMAT, "network": json.dumps(network), "info": json.dumps(info)}
    try:
        save_file(tensors, part, metadata=metadata)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
    try:
        with open(path, "rb") as f:
            size = int.from_bytes(f.read(8), "little")
            return 2 <= size <= MAX_HEADER and b"napari-lossguide prior" in f.read(size)
    except OSError:
        return False


def read_header(path: Path) -> dict[str, str]:
    """Metadata of one of our prior files.

    Raises
    ------
    InvalidInput
        If the file cannot be read or is not one of ours.
    """
    try:
        with open(path, "rb") as f:
            size = int.from_bytes(f.read(8), "little")
            if not 2 <= size <= MAX_HEADER:
                raise ValueError("no safetensors header")
            header = json.loads(f.read(size))
        metadata: dict[str, str] = header.get("__metadata__", {})
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"The prior {path} cannot be read as safetensors ({error}).") from error
    if metadata.get("format") != FORMAT:
        raise InvalidInput(
            f"{path} is not a prior of this program: its metadata must say format = '{FORMAT}', "
            f"it says {metadata.get('format')!r}."
        )
    return metadata


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
    metadata = read_header(path)
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
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from napari_lossguide.priors.domain import NetworkDenoiser
    from napari_lossguide.priors.experts import build_network
    from napari_lossguide.priors.precond import EDMPrecond

    info = prior_info(path, checksum=True)
    config = json.loads(read_header(path)["network"])
    if config.get("channels") != 2:
        raise InvalidInput(
            f"The prior {path} has {config.get('channels')} channels; 2 are needed (real and imaginary part)."
        )
    try:
        with torch.random.fork_rng(devices=[]):  # the initial weights are drawn from the global generator, and replaced
            network = build_network(config)
        network.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    except (RuntimeError, TypeError, KeyError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(
            f"The weights in {path} do not fit the network that its metadata describes: {reason}"
        ) from error
    model = EDMPrecond(network, info.sigma_data).to(torch.device(device), memory_format=torch.channels_last)
    return NetworkDenoiser(model, info)
