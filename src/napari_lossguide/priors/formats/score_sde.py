"""Checkpoints of score_sde (Song et al.): DDPM++ and NCSN++ of continuous time, VP and VE.

https://github.com/yang-song/score_sde_pytorch: ``{"model": {"module.all_modules.0.W": ...}, "ema": {"shadow_params":
[...]}, ...}``. Song et al. 2021, arXiv 2011.13456. Karras et al. 2022 made the same networks anew (SongUNet), so the
weights are renamed and our own network of theirs is used (``edm_network``).

Read are residual blocks of kind biggan with rescaled sums, and progressive input and output (none, input_skip with sum,
residual; none, output_skip), as in all published NCSN++ and DDPM++ of continuous time. VE networks see 2 x - 1
(``network.centered`` is false) and give the score times sigma; VP ones see x and give the noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_lossguide.priors.formats.checkpoint import Contents, fill, read_state
from napari_lossguide.priors.formats.score_sde_names import edm_names, is_fourier, level_count
from napari_lossguide.priors.formats.sidecar import Sidecar, completed
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

SETTINGS = ("fir", "centered")


class ScoreSDE:
    """``priors.formats.registry.Format`` of score_sde's checkpoints."""

    name = "score-sde"
    title = "a checkpoint of score_sde"
    usual = (0.0, 1.0)
    accepts: tuple[str, ...] = ("score", "epsilon")

    def recognises(self, found: Contents) -> bool:
        """Whether the weights have score_sde's names."""
        return any(k.startswith("all_modules.0.") for k in found.shapes)

    def describe(self, found: Contents, given: Sidecar) -> Sidecar:
        """Kind of noise, channels and levels from the shapes."""
        path, shapes = found.path, found.shapes
        for key in given.network:
            if key not in SETTINGS:
                raise InvalidInput(f"network.{key} of {path} is not a setting; accepted are {', '.join(SETTINGS)}.")
        edm_names(shapes, path)  # says so if the network is of another kind
        exploding = is_fourier(shapes) if given.parameterisation is None else given.parameterisation == "score"
        values: dict[str, Any] = {
            "channels": next(s[1] for k, s in shapes.items() if k.endswith(".weight") and len(s) == 4),
            "parameterisation": "score" if exploding else "epsilon",
            "schedule": {"kind": "ve-sde", "sigma_min": 0.01, "sigma_max": 50.0} if exploding else {"kind": "vp-sde"},
            "divisible_by": 2 ** (level_count(shapes) - 1),
        }
        return completed(values, given, path)

    def lacks(self, found: Contents, card: Sidecar) -> Sequence[str]:
        """Nothing."""
        return ()

    def build(self, found: Contents, card: Sidecar) -> nn.Module:
        """Rename the weights, make the network and its preconditioning."""
        from napari_lossguide.priors.formats.edm_network import EDMNetwork
        from napari_lossguide.priors.precond import Call, DDPMPrecond, ScorePrecond

        assert card.schedule is not None
        state = edm_state(read_state(found), found, card.network)
        network = fill(lambda: EDMNetwork({k: tuple(v.shape) for k, v in state.items()}), state, found.path)
        exploding = card.parameterisation == "score"
        centered = bool(card.network.get("centered", not exploding))

        def score(network: nn.Module, x: Tensor, sigma: Tensor) -> Tensor:
            return network(x if centered else 2 * x - 1, sigma.log()) / sigma[:, None, None, None]

        def noise(network: nn.Module, u: Tensor, t: Tensor) -> Tensor:
            return network(u if centered else 2 * u - 1, t)

        if exploding:
            return ScorePrecond(Call(network, score))
        times, sigmas = card.schedule.levels()
        return DDPMPrecond(Call(network, noise), times, sigmas, "epsilon")


def edm_state(state: Mapping[str, Tensor], found: Contents, network: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights by the names of ``edm_network``, with the filters, which score_sde keeps in its configuration."""
    import torch

    plan = edm_names(found.shapes, found.path)
    out = {ours: state[theirs] for ours, theirs in plan.names.items()}
    for ours, theirs in plan.attention.items():
        # Matrices (in, out) become 1 x 1 convolutions; query, key and value of a channel are neighbours.
        weights = [state[f"{theirs}.NIN_{i}.W"].mT[..., None, None] for i in range(4)]
        biases = [state[f"{theirs}.NIN_{i}.b"] for i in range(4)]
        for key, parts in (("weight", weights), ("bias", biases)):
            out[f"{ours}.qkv.{key}"] = torch.stack(parts[:3], dim=1).flatten(0, 1)
            out[f"{ours}.proj.{key}"] = parts[3]
    fir = bool(network.get("fir", plan.fir))
    taps = torch.tensor([1.0, 3, 3, 1] if fir else [1.0, 1])
    kernel = (taps.outer(taps) / taps.sum() ** 2)[None, None]
    return out | dict.fromkeys(plan.filters, kernel)
