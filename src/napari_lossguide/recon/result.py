"""What a run reports while it goes and what it leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.exports.npz import Npz
from napari_lossguide.data.exports.registry import writer_of
from napari_lossguide.data.file_names import stem
from napari_lossguide.data.writers import write_npz
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.uncertainty import QUANTILES, quantiles


@dataclass(frozen=True)
class Progress:
    """One step of a run, cheap to make; images are computed when asked for.

    Attributes
    ----------
    step, total : over all batches, from 1. Of slices that share a batch a step is told of the first one, and the last
        step once of each.
    slice, slices : which slice, from 0.
    sigma : noise level of the step; nan for classical methods.
    residual : |A x0 - y| / (noise_std sqrt(m)) of the first sample, 1 when the data are explained; nan without noise.
    loss : |A x0 - y|^2 / |y|^2 of the first sample.
    nfe : network evaluations so far, per sample.
    params : live knobs as they were used.
    stage : what is being done, in words.
    image, state : functions that give the estimate and the noisy state, float32 magnitude (ny, nx) of the first sample.
    ends_slice : nothing is to come for this slice; `image` then gives its result, the mean of its samples.
    failed : slices so far that have no image, and why.
    """

    step: int
    total: int
    slice: int
    slices: int
    sigma: float
    residual: float
    loss: float
    nfe: int
    params: Mapping[str, float]
    stage: str
    image: Callable[[], NDArray[np.float32]]
    state: Callable[[], NDArray[np.float32]]
    ends_slice: bool = False
    failed: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A finished, or cancelled, reconstruction on the input's scale.

    Attributes
    ----------
    image : complex64 (slice, ny, nx); the mean of the samples if there are several.
    zero_filled : complex64 (slice, ny, nx), A^H y.
    mask : bool (ny, nx).
    maps : complex64 (slice, coil, ny, nx).
    samples : complex64 (slice, P, ny, nx), with mean (complex64) and std (float32, of the complex value) over P;
        None for one sample. Samples that a cancelled run did not reach are zero, and left out of mean and std.
    recipe : what was run, with the live changes and the prior's checksum filled in.
    trace : step, slice, sigma, loss, residual of every step that was told of.
    nfe : network evaluations of all slices and batches of samples, however many slices shared one.
    residual : |A x - y| / (noise_std sqrt(m)) over all slices, of the image.
    noise_std : of the k-space, on the input's scale, mean over slices.
    provenance : versions, device, hashes of input and output; how many slices shared batches, and how many batches were
        asked again in parts.
    simulated : the k-space was made from an image.
    failed : slices of a stack that have no image, and why, in a sentence; they are NaN in image, samples, mean and std.
    spacing, affine : where the pixels lie, as `KData` says it.
    """

    image: NDArray[np.complex64]
    zero_filled: NDArray[np.complex64]
    mask: NDArray[np.bool_]
    maps: NDArray[np.complex64]
    samples: NDArray[np.complex64] | None
    mean: NDArray[np.complex64] | None
    std: NDArray[np.float32] | None
    recipe: Recipe
    trace: tuple[Mapping[str, float], ...]
    status: Literal["done", "cancelled"]
    seconds: float
    nfe: int
    residual: float
    noise_std: float
    scale: tuple[float, ...]
    provenance: Mapping[str, Any]
    simulated: bool
    failed: Mapping[int, str] = field(default_factory=dict)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    affine: NDArray[np.float64] | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """Live changes that took effect."""
        return self.recipe.changes

    def facts(self) -> dict[str, Any]:
        """What was found, and with what, as files keep it beside the recipe."""
        return {
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "nfe": self.nfe,
            "residual": self.residual,
            "noise_std": self.noise_std,
            "simulated": self.simulated,
            "provenance": dict(self.provenance),
            "failed": {str(index): why for index, why in self.failed.items()},
        }

    def arrays(self) -> dict[str, NDArray[Any] | str]:
        """Contents of the output file, ready for ``write_npz``.

        With several samples ``quantiles`` too: float32 (slice, quantile, ny, nx) of the magnitude, at
        ``quantile_levels``.
        """
        out: dict[str, NDArray[Any] | str] = {
            "image": self.image,
            "zero_filled": self.zero_filled,
            "mask": self.mask,
            "maps": self.maps,
            "recipe": self.recipe.to_json(),
            "facts": json.dumps(self.facts()),
            "spacing": np.asarray(self.spacing, float),
        }
        if self.affine is not None:
            out["affine"] = self.affine
        if self.samples is not None and self.mean is not None and self.std is not None:
            out |= {"samples": self.samples, "mean": self.mean, "std": self.std}
            out |= {"quantiles": quantiles(self.samples), "quantile_levels": np.array(QUANTILES)}
        return out

    def export(self, name: str) -> Export:
        """The image for other programs, with its place, recipe and facts; of a real image the real part.

        Parameters
        ----------
        name : what they may call it.
        """
        return Export(
            images=self.image.real if self.recipe.image == "real" else self.image,
            spacing=self.spacing,
            affine=self.affine,
            name=name,
            recipe=self.recipe.to_json(),
            facts=json.dumps(self.facts()),
        )

    def save(self, path: str | os.PathLike[str], name: str = "") -> None:
        """Write ``arrays()`` as ``.npz``, or ``export()`` as the kind of file that the ending asks for.

        Parameters
        ----------
        path : of the file.
        name : what other programs may call the image; the file's name where it is empty.

        Raises
        ------
        InvalidInput
            If the ending is unknown, or the file cannot be written; an older one is then as it was.
        """
        writer = writer_of(path)
        if isinstance(writer, Npz):
            write_npz(path, self.arrays())
        else:
            writer.write(Path(path), self.export(name or stem(path)))
