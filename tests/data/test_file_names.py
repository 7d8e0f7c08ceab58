"""Names that Windows, macOS and Linux accept, and renaming over files that others hold open."""

import os

import pytest

from napari_lossguide.data import writers
from napari_lossguide.data.file_names import LONGEST, safe_name, stem, with_ending
from napari_lossguide.types import InvalidInput


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Proximal DDIM, seed 0 (SIMULATION)", "Proximal DDIM, seed 0 (SIMULATION)"),
        ('a<b>c:d"e/f\\g|h?i*j', "a_b_c_d_e_f_g_h_i_j"),
        ("line\nbreak\ttab\x00", "line_break_tab_"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("ends in dots... ", "ends in dots"),
        (".hidden", "hidden"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("Lpt1", "_Lpt1"),
        ("console", "console"),
        ("σ = 0.1, γ", "σ = 0.1, γ"),
        ("", "unnamed"),
        (" .. ", "unnamed"),
        ("half a pair \ud800", "half a pair _"),
    ],
)
def test_every_text_becomes_a_name_that_every_system_accepts(text, name):
    assert safe_name(text) == name


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("a", "a.npy"),
        ("a.npy", "a.npy"),
        ("a.NPY", "a.NPY"),
        ("v1.5", "v1.5.npy"),
        ("a.npz", "a.npz"),
        ("a.", "a..npy"),
    ],
)
def test_a_name_gets_its_ending_unless_it_has_one(tmp_path, given, file):
    assert with_ending(str(tmp_path / given), ".npy", ".npz") == tmp_path / file


def test_a_file_that_nobody_was_asked_about_is_not_replaced(tmp_path):
    (tmp_path / "v1.5.npy").write_text("old")
    with pytest.raises(InvalidInput, match=r"v1\.5\.npy exists already"):
        with_ending(str(tmp_path / "v1.5"), ".npy")
    assert with_ending(str(tmp_path / "v1.5.npy"), ".npy") == tmp_path / "v1.5.npy"


def test_long_names_are_cut_between_letters(tmp_path):
    name = safe_name("σ" * 500)
    assert name == "σ" * (LONGEST // 2)
    (tmp_path / f"{name}.npz").write_bytes(b"")
    assert safe_name(name) == name


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".npy")  # a longer one is not possible
    writers.write_bytes(path, b"content")
    assert path.read_bytes() == b"content" and os.listdir(tmp_path) == [path.name]


def refusing(times, calls):
    """`os.replace` as on Windows, while a scanner has the file open."""
    replace = os.replace

    def stub(part, target):
        calls.append(target)
        if len(calls) <= times:
            raise PermissionError(13, "Permission denied")
        replace(part, target)

    return stub


def test_windows_is_asked_again_while_a_scanner_holds_the_file(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(writers, "WINDOWS", True)
    monkeypatch.setattr(writers.os, "replace", refusing(3, calls))
    writers.write_bytes(tmp_path / "a.npy", b"new")
    assert (tmp_path / "a.npy").read_bytes() == b"new" and len(calls) == 4


def test_a_file_that_stays_open_is_named_and_kept(tmp_path, monkeypatch):
    calls, path = [], tmp_path / "a.npy"
    path.write_bytes(b"old")
    monkeypatch.setattr(writers, "WINDOWS", True)
    monkeypatch.setattr(writers, "PATIENCE", 0.0)
    monkeypatch.setattr(writers.os, "replace", refusing(10**9, calls))
    with pytest.raises(writers.InvalidInput, match=r"a\.npy could not be written: .*another program may have it open"):
        writers.write_bytes(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.npy"]


@pytest.mark.parametrize(
    ("name", "expected"), [("a/head.nii.gz", "head"), ("head.v2.h5", "head.v2"), ("head", "head"), ("a.b.GZ", "a")]
)
def test_stem(name, expected):
    assert stem(name) == expected
