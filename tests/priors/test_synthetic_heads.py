"""Synthetic heads: physics of the signal, tissues and symmetry, and what is drawn."""

import numpy as np
import pytest
import torch

from napari_lossguide.priors.domain import REFERENCE_QUANTILE
from napari_lossguide.priors.training import synthetic_heads
from napari_lossguide.priors.training.synthetic_heads import (
    FAT,
    FLUID,
    GREY,
    TISSUES,
    WHITE,
    SyntheticHeads,
    blur,
    signal,
)
from napari_lossguide.types import InvalidInput

IDS = [0, 2, 41, 3, 42, 4, 502]  # air, white (left, right), grey (left, right), ventricle, something outside the brain


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def heads(tmp_path):
    """Two nested cubes, the halves of which are left and right."""
    labels = np.zeros((2, 32, 32, 32), np.uint8)
    labels[:, 4:28, 4:28, 4:28] = 6
    labels[:, 6:16, 6:26, 6:26], labels[:, 16:26, 6:26, 6:26] = 3, 4
    labels[:, 9:16, 9:23, 9:23], labels[:, 16:23, 9:23, 9:23] = 1, 2
    labels[:, 14:18, 14:18, 14:18] = 5
    path = tmp_path / "labels.npz"
    np.savez(path, labels=labels, freesurfer_id=np.array(IDS))
    return SyntheticHeads(path)


def sequences(n=300):
    """Signal of grey matter, white matter, fluid and fat in many sequences, (n, 4)."""
    t1, t2, density = torch.tensor([GREY, WHITE, FLUID, FAT]).T
    return torch.stack([signal(t1, t2, density, generator(seed)) for seed in range(n)])


def test_signals_are_finite_and_between_nothing_and_the_density():
    s = sequences()
    assert torch.isfinite(s).all() and float(s.min()) >= 0
    assert (s <= torch.tensor([GREY.density, WHITE.density, FLUID.density, FAT.density]) + 1e-6).all()


def test_every_order_of_contrast_occurs():
    grey, white, fluid, _ = sequences().T
    assert (white > 1.1 * grey).any() and (grey > 1.1 * white).any()  # T1w and T2w
    assert (fluid > 2 * grey).any() and (fluid < 0.2 * grey).any()  # T2w and FLAIR or T1w


def test_a_label_without_protons_is_dark():
    dark = signal(*torch.tensor([[1000.0], [50.0], [0.0]]), generator())
    assert float(dark) == 0


def test_left_and_right_are_one_tissue_and_air_is_dark(heads):
    for seed in range(20):
        s = heads.intensities(generator(seed))
        assert s[1] == s[2] and s[3] == s[4]
        assert float(s[0]) == 0


def test_tissues_are_told_apart_only_by_number():
    numbers = [i for ids in TISSUES.values() for i in ids]
    assert len(numbers) == len(set(numbers))
    assert set(synthetic_heads.MIRRORED.values()) <= set(numbers) and set(synthetic_heads.MIRRORED) <= set(numbers)


def test_what_is_drawn_is_scaled_and_the_generators(heads):
    before = torch.get_rng_state()
    a, b = heads.draw(generator(1)), heads.draw(generator(1))
    assert torch.equal(a, b) and not torch.equal(a, heads.draw(generator(2)))
    assert torch.equal(torch.get_rng_state(), before)
    assert a.shape == (1, 32, 32) and a.dtype == torch.float32 and float(a.min()) >= 0
    assert float(a.flatten().quantile(REFERENCE_QUANTILE)) == pytest.approx(1, abs=1e-4)


def test_slices_without_a_head_are_not_drawn(heads):
    assert len(heads) == 2 * 3 * 24
    assert {i for _, _, i in heads.places} == set(range(4, 28))


def test_a_blur_keeps_the_sum_and_a_constant():
    spot = torch.zeros((33, 33))
    spot[16, 16] = 1
    wide = blur(spot, 1.1)
    assert float(wide.sum()) == pytest.approx(1, abs=1e-5) and float(wide[16, 16]) < 0.2
    t = torch.arange(33.0) - 16
    assert float((wide.sum(0) * t**2).sum()) == pytest.approx(1.1**2, rel=0.05)
    torch.testing.assert_close(blur(torch.ones((9, 9)), 0.7), torch.ones((9, 9)))


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"labels": np.zeros((1, 8, 8, 8), np.uint8)}, "label maps need labels and freesurfer_id"),
        ({"labels": np.zeros((1, 8, 8, 9), np.uint8), "freesurfer_id": np.array([0])}, "needed are cubes"),
        ({"labels": np.full((1, 8, 8, 8), 3, np.uint8), "freesurfer_id": np.array([0, 2])}, "indices below 2"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, match):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InvalidInput, match=match):
        SyntheticHeads(tmp_path / "x.npz")
