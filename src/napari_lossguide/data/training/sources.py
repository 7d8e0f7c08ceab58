"""Which files of a folder hold scans. What a file is, its content says, not its name."""

from __future__ import annotations

import gzip
import hashlib
import os
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from napari_lossguide.types import InvalidInput

Kind = Literal["nifti", "dicom", "npy", "npz", "labels", "h5"]
Split = Literal["auto", "train", "validation"]
READERS = {"nifti": "nibabel", "dicom": "pydicom"}


@dataclass(frozen=True)
class Source:
    """One file, or the files of one DICOM series.

    Attributes
    ----------
    name : path relative to the data folder, of the first file.
    patient : what the files say, or empty.
    share : how often it is seen; only files that a configuration lists have one of their own.
    """

    name: str
    paths: tuple[Path, ...]
    kind: Kind
    patient: str = ""
    split: Split = "auto"
    share: float = 1.0

    def sha256(self) -> str:
        """Checksum of all bytes."""
        digest = hashlib.sha256()
        for path in self.paths:
            with open(path, "rb") as f:
                digest.update(hashlib.file_digest(f, "sha256").digest())
        return digest.hexdigest()


@dataclass(frozen=True)
class Dropped:
    """What is not used, and why."""

    name: str
    reason: str


def find_sources(folder: Path) -> tuple[list[Source], list[Dropped], int]:
    """Scans anywhere under a folder, sorted by name.

    Returns
    -------
    Sources; files that should be scans but cannot be read; the number of files of other kinds.

    Raises
    ------
    InvalidInput
        If the package that reads one of the kinds is not installed.
    """
    sources, dropped, others, dicom = [], [], 0, []
    for path in walk(folder):
        name = path.relative_to(folder).as_posix()
        try:
            kind = sniff(path)
        except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
            dropped.append(Dropped(name, f"unreadable: {error}"))
            continue
        if kind is None:
            others += 1
        elif kind == "dicom":
            dicom.append(path)
        else:
            sources.append(Source(name, (path,), kind))
    require({s.kind for s in sources} | ({"dicom"} if dicom else set()))
    series, broken = group_series(dicom, folder)
    return sorted([*sources, *series], key=lambda s: s.name), [*dropped, *broken], others


def listed_sources(folder: Path, train: Iterable[tuple[str, float]], validation: Iterable[str]) -> list[Source]:
    """The files that a configuration names, with their shares."""
    wanted: list[tuple[str, float, Split]] = [(name, share, "train") for name, share in train]
    wanted += [(name, 1.0, "validation") for name in validation]
    sources = []
    for name, share, split in wanted:
        kind = sniff(folder / name)
        if kind is None or kind == "dicom":
            raise InvalidInput(f"{folder / name} is of another kind; accepted are NIfTI, .npy, .npz and .h5 files.")
        sources.append(Source(name, (folder / name,), kind, split=split, share=share))
    require({s.kind for s in sources})
    return sources


@contextmanager
def parsing() -> Iterator[None]:
    """Around calls of a library that reads files, and nothing of ours: whatever it raises, the file is damaged.

    Raises
    ------
    InvalidInput
        In the place of any error but too little memory.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # parsers raise what comes up on damaged bytes: AttributeError, RuntimeError, their own
        raise InvalidInput(f"unreadable: {' '.join(str(error).split())[:150] or type(error).__name__}") from error


def walk(folder: Path) -> list[Path]:
    """All files, without hidden ones."""
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [Path(place, f) for f in sorted(files) if not f.startswith(".")]
    return found


def sniff(path: Path) -> Kind | None:
    """Kind of a file by its first bytes; None for a kind that holds no scans.

    Raises
    ------
    OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile
        If it is damaged.
    """
    with open(path, "rb") as f:
        start = f.read(352)
    if start.startswith(b"\x1f\x8b"):
        with gzip.open(path) as f:
            start = f.read(352)
        return "nifti" if is_nifti(start) else None
    if start.startswith(b"PK\x03\x04"):
        return npz_kind(path)
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if start[128:132] == b"DICM":
        return "dicom"
    return "nifti" if is_nifti(start) else None


def is_nifti(start: bytes) -> bool:
    """A NIfTI header, version 1 or 2, with its data in the same file."""
    return start[344:348] == b"n+1\0" or start[4:8] == b"n+2\0"


def npz_kind(path: Path) -> Kind | None:
    """Whether a zip file is an .npz, and whether it holds label maps."""
    with zipfile.ZipFile(path) as z:
        names = {n.removesuffix(".npy") for n in z.namelist() if n.endswith(".npy")}
    if not names:
        return None
    return "labels" if {"labels", "freesurfer_id"} <= names else "npz"


def require(kinds: set[Kind]) -> None:
    """Check that the readers of these kinds are installed."""
    from importlib.util import find_spec

    for kind, package in READERS.items():
        if kind in kinds and find_spec(package) is None:
            raise InvalidInput(f"{kind} files are read with {package}, which is not installed: pip install {package}.")


def group_series(paths: list[Path], folder: Path) -> tuple[list[Source], list[Dropped]]:
    """DICOM files by patient, series and size, in the order of the slices."""
    if not paths:
        return [], []
    import pydicom

    groups: dict[tuple[str, ...], list[tuple[float, Path]]] = defaultdict(list)
    dropped = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            with parsing():
                head = pydicom.dcmread(path, stop_before_pixels=True)
        except InvalidInput as error:
            dropped.append(Dropped(name, str(error)))
            continue
        if "Rows" not in head:
            dropped.append(Dropped(name, f"DICOM without an image ({head.get('Modality', 'unknown modality')})"))
            continue
        series = str(head.get("SeriesInstanceUID", path.parent))
        groups[str(head.get("PatientID", "")), series, f"{head.Rows}x{head.Columns}"].append((place(head), path))
    sources = []
    for (patient, *_), members in groups.items():
        ordered = tuple(path for _, path in sorted(members))
        sources.append(Source(ordered[0].relative_to(folder).as_posix(), ordered, "dicom", patient.strip()))
    return sources, dropped


def place(head: object) -> float:
    """Position of a DICOM slice along its normal in mm, or else its number."""
    position, axes = getattr(head, "ImagePositionPatient", None), getattr(head, "ImageOrientationPatient", None)
    if position is None or axes is None or len(axes) != 6:
        return float(getattr(head, "InstanceNumber", None) or 0)
    row, column = np.array(axes[:3], float), np.array(axes[3:], float)
    return float(np.dot(np.cross(row, column), np.array(position, float)))
