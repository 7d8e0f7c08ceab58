"""Labels of logarithmic axes: as many as there is room for."""

import math

import numpy as np
import pytest

from napari_lossguide.widgets.log_ticks import log_text, log_ticks


@pytest.mark.parametrize(
    ("low", "high", "pixels", "room", "texts"),
    [
        (-0.05, 1.05, 500, 15, "1 2 3 4 5 6 7 8 9 10"),
        (-0.05, 1.05, 100, 15, "1 2 5 10"),
        (-0.2, 1.2, 90, 40, "1 10"),
        (-2.3, 2.3, 70, 14, "0.01 0.1 1 10 100"),
        (-2.4, 2.4, 50, 15, "0.01 1 100"),
        (-0.02, 0.02, 50, 15, "1"),
        (0.31, 0.46, 50, 15, ""),
        (-4.1, 6.9, 60, 15, "0.001 1 1000 10⁶"),
        (1.0, 1.0, 50, 15, ""),
        (0.0, 1.0, 0, 15, ""),
    ],
)
def test_labels_fill_the_room(low, high, pixels, room, texts):
    assert [log_text(x) for x in log_ticks(low, high, pixels, room)] == texts.split()


def test_labels_never_touch_and_stay_off_the_ends():
    rng = np.random.default_rng(0)
    for low, length, pixels in rng.uniform((-6, 0.02, 20), (4, 12, 400), (500, 3)):
        ticks = log_ticks(low, low + length, pixels, 16.0)
        places = (np.array(ticks) - low) / length * pixels
        assert (np.diff(places) >= 16 - 1e-6).all()
        assert all(4 - 1e-6 <= place <= pixels - 4 + 1e-6 for place in places)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (0.05, "0.05"), (0.001, "0.001"), (200, "200"), (1000, "1000"), (2000, "2000"), (1e4, "10⁴"),
     (5e-5, "5·10⁻⁵"), (3e12, "3·10¹²")],
)  # fmt: skip
def test_numbers_as_text(value, text):
    assert log_text(math.log10(value)) == text
