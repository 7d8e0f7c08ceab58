"""Values that a person keeps under a name."""

import json

import pytest

from napari_lossguide.recon.kept_values import KeptValues
from napari_lossguide.types import InvalidInput


@pytest.fixture
def kept(tmp_path):
    return KeptValues(tmp_path / "settings" / "values.json")


def test_what_is_kept_is_there_in_the_next_session(kept):
    assert kept.names("prox-ddim") == []
    kept.keep("prox-ddim", " strong ", {"guidance.gamma": 3.0, "schedule.steps": 12})
    kept.keep("prox-ddim", "Brisk", {"schedule.steps": 5})
    again = KeptValues(kept.path)
    assert again.names("prox-ddim") == ["Brisk", "strong"] and again.names("dps") == []
    values = again.get("prox-ddim", "strong")
    assert values["guidance.gamma"] == 3.0 and values["schedule.steps"] == 12 and "sampler.eta" in values
    again.forget("prox-ddim", "strong")
    assert kept.names("prox-ddim") == ["Brisk"]
    again.forget("prox-ddim", "never there")


def test_what_cannot_be_kept_leaves_the_file_as_it_was(kept):
    kept.keep("prox-ddim", "a", {"guidance.gamma": 3.0})
    before = kept.path.read_text()
    for name, values in (("", {}), ("x" * 61, {}), ("b", {"guidance.gamma": -1.0}), ("b", {"guidance.nothing": 1.0})):
        with pytest.raises(InvalidInput):
            kept.keep("prox-ddim", name, values)
    assert kept.path.read_text() == before


@pytest.mark.parametrize("content", ["{", "[1]", '{"prox-ddim": 3}', '{"prox-ddim": {"a": 5}}'])
def test_a_damaged_file_is_named(kept, content):
    kept.path.parent.mkdir()
    kept.path.write_text(content)
    with pytest.raises(InvalidInput, match=r"values\.json"):
        kept.names("prox-ddim")
    assert kept.path.read_text() == content


def test_values_that_the_method_no_longer_takes_are_refused(kept):
    kept.keep("prox-ddim", "a", {})
    kept.path.write_text(json.dumps({"prox-ddim": {"a": {"guidance.gone": 1}}}))
    with pytest.raises(InvalidInput, match="gone"):
        kept.get("prox-ddim", "a")
    with pytest.raises(InvalidInput, match="'b'"):
        kept.get("prox-ddim", "b")
