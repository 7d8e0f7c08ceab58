"""MATLAB's .mat files, version 5 to 7.2 and, as HDF5, 7.3.

MATLAB's first axis changes fastest and counts rows, and its axes of length 1 at the end are not stored. Arrays are
understood by their number of axes: (ny, nx), (ny, nx, coil) if complex, (ny, nx, slice) if real, and
(ny, nx, coil, slice). Only arrays of numbers are looked at: no object, function, cell or structure is loaded.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from napari_lossguide.data.formats.array_file import (
    AXES,
    BESIDE,
    DEFAULTS,
    array_entry,
    beside,
    choose_array,
    kind_of,
    load_plain,
    placed,
    stacked,
)
from napari_lossguide.data.formats.base import Entry, Loaded, choose_entry
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import h5py

_HDF5 = b"MATLAB 7.3 MAT-file"
_BYTE_ORDERS = {b"IM": "<", b"MI": ">"}
_COMPRESSED, _MATRIX = 15, 14
_START = 1 << 16  # bytes of a variable that are looked at; its name and size stand at its beginning
_COMPLEX, _LOGICAL = 0x0800, 0x0200
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CLASS_NAMES = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_NAMES_OF_AXES = {
    ("kspace", 2): "ny, nx",
    ("kspace", 3): "ny, nx, coil",
    ("kspace", 4): "ny, nx, coil, slice",
    ("images", 2): "ny, nx",
    ("images", 3): "ny, nx, slice",
}


@dataclass(frozen=True)
class _Header:
    """Of a variable; its shape is in this package's order of axes.

    Of files before version 7.3 also where it stands: `start` in the file, `n_bytes` there, whether `packed` and, in
    what is unpacked, `at` which its numbers begin; and the byte order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    start: int = 0
    n_bytes: int = 0
    packed: bool = False
    at: int = 0
    order: str = "<"


class Matlab:
    """Arrays with names; `kspace`, `images`, `mask`, `maps` and `spacing` are understood as in an .npz file."""

    name = "MATLAB .mat"
    suffixes: tuple[str, ...] = (".mat",)

    def recognises(self, path: Path, head: bytes) -> bool:
        """MATLAB's first words, and the byte order that it writes after them."""
        return head.startswith(b"MATLAB ") and head[126:128] in _BYTE_ORDERS

    def names(self, path: Path) -> tuple[str, ...]:
        """All arrays of numbers."""
        return tuple(_headers(path))

    def arrays(self, path: Path, names: set[str]) -> dict[str, np.ndarray]:
        """Read some whole, as (slice, coil, ny, nx) or what of it they have."""
        if _is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                return {name: _ours(_values(file[name][()])) for name in names}
        headers = _headers(path)
        return {name: _ours(_read_5(path, headers[name])) for name in names}

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Arrays with the size of images or k-space; the note says how their axes were understood."""
        found = []
        for name, header in _headers(path).items():
            entry = array_entry(name, header.shape, header.dtype)
            if entry is not None:
                axes = _NAMES_OF_AXES[entry.kind, len(header.shape)]
                found.append(replace(entry, note=f"{header.dtype}, axes taken as ({axes})"))
        return tuple(found)

    def choose(self, path: Path, variable: str | None) -> str:
        """`kspace`, `images` or the only array that can be either, if nothing was said."""
        found = self.entries(path)
        if variable is not None:
            return choose_entry(found, path, variable)
        return choose_array([entry.name for entry in found], path, DEFAULTS)

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices; of a file before version 7.3 the array is read whole first."""
        if not _is_hdf5(path):
            return load_plain(self, path, name, slices)
        import h5py

        with h5py.File(path, "r") as file:
            dataset = file[name]
            kind = kind_of(name, _dtype(dataset.dtype))
            if dataset.ndim == AXES[kind]:  # its first axis is the slices, MATLAB's last
                array = _ours(_values(dataset[slices]))
            else:
                array = stacked(_ours(_values(dataset[()])), kind, slices)
            others = {key: _ours(_values(file[key][()])) for key in BESIDE if key in _arrays(file)}
        own = placed(others, path) if kind == "images" else beside(others, slices, path)
        return Loaded(kind, array, **own)  # type: ignore[arg-type]


def _ours(array: np.ndarray) -> np.ndarray:
    """From HDF5's order of axes, MATLAB's reversed, to (..., ny, nx); vectors get one axis."""
    if array.ndim == 2 and 1 in array.shape:
        return array.ravel()
    return np.ascontiguousarray(array.swapaxes(-1, -2)) if array.ndim > 1 else array


def _values(array: np.ndarray) -> np.ndarray:
    """Complex numbers, which version 7.3 keeps as pairs."""
    array = np.asarray(array)
    return array if array.dtype.names is None else array.view(_dtype(array.dtype))


def _dtype(dtype: np.dtype) -> np.dtype:
    """Complex for pairs of floating point numbers; other structures stay what they are."""
    if dtype.names != ("real", "imag") or dtype["real"].kind != "f" or dtype["real"].itemsize not in (4, 8):
        return dtype
    return np.dtype(f"{dtype['real'].byteorder}c{dtype.itemsize}")


def _is_hdf5(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _headers(path: Path) -> dict[str, _Header]:
    if _is_hdf5(path):
        import h5py

        with h5py.File(path, "r") as file:
            return {
                name: _Header((*item.shape[:-2], *item.shape[:-3:-1]), _dtype(item.dtype))
                for name, item in _arrays(file).items()
            }
    try:
        with open(path, "rb") as file:
            found = dict(_version_5(file, path))
    except struct.error as error:
        raise _damaged(path, "a variable has no header") from error
    return {name: header for name, header in found.items() if len(header.shape) > 1 and min(header.shape) > 0}


def _arrays(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Those of version 7.3 that hold numbers; empty ones hold their size instead."""
    import h5py

    found = {}
    for name, item in file.items():
        if isinstance(item, h5py.Dataset) and item.ndim and not item.attrs.get("MATLAB_empty", 0):
            of_class = item.attrs.get("MATLAB_class", b"double")
            if (of_class.decode() if isinstance(of_class, bytes) else str(of_class)) in _CLASS_NAMES:
                found[str(name)] = item
    return found


def _version_5(file: BinaryIO, path: Path) -> Iterator[tuple[str, _Header]]:
    """Names, sizes and types of the arrays of numbers, from the beginning of each variable."""
    order = _BYTE_ORDERS[file.read(128)[126:128]]
    while tag := file.read(8):
        kind, n_bytes = struct.unpack(f"{order}II", tag.ljust(8, b"\0"))
        start = file.tell()
        content = file.read(min(n_bytes, _START))
        end = file.seek(0, 2)
        if len(tag) < 8 or end < start + n_bytes:
            raise _damaged(path, "it ends within a variable")
        file.seek(start + n_bytes)
        packed = kind == _COMPRESSED
        if packed:
            content = zlib.decompressobj().decompress(content, _START)
            kind = struct.unpack_from(f"{order}I", content)[0]
        if kind == _MATRIX:
            yield from _matrix(content, _Header((), np.dtype("u1"), start, n_bytes, packed, 8 * packed, order))


def _matrix(content: bytes, header: _Header) -> Iterator[tuple[str, _Header]]:
    """What a variable's first three elements say: flags, dimensions and name."""
    order = header.order
    _, at, _ = _element(content, header.at, order)
    flags = struct.unpack_from(f"{order}I", content, at)[0]
    of_class = _CLASSES.get(flags & 0xFF)
    if of_class is None:  # cells, structures, objects, functions, text, sparse matrices
        return
    _, at, n_bytes = _element(content, at + 8, order)
    dims = struct.unpack_from(f"{order}{n_bytes // 4}i", content, at)
    _, at, length = _element(content, at + -(-n_bytes // 8) * 8, order)
    name = content[at : at + length].decode("latin1")
    at = -(-(at + length) // 8) * 8
    if flags & _COMPLEX:
        of_class = "c8" if of_class == "f4" else "c16"
    elif flags & _LOGICAL:
        of_class = "?"
    yield name, replace(header, shape=(*dims[:1:-1], *dims[:2]), dtype=np.dtype(of_class), at=at)


def _element(content: bytes, at: int, order: str) -> tuple[int, int, int]:
    """Type, place and number of bytes of what an element holds; up to four bytes stand in its tag."""
    if at + 8 > len(content):
        raise ValueError("a variable ends early")
    kind, n_bytes = struct.unpack_from(f"{order}II", content, at)
    return (kind & 0xFFFF, at + 4, kind >> 16) if kind >> 16 else (kind, at + 8, n_bytes)


def _read_5(path: Path, header: _Header) -> np.ndarray:
    """The numbers of a variable, with axes in reversed order, as in version 7.3.

    Read here, because a garbled file makes SciPy's reader end the whole program.
    """
    with open(path, "rb") as file:
        file.seek(header.start)
        content = file.read(header.n_bytes)
    size = math.prod(header.shape)
    is_complex = header.dtype.kind == "c"
    if header.packed:  # no more than what the dimensions make, whatever it would unpack to
        content = zlib.decompressobj().decompress(content, header.at + 32 + 16 * size)
    values = np.empty(size, header.dtype)
    at = header.at
    for part in (values.real, values.imag) if is_complex else (values,):
        kind, start, n_bytes = _element(content, at, header.order)
        stored = np.dtype(f"{header.order}{_TYPES.get(kind, 'V1')}")
        if stored.kind == "V" or n_bytes != size * stored.itemsize or start + n_bytes > len(content):
            raise _damaged(path, "a variable holds other numbers than its header says")
        part[:] = np.frombuffer(content, stored, size, start)
        at = -(-(start + n_bytes) // 8) * 8
    ny, nx = header.shape[-2:]
    return values.reshape(*header.shape[:-2], nx, ny)


def _damaged(path: Path, reason: str) -> InvalidInput:
    return InvalidInput(f"{path} could not be read; it is damaged or incomplete ({reason}).")
