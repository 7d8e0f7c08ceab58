"""NIfTI-1: voxel (i, j, k) is column i, row j of slice k, as `formats.nifti` reads it. No axis is turned."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.writers import write_bytes

if TYPE_CHECKING:
    import nibabel

_COMMENT = 6  # code of header extensions with plain text
_SCANNER = 1  # code of coordinates of the scanner
_LONGEST = 32767  # voxels along an axis that NIfTI-1 can count


class Nifti:
    """Complex or real voxels with their affine; the record is an extension of the header."""

    name = "NIfTI"
    suffixes: tuple[str, ...] = (".nii", ".nii.gz")

    def write(self, path: Path, export: Export) -> None:
        """Write exactly this file, zipped if its name ends in .gz."""
        content: bytes = _image(export).to_bytes()
        # Without a name and a time in it: the same images make the same file.
        write_bytes(path, gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content)


def _image(export: Export) -> nibabel.Nifti1Image:
    import nibabel
    from nibabel.nifti1 import Nifti1Extension

    form = nibabel.Nifti1Image if max(export.images.shape) <= _LONGEST else nibabel.Nifti2Image
    image = form(export.images.T, None)
    image.header.set_zooms(export.spacing[::-1])
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = export.name.encode("ascii", "replace")[:79]
    if export.affine is not None:
        affine = export.affine[:, [2, 1, 0, 3]]
        image.set_sform(affine, code=_SCANNER)
        image.set_qform(affine, code=_SCANNER)
        if not np.allclose(image.get_qform(), affine, atol=1e-3 * min(export.spacing)):
            image.set_qform(None, code=0)  # quaternions cannot say an affine whose axes are not at right angles
    image.header.extensions.append(Nifti1Extension(_COMMENT, export.record_json.encode()))
    return image
