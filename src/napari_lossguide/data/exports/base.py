"""What is written to a file for other programs: images, where they lie in the patient, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from napari_lossguide.data.exports.record import record_json
from napari_lossguide.types import InvalidInput


@dataclass(frozen=True, eq=False)
class Export:
    """Images on their way to a file.

    Attributes
    ----------
    images : complex64 or float32 (slice, ny, nx). Slices that failed are NaN, and stay so.
    spacing : (slice, y, x) in mm.
    affine : float64 (4, 4), from indices (slice, y, x, 1) to patient coordinates in mm, as that of `KData`; None if
        nobody knows.
    name : what a person calls them.
    recipe : of the run that made them, as JSON; empty if there was none.
    facts : of that run, as JSON: versions, checksums, figures; empty if there was none.

    Raises
    ------
    InvalidInput
        If there are no images, or the affine is none or another one than the spacing says.
    """

    images: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    affine: np.ndarray | None = None
    name: str = "images"
    recipe: str = ""
    facts: str = ""

    def __post_init__(self) -> None:
        images = np.asarray(self.images)
        if images.dtype.kind not in "buifc" or images.ndim != 3 or images.size == 0:
            raise InvalidInput(
                f"{self.name} has shape {images.shape} and type {images.dtype}; what can be written are images "
                "(slice, ny, nx) of numbers."
            )
        kept = np.complex64 if np.iscomplexobj(images) else np.float32
        object.__setattr__(self, "images", np.ascontiguousarray(images, kept))
        if self.affine is not None:
            affine = np.asarray(self.affine, np.float64)
            lengths = np.linalg.norm(affine[:3, :3], axis=0)
            if not np.allclose(lengths, self.spacing, rtol=1e-3):
                raise InvalidInput(
                    f"The affine of {self.name} steps by {lengths.tolist()} mm, but its spacing is {self.spacing} mm."
                )
            object.__setattr__(self, "affine", affine)

    @property
    def record_json(self) -> str:
        """Name, place, recipe and facts as JSON, for a place in the file or a file beside it; see `exports.record`."""
        return record_json(self)


class Writer(Protocol):
    """A kind of file that is written. One file in this folder and one line in `registry.WRITERS` make a writer."""

    name: str
    """As messages call it."""
    suffixes: tuple[str, ...]
    """The endings that choose it, lower case."""

    def write(self, path: Path, export: Export) -> None:
        """Write a file, whole or not at all; an older one of its name is replaced.

        Raises
        ------
        InvalidInput
            If it cannot be written. The old file is then as it was.
        """
        ...


@runtime_checkable
class ManyFiles(Writer, Protocol):
    """A writer that makes several files."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """All that it writes or replaces when it is given this name."""
        ...
