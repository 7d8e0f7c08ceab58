"""Image series of ISMRMRD files that hold no acquisitions: what reconstructions write, ours and those of others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from napari_lossguide.data.exports.ismrmrd_images import RECORD
from napari_lossguide.data.exports.record import Record, read_record
from napari_lossguide.data.formats.base import Entry, Loaded, choose_entry
from napari_lossguide.data.formats.fastmri import HDF5
from napari_lossguide.data.formats.ismrmrd_space import Space, placement, slice_order

if TYPE_CHECKING:
    import h5py

_PARTS = ("header", "attributes", "data")
_DIMENSIONS = ("average", "contrast", "phase", "repetition", "set")


@dataclass(frozen=True, eq=False)
class _Stack:
    """One entry: the images `chosen` of a series, in the order of their slices, and one of their channels."""

    name: str
    series: str
    heads: np.ndarray
    chosen: np.ndarray
    channel: int
    entry: Entry


class ISMRMRDImages:
    """Groups with `header`, `attributes` and `data`, such as `dataset/images_0`."""

    name = "ISMRMRD images .h5"
    suffixes: tuple[str, ...] = (".h5", ".mrd")

    def recognises(self, path: Path, head: bytes) -> bool:
        """An HDF5 file with such a group, in a group without acquisitions."""
        import h5py

        if not head.startswith(HDF5):
            return False
        with h5py.File(path, "r") as file:
            return bool(_series(file))

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Each channel of each contrast, repetition and so on of each series."""
        import h5py

        with h5py.File(path, "r") as file:
            return tuple(stack.entry for stack in _stacks(file))

    def choose(self, path: Path, variable: str | None) -> str:
        """The one that was named, or the only one."""
        return choose_entry(self.entries(path), path, variable)

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices; see `base.Format`. The affine is that of all slices."""
        import h5py

        with h5py.File(path, "r") as file:
            stack = next(stack for stack in _stacks(file) if stack.entry.name == name)
            data, nz = file[stack.series]["data"], stack.entry.shape[0] // len(stack.chosen)
            wanted = range(stack.entry.shape[0])[slices]
            array = np.stack([_numbers(data[stack.chosen[n // nz], stack.channel, n % nz]) for n in wanted])
            record = _record(file[stack.series]["attributes"], stack.chosen)
        spacing, affine = _place(stack)
        if record is not None and record.agrees(spacing, affine):
            spacing, affine = record.spacing, record.affine
        return Loaded("images", array, spacing, affine=affine)

    def record_text(self, path: Path) -> str | None:
        """That of our own writer, a meta attribute of the first image of the first series that has one."""
        import h5py

        with h5py.File(path, "r") as file:
            texts = [_record_text(file[series]["attributes"]) for series in _series(file)]
        return next((text for text in texts if text is not None), None)


def _series(file: h5py.File) -> list[str]:
    import h5py

    found = []
    for name, group in file.items():
        if not isinstance(group, h5py.Group) or isinstance(group.get("data"), h5py.Dataset):
            continue
        for key, item in group.items():
            if isinstance(item, h5py.Group) and all(isinstance(item.get(part), h5py.Dataset) for part in _PARTS):
                found.append(f"{name}/{key}")
    return found


def _stacks(file: h5py.File) -> list[_Stack]:
    stacks: list[_Stack] = []
    for series in _series(file):
        heads = file[series]["header"][()]
        _, channels, nz, ny, nx = file[series]["data"].shape
        keys = np.stack([heads[name].astype(int) for name in _DIMENSIONS], axis=1)
        differ = [n for n in range(len(_DIMENSIONS)) if len(np.unique(keys[:, n])) > 1]
        for key, channel in product(np.unique(keys, axis=0), range(channels)):
            chosen = _ordered(heads, np.flatnonzero((keys == key).all(axis=1)))
            words = [f"{_DIMENSIONS[n]} {key[n]}" for n in differ] + [f"channel {channel}"] * (channels > 1)
            name = ": ".join([series.partition("/")[2], *filter(None, [", ".join(words)])])
            dtype = file[series]["data"].dtype
            entry = Entry(name, "images", (len(chosen) * nz, ny, nx), "complex" if dtype.names else str(dtype))
            stacks.append(_Stack(name, series, heads, chosen, channel, entry))
    if len({stack.name for stack in stacks}) < len(stacks):  # series of one name in several groups
        full = [f"{stack.series.partition('/')[0]}/{stack.name}" for stack in stacks]
        stacks = [replace(s, entry=replace(s.entry, name=name)) for s, name in zip(stacks, full, strict=True)]
    return stacks


def _ordered(heads: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """By their place along slice_dir; as they are in the file where a slice is there twice."""
    numbers = heads["slice"][chosen]
    if len(np.unique(numbers)) < len(numbers):
        return chosen
    return np.array([int(chosen[numbers == number][0]) for number in slice_order(heads[chosen])])


def _numbers(plane: np.ndarray) -> np.ndarray:
    """Pairs (real, imag) as complex numbers."""
    if plane.dtype.names is None:
        return plane
    real, imag = (plane[name] for name in plane.dtype.names)
    out = np.empty(plane.shape, np.result_type(real.dtype, np.complex64))
    out.real, out.imag = real, imag
    return out


def _place(stack: _Stack) -> tuple[tuple[float, float, float], np.ndarray | None]:
    heads = stack.heads[stack.chosen]
    nz, ny, nx = stack.entry.shape[0] // len(heads), *stack.entry.shape[1:]
    field = heads["field_of_view"][0].astype(float)
    x, y, z = (mm / n if 0 < mm < np.inf else 1.0 for mm, n in zip(field, (nx, ny, nz), strict=True))
    space = Space((nz, ny, nx), (nz, ny, nx), (z, y, x), (0, 0))
    vectors = ("position", "read", "phase_dir", "slice_dir")
    rows = np.zeros(len(heads), [("slice", int), *((name, float, 3) for name in vectors)])
    rows["slice"] = np.arange(len(heads))
    for name in vectors:
        rows[name] = heads["read_dir" if name == "read" else name]
    return placement(space, rows, rows["slice"])


def _record(attributes: h5py.Dataset, chosen: np.ndarray) -> Record | None:
    """That of our own writer, if the chosen images are all of its series."""
    if chosen[0] != 0 or len(chosen) != len(attributes):
        return None
    return read_record(_record_text(attributes))


def _record_text(attributes: h5py.Dataset) -> str | None:
    raw: Any = attributes[0] if len(attributes) else ""
    try:
        root = ElementTree.fromstring(raw)
    except (ElementTree.ParseError, TypeError):
        return None
    texts = [meta.findtext("value") or "" for meta in root.findall("meta") if meta.findtext("name") == RECORD]
    return texts[0] if texts else None
