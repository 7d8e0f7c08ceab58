"""Our own files of weights: 16-bit safetensors with what they are, their network and the facts in the metadata.

The header can be read without torch, so that a form can list what there is; nothing in a file is ever run as code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    N = TypeVar("N", bound=nn.Module)

MAX_HEADER = 100_000_000  # bytes, the limit of the safetensors format


def save_weights(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    kind: str,
    network: Mapping[str, Any],
    info: Mapping[str, Any],
    exact: Collection[str] = (),
) -> None:
    """Write a state dict as float16 safetensors, atomically.

    Parameters
    ----------
    path : target, ``NAME.safetensors``.
    state : state dict of the network.
    kind : what the file is, "napari-lossguide prior 1" or the like; its ``format``.
    network : the network's constructor arguments.
    info : facts for people and for the loader.
    exact : tensors that stay float32.
    """
    import torch
    from safetensors.torch import save_file

    part = path.with_suffix(".part")
    tensors = {
        k: v.detach().to("cpu", torch.float32 if k in exact else torch.float16).contiguous() for k, v in state.items()
    }
    try:
        save_file(tensors, part, {"format": kind, "network": json.dumps(network), "info": json.dumps(info)})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def says(path: Path, word: str) -> bool:
    """Whether the header of a file holds a word; not of a folder or a file of another kind."""
    try:
        with open(path, "rb") as f:
            size = int.from_bytes(f.read(8), "little")
            return 2 <= size <= MAX_HEADER and word.encode() in f.read(size)
    except OSError:
        return False


def read_header(path: Path, kind: str) -> dict[str, str]:
    """Metadata of one of our files.

    Parameters
    ----------
    path : the file.
    kind : "napari-lossguide THING VERSION".

    Raises
    ------
    InvalidInput
        If the file cannot be read or is not of this kind.
    """
    thing = kind.split()[1]
    try:
        with open(path, "rb") as f:
            size = int.from_bytes(f.read(8), "little")
            if not 2 <= size <= MAX_HEADER:
                raise ValueError("no safetensors header")
            header = json.loads(f.read(size))
        metadata: dict[str, str] = header.get("__metadata__", {})
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"The {thing} {path} cannot be read as safetensors ({error}).") from error
    if metadata.get("format") != kind:
        raise InvalidInput(
            f"{path} is not a {thing} of this program: its metadata must say format = '{kind}', "
            f"it says {metadata.get('format')!r}."
        )
    return metadata


def load_network(path: Path, build: Callable[[], N]) -> N:
    """A network with the weights of a file.

    Parameters
    ----------
    path : the file.
    build : makes the network from what the metadata say.

    Raises
    ------
    InvalidInput
        If the file is damaged, or the weights do not fit the network.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with torch.random.fork_rng(devices=[]):  # the initial weights are drawn from the global generator, and replaced
            network = build()
        network.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    except (RuntimeError, TypeError, KeyError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(
            f"The weights in {path} do not fit the network that its metadata describes: {reason}"
        ) from error
    return network
