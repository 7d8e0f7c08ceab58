"""How a scan lies in the patient, against nibabel's words and closed forms."""

from itertools import permutations, product

import numpy as np
import pytest
from nibabel.orientations import aff2axcodes

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.orientation import affine_from, anatomical, in_words, obliqueness, position_of, spacing_of

LETTERS = {"left": "L", "right": "R", "posterior": "P", "anterior": "A", "inferior": "I", "superior": "S"}


def affine_of(slices, y, x, spacing=(3.0, 2.0, 1.5), first=(10.0, -20.0, 30.0)):
    """Directions of slice, row and column index in the patient."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([slices, y, x], 1) * spacing
    affine[:3, 3] = first
    return affine


def turned(affine, axis, degrees):
    angle = np.radians(degrees)
    turn, (a, b) = np.eye(3), [i for i in range(3) if i != axis]
    turn[[a, b], [a, b]] = np.cos(angle)
    turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
    out = affine.copy()
    out[:3] = turn @ affine[:3]
    return out


AXIAL = affine_of([0, 0, 1], [0, -1, 0], [-1, 0, 0])


def test_a_usual_axial_scan_in_words():
    assert in_words(AXIAL) == "axial, rows run to posterior, columns to left, slices to superior"


@pytest.mark.parametrize(
    ("directions", "words"),
    [
        (([0, 1, 0], [0, 0, -1], [-1, 0, 0]), "coronal, rows run to inferior, columns to left, slices to anterior"),
        (([-1, 0, 0], [0, 0, -1], [0, -1, 0]), "sagittal, rows run to inferior, columns to posterior, slices to left"),
    ],
)
def test_other_planes_in_words(directions, words):
    assert in_words(affine_of(*directions)) == words


def test_every_orientation_is_that_of_nibabel():
    count = 0
    for order, signs in product(permutations(range(3)), product((-1, 1), repeat=3)):
        affine = turned(affine_of(*(np.eye(3)[order, :] * np.array(signs)[:, None])), 0, 12)
        assert tuple(LETTERS[word] for word in anatomical(affine)) == aff2axcodes(affine)
        assert obliqueness(affine) == pytest.approx(12)
        count += 1
    assert count == 48


@pytest.mark.parametrize(("degrees", "said"), [(0.9, ""), (1.2, ", oblique by 1.2°"), (-25, ", oblique by 25.0°")])
def test_what_is_more_than_a_degree_off_is_oblique(degrees, said):
    assert in_words(turned(AXIAL, 0, degrees)).startswith(f"axial{said}, rows run to posterior")


def test_an_axis_of_the_patient_is_given_once():
    diagonal = affine_of([0, 0, 1], [0.6, 0.8, 0], [0.8, -0.6, 0])  # two axes that are nearest to x or y by turns
    both = turned(turned(AXIAL, 2, 45), 0, 44)
    for affine in (diagonal, both):
        axes = [next(i for i, pair in enumerate(("LR", "PA", "IS")) if LETTERS[w] in pair) for w in anatomical(affine)]
        assert sorted(axes) == [0, 1, 2]


def test_position_and_spacing_give_distances_in_the_patient():
    affine = turned(turned(AXIAL, 0, 20), 2, -35)
    step = np.array(position_of(affine)) + np.array([4, 5, 6]) * (3.0, 2.0, 1.5)
    in_patient = (affine @ [4, 5, 6, 1])[:3]
    np.testing.assert_allclose(affine[:3, :3] / (3.0, 2.0, 1.5) @ step, in_patient, atol=1e-9)


def test_without_an_affine_the_corner_is_the_position():
    kdata = KData.from_array(np.ones((3, 1, 4, 5), np.complex64), spacing=(2, 1, 1), corner=(10.0, -3.0, 0.5))
    assert kdata.position == (10.0, -3.0, 0.5)
    assert kdata.select(2).position == (14.0, -3.0, 0.5)
    assert kdata.undersample(np.eye(4, 5, dtype=bool)).position == kdata.position


def test_the_affine_of_another_first_slice():
    affine = np.array([[0, 0, -1, 90], [0, -1.5, 0, 70], [4, 0, 3, -20], [0, 0, 0, 1.0]])
    before = affine.copy()
    later = affine_from(affine, 3)
    for place in ([0, 0, 0, 1], [2, 5, 7, 1]):
        np.testing.assert_allclose(later @ place, affine @ (np.array([3, 0, 0, 0]) + place))
    np.testing.assert_array_equal(affine, before)
    np.testing.assert_allclose(spacing_of(affine), (4, 1.5, np.sqrt(10)))
