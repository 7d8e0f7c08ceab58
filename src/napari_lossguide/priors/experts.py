"""Two raw networks as one: below a noise level the one that looks closely, above it the one that sees the whole.

Experts by noise level are those of Balaji et al. 2022 (eDiff-I, arXiv 2211.01324). Here they also differ in kind: a few
local convolutions denoise a little noise better than a U-Net ten times as large, and are trained in minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_lossguide.priors.load import load_prior, prior_info, save_prior
from napari_lossguide.priors.local_network import LocalNet
from napari_lossguide.priors.network import UNet
from napari_lossguide.types import InvalidInput


class ByNoise(nn.Module):
    """F(c_in x; c_noise): ``fine`` up to the noise level ``below``, ``coarse`` above it.

    Parameters
    ----------
    coarse, fine : raw networks with the same ``channels``.
    below : sigma, in units of the scaled image.
    """

    def __init__(self, coarse: nn.Module, fine: nn.Module, below: float) -> None:
        super().__init__()
        self.coarse, self.fine, self.below = coarse, fine, below
        self.config = {
            "channels": coarse.config["channels"],
            "coarse": coarse.config,
            "fine": fine.config,
            "below": below,
        }

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """(B, channels, ny, nx) and ln(sigma)/4 (B,) -> (B, channels, ny, nx); each image by its own expert."""
        low = (4 * c_noise).exp() <= self.below
        count = int(low.sum())  # one wait for the device, not two
        if count == len(x):
            return self.fine(x, c_noise)
        if count == 0:
            return self.coarse(x, c_noise)
        fine, coarse = self.fine(x[low], c_noise[low]), self.coarse(x[~low], c_noise[~low])
        f = torch.empty_like(x, dtype=torch.promote_types(fine.dtype, coarse.dtype))
        f[low], f[~low] = fine.to(f.dtype), coarse.to(f.dtype)
        return f


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """The raw network of a configuration, as every network states its own in ``config``.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is the configuration of none.
    """
    if "coarse" in config:
        return ByNoise(build_network(config["coarse"]), build_network(config["fine"]), float(config["below"]))
    if "width" in config:
        return LocalNet(**config)
    return UNet(**{**config, "widths": tuple(config["widths"])})


def join_priors(coarse: Path, fine: Path, below: float, out: Path) -> None:
    """Write the prior that takes ``fine`` up to the noise level ``below``, and ``coarse`` above it.

    Parameters
    ----------
    coarse, fine : files of this program; the licence and the attribution are those of ``coarse``.
    below : sigma, in units of the scaled image.
    out : ``NAME.safetensors``.

    Raises
    ------
    InvalidInput
        If a file is not a prior of this program, the two do not fit, or ``below`` is outside their noise levels.
    """
    infos = [prior_info(path) for path in (coarse, fine)]
    if infos[0].sigma_data != infos[1].sigma_data:
        raise InvalidInput(
            f"{coarse} has sigma_data {infos[0].sigma_data:g} and {fine} {infos[1].sigma_data:g}; they must be equal."
        )
    if not infos[0].sigma_min < below < infos[0].sigma_max:
        raise InvalidInput(f"below = {below:g} must be between {infos[0].sigma_min:g} and {infos[0].sigma_max:g}.")
    both = ByNoise(load_prior(str(coarse)).model.network, load_prior(str(fine)).model.network, below)
    steps = {"steps": infos[0].extra.get("steps", 0), "fine_steps": infos[1].extra.get("steps", 0)}
    facts = {"sigma_data": infos[0].sigma_data, "licence": infos[0].licence, "trained_on": infos[0].trained_on}
    save_prior(out, both.state_dict(), both.config, {"name": out.stem, **facts, **steps})
