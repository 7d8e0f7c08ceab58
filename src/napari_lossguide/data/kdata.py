"""KData: measured or simulated Cartesian k-space, and which of its points were acquired."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_lossguide.data.checks import as_complex64, as_mask, as_spacing
from napari_lossguide.data.fourier import ifft2c, rss
from napari_lossguide.data.missing import check_slices, missing_slices
from napari_lossguide.data.orientation import affine_from, position_of
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.types import InvalidInput


@dataclass(frozen=True, eq=False)
class KData:
    """What a k-space file holds.

    Attributes
    ----------
    kspace : complex64 (slice, coil, ny, nx), centred; set to zero where not acquired; NaN in slices that are missing.
        It may be a `SliceWise`, whose slices are checked as they are read; so may `reference` and `maps`.
    acquired : bool (ny, nx), the same for every slice and coil.
    spacing : (slice, y, x) in mm.
    name : what layers and messages call it.
    source : the file it comes from, or a description.
    reference : float32 or complex64 (slice, ny, nx) if the true image is known (a simulation), else None.
    maps : complex64 (slice, coil, ny, nx), coil maps that were given or that the simulation used, else None.
    calibration : complex64 (slice, coil, cy, cx), a block of k-space, its centre at index n // 2, that was measured
        beside the k-space; coil maps are estimated from it, or from the acquired centre if there is none.
    simulated : computed from an image, never measured.
    real : the image is known to be real-valued.
    noise_std : E|n|^2 = noise_std^2 per k-space point, if known.
    affine : float64 (4, 4), from indices (slice, y, x, 1) to patient coordinates in mm (right, anterior and superior
        are positive, as in NIfTI), if known. Its columns have the lengths of `spacing`.
    corner : where the first pixel lies, in mm along (slice, y, x), where no affine says it.
    origin : how to get it again; None if nobody said.

    Raises
    ------
    InvalidInput
        If an array has the wrong type or shape, or holds NaN or infinity in a slice that is not NaN as a whole.
    """

    kspace: np.ndarray | SliceWise
    acquired: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    name: str = "kspace"
    source: str = ""
    reference: np.ndarray | SliceWise | None = None
    maps: np.ndarray | SliceWise | None = None
    simulated: bool = False
    real: bool = False
    noise_std: float | None = None
    affine: np.ndarray | None = None
    corner: tuple[float, float, float] = (0.0, 0.0, 0.0)
    origin: Origin | None = None
    calibration: np.ndarray | SliceWise | None = None

    def __post_init__(self) -> None:
        kspace = as_complex64(self.kspace, f"The k-space of {self.name}", slices=True)
        if kspace.ndim != 4 or 0 in kspace.shape:
            raise InvalidInput(
                f"The k-space of {self.name} has shape {kspace.shape}; accepted are (ny, nx), (coil, ny, nx) and "
                "(slice, coil, ny, nx), none of them 0."
            )
        acquired = as_mask(self.acquired, kspace.shape[-2:], f"The mask of {self.name}")
        if isinstance(kspace, SliceWise):
            kspace = _only(kspace, acquired)
        elif not acquired.all() and kspace[..., ~acquired].any():
            kspace = kspace * acquired
        object.__setattr__(self, "kspace", kspace)
        object.__setattr__(self, "acquired", acquired)
        object.__setattr__(self, "spacing", as_spacing(self.spacing, self.name))
        object.__setattr__(self, "reference", self._checked_reference())
        object.__setattr__(self, "maps", self._checked_maps())
        object.__setattr__(self, "calibration", self._checked_calibration())
        if self.noise_std is not None and not 0 <= self.noise_std < np.inf:
            raise InvalidInput(f"noise_std of {self.name} is {self.noise_std}; accepted are finite numbers from 0.")
        object.__setattr__(self, "affine", self._checked_affine())

    def _checked_reference(self) -> np.ndarray | SliceWise | None:
        if self.reference is None:
            return None
        reference = self.reference if isinstance(self.reference, SliceWise) else np.asarray(self.reference)
        expected = (self.n_slices, *self.image_shape)
        if reference.shape != expected:
            raise InvalidInput(f"The reference of {self.name} has shape {reference.shape}; it must be {expected}.")
        if isinstance(reference, SliceWise):
            return reference
        reference = reference.astype(np.complex64 if np.iscomplexobj(reference) else np.float32, copy=False)
        check_slices(reference, f"The reference of {self.name}")
        return reference

    def _checked_affine(self) -> np.ndarray | None:
        if self.affine is None:
            return None
        affine = np.asarray(self.affine, np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
            raise InvalidInput(
                f"The affine of {self.name} is {affine.tolist()}; it must be an invertible matrix of 4 x 4 numbers."
            )
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if not np.allclose(lengths, self.spacing, rtol=1e-3):
            raise InvalidInput(
                f"The affine of {self.name} steps by {lengths.tolist()} mm, but its spacing is {self.spacing} mm; "
                "they must be the same."
            )
        return affine

    def _checked_maps(self) -> np.ndarray | SliceWise | None:
        if self.maps is None:
            return None
        maps = as_complex64(self.maps, f"The coil maps of {self.name}", real_too=True)
        if maps.shape not in (self.kspace.shape, self.kspace.shape[1:]):
            raise InvalidInput(
                f"The coil maps of {self.name} have shape {maps.shape}; they must be {self.kspace.shape[1:]} "
                f"or {self.kspace.shape}."
            )
        return maps if isinstance(maps, SliceWise) else np.broadcast_to(maps, self.kspace.shape)

    def _checked_calibration(self) -> np.ndarray | SliceWise | None:
        if self.calibration is None:
            return None
        block, most = as_complex64(self.calibration, f"The calibration of {self.name}"), self.kspace.shape
        if block.ndim != 4 or block.shape[:2] != most[:2] or 0 in block.shape or (np.array(block.shape) > most).any():
            raise InvalidInput(
                f"The calibration of {self.name} has shape {block.shape}; it must be (slice, coil, cy, cx), as many "
                f"slices and coils and no more rows and columns than the k-space, {most}."
            )
        return block

    @classmethod
    def from_array(cls, kspace: np.ndarray, mask: np.ndarray | None = None, **fields: Any) -> KData:
        """K-space from an array (ny, nx), (coil, ny, nx) or (slice, coil, ny, nx).

        Parameters
        ----------
        kspace : complex
        mask : (ny, nx), or (nx,) for columns; True or non-zero where acquired. None: the points that are not zero
            in some slice and coil.
        fields : the other attributes of `KData`.

        Raises
        ------
        InvalidInput
            As `KData`, and if every acquired value is zero.
        """
        name = str(fields.get("name", "kspace"))
        if np.ndim(kspace) in (2, 3):
            kspace = np.asarray(kspace)[(None,) * (4 - np.ndim(kspace))]
        kspace = as_complex64(kspace, f"The k-space of {name}", slices=True)
        known = np.delete(kspace, missing_slices(kspace), axis=0) if kspace.ndim == 4 else kspace
        if not known.any():
            raise InvalidInput(f"The k-space of {name} is zero everywhere; there is nothing to reconstruct.")
        acquired = np.asarray(known.any(axis=tuple(range(kspace.ndim - 2)))) if mask is None else mask
        result = cls(kspace, acquired, **fields)
        if not known[..., result.acquired].any():
            raise InvalidInput(f"The k-space of {name} is zero at every point of the mask; is it another scan's mask?")
        return result

    @property
    def n_slices(self) -> int:
        """Number of slices."""
        return int(self.kspace.shape[0])

    @property
    def missing(self) -> tuple[int, ...]:
        """Slices of which nothing is known: their k-space is NaN. Of lazy data nobody knows before they are read."""
        if self.lazy:
            return ()
        return tuple(int(index) for index in np.flatnonzero(np.isnan(self.kspace[:, 0, 0, 0])))

    @property
    def n_coils(self) -> int:
        """Number of coils."""
        return int(self.kspace.shape[1])

    @property
    def image_shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return int(self.kspace.shape[2]), int(self.kspace.shape[3])

    @property
    def fully_sampled(self) -> bool:
        """Every point was acquired."""
        return bool(self.acquired.all())

    @property
    def acceleration(self) -> float:
        """All points / acquired points."""
        return float(self.acquired.size / self.acquired.sum())

    @property
    def lazy(self) -> bool:
        """Its slices are read as they are looked at, and are not kept in memory."""
        return isinstance(self.kspace, SliceWise)

    def true_images(self) -> np.ndarray | SliceWise | None:
        """Magnitude of the reference, or of a full scan the coil images; float32 (slice, ny, nx). None if not known."""
        if isinstance(self.reference, SliceWise):
            return self.reference.each(np.abs, np.float32)
        if self.reference is not None:
            return np.abs(self.reference)
        return self.coil_images() if self.fully_sampled else None

    def coil_images(self) -> np.ndarray | SliceWise:
        """Root sum of squares of the inverse transforms of all coils, float32 (slice, ny, nx)."""

        def combined(index: int) -> np.ndarray:
            return rss(ifft2c(self.kspace[index]))

        if self.lazy:
            return SliceWise(combined, (self.n_slices, *self.image_shape), np.float32)
        return np.stack([combined(index) for index in range(self.n_slices)])

    def arrays(self) -> dict[str, np.ndarray]:
        """Contents of a file that `data.readers.read` makes the same k-space from, ready for ``write_npz``."""
        arrays = {"kspace": np.asarray(self.kspace), "mask": self.acquired, "spacing": np.asarray(self.spacing)}
        if self.maps is not None:
            arrays["maps"] = np.asarray(self.maps)
        if self.calibration is not None:
            arrays["calibration"] = np.asarray(self.calibration)
        if self.affine is not None:
            arrays["affine"] = self.affine
        if self.simulated:  # without it nobody could tell that the k-space was never measured
            arrays |= {"simulated": np.array(True), "real": np.array(self.real)}
            arrays |= {} if self.reference is None else {"reference": np.asarray(self.reference)}
        return arrays

    def undersample(self, mask: np.ndarray) -> KData:
        """Keep only the acquired points where `mask` (ny, nx) is True.

        Raises
        ------
        InvalidInput
            If the mask has another shape than the k-space or keeps nothing.
        """
        chosen = as_mask(mask, self.image_shape, "The mask")
        kept = self.acquired & chosen
        if not kept.any():
            raise InvalidInput(f"The mask keeps none of the points that were acquired in {self.name}.")
        origin = None if self.origin is None else self.origin.undersample(chosen)
        kspace = self.kspace if isinstance(self.kspace, SliceWise) else self.kspace * kept
        return replace(self, kspace=kspace, acquired=kept, origin=origin)

    @property
    def position(self) -> tuple[float, float, float]:
        """Where the first pixel lies, in mm along the directions of (slice, y, x); `corner` without an affine.

        These are the coordinates of a viewer whose axes are those of the scan: scans of one patient in one orientation
        lie there as they do in the patient.
        """
        return self.corner if self.affine is None else position_of(self.affine)

    def select(self, slice_index: int) -> KData:
        """One slice, still four-dimensional."""
        if not 0 <= slice_index < self.n_slices:
            raise InvalidInput(f"Slice {slice_index} is not in {self.name}; it has slices 0 to {self.n_slices - 1}.")
        one = slice(slice_index, slice_index + 1)
        along, y, x = self.corner
        return replace(
            self,
            kspace=self.kspace[one],
            affine=None if self.affine is None else affine_from(self.affine, slice_index),
            corner=(along + slice_index * self.spacing[0], y, x),
            origin=None if self.origin is None else self.origin.select(slice_index),
            reference=None if self.reference is None else self.reference[one],
            maps=None if self.maps is None else self.maps[one],
            calibration=None if self.calibration is None else self.calibration[one],
        )


def _only(kspace: SliceWise, acquired: np.ndarray) -> SliceWise:
    def kept(coils: np.ndarray) -> np.ndarray:
        return coils * acquired if coils[..., ~acquired].any() else coils

    return kspace if acquired.all() else kspace.each(kept)
