"""Where k-space comes from, so that a script can get it again: a file, sample data, or an image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Origin:
    """How to get k-space again.

    Attributes
    ----------
    kind : "file", that `data.readers.read` opens; "sample", a function of `data.samples`; "image", simulated from
        pixels that no file holds.
    name : absolute path of the file, name of the function, or what the image was called.
    parameters : further arguments of the reader or of the function; of an image the settings of its simulation.
    sha256 : of the file's bytes, of several files one after the other; empty for the other kinds.
    slice : the one slice that was taken, from 0; None for all.
    kept : bool (ny, nx), points that were kept of those acquired; None for all.
    """

    kind: Literal["file", "sample", "image"]
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    slice: int | None = None
    kept: np.ndarray | None = None

    @classmethod
    def of_file(cls, path: str | os.PathLike[str], files: Sequence[Path] = (), **parameters: Any) -> Origin:
        """A file as it is now, or what several files at `path` hold together, in the order of `files`."""
        digest = hashlib.sha256()
        for part in files or (path,):
            with open(part, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return cls("file", str(Path(path).resolve()), parameters, digest.hexdigest())

    def select(self, index: int) -> Origin:
        """What is left when one slice is taken; of one slice, slice 0 is the same."""
        return self if self.slice is not None else replace(self, slice=index)

    def undersample(self, mask: np.ndarray) -> Origin:
        """What is left when only the points of a mask, bool (ny, nx), are kept."""
        return replace(self, kept=mask if self.kept is None else self.kept & mask)
