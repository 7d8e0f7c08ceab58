"""NumPy's .npy and .npz files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from napari_lossguide.data.formats.array_file import DEFAULTS, array_entry, choose_array, load_plain
from napari_lossguide.data.formats.base import Entry, Loaded

Header = tuple[tuple[int, ...], np.dtype]


class Npy:
    """One array without a name: it is called what the person calls it, else `kspace`."""

    name = ".npy"
    suffixes: tuple[str, ...] = (".npy",)

    def recognises(self, path: Path, head: bytes) -> bool:
        """NumPy's own first bytes."""
        return head.startswith(b"\x93NUMPY")

    def names(self, path: Path) -> tuple[str, ...]:
        """The one array."""
        return DEFAULTS[:1]

    def arrays(self, path: Path, names: set[str]) -> dict[str, np.ndarray]:
        """Read it, under whatever name."""
        return {name: np.load(path, allow_pickle=False) for name in names}

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """The array as k-space, or as images where it is real."""
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        entry = array_entry("kspace" if array.dtype.kind == "c" else "images", array.shape, array.dtype)
        return () if entry is None else (entry,)

    def choose(self, path: Path, variable: str | None) -> str:
        """Whatever the person calls it."""
        return variable or DEFAULTS[0]

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices; see `base.Format`."""
        if slices == slice(None):
            return load_plain(self, path, name, slices)
        return load_plain(_Mapped(), path, name, slices)


class _Mapped(Npy):
    """The same, with only those bytes in memory that are asked for."""

    def arrays(self, path: Path, names: set[str]) -> dict[str, np.ndarray]:
        """Map it."""
        return {name: np.load(path, mmap_mode="r", allow_pickle=False) for name in names}


class Npz:
    """Arrays with names."""

    name = ".npz"
    suffixes: tuple[str, ...] = (".npz",)

    def recognises(self, path: Path, head: bytes) -> bool:
        """A zip archive; nothing else that is one is read here."""
        return head.startswith(b"PK\x03\x04")

    def names(self, path: Path) -> tuple[str, ...]:
        """All arrays."""
        with np.load(path, allow_pickle=False) as file:
            return tuple(file.files)

    def arrays(self, path: Path, names: set[str]) -> dict[str, np.ndarray]:
        """Read some whole: an archive has no other way."""
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in names}

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Arrays with the size of images or k-space, from their headers."""
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            found = [array_entry(name, *_header(archive, member)) for name, member in members.items()]
        return tuple(entry for entry in found if entry is not None)

    def choose(self, path: Path, variable: str | None) -> str:
        """`kspace`, `images` or the only array, if nothing was said."""
        return choose_array(self.names(path), path, DEFAULTS if variable is None else (variable,))

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices; see `base.Format`."""
        return load_plain(self, path, name, slices)

    def record_text(self, path: Path) -> str | None:
        """Recipe and facts of a result or of samples, which stand in it as texts of their own."""
        with np.load(path, allow_pickle=False) as file:
            texts = {name: str(file[name]) for name in ("recipe", "facts") if name in file.files}
        return json.dumps({name: json.loads(text) for name, text in texts.items()}) if "recipe" in texts else None


def _header(archive: zipfile.ZipFile, member: str) -> Header:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype
