"""Weights in other people's files: names and shapes without torch, tensors without ever running what a file says.

Names and shapes come from the header, or from ``pickles``; the weights themselves are then read as safetensors or by
``torch.load(weights_only=True)``.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.priors.formats.pickles import DAMAGED, PickledCode, Shape, read_pickle, read_tree
from napari_lossguide.priors.weights import MAX_HEADER
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

# The entries that hold weights, the best first: averaged weights denoise better than the last ones.
AVERAGED = ("ema", "model_ema", "ema_model", "ema_state_dict", "ema_model_state_dict", "model_ema_state_dict")
LAST = ("net", "model", "model_state_dict", "state_dict", "network", "unet", "diffusion", "params")
PREFIXES = ("module.", "_orig_mod.", "_forward_module.", "model.", "net.", "unet.", "network.", "online_model.")


@dataclass(frozen=True)
class Contents:
    """What a file or a folder holds, as far as it can be known without its tensors.

    Attributes
    ----------
    path : the file or folder.
    tree : what the file holds: nested dictionaries with ``Shape`` for tensors; empty for a folder.
    entry : name of the entry with the chosen weights, "" if the file is the state dict itself.
    shapes : names, without common prefixes, and shapes of the chosen weights.
    prefix : what was cut off every name.
    """

    path: Path
    tree: Mapping[str, Any] = field(default_factory=dict)
    entry: str = ""
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    prefix: str = ""

    @property
    def weights(self) -> str:
        """Which weights these are, in words."""
        if not self.entry:
            return ""
        kind = "averaged (EMA) weights" if self.entry in AVERAGED else "weights of the last step"
        return f"{kind}, entry '{self.entry}'"


def contents(path: Path) -> Contents:
    """Look into a file; a folder is left to its format.

    Raises
    ------
    InvalidInput
        If the file is damaged, or a pickle that would run code.
    """
    if path.is_dir():
        return Contents(path)
    try:
        with open(path, "rb") as f:
            start = f.read(8)
        if start[:2] == b"PK":
            tree = read_zip(path)
        elif start[:1] == b"\x80":
            tree = read_pickle(path)
        else:
            tree = read_safetensors_header(path)
    except PickledCode as error:
        raise InvalidInput(pickled_code(path, str(error))) from error
    if not isinstance(tree, Mapping):
        raise InvalidInput(f"{path} holds a {type(tree).__name__}; a dictionary of tensors (a state dict) is needed.")
    entry, shapes = choose(tree)
    prefix, shapes = without_prefix(shapes)
    return Contents(path, tree, entry, shapes, prefix)


def read_zip(path: Path) -> Any:
    """The tree of a file that torch wrote.

    Raises
    ------
    InvalidInput
        If it is damaged, or something else.
    """
    try:
        with zipfile.ZipFile(path) as z:
            names = z.namelist()
            record = next((n for n in names if n.endswith("/data.pkl") or n == "data.pkl"), None)
            data = z.read(record) if record else b""
    except (zipfile.BadZipFile, *DAMAGED) as error:
        raise InvalidInput(
            f"{path} is half-written or damaged: it begins like a file of torch, but {error}."
        ) from error
    if record is None:
        raise InvalidInput(f"{path} is a zip archive without tensors; give a .pt, .pth, .ckpt or .safetensors file.")
    if any("/code/" in n or n.startswith("code/") for n in names):
        raise InvalidInput(
            f"{path} is a TorchScript program, which is code; save its state_dict() with torch.save instead."
        )
    return read_tree(io.BytesIO(data), path)


def read_safetensors_header(path: Path) -> dict[str, Shape]:
    """Names and shapes in a safetensors file.

    Raises
    ------
    InvalidInput
        If it is not one, or shorter than its header says.
    """
    try:
        with open(path, "rb") as f:
            size = int.from_bytes(f.read(8), "little")
            if not 2 <= size <= MAX_HEADER:
                raise ValueError("no safetensors header")
            header = json.loads(f.read(size))
        header.pop("__metadata__", None)
        shapes = {str(k): Shape(v["shape"]) for k, v in header.items()}
        end = 8 + size + max((v["data_offsets"][1] for v in header.values()), default=0)
    except DAMAGED as error:
        raise InvalidInput(
            f"The prior {path} cannot be read as safetensors ({error}), nor is it a file of torch."
        ) from error
    if path.stat().st_size < end:
        raise InvalidInput(f"{path} is half-written: it has {path.stat().st_size} bytes, its header says {end}.")
    return shapes


def choose(tree: Mapping[str, Any]) -> tuple[str, dict[str, Shape]]:
    """The entry with the best weights, and its shapes; the whole tree if no entry holds any."""
    if names := shadow_names(tree):
        return "ema", {**tensors_of(tree["model"]), **dict(zip(names, tree["ema"]["shadow_params"], strict=True))}
    for name in (*AVERAGED, *LAST):
        inner = tree.get(name)
        if isinstance(inner, Mapping) and (shapes := tensors_of(inner)):
            return name, shapes
    return "", tensors_of(tree)


def shadow_names(tree: Mapping[str, Any]) -> list[str]:
    """Names of averaged weights that are a list, as in score_sde: those of ``model`` that can be trained, in order."""
    averaged, last = tree.get("ema"), tree.get("model")
    shadow = averaged.get("shadow_params") if isinstance(averaged, Mapping) else None
    if not isinstance(shadow, list) or not isinstance(last, Mapping):
        return []
    names, left = [], [shape_of(v) for v in shadow]
    for name, value in last.items():
        if left and shape_of(value) == left[0]:
            names.append(str(name))
            left.pop(0)
    return [] if left else names


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Of a tensor, or of the shape that stands for it."""
    return tuple(tensor) if isinstance(tensor, Shape) else tuple(tensor.shape)


def tensors_of(tree: Mapping[str, Any]) -> dict[str, Shape]:
    """The tensors directly in a dictionary."""
    return {str(k): v for k, v in tree.items() if isinstance(v, Shape)}


def without_prefix(shapes: dict[str, Shape]) -> tuple[str, dict[str, Shape]]:
    """Cut off what wrappers (data-parallel, compiled, a class around the network) put before every name."""
    cut = ""
    while found := next((p for p in PREFIXES if shapes and all(k.startswith(p) for k in shapes)), None):
        cut += found
        shapes = {k.removeprefix(found): v for k, v in shapes.items()}
    return cut, shapes


def read_all(path: Path) -> Any:
    """Everything in a file, tensors included; nothing in it is run.

    Raises
    ------
    InvalidInput
        If it cannot be read.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with open(path, "rb") as f:
            if f.read(2)[:1] not in (b"P", b"\x80"):
                return load_file(path)
            f.seek(0)
            return torch.load(f, map_location="cpu", weights_only=True)  # of a path it would believe the suffix
    except (RuntimeError, pickle.UnpicklingError, SafetensorError, *DAMAGED) as error:
        raise InvalidInput(f"The weights in {path} cannot be read: {' '.join(str(error).split())[:200]}") from error


def read_state(found: Contents) -> dict[str, Tensor]:
    """The chosen weights, float32, by their names without prefix.

    Raises
    ------
    InvalidInput
        If they cannot be read.
    """
    import torch

    everything = read_all(found.path)
    state = everything[found.entry] if found.entry else everything
    if found.entry and (names := shadow_names(everything)):
        state = {**everything["model"], **dict(zip(names, state["shadow_params"], strict=True))}
    tensors = {k: v for k, v in state.items() if isinstance(v, torch.Tensor)}
    return {k.removeprefix(found.prefix): v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def pickled_code(path: Path, name: str) -> str:
    """Why a pickle is not opened, and how to get at its weights."""
    return (
        f"{path} is a pickle that runs code when it is opened (it asks for '{name}'), so it is not opened. If you "
        'trust it, convert it where it was made, then use the new file: python -c "import pickle, torch; '
        f"net = pickle.load(open('{path.name}', 'rb'))['ema']; torch.save(net.state_dict(), '{path.stem}-state.pt')\" "
        "(for a file of torch.save: net = torch.load(..., weights_only=False))."
    )


def fill(make: Callable[[], nn.Module], state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Make a network and give it weights, all of them and no others.

    Parameters
    ----------
    make : makes it; its initial weights do not touch the global generator.
    state : weights by name.
    path : for the message.

    Raises
    ------
    InvalidInput
        If the network cannot be made, or names or shapes differ.
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]):
            network = make()
        network.load_state_dict(state)
    except (RuntimeError, *DAMAGED) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidInput(
            f"The weights in {path} do not fit the network that they are said to be of: {reason}"
        ) from error
    return network
