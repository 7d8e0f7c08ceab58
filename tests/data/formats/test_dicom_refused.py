"""DICOM that is not read: each time one sentence says why, and what to do."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import affine, at, item, write_enhanced, write_series, write_slice

from napari_lossguide.data.formats.dicom import Dicom
from napari_lossguide.data.image_readers import read_images
from napari_lossguide.data.readers import entries, read
from napari_lossguide.types import InvalidInput

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
WHERE = affine()
PIXELS = np.arange(72, dtype=np.uint16).reshape(3, 4, 6)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, on damaged files


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SC_rgb_rle.dcm", "holds pixels of the kind RGB; accepted are grey values"),
        ("SC_ybr_full_422_uncompressed.dcm", "holds pixels of the kind YBR_FULL_422"),
        ("test-SR.dcm", "is DICOM, but holds no pictures"),
        ("MR_truncated.dcm", "damaged or incomplete"),
        ("no_meta.dcm", "is of another kind; accepted are .*DICOM"),
    ],
)
def test_what_is_refused_and_why(name, says):
    with pytest.raises(InvalidInput, match=says):
        read(BUNDLED / name)


def test_a_missing_decoder_is_named(monkeypatch):
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    monkeypatch.setattr(JPEGLSLosslessDecoder, "_unavailable", {"pyjpegls": ("numpy", "pyjpegls>=1.2")})
    with pytest.raises(InvalidInput, match=r"as JPEG-LS Lossless .*no decoder is installed: pip install 'pyjpegls"):
        read(BUNDLED / "MR_small_jpeg_ls_lossless.dcm")


def test_other_pictures_that_are_refused(tmp_path):
    path = write_slice(tmp_path / "a.dcm", PIXELS[0], WHERE, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    with pytest.raises(InvalidInput, match=r"is a Siemens mosaic that cannot be taken apart: Siemens' header"):
        read(path)
    table = item(LUTDescriptor=[1, 0, 16], LUTData=b"\0\0")
    path = write_slice(tmp_path / "b.dcm", PIXELS[0], WHERE, ModalityLUTSequence=[table])
    with pytest.raises(InvalidInput, match="has a table of values"):
        read(path)
    path = write_slice(tmp_path / "c.dcm", PIXELS[0], WHERE, RescaleSlope=0)
    with pytest.raises(InvalidInput, match="a rescale slope of 0"):
        read(path)
    for count in (-1, 10**9):
        path = write_slice(tmp_path / "d.dcm", PIXELS[0], WHERE, NumberOfFrames=count)
        with pytest.raises(InvalidInput, match=f"holds {count} frames"):
            read(path)
    assert not Dicom().recognises(tmp_path / "nothing", b"")


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read everything: unreadable files not tested")
def test_a_slice_that_may_not_be_read_is_not_left_out(tmp_path):
    folder = write_series(tmp_path / "a", PIXELS, WHERE)
    (folder / "IM0002").chmod(0)
    with pytest.raises(InvalidInput, match="IM0002 could not be read"):
        entries(folder)


def test_garbled_and_truncated_files(tmp_path, rng):
    good = write_enhanced(tmp_path / "a.dcm", PIXELS, [at(WHERE, n) for n in range(3)]).read_bytes()
    path = tmp_path / "b.dcm"
    for _ in range(80):
        content = bytearray(good)
        for where in rng.integers(132, len(good), 10):
            content[where] = rng.integers(0, 256)
        path.write_bytes(content)
        with suppress(InvalidInput):
            for entry in entries(path):
                read_images(path, variable=entry.name)
        path.write_bytes(good[: int(rng.integers(132, len(good)))])
        with pytest.raises(InvalidInput, match=r"b\.dcm"):
            read(path)
