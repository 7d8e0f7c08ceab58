"""Results that are kept without being asked for."""

import os
from datetime import datetime, timedelta

import pytest

from napari_lossguide.recon.autosave import keep
from napari_lossguide.types import InvalidInput

NOON = datetime(2024, 5, 17, 12, 0, 0)


class Saved:
    """A result of so many bytes."""

    def __init__(self, size):
        self.size = size

    def save(self, path):
        with open(path, "wb") as file:
            file.write(bytes(self.size))


def names(folder):
    return sorted(os.listdir(folder))


def test_the_file_is_named_after_the_time_and_the_layer(tmp_path):
    path = keep(Saved(10), "mean of 4 / TV: *", tmp_path / "new" / "results", 1000, NOON)
    assert path.name == "2024-05-17 12.00.00 mean of 4 _ TV_ _.npz" and path.stat().st_size == 10
    again = keep(Saved(10), "mean of 4 / TV: *", path.parent, 1000, NOON)
    assert again.name == "2024-05-17 12.00.00 mean of 4 _ TV_ _ (2).npz"


def test_the_oldest_go_when_there_is_no_room_and_nothing_else_does(tmp_path):
    (tmp_path / "my own.npz").write_bytes(bytes(5000))
    (tmp_path / "2024-05-17 notes.txt").write_bytes(bytes(5000))
    for minute in range(5):
        keep(Saved(100), f"run {minute}", tmp_path, 300, NOON + timedelta(minutes=minute))
    kept = [f"2024-05-17 12.0{minute}.00 run {minute}.npz" for minute in (2, 3, 4)]
    assert names(tmp_path) == sorted(["my own.npz", "2024-05-17 notes.txt", *kept])


def test_the_newest_stays_however_large_it_is(tmp_path):
    keep(Saved(100), "old", tmp_path, 300, NOON)
    path = keep(Saved(10_000), "large", tmp_path, 300, NOON + timedelta(seconds=1))
    assert names(tmp_path) == [path.name]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"file.results for results cannot be made"):
        keep(Saved(1), "run", tmp_path / "file" / "results", 300, NOON)
