import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_unet

from napari_lossguide.priors.load import FORMAT, find_prior, list_priors, load_prior, prior_info, save_prior
from napari_lossguide.priors.precond import EDMPrecond
from napari_lossguide.types import InvalidInput

INFO = {"name": "tiny", "sigma_data": 0.31, "licence": "CC0", "trained_on": "nothing", "steps": 7}


@pytest.fixture
def saved(tmp_path):
    network = tiny_unet()
    path = tmp_path / "tiny.safetensors"
    save_prior(path, network.state_dict(), network.config, INFO)
    return path, network


def rewrite(path, metadata=None, tensors=None):
    """The file again, with some of its metadata or tensors changed."""
    network = tiny_unet()
    meta = {"format": FORMAT, "network": json.dumps(network.config), "info": json.dumps(INFO)} | (metadata or {})
    save_file(tensors or load_file(path), path, metadata={k: v for k, v in meta.items() if v is not None})


def test_what_is_saved_is_loaded(saved):
    path, network = saved
    denoiser = load_prior(str(path))
    x = torch.randn((2, 24, 17), dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    half = tiny_unet()
    half.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    channels = torch.stack([x.real, x.imag], 1)
    with torch.no_grad():
        expected = EDMPrecond(half, INFO["sigma_data"])(channels, torch.full((2,), 0.5))
    torch.testing.assert_close(denoiser(x, 0.5), torch.complex(expected[:, 0], expected[:, 1]), atol=1e-5, rtol=1e-5)
    assert not any(p.requires_grad for p in denoiser.model.parameters())


def test_facts_are_kept_and_the_checksum_is_the_files(saved):
    import hashlib

    path, _ = saved
    info = load_prior(str(path)).info
    assert (info.name, info.sigma_data, info.licence, info.trained_on) == ("tiny", 0.31, "CC0", "nothing")
    assert info.channels == 2 and info.extra == {"steps": 7}
    assert info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_are_written_in_16_bit_and_nothing_else_is_left(saved):
    path, _ = saved
    assert {t.dtype for t in load_file(path).values()} == {torch.float16}
    assert [p.name for p in path.parent.iterdir()] == ["tiny.safetensors"]


def test_facts_can_be_read_without_torch(saved):
    path, _ = saved
    code = (
        "import sys; from pathlib import Path; from napari_lossguide.priors.load import prior_info, list_priors\n"
        f"assert prior_info(Path({str(path)!r})).name == 'tiny'; list_priors(); assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_every_bundled_prior_is_listed_and_can_be_found():
    for info in list_priors():
        assert info.name and info.licence and info.trained_on
        assert find_prior(info.name).is_file()


def test_unknown_name():
    with pytest.raises(InvalidInput, match=r"no prior 'nobody'; give one of .* \.safetensors file"):
        load_prior("nobody")


def test_a_failed_write_leaves_the_old_prior_and_no_part(saved, monkeypatch):
    path, network = saved
    before = path.read_bytes()

    def full_disk(tensors, part, metadata):
        part.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_prior(path, network.state_dict(), network.config, INFO)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["tiny.safetensors"]


def complaint(path):
    with pytest.raises(InvalidInput) as error:
        load_prior(str(path))
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_pickle_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (exit, ("unpickled",))

    path = tmp_path / "bomb.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    assert "pickle that runs code" in complaint(path)
    torch.save({"a": torch.zeros(1)}, path)
    assert "not a prior of this program" in complaint(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"\x08\0\0\0\0\0\0\0[1, 2]  ", b"\x08\0\0\0\0\0\0\0notjson!"])
def test_not_safetensors(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert "cannot be read as safetensors" in complaint(path)


@pytest.mark.parametrize("kept", [0.3, 0.95])
def test_truncated(saved, kept):
    path, _ = saved
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    complaint(path)


def test_truncated_in_the_header(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:100])
    assert "cannot be read as safetensors" in complaint(path)


def test_somebody_elses_safetensors(saved):
    path, _ = saved
    save_file({"a": torch.zeros(1)}, path)
    assert "not a prior of this program" in complaint(path)
    rewrite(path, {"format": "napari-lossguide prior 99"})
    assert "it says 'napari-lossguide prior 99'" in complaint(path)


def test_weights_of_another_network(saved):
    path, _ = saved
    rewrite(path, tensors=tiny_unet(widths=(8, 8)).state_dict())
    assert "do not fit" in complaint(path)
    rewrite(path, tensors={"a": torch.zeros(1)})
    assert "do not fit" in complaint(path)


@pytest.mark.parametrize(
    "network",
    [
        '{"channels": 1, "widths": [8, 16]}',
        '{"channels": 2, "widths": [9, 15]}',
        '{"channels": 2, "widths": 8}',
        '{"channels": 2, "widths": [8, 16], "magic": true}',
        '{"widths": [8, 16]}',
        "[]",
        "no json",
        None,
    ],
)
def test_a_network_that_cannot_be_made(saved, network):
    path, _ = saved
    rewrite(path, {"network": network})
    complaint(path)


@pytest.mark.parametrize("info", ['{"name": "tiny"}', '{"name": "tiny", "sigma_data": "x"}', "no json", None])
def test_facts_that_are_missing(saved, info):
    path, _ = saved
    rewrite(path, {"info": info})
    with pytest.raises(InvalidInput, match=r"tiny\.safetensors are incomplete"):
        prior_info(path)
