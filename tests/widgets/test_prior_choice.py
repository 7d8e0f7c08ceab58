"""Choice of a prior by name or file."""

import pytest
import torch
from foreign import recorded_state, sidecar
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFileDialog

from napari_lossguide.priors.formats.sidecar import read_sidecar, sidecar_path
from napari_lossguide.priors.load import list_priors
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.prior_choice import PriorChoice
from napari_lossguide.widgets.range_dialog import RangeDialog


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


@pytest.fixture
def model(tmp_path):
    """An EDM state dict without a sidecar: only its range is unknown."""
    path = tmp_path / "edm.pt"
    torch.save(recorded_state("edm/ADM"), path)
    return path


@pytest.fixture
def sentences(choice):
    heard = []
    choice.refused.connect(heard.append)
    return heard


def drop(choice, path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    copy, button, key = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    choice.dropEvent(QDropEvent(QPointF(5, 5), copy, mime, button, key))


def answer(monkeypatch, code, low=-2.0, high=2.0):
    def reply(dialog):
        dialog.low.setValue(low)
        dialog.high.setValue(high)
        return code

    monkeypatch.setattr(RangeDialog, "exec", reply)


def test_a_dropped_model_is_asked_for_its_range_once(choice, sentences, model, monkeypatch):
    answer(monkeypatch, QDialog.DialogCode.Accepted)
    drop(choice, model)
    assert choice.value() == str(model) and sentences == []
    assert read_sidecar(model).range == (-2, 2)
    assert "trained on intensities from -2 to 2" in choice._box.toolTip()
    monkeypatch.setattr(RangeDialog, "exec", lambda self: pytest.fail("asked again"))
    choice.select("brain")
    drop(choice, model)
    assert choice.value() == str(model)


def test_without_an_answer_the_command_is_said_and_the_choice_stays(choice, sentences, model, monkeypatch):
    answer(monkeypatch, QDialog.DialogCode.Rejected)
    drop(choice, model)
    assert choice.value() == "brain" and not sidecar_path(model).exists()
    assert len(sentences) == 1 and f'lossguide priors check "{model}" --range -1 1 --save' in sentences[0]


def test_a_range_that_the_model_cannot_have_is_refused(choice, sentences, model, monkeypatch):
    """Real and imaginary part: zero is in the middle."""
    answer(monkeypatch, QDialog.DialogCode.Accepted, low=-1, high=3)
    drop(choice, model)
    assert choice.value() == "brain" and "real and imaginary parts need -A A" in sentences[0]
    assert not sidecar_path(model).exists()


def test_what_only_the_shell_can_say_is_not_asked_for(choice, sentences, tmp_path, monkeypatch):
    path = tmp_path / "adm.pt"
    torch.save(recorded_state("adm/convolutions, shift, new order"), path)
    monkeypatch.setattr(RangeDialog, "exec", lambda self: pytest.fail("asked"))
    drop(choice, path)
    assert "--set schedule.kind=linear" in sentences[0]


def test_the_button_offers_files_and_folders(choice, sentences, model, monkeypatch):
    sidecar(model, range=(-1, 1))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(model), ""))
    choice._browse()
    assert choice.value() == str(model)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: str(model.parent))
    choice._browse_folder()
    assert len(sentences) == 1 and "the folder holds edm.pt" in sentences[0]


def test_the_dialog_only_takes_a_range(qtbot, model):
    dialog = RangeDialog(model)
    qtbot.addWidget(dialog)
    ok = dialog._buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert dialog.value() == (-1, 1) and ok.isEnabled()
    dialog.usual.setCurrentIndex(2)
    assert dialog.value() == (0, 255)
    dialog.high.setValue(-5)
    assert not ok.isEnabled() and dialog.usual.currentText() == "another"
