"""What the point spread says of a mask, and sweeps over the acceleration."""

import numpy as np
import pytest

from napari_lossguide.masks import MASKS, make_mask
from napari_lossguide.masks.quality import peak_sidelobe
from napari_lossguide.masks.sweep import ACCELERATIONS, at_acceleration, sweep
from napari_lossguide.types import InvalidInput

SHAPE = (32, 48)


def test_every_second_line_folds_the_image_whole():
    mask = np.zeros(SHAPE, bool)
    mask[:, ::2] = True
    assert peak_sidelobe(mask) == pytest.approx(0, abs=1e-4)


def test_a_full_scan_has_no_sidelobe():
    assert peak_sidelobe(np.ones(SHAPE, bool)) == -np.inf


def test_a_block_of_lines_has_the_sidelobe_of_the_dirichlet_kernel():
    n, width = 4096, 64
    mask = np.zeros((4, n), bool)
    mask[:, (n - width) // 2 : (n + width) // 2] = True
    assert peak_sidelobe(mask) == pytest.approx(-13.26, abs=0.05)


def test_a_sweep_reports_what_is_achieved():
    rows = sweep("gaussian-1d", {"center_fraction": 0.04, "seed": 3}, SHAPE, psnr=lambda mask: 100 * mask.mean())
    assert [row.asked for row in rows] == list(ACCELERATIONS)
    for row in rows:
        mask = make_mask("gaussian-1d", SHAPE, acceleration=row.asked, center_fraction=0.04, seed=3)
        assert row.achieved == mask.size / mask.sum()
        assert row.psnr == 100 * mask.mean()
        assert row.sidelobe == peak_sidelobe(mask)
    assert rows[0].sidelobe < rows[-1].sidelobe < 0


def test_an_acceleration_that_cannot_be_made_is_a_note():
    rows = sweep("random", {"center_fraction": 0.25}, SHAPE, (2, 12))
    assert rows[0].note == ""
    assert np.isnan(rows[0].psnr)
    assert "center_fraction" in rows[1].note
    assert np.isnan(rows[1].achieved)


def test_a_grid_takes_the_distances_nearest_to_a_square():
    steps = {n: at_acceleration("uniform-2d", {"seed": 1}, n) for n in (2, 4, 6, 7, 12)}
    assert {n: (p["ry"], p["rx"]) for n, p in steps.items()} == {2: (1, 2), 4: (2, 2), 6: (2, 3), 7: (1, 7), 12: (3, 4)}


@pytest.mark.parametrize("kind", [k for k in MASKS if k != "full"])
def test_every_kind_can_be_swept(kind):
    assert len(sweep(kind, {}, SHAPE, (2, 4))) == 2


def test_a_full_mask_has_nothing_to_sweep():
    with pytest.raises(InvalidInput, match="Fully sampled"):
        sweep("full", {}, SHAPE)
