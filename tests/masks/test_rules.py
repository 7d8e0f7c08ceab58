"""Rules that change a mask."""

import numpy as np
import pytest

from napari_lossguide.data.fourier import mirrored
from napari_lossguide.masks.rules import RULES, apply_rule
from napari_lossguide.types import InvalidInput

SHAPE = (24, 32)


@pytest.fixture
def full():
    return np.ones(SHAPE, bool)


def change(name, mask, other=None, **params):
    return apply_rule(name, mask, RULES[name].params(**params), other)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_every_nth_line_holds_the_centre(full, axis):
    kept = change("every-nth", full, n=3, axis=axis)
    lines = kept[0] if axis == "x" else kept[:, 0]
    assert (kept == (lines[None, :] if axis == "x" else lines[:, None])).all()
    assert lines[len(lines) // 2]
    assert set(np.diff(np.flatnonzero(lines))) == {3}


def test_every_nth_line_keeps_only_what_was_acquired(full):
    full[:, 16] = False
    assert not change("every-nth", full, n=2)[:, 16].any()
    assert change("every-nth", full, n=2)[:, 18].all()


@pytest.mark.parametrize("acceleration", [2, 3.5, 8])
def test_thinning_reaches_the_acceleration_and_spares_the_centre(full, acceleration):
    thinned = change("thin", full, acceleration=acceleration, center_fraction=0.1)
    assert thinned[0].sum() == round(32 / acceleration)
    assert thinned[:, 15:18].all()
    assert (change("thin", full, acceleration=acceleration) == change("thin", full, acceleration=acceleration)).all()
    if acceleration > 2:
        assert (
            change("thin", full, acceleration=acceleration, seed=1) != change("thin", full, acceleration=acceleration)
        ).any()


def test_thinning_says_when_it_cannot(full):
    few = change("thin", full, acceleration=8)
    with pytest.raises(InvalidInput, match="4 of 32 lines, fewer than the 16"):
        change("thin", few, acceleration=2)
    with pytest.raises(InvalidInput, match="center_fraction"):
        change("thin", full, acceleration=8, center_fraction=0.5)


def test_centre_is_added_and_removed():
    mask = np.zeros(SHAPE, bool)
    mask[0, 0] = True
    block = change("add-centre", mask, center_fraction=0.25, axis="both")
    assert block.sum() == 1 + 6 * 8
    assert block[12, 16]
    assert (change("remove-centre", block, center_fraction=0.25, axis="both") == mask).all()
    assert change("add-centre", mask, center_fraction=0.25, axis="x").sum() == 1 + 24 * 8
    assert change("add-centre", mask, center_fraction=0.25, axis="y").sum() == 1 + 6 * 32


@pytest.mark.parametrize("side", ["low", "high"])
def test_partial_fourier_keeps_one_side_and_the_centre(full, side):
    kept = change("partial-fourier", full, fraction=0.625, side=side)[0]
    assert kept.sum() == 20
    assert kept[16]
    assert kept[0] == (side == "low")
    assert kept[-1] == (side == "high")
    assert change("partial-fourier", full, fraction=0.5, side=side)[0, 16]


def test_mirror_undoes_partial_fourier(full):
    half = change("partial-fourier", full, fraction=0.5)
    whole = change("mirror", half)
    assert (whole == mirrored(whole)).all()
    assert whole.all()


def test_invert_union_intersection(rng):
    one, two = rng.random(SHAPE) < 0.5, rng.random(SHAPE) < 0.5
    np.testing.assert_array_equal(change("invert", one), ~one)
    np.testing.assert_array_equal(change("union", one, two), one | two)
    np.testing.assert_array_equal(change("intersection", one, two), one & two)


@pytest.mark.parametrize("name", RULES)
def test_no_rule_changes_its_argument(name, rng):
    mask = rng.random(SHAPE) < 0.9
    before = mask.copy()
    changed = apply_rule(name, mask, RULES[name].params(), np.ones(SHAPE, bool))
    np.testing.assert_array_equal(mask, before)
    assert changed.shape == SHAPE
    assert changed.dtype == bool


def test_an_empty_mask_an_unknown_rule_and_another_size_are_refused(full):
    with pytest.raises(InvalidInput, match="nothing to acquire"):
        change("invert", full)
    with pytest.raises(InvalidInput, match="every-nth"):
        apply_rule("every", full, RULES["invert"].params())
    with pytest.raises(InvalidInput, match=r"\(3, 3\)"):
        change("union", full, np.ones((3, 3), bool))
    with pytest.raises(InvalidInput, match="no other mask"):
        change("union", full)
