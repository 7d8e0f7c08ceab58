"""State dicts of OpenAI's guided-diffusion (and improved-diffusion): ``{"input_blocks.0.0.weight": ...}``.

https://github.com/openai/guided-diffusion. What the shapes do not tell is asked for: the range, the schedule and the
heads of attention (``network``: ``num_heads`` or ``num_head_channels``, ``use_new_attention_order``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari_lossguide.priors.formats.adm_outline import Outline
from napari_lossguide.priors.formats.checkpoint import Contents, fill, read_state
from napari_lossguide.priors.formats.sidecar import Sidecar, completed
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

SETTINGS = ("num_heads", "num_head_channels", "use_new_attention_order")


class GuidedDiffusion:
    """``priors.formats.registry.Format`` of guided-diffusion's state dicts."""

    name = "guided-diffusion"
    title = "a state dict of guided-diffusion"
    usual = (-1.0, 1.0)
    accepts: tuple[str, ...] = ("epsilon", "v", "x0")

    def recognises(self, found: Contents) -> bool:
        """Whether the weights have guided-diffusion's names."""
        return {"time_embed.0.weight", "input_blocks.0.0.weight", "out.2.weight"} <= set(found.shapes)

    def describe(self, found: Contents, given: Sidecar) -> Sidecar:
        """Channels and levels from the shapes."""
        path, shapes = found.path, found.shapes
        self.check(found)
        for key in given.network:
            if key not in SETTINGS:
                raise InvalidInput(f"network.{key} of {path} is not a setting; accepted are {', '.join(SETTINGS)}.")
        values: dict[str, Any] = {
            "channels": shapes["input_blocks.0.0.weight"][1],
            "parameterisation": "epsilon",
            "divisible_by": 2 ** (Outline(shapes).levels - 1),
        }
        return completed(values, given, path)

    def check(self, found: Contents) -> None:
        """Refuse networks that need more than an image and a noise level."""
        path, shapes = found.path, found.shapes
        first, last = shapes["input_blocks.0.0.weight"], shapes["out.2.weight"]
        if any(".transformer_blocks." in k for k in shapes):
            raise InvalidInput(f"{path} is a text-conditioned latent model; a prior here must denoise images.")
        if "label_emb.weight" in shapes:
            raise InvalidInput(
                f"{path} needs one of {shapes['label_emb.weight'][0]} class labels; a prior here must be unconditional."
            )
        if len(first) != 4:
            raise InvalidInput(f"{path} is a network on {len(first) - 2}-D images; a prior here needs 2-D.")
        if last[0] not in (first[1], 2 * first[1]):
            raise InvalidInput(f"{path} has {first[1]} channels in and {last[0]} out; a prior here needs as many out.")

    def lacks(self, found: Contents, card: Sidecar) -> Sequence[str]:
        """The heads, if there is attention."""
        known = "num_heads" in card.network or "num_head_channels" in card.network
        attention = any(k.endswith(".qkv.weight") for k in found.shapes)
        return () if known or not attention else ("--set network.num_head_channels=64",)

    def build(self, found: Contents, card: Sidecar) -> nn.Module:
        """Make the network, and what turns its prediction into an estimate."""
        from napari_lossguide.priors.formats.adm_network import ADMNetwork
        from napari_lossguide.priors.precond import Call, DDPMPrecond

        assert card.schedule is not None
        heads = {k: int(card.network[k]) for k in SETTINGS[:2] if k in card.network}
        new_order = bool(card.network.get("use_new_attention_order", False))
        network = fill(lambda: ADMNetwork(found.shapes, **heads, new_order=new_order), read_state(found), found.path)
        times, sigmas = card.schedule.levels()
        return DDPMPrecond(Call(network, predict), times, sigmas, card.parameterisation or "")


def predict(network: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    """The network's prediction; a learned variance, which follows it in the channels, is left out."""
    return network(x, t)[:, : x.shape[1]]
