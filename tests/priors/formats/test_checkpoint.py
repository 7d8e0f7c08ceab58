"""Files that hold something else than tensors, or not all of it."""

import builtins
import pickle
from collections import OrderedDict

import pytest
import torch
from foreign import recorded_state, sidecar
from safetensors.torch import save_file

from napari_lossguide.priors.formats.checkpoint import contents, read_state
from napari_lossguide.priors.formats.sidecar import Sidecar, read_sidecar, sidecar_path, write_sidecar
from napari_lossguide.priors.load import load_prior, prior_info
from napari_lossguide.types import InvalidInput

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2, dtype=torch.float16)}
SHAPES = {"conv.weight": (2, 3), "conv.bias": (2,)}


def complaint(path):
    with pytest.raises(InvalidInput) as error:
        load_prior(str(path))
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".model"])
def test_names_and_shapes_without_tensors_then_the_tensors(tmp_path, suffix, legacy):
    """The content decides, not the suffix."""
    path = tmp_path / f"x{suffix}"
    inner = OrderedDict((k, torch.nn.Parameter(v)) for k, v in STATE.items())
    torch.save({"net": inner}, path, _use_new_zipfile_serialization=not legacy)
    found = contents(path)
    assert dict(found.shapes) == SHAPES and found.entry == "net"
    state = read_state(found)
    assert {t.dtype for t in state.values()} == {torch.float32}
    torch.testing.assert_close(state["conv.weight"], STATE["conv.weight"])


def test_safetensors_whatever_the_suffix(tmp_path):
    save_file(STATE, tmp_path / "x.pt")
    found = contents(tmp_path / "x.pt")
    assert dict(found.shapes) == SHAPES
    torch.testing.assert_close(read_state(found)["conv.weight"], STATE["conv.weight"])


def test_averaged_weights_are_taken_and_wrappers_prefixes_cut(tmp_path):
    def under(prefix, factor):
        return {prefix + k: factor * v for k, v in STATE.items()}

    saved = {"epoch": 3, "model": under("module.", 1), "ema": under("module._orig_mod.", 2), "optimizer": {"state": {}}}
    torch.save(saved, tmp_path / "x.pt")
    found = contents(tmp_path / "x.pt")
    assert (found.entry, found.prefix) == ("ema", "module._orig_mod.") and "EMA" in found.weights
    torch.testing.assert_close(read_state(found)["conv.weight"], 2 * STATE["conv.weight"])


class Bomb:
    def __reduce__(self):
        return (builtins.exec, ("raise SystemExit('code was run')",))


@pytest.mark.parametrize("write", [lambda x, p: p.write_bytes(pickle.dumps(x)), torch.save], ids=["pickle", "torch"])
def test_a_pickle_that_runs_code_is_not_opened_and_its_conversion_is_said(tmp_path, write):
    path = tmp_path / "network-snapshot.pkl"
    write({"ema": Bomb()}, path)
    said = complaint(path)
    assert ".exec')" in said
    assert "pickle.load(open('network-snapshot.pkl', 'rb'))['ema']; torch.save(net.state_dict()" in said


def test_the_conversion_that_is_said_works(tmp_path, monkeypatch):
    """The command in the message, run where the pickle can be opened."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "network.pkl"
    path.write_bytes(pickle.dumps({"ema": torch.nn.Linear(2, 3)}))
    exec(complaint(path).split('python -c "')[1].split('"')[0])
    assert dict(contents(tmp_path / "network-state.pt").shapes) == {"weight": (3, 2), "bias": (3,)}


def test_a_whole_module_saved_by_torch_is_code_too(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    assert "torch.nn.modules.linear.Linear" in complaint(tmp_path / "x.pt")


def test_torchscript_is_a_program(tmp_path):
    with pytest.warns(DeprecationWarning, match="deprecated"):
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "x.pt"))
    assert "TorchScript program" in complaint(tmp_path / "x.pt")


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_half_written_files(tmp_path, kind, kept):
    path = tmp_path / "model.pt"
    state = recorded_state("adm/updown, scale-shift, legacy order")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    sidecar(path, range=(-1, 1), schedule={"kind": "linear"}, network={"num_heads": 1})
    load_prior(str(path))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    said = complaint(path)
    assert "half-written" in said or "cannot be read" in said


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04 not a zip", b"\x80", b"\x80\x02K", b"hello, world"])
def test_not_a_model_at_all(tmp_path, content):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    complaint(path)


def test_unknown_models_are_named_with_what_they_hold(tmp_path):
    torch.save({"layer.weight": torch.zeros(2), "layer.bias": torch.zeros(2)}, tmp_path / "x.pt")
    said = complaint(tmp_path / "x.pt")
    assert "nor a model of a known kind (a diffusers folder; " in said and "it holds layer.weight, layer.bias." in said
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("")
    assert "the folder holds notes.txt" in complaint(tmp_path / "folder")
    torch.save([1, 2], tmp_path / "x.pt")
    assert "holds a list; a dictionary of tensors" in complaint(tmp_path / "x.pt")


def test_the_sidecar_is_beside_a_file_and_in_a_folder(tmp_path):
    path = tmp_path / "model.pt"
    path.touch()
    assert write_sidecar(path, Sidecar(range=(0, 1))).name == "model.pt.lossguide.json"
    assert write_sidecar(tmp_path, Sidecar(range=(0, 255))).name == "lossguide.json"
    assert (read_sidecar(path).range, read_sidecar(tmp_path).range) == ((0, 1), (0, 255))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds a list; a JSON object is needed"),
        ('{"range": [1, 0]}', "range is 1 0; a finite lower and higher intensity"),
        ('{"range": [0, 1, 2]}', "range"),
        ('{"rnge": [0, 1]}', "rnge is"),
        ('{"schedule": {"kind": "sigmoid"}}', "schedule.kind is 'sigmoid'"),
        ('{"format": "onnx"}', "format is 'onnx'; accepted are diffusers"),
    ],
)
def test_a_wrong_sidecar_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "model.pt"
    torch.save(STATE, path)
    sidecar_path(path).write_text(text)
    with pytest.raises(InvalidInput) as error:
        prior_info(path)
    assert sentence in str(error.value) and str(path) in str(error.value)
