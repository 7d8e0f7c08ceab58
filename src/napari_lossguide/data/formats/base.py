"""What a file format is to the readers: how its files are told, what is in one, and how slices of it are read."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from napari_lossguide.data.raw.steps import RawSteps
from napari_lossguide.types import InvalidInput

Kind = Literal["kspace", "images"]

# What NumPy, zipfile and h5py raise on damaged files.
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    RuntimeError,
    OverflowError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Entry:
    """One array, contrast or repetition of a file that can be reconstructed, or simulated from.

    Attributes
    ----------
    name : what the readers' `variable` takes; unique in its file.
    kind : "kspace", or "images" that k-space is simulated from.
    shape : (slice, coil, ny, nx) of k-space, (slice, ny, nx) of images.
    note : what else a person should know to choose: type, contrast, echo time.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    note: str = ""

    @property
    def title(self) -> str:
        """One line for a person who chooses."""
        slices, *coils = self.shape[:-2]
        parts = [f"{slices} slice{'s' * (slices != 1)}"]
        parts += [f"{n} coil{'s' * (n != 1)}" for n in coils]
        parts += [f"{self.shape[-2]} x {self.shape[-1]}", *filter(None, [self.note])]
        return f"{self.name}: {'k-space' if self.kind == 'kspace' else 'images'}, {', '.join(parts)}"


@dataclass(frozen=True, eq=False)
class Loaded:
    """Slices of an entry, as they are stored.

    Attributes
    ----------
    kind : of the array.
    array : complex (slice, coil, ny, nx), centred; or numbers (slice, ny, nx).
    spacing : (slice, y, x) in mm.
    mask : (ny, nx), or (nx,) for whole columns, non-zero where acquired; None: where the k-space is not zero.
    maps : complex (slice, coil, ny, nx) or (coil, ny, nx), coil maps.
    reference : (slice, ny, nx), the true images.
    simulated, real : the k-space was computed from an image; of an image that is real-valued.
    noise_std : E|n|^2 = noise_std^2 per k-space point, if the file says it.
    affine : float (4, 4), from indices (slice, y, x, 1) of the whole entry to patient coordinates in mm (right,
        anterior and superior are positive, as in NIfTI); None if the file does not say.
    calibration : complex (slice, coil, cy, cx), a centred block of k-space to make coil maps from; see `KData`.
    """

    kind: Kind
    array: np.ndarray
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
    mask: np.ndarray | None = None
    maps: np.ndarray | None = None
    reference: np.ndarray | None = None
    simulated: bool = False
    real: bool = False
    noise_std: float | None = None
    affine: np.ndarray | None = None
    calibration: np.ndarray | None = None


class Format(Protocol):
    """A kind of file. One file in this folder and one line in `registry.FORMATS` make a format."""

    name: str
    """As messages call it."""
    suffixes: tuple[str, ...]
    """What such files are usually called, lower case, for dialogs; contents decide."""

    def recognises(self, path: Path, head: bytes) -> bool:
        """Tell from the first `HEAD` bytes, or by looking further into the file, whether it is such a file."""
        ...

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """What can be read from it; only headers are looked at."""
        ...

    def choose(self, path: Path, variable: str | None) -> str:
        """Name of the entry to read when a person says `variable`, or nothing.

        Raises
        ------
        InvalidInput
            If there is no such entry, or several and nothing was said.
        """
        ...

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices of an entry, and no more than these."""
        ...


@runtime_checkable
class ArrayFormat(Format, Protocol):
    """A format whose files are named arrays, which may hold masks, maps and images beside k-space."""

    def names(self, path: Path) -> tuple[str, ...]:
        """All arrays of the file."""
        ...

    def arrays(self, path: Path, names: set[str]) -> dict[str, np.ndarray]:
        """Read these arrays whole."""
        ...


@runtime_checkable
class RawFormat(Format, Protocol):
    """A format of raw data, as a scanner measures them: what is done to them can be chosen."""

    def load_raw(self, path: Path, name: str, slices: slice, steps: RawSteps) -> Loaded:
        """As `load`, with these steps; coils are compressed by the caller, as those of any format."""
        ...


@runtime_checkable
class ManyFiles(Format, Protocol):
    """A format that keeps what is read in several files."""

    def files(self, path: Path, name: str) -> tuple[Path, ...]:
        """The files of an entry, in a fixed order; what they hold together is its checksum."""
        ...


@runtime_checkable
class Recorded(Format, Protocol):
    """A format whose files may carry the record of `data.exports.record`: the recipe and the facts of a run."""

    def record_text(self, path: Path) -> str | None:
        """The record, JSON as it stands in the file or beside it; None if there is none."""
        ...


HEAD = 4096  # bytes that `recognises` is given


def choose_entry(entries: Sequence[Entry], path: Path, variable: str | None) -> str:
    """Name of the entry that a person means: the one that was named, or the only one.

    Raises
    ------
    InvalidInput
        If there is no such entry, or several and none was named. The message lists them.
    """
    listed = "; ".join(entry.title for entry in entries) or "nothing"
    if variable is not None:
        if variable not in [entry.name for entry in entries]:
            raise InvalidInput(f"{path} holds nothing named '{variable}'; it holds: {listed}.")
        return variable
    if len(entries) != 1:
        what = (
            f"holds {len(entries)} things to read; choose one by its name (`variable`, --variable)"
            if entries
            else "holds none"
        )
        raise InvalidInput(f"{path} {what}: {listed}.")
    return entries[0].name


@contextmanager
def opening(path: str | os.PathLike[str], *more: type[Exception]) -> Iterator[None]:
    """Turn what libraries raise on a damaged file into one sentence that names it.

    Parameters
    ----------
    path : of the file
    more : errors of the library that reads it, beside those of NumPy, zipfile and h5py

    Raises
    ------
    InvalidInput
        In the place of any such error.
    """
    errors: tuple[type[Exception], ...] = (*_DAMAGED, *more)
    try:
        yield
    except InvalidInput:
        raise
    except MemoryError as error:
        raise InvalidInput(f"{path} needs more memory than there is ({error}).") from error
    except errors as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InvalidInput(f"{path} could not be read; it is damaged or incomplete ({reason}).") from error
