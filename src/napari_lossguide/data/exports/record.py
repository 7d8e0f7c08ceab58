"""What an exported file says of its images beside their values: JSON inside it, or in a file beside it.

Headers of images keep places in single precision or not at all. The record has every digit, so that what is read is
what was written; a reader believes it where the header still says the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_lossguide.data.exports.base import Export

KIND = "napari-lossguide image"
_SINGLE = 1e-3  # mm by which positions that were stored in single precision may be off


@dataclass(frozen=True, eq=False)
class Record:
    """A record that was read.

    Attributes
    ----------
    spacing, affine : as those of `Export`.
    complex : whether the images were.
    sha256 : of the images, complex64 or float32, little-endian, in the order (slice, ny, nx).
    """

    spacing: tuple[float, float, float]
    affine: np.ndarray | None
    complex: bool
    sha256: str

    def agrees(self, spacing: tuple[float, ...], affine: np.ndarray | None) -> bool:
        """Whether a header says the same, as well as it can."""
        if (affine is None) != (self.affine is None) or not np.allclose(spacing, self.spacing, rtol=1e-5):
            return False
        return affine is None or bool(np.allclose(affine, self.affine, rtol=1e-5, atol=_SINGLE))  # type: ignore[arg-type]


def record_json(export: Export) -> str:
    """The record of images, as JSON that every program reads: what is not finite is null."""
    record: dict[str, Any] = {
        "kind": KIND,
        "name": export.name,
        "spacing_mm": list(export.spacing),
        "affine": None if export.affine is None else export.affine.tolist(),
        "type": str(export.images.dtype),
        "sha256": image_hash(export.images),
    }
    texts = {"recipe": export.recipe, "facts": export.facts}
    record |= {key: _strict(json.loads(text)) for key, text in texts.items() if text}
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)


def image_hash(images: np.ndarray) -> str:
    """SHA-256 of the values."""
    return hashlib.sha256(np.ascontiguousarray(images, images.dtype.newbyteorder("<")).tobytes()).hexdigest()


def read_record(text: str | bytes | None) -> Record | None:
    """A record from JSON; None for anything else."""
    try:
        held = json.loads(text or "{}")
        if held["kind"] != KIND:
            return None
        slice_mm, y, x = (float(mm) for mm in held["spacing_mm"])
        affine = None if held["affine"] is None else np.array(held["affine"], np.float64).reshape(4, 4)
        return Record((slice_mm, y, x), affine, held["type"] == "complex64", str(held["sha256"]))
    except (ValueError, TypeError, KeyError):
        return None


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
