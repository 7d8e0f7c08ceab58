"""OME-TIFF. Complex images are three channels: magnitude, to look at, and the real and imaginary part.

OME knows complex pixels, but Bio-Formats, with which Fiji and OMERO read, refuses them. Real and imaginary part keep
every bit, which magnitude and phase would not.
"""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.writers import write_bytes

CHANNELS = ("magnitude", "real", "imaginary")
NAMESPACE = "napari-lossguide/record"
"""Of the annotation that holds the record."""


class OmeTiff:
    """float32 slices (ZYX), or three channels of them (CZYX), with their size in mm; the record is an annotation."""

    name = "OME-TIFF"
    suffixes: tuple[str, ...] = (".ome.tif", ".ome.tiff", ".tif", ".tiff")

    def write(self, path: Path, export: Export) -> None:
        """Write exactly this file."""
        import tifffile

        images = export.images
        metadata: dict[str, Any] = {
            "axes": "ZYX",
            "Name": export.name,
            "Creator": "napari-lossguide",
            # From what is written: the same images make the same file.
            "UUID": str(uuid.uuid5(uuid.NAMESPACE_URL, export.record_json)),
            "CommentAnnotation": {"Value": export.record_json, "Namespace": NAMESPACE},
        }
        for axis, size in zip("ZYX", export.spacing, strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "mm"}
        if np.iscomplexobj(images):
            images = np.stack([np.abs(images), images.real, images.imag])
            metadata |= {"axes": "CZYX", "Channel": {"Name": list(CHANNELS)}}
        content = io.BytesIO()
        tifffile.imwrite(content, images, ome=True, photometric="minisblack", metadata=metadata)
        write_bytes(path, content.getvalue())
