"""Images drawn from a prior without any data: how they are asked for, and what comes out. Loads no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.data.writers import write_npz
from napari_lossguide.recon.recipe import Recipe

METHOD = "unconditional"
"""The method that needs no k-space."""


@dataclass(frozen=True)
class Samples:
    """What was drawn, in the prior's units: bright tissue is about 1.

    Attributes
    ----------
    images : (n, ny, nx), float32 of real images, complex64 of complex ones; of a cancelled run those that were begun.
    recipe : what was run, with the live changes and the prior's checksum filled in.
    trace : step and sigma of every step.
    nfe : network evaluations of all batches.
    provenance : versions, device, hash of the images.
    """

    images: NDArray[np.float32] | NDArray[np.complex64]
    recipe: Recipe
    trace: tuple[Mapping[str, float], ...]
    status: Literal["done", "cancelled"]
    seconds: float
    nfe: int
    provenance: Mapping[str, Any]

    def arrays(self) -> dict[str, NDArray[Any] | str]:
        """Contents of the output file, ready for ``write_npz``."""
        facts = {
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "nfe": self.nfe,
            "provenance": dict(self.provenance),
        }
        return {"images": self.images, "recipe": self.recipe.to_json(), "facts": json.dumps(facts)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``arrays()`` as ``.npz``, atomically."""
        write_npz(path, self.arrays())


def sample_recipe(
    *,
    prior: str = "brain",
    shape: tuple[int, int] = (128, 128),
    count: int = 4,
    real: bool = True,
    contrast: str = "any",
    plane: str = "any",
    steps: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Recipe:
    """A recipe for samples.

    Parameters
    ----------
    prior : bundled prior or path of one.
    shape : (ny, nx) of an image.
    count : number of images.
    real : real images, or complex ones with a smooth phase.
    contrast, plane : what a classifier should take the images for; any for whatever the prior draws.
    steps : network evaluations of each image; the method's own number when absent.
    seed : of the run; image number k is the same however many are drawn.
    settings : further parameters by full name, ``{"guidance.scale": 2.0}``, and fields of the recipe.

    Raises
    ------
    InvalidInput
        On anything unknown or out of range.
    """
    classes = {"guidance.contrast": contrast, "guidance.plane": plane}
    return Recipe.for_method(
        METHOD,
        steps=steps,
        settings=classes | dict(settings or {}),
        prior=prior,
        shape=shape,
        samples=count,
        image="real" if real else "complex",
        seed=seed,
    )
