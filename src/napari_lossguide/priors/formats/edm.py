"""State dicts of EDM's and InverseBench's networks: ``{"ema" or "net": {"model.enc.64x64_conv.weight": ...}}``.

https://github.com/NVlabs/edm and https://github.com/devzhk/InverseBench: SongUNet (DDPM++, NCSN++) and DhariwalUNet
(ADM) in EDMPrecond; in VPPrecond with ``parameterisation`` epsilon and schedule vp-sde, in VEPrecond with score and
ve-sde. The shapes tell everything but the range and ``sigma_data`` (0.5 if nothing is said). EDM's own .pkl files hold
code, and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari_lossguide.priors.formats.checkpoint import Contents, fill, read_state
from napari_lossguide.priors.formats.sidecar import Sidecar, completed
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

LEVEL = re.compile(r"enc\.(\d+)x\d+_")


class EDM:
    """``priors.formats.registry.Format`` of EDM's state dicts."""

    name = "edm"
    title = "a state dict of EDM or InverseBench"
    usual = (-1.0, 1.0)
    accepts: tuple[str, ...] = ("edm", "epsilon", "score")

    def recognises(self, found: Contents) -> bool:
        """Whether the weights have EDM's names."""
        return {"map_layer0.weight", "map_layer1.weight"} <= set(found.shapes) and bool(resolutions(found))

    def describe(self, found: Contents, given: Sidecar) -> Sidecar:
        """Channels, size and levels from the shapes."""
        path, shapes, sizes = found.path, found.shapes, resolutions(found)
        if "map_label.weight" in shapes:
            raise InvalidInput(f"{path} needs class labels; a prior here must be unconditional.")
        n_in = shapes[f"enc.{sizes[0]}x{sizes[0]}_conv.weight"][1]
        last = "out_conv.weight" if "out_conv.weight" in shapes else f"dec.{sizes[0]}x{sizes[0]}_aux_conv.weight"
        if shapes[last][0] != n_in:
            raise InvalidInput(
                f"{path} has {n_in} channels in and {shapes[last][0]} out; a prior here needs as many out "
                "(iDDPMPrecond has twice as many, and is not accepted)."
            )
        values: dict[str, Any] = {
            "channels": n_in,
            "parameterisation": "edm",
            "size": sizes[0],
            "divisible_by": 2 ** (len(sizes) - 1),
        }
        if given.parameterisation in (None, "edm"):
            values |= {"sigma_data": 0.5, "schedule": {"kind": "edm"}}
        card = completed(values, given, path)
        kind = card.schedule.kind if card.schedule else None
        accepted = {"edm": "edm", "epsilon": "vp-sde", "score": "ve-sde"}
        if kind and accepted.get(str(card.parameterisation)) != kind:
            raise InvalidInput(
                f"The settings of {path}: parameterisation is {card.parameterisation} and schedule.kind is {kind}; "
                "accepted are edm with edm, epsilon with vp-sde, score with ve-sde."
            )
        return card

    def lacks(self, found: Contents, card: Sidecar) -> Sequence[str]:
        """Nothing."""
        return ()

    def build(self, found: Contents, card: Sidecar) -> nn.Module:
        """Make the network and its preconditioning."""
        from napari_lossguide.priors.formats.edm_network import EDMNetwork
        from napari_lossguide.priors.precond import Call, DDPMPrecond, EDMPrecond, ScorePrecond

        assert card.schedule is not None
        used = {k: v for k, v in read_state(found).items() if not k.startswith("map_augment.")}
        network = fill(lambda: EDMNetwork(found.shapes), used, found.path)
        if card.parameterisation == "edm":
            return EDMPrecond(network, card.sigma_data or 0.5)
        if card.parameterisation == "score":
            return ScorePrecond(Call(network, score))
        times, sigmas = card.schedule.levels()
        return DDPMPrecond(network, times, sigmas, "epsilon")


def score(network: nn.Module, x: Tensor, sigma: Tensor) -> Tensor:
    """The score of EDM's VEPrecond: D = x + sigma F(x, ln(sigma / 2)) (Karras et al. 2022, table 1, column VE)."""
    return network(x, (sigma / 2).log()) / sigma[:, None, None, None]


def resolutions(found: Contents) -> list[int]:
    """Sides of the levels' features, the image's first."""
    sizes = {
        int(k.split(".")[1].split("x")[0]) for k in found.shapes if k.startswith("enc.") and "x" in k.split(".")[1]
    }
    return sorted(sizes, reverse=True)
