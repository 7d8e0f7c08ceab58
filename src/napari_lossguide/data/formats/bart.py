"""BART's pairs of files (Uecker et al. 2015): a .cfl with the numbers and a .hdr with its dimensions.

READ becomes our rows (y, from above) and PHS1 our columns (x): so do BART's own pictures (`bart toimg`). SLICE are the
slices; PHS2, of 3-D k-space, becomes slices by an inverse Fourier transform. BART's `fft -u` and `data.fourier` are the
same transform, so that numbers keep their scale.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np

from napari_lossguide.data.exports.record import image_hash, read_record
from napari_lossguide.data.formats.base import HEAD, Entry, Kind, Loaded, choose_entry
from napari_lossguide.data.writers import replace_files
from napari_lossguide.types import InvalidInput

READ, PHS1, PHS2, COIL, SLICE = 0, 1, 2, 3, 13
# BART's name of each dimension of which every index is an entry of its own.
_OTHERS = {
    4: "maps", 5: "te", 6: "coeff", 7: "coeff2", 8: "iter", 9: "cshift",
    10: "time", 11: "time2", 12: "level", 14: "avg", 15: "batch",
}  # fmt: skip
_DIMS = 16
_DTYPE = np.dtype("<c8")
_KEY = "# Dimensions"


class Bart:
    """One array without a name. It does not say what it holds: `kspace` unless a person says `images`.

    The images of our own writer are told by the record beside them.
    """

    name = "BART .cfl"
    suffixes: tuple[str, ...] = (".cfl", ".hdr")

    def recognises(self, path: Path, head: bytes) -> bool:
        """A header of BART's, or what is called .cfl: its contents are bare numbers."""
        return path.suffix == ".cfl" or (path.suffix == ".hdr" and _KEY.encode() in head)

    def files(self, path: Path, name: str) -> tuple[Path, ...]:
        """The header and the numbers."""
        return header_of(path), _numbers_of(path)

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Each contrast, repetition and so on as k-space and, of one coil, also as images."""
        shape = _shape(path)
        slices, image = shape[SLICE] * shape[PHS2], (shape[READ], shape[PHS1])
        numbers = [_numbering(index) for index in _indices(shape)]
        kspace = [
            Entry(n or "kspace", "kspace", (slices, shape[COIL], *image), _note(shape, "kspace")) for n in numbers
        ]
        if shape[COIL] > 1:
            return tuple(kspace)
        images = [Entry(f"images {n}".strip(), "images", (slices, *image), _note(shape, "images")) for n in numbers]
        return (*kspace, *images)

    def choose(self, path: Path, variable: str | None) -> str:
        """If nothing was said: the images where the record says that they are some, else the k-space, if it is one."""
        found = self.entries(path)
        if variable is None:
            kind = "kspace" if self.record_text(path) is None else "images"
            found = tuple(entry for entry in found if entry.kind == kind)
        return choose_entry(found, path, variable)

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices; of 3-D k-space every slice takes all partitions, one after the other."""
        shape = _shape(path)
        kind: Kind = "images" if name.startswith("images") else "kspace"
        index = next(i for i in _indices(shape) if _numbering(i) == name.removeprefix("images").strip() or not i)
        array = np.memmap(_numbers_of(path), _DTYPE, "r", shape=shape, order="F")
        here = tuple(index.get(d, slice(None) if d in (READ, PHS1, PHS2, COIL, SLICE) else 0) for d in range(_DIMS))
        volumes = array[here].transpose(4, 2, 3, 0, 1)  # (slice, partition, coil, ny, nx)
        wanted = range(shape[SLICE] * shape[PHS2])[slices]
        if kind == "kspace" and shape[PHS2] > 1:
            _check_partitions(volumes, path)
            planes: list[np.ndarray] | np.ndarray
            if len(wanted) > 1:
                planes = _along_partitions(volumes).reshape(-1, *volumes.shape[2:])[slices]
            else:
                planes = [_partition_slice(volumes[n // shape[PHS2]], n % shape[PHS2]) for n in wanted]
        else:
            planes = [np.asarray(volumes[divmod(n, shape[PHS2])]) for n in wanted]
        result = np.ascontiguousarray(planes, np.complex64)
        return Loaded(kind, result) if kind == "kspace" else _recorded(path, result[:, 0])

    def record_text(self, path: Path) -> str | None:
        """The text beside the pair, if it is of these images and not of older ones."""
        try:
            text = record_of(path).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None
        record, shape = read_record(text), _shape(path)
        if record is None:
            return None
        stored = np.memmap(_numbers_of(path), _DTYPE, "r", shape=shape, order="F")
        whole = stored.reshape(*stored.shape[:2], -1, order="F").transpose(2, 0, 1)
        return text if image_hash(whole if record.complex else whole.real) == record.sha256 else None


def _recorded(path: Path, images: np.ndarray) -> Loaded:
    record = read_record(Bart().record_text(path))
    if record is None:
        return Loaded("images", images)
    return Loaded("images", images if record.complex else images.real.copy(), record.spacing, affine=record.affine)


def header_of(path: str | os.PathLike[str]) -> Path:
    """The .hdr file of a pair, from either file's name or the name without a suffix."""
    return _numbers_of(Path(path)).with_suffix(".hdr")


def record_of(path: str | os.PathLike[str]) -> Path:
    """The .json file beside a pair, in which an export keeps what BART has no place for."""
    return _numbers_of(Path(path)).with_suffix(".json")


def write_cfl(path: str | os.PathLike[str], array: np.ndarray, beside: Mapping[Path, bytes] | None = None) -> Path:
    """Write k-space or images for BART.

    Parameters
    ----------
    path : of the pair, with or without .cfl or .hdr
    array : k-space (slice, coil, ny, nx) or images (slice, ny, nx); BART knows complex64 only
    beside : further files that belong to the pair, written with it

    Returns
    -------
    Path
        The .cfl file. Its header is put in place last.

    Raises
    ------
    InvalidInput
        If the array has another shape or type, or the files cannot be written.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "buifc" or array.ndim not in (3, 4) or array.size == 0:
        raise InvalidInput(
            f"An array of shape {array.shape} and type {array.dtype} cannot be written to {path}; accepted are k-space "
            "(slice, coil, ny, nx) and images (slice, ny, nx)."
        )
    stack = array if array.ndim == 4 else array[:, None]
    dims = [1] * _DIMS
    dims[SLICE], dims[COIL], dims[READ], dims[PHS1] = stack.shape
    header = f"{_KEY}\n{' '.join(map(str, dims))} \n"
    numbers = _numbers_of(Path(path))

    def write(file: BinaryIO) -> None:
        for one in stack:  # column-major, with the slices last
            file.write(one.transpose(0, 2, 1).astype(_DTYPE).tobytes())

    texts = {**(beside or {}), header_of(path): header.encode()}
    replace_files({numbers: write} | {name: partial(_put, content) for name, content in texts.items()})
    return numbers


def _put(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def _numbers_of(path: Path) -> Path:
    name = path.name.removesuffix(path.suffix) if path.suffix in (".cfl", ".hdr") else path.name
    return path.with_name(f"{name}.cfl")


def _shape(path: Path) -> tuple[int, ...]:
    """All 16 dimensions, checked against the size of the numbers' file."""
    header, numbers = header_of(path), _numbers_of(path)
    for file in (header, numbers):
        if not file.is_file():
            raise InvalidInput(f"{file} does not exist; a .cfl file and its .hdr belong together.")
    with open(header, "rb") as stream:
        _, _, after = stream.read(HEAD).decode("ascii", "replace").partition(_KEY)
    values = (after.strip().splitlines() or [""])[0].split()
    if not values or not all(value.isdecimal() and int(value) for value in values):
        raise InvalidInput(f"{header} gives no dimensions; a header of BART has a line of numbers under '{_KEY}'.")
    shape = tuple(int(value) for value in values)
    if any(n > 1 for n in shape[_DIMS:]):
        raise InvalidInput(f"{header} gives {len(shape)} dimensions; accepted are BART's {_DIMS}.")
    shape = (*shape, *(1,) * _DIMS)[:_DIMS]
    expected = int(np.prod(shape, dtype=object)) * _DTYPE.itemsize
    if numbers.stat().st_size != expected:
        raise InvalidInput(
            f"{numbers} is damaged or incomplete: it has {numbers.stat().st_size} bytes, and the dimensions "
            f"{' x '.join(map(str, shape))} in its header make {expected}."
        )
    return shape


def _indices(shape: tuple[int, ...]) -> Iterator[dict[int, int]]:
    """The indices in the other dimensions, one set for each entry."""
    several = [d for d in _OTHERS if shape[d] > 1]
    for values in product(*(range(shape[d]) for d in several)):
        yield dict(zip(several, values, strict=True))


def _numbering(index: dict[int, int]) -> str:
    return ", ".join(f"{_OTHERS[d]} {n}" for d, n in index.items())


def _note(shape: tuple[int, ...], kind: Kind) -> str:
    return "3-D, transformed along PHS2" if kind == "kspace" and shape[PHS2] > 1 else ""


def _along_partitions(volumes: np.ndarray) -> np.ndarray:
    """All slices by the centred orthonormal inverse transform over the partitions."""
    spectra = np.fft.ifft(np.fft.ifftshift(volumes, axes=1), axis=1, norm="ortho")
    return np.fft.fftshift(spectra, axes=1)


def _partition_slice(volume: np.ndarray, index: int) -> np.ndarray:
    """One slice of the same transform; no more than one partition is in memory."""
    n = len(volume)
    turns = (np.arange(n) - n // 2) * (index - n // 2) / n
    weights = (np.exp(2j * np.pi * turns) / np.sqrt(n)).astype(np.complex64)
    result = np.zeros(volume.shape[1:], np.complex64)
    for weight, partition in zip(weights, volume, strict=True):
        result += weight * partition
    return result


def _check_partitions(volumes: np.ndarray, path: Path) -> None:
    """Slices are independent only if no line skips partitions; a line may miss the outer ones.

    Raises
    ------
    InvalidInput
        If a line does.
    """
    for volume in volumes:
        acquired = np.array([partition.any(axis=(0, 1)) for partition in volume])  # (partition, column)
        gaps = np.diff(np.pad(acquired.astype(np.int8), ((1, 1), (0, 0))), axis=0) == 1
        if (gaps.sum(axis=0) > 1).any():
            raise InvalidInput(
                f"The k-space in {path} is undersampled along PHS2; 3-D k-space is accepted if every line has its "
                "partitions without gaps, because slices are reconstructed one by one."
            )
