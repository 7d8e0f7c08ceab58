"""Checkpoints of L. Peer's thesis, ``{"model_state_dict": {"model.in_conv.0.weight": ...}}`` or the bare state dict.

https://github.com/liopeer/diffusionmodels. Epsilon; the cosine schedule (offset 0.008, betas at most 0.999) or a linear
one, whose noise levels the checkpoint holds; each slice was stretched to [0, 1]. The JSON of the run (``NAME.json``
beside ``NAME.pt``) is read for its schedule and activation if it is there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_lossguide.priors.formats.checkpoint import Contents, fill, read_state
from napari_lossguide.priors.formats.sidecar import Sidecar, completed
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import nn

LEVELS = "fwd_diff.sqrt_recipminus1_alphas_dash"  # the noise levels of all steps


class Thesis:
    """``priors.formats.registry.Format`` of the thesis's checkpoints."""

    name = "thesis"
    title = "a checkpoint of the thesis's code"
    usual = (0.0, 1.0)
    accepts: tuple[str, ...] = ("epsilon", "v", "x0")

    def recognises(self, found: Contents) -> bool:
        """Whether the weights have the thesis's names."""
        return {"model.in_conv.0.weight", "model.bottleneck.0.weight", LEVELS} <= set(found.shapes)

    def describe(self, found: Contents, given: Sidecar) -> Sidecar:
        """Sizes from the shapes, schedule and activation from the run's JSON."""
        path, shapes = found.path, found.shapes
        if any(".sa." in k for k in shapes):
            raise InvalidInput(f"{path} has attention; of the thesis's networks those without are accepted.")
        run = run_settings(found)
        schedule = {
            "kind": run.get("schedule_type", "cosine"),
            "steps": shapes[LEVELS][0],
            "beta_start": run.get("t_start", 1e-4),
            "beta_end": run.get("t_end", 0.02),
            "offset": run.get("offset", 0.008),
            "max_beta": run.get("max_beta", 0.999),
            "first": 1,  # training drew its steps from 1 on
        }
        values: dict[str, Any] = {
            "channels": shapes["model.in_conv.0.weight"][1],
            "parameterisation": "epsilon",
            "schedule": schedule,
            "range": (0, 1),
            "size": run.get("img_size"),
            # The coarsest features were required to have even sides.
            "divisible_by": 2 ** (levels_of(found) + 1),
            "network": {"activation": str(run.get("activation", "SiLU")).rpartition(".")[2]},
        }
        return completed(values, given, path)

    def lacks(self, found: Contents, card: Sidecar) -> Sequence[str]:
        """Nothing."""
        return ()

    def build(self, found: Contents, card: Sidecar) -> nn.Module:
        """Make the network, check the schedule."""
        from napari_lossguide.priors.formats.thesis_network import ThesisNetwork
        from napari_lossguide.priors.precond import DDPMPrecond

        assert card.schedule is not None
        state = read_state(found)
        times, sigmas = card.schedule.levels()
        stored = state[LEVELS].double().numpy()[times.astype(int)]
        if not np.allclose(stored, sigmas, rtol=0.05):
            raise InvalidInput(
                f"{found.path} was not trained with the noise levels of its settings ({card.schedule.kind}, "
                f"{card.schedule.steps} steps): its last one is {stored[-1]:.4g}, theirs {sigmas[-1]:.4g}; "
                "set schedule.kind to linear or cosine in its sidecar."
            )
        width, channels, kernel, _ = found.shapes["model.in_conv.0.weight"]
        n_time = found.shapes["model.encoder.0.time_embedding_fc.weight"][1]
        activation = card.network.get("activation", "SiLU")
        network = fill(
            lambda: ThesisNetwork(channels, width, levels_of(found), n_time, kernel, activation),
            {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")},
            found.path,
        )
        return DDPMPrecond(network, times, sigmas, card.parameterisation or "")


def levels_of(found: Contents) -> int:
    """Halvings of the network's resolution."""
    return 1 + max(int(k.split(".")[2]) for k in found.shapes if k.startswith("model.encoder."))


def run_settings(found: Contents) -> dict[str, Any]:
    """Settings of the run, from the JSON file of its name beside the checkpoint; empty if there is none."""
    file = found.path.with_suffix(".json")
    if not file.is_file():
        return {}
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return {k: v["value"] if isinstance(v, dict) and "value" in v else v for k, v in values.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"The run's settings {file} cannot be read as a JSON object: {error}.") from error
