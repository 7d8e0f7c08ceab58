"""What is said of raw-data steps, and what remains of it."""

import pytest

from napari_lossguide.data.raw.steps import USUAL, RawSteps
from napari_lossguide.types import InvalidInput


@pytest.mark.parametrize("given", [{}, {"coils": 4}, {"coils": 4, "compression": "gcc", "prewhiten": False}])
def test_only_what_is_not_as_usual_is_kept(given):
    assert RawSteps.of(given).changed() == given
    assert RawSteps.of(RawSteps.of(given)) == RawSteps(**given)
    assert RawSteps.of(RawSteps(**given).changed()) == RawSteps(**given)


def test_usual():
    assert RawSteps.of({}) == USUAL and USUAL.coils is None
    assert USUAL.prewhiten and USUAL.remove_oversampling and USUAL.phase_correction


@pytest.mark.parametrize(
    ("given", "match"),
    [({"coils": 0}, "coils = 0"), ({"whiten": True}, "whiten = True"), ({"compression": "pca"}, "pca")],
)
def test_others(given, match):
    with pytest.raises(InvalidInput, match=f"Raw-data step .*{match}") as caught:
        RawSteps.of(given)
    assert "\n" not in str(caught.value)


def test_every_step_is_explained():
    assert all(field.title and field.description for field in RawSteps.model_fields.values())
