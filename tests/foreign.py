"""Models of other libraries, small enough for a unit test."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_lossguide.priors.formats.sidecar import make_sidecar, write_sidecar

KEPT = ("resample_filter", "running_mean", "running_var")  # filters sum to one, variances are positive


def values_of(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Weights that follow from a tensor's name and shape alone, whoever made the module."""
    rng = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    fan_in = max(1, int(torch.tensor(shape[1:]).prod())) if len(shape) > 1 else 1
    values = torch.randn(shape, generator=rng)
    return values * (1.2 / fan_in**0.5) if len(shape) > 1 else 0.1 * values + (name.endswith("weight"))


def randomise(network: nn.Module) -> nn.Module:
    """Every weight drawn, so that no branch is zero as it is in a fresh network; ready for use."""
    state = network.state_dict()
    drawn = {k for k, v in state.items() if v.is_floating_point() and not k.endswith(KEPT)}
    network.load_state_dict({k: values_of(k, tuple(v.shape)) if k in drawn else v for k, v in state.items()})
    return network.eval()


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sidecar(path: Path, **fields) -> Path:
    """Write a model's sidecar."""
    return write_sidecar(path, make_sidecar(fields, "test"))


def write_json(path: Path, values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return path


RECORDED = Path(__file__).parent / "priors" / "formats" / "recorded"


def recorded_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a model, as the original code makes them."""
    with np.load(RECORDED / "shapes.npz") as f:
        return {k: tuple(v) for k, v in json.loads(f["json"].tobytes())[name].items()}


def recorded_output(name: str) -> torch.Tensor:
    """What the original code made of ``values_of`` as weights."""
    with np.load(RECORDED / "outputs.npz") as f:
        return torch.from_numpy(f[name])


def recorded_state(name: str) -> dict[str, torch.Tensor]:
    """Weights of a recorded model."""
    filters = {2: torch.ones(2), 4: torch.tensor([1.0, 3, 3, 1])}
    return {
        k: filters[s[-1]].outer(filters[s[-1]])[None, None] / filters[s[-1]].sum() ** 2
        if k.endswith("resample_filter")
        else values_of(k, s)
        for k, s in recorded_shapes(name).items()
    }
