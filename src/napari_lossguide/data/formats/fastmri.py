"""HDF5 files with arrays at their top: fastMRI's (Zbontar et al. 2018, arXiv 1811.08839), and all with its names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from napari_lossguide.data.formats.array_file import DEFAULTS, array_entry, choose_array, kind_of, spacing_of
from napari_lossguide.data.formats.base import Entry, Loaded
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    import h5py

HDF5 = b"\x89HDF\r\n\x1a\n"
REFERENCES = ("reconstruction_rss", "reconstruction_esc")
_BESIDE = ("mask", "maps", "spacing", "pixel_mm")


class FastMRI:
    """`kspace` (slice, coil, readout, phase) or, of one coil, (slice, readout, phase), `mask`, `ismrmrd_header`."""

    name = "fastMRI .h5"
    suffixes: tuple[str, ...] = (".h5", ".hdf5")

    def recognises(self, path: Path, head: bytes) -> bool:
        """Any HDF5 file that no format before this one in the registry took."""
        return head.startswith(HDF5)

    def names(self, path: Path) -> tuple[str, ...]:
        """All arrays at the top."""
        import h5py

        with h5py.File(path, "r") as file:
            return tuple(_datasets(file))

    def arrays(self, path: Path, names: set[str]) -> dict[str, np.ndarray]:
        """Read some whole."""
        import h5py

        with h5py.File(path, "r") as file:
            return {name: np.asarray(file[name][()]) for name in names}

    def entries(self, path: Path) -> tuple[Entry, ...]:
        """Arrays with the size of images or k-space."""
        import h5py

        with h5py.File(path, "r") as file:
            sets = _datasets(file)
            found = [array_entry(name, _size(name, sets[name]), sets[name].dtype) for name in sets]
        return tuple(entry for entry in found if entry is not None)

    def choose(self, path: Path, variable: str | None) -> str:
        """`kspace`, `images` or the only array, if nothing was said."""
        return choose_array(self.names(path), path, DEFAULTS if variable is None else (variable,))

    def load(self, path: Path, name: str, slices: slice) -> Loaded:
        """Read slices; see `base.Format`. The reference is read if it has the size of the k-space's images."""
        import h5py

        with h5py.File(path, "r") as file:
            dataset = file[name]
            size = _size(name, dataset)
            kind = kind_of(name, dataset.dtype)
            array = np.asarray(dataset[slices] if len(size) == dataset.ndim > 2 or dataset.ndim == 3 else dataset[()])
            arrays = {key: np.asarray(file[key][()]) for key in _BESIDE if key in file}
            if "maps" in arrays and arrays["maps"].ndim == 4:
                arrays["maps"] = arrays["maps"][slices]
            spacing = (
                _header_spacing(file["ismrmrd_header"][()], path)
                if "ismrmrd_header" in file
                else spacing_of(arrays, path)
            )
            if kind == "images":
                return Loaded(kind, array.reshape(-1, *array.shape[-2:]), spacing)
            images = (*size[:1], *size[-2:])
            matching = [key for key in REFERENCES if key in file and file[key].shape == images]
            reference = np.asarray(file[matching[0]][slices]) if matching else None
        if array.ndim == 3:
            array = array[:, None]  # one coil
        return Loaded(kind, array, spacing, arrays.get("mask"), arrays.get("maps"), reference)


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    import h5py

    return {str(name): item for name, item in file.items() if isinstance(item, h5py.Dataset)}


def _size(name: str, dataset: h5py.Dataset) -> tuple[int, ...]:
    """Shape as k-space; three axes are those of one coil."""
    shape = tuple(dataset.shape)
    return (shape[0], 1, *shape[1:]) if len(shape) == 3 and kind_of(name, dataset.dtype) == "kspace" else shape


def _header_spacing(header: bytes | str, path: Path) -> tuple[float, float, float]:
    """Voxel of the encoded space: fastMRI's rows are ISMRMRD's x, the readout, and its columns are y."""
    try:
        space = ElementTree.fromstring(header).find(".//{*}encodedSpace")
        if space is None:
            return (1.0, 1.0, 1.0)
        x, y, z = (
            float(space.findtext(f"{{*}}fieldOfView_mm/{{*}}{axis}", ""))
            / float(space.findtext(f"{{*}}matrixSize/{{*}}{axis}", ""))
            for axis in "xyz"
        )
    except (ElementTree.ParseError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InvalidInput(f"The ismrmrd_header in {path} is damaged: it gives no voxel size ({error}).") from error
    return z, x, y
