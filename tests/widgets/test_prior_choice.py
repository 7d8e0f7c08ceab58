"""Choice of a prior by name or file."""

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_lossguide.priors.load import list_priors
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.prior_choice import PriorChoice


@pytest.fixture
def choice(qtbot):
    widget = PriorChoice()
    qtbot.addWidget(widget)
    return widget


def test_the_bundled_prior_is_chosen_at_the_start(choice):
    assert choice.value() == list_priors()[0].name
    assert "CC BY" in choice._box.toolTip()


def test_a_file_that_is_no_prior_is_one_sentence(choice, tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInput, match=r"weights\.safetensors"):
        choice.select(str(path))
    sentences = []
    choice.refused.connect(sentences.append)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(path), ""))
    choice._browse()
    assert len(sentences) == 1 and str(path) in sentences[0]
    assert choice.value() == list_priors()[0].name


def test_none_bundled_asks_for_a_file(qtbot, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.list_priors", list)
    choice = PriorChoice()
    qtbot.addWidget(choice)
    with pytest.raises(InvalidInput, match="No prior"):
        choice.value()
