"""``lossguide priors check`` from the shell, on a model that knows nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import recorded_state, sidecar

from napari_lossguide.cli import main
from napari_lossguide.priors.formats.sidecar import read_sidecar, sidecar_path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "adm.pt"
    torch.save(recorded_state("adm/convolutions, shift, new order"), path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "slices.npz"
    np.savez(path, images=np.random.default_rng(0).random((2, 24, 20)))
    return path


def said(capsys: pytest.CaptureFixture[str], *argv: str | Path, code: int = 0) -> str:
    assert main(["priors", "check", *map(str, argv), "--device", "cpu"]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_the_command_of_the_complaint_completes_the_model(model, images, capsys):
    complaint = said(capsys, model, code=2)
    assert not sidecar_path(model).exists()
    options = complaint.split(f'check "{model}" ')[1].split(" (the values")[0].split()
    assert options[-1] == "--save"
    shown = said(capsys, model, *options, "--images", images)
    assert "a state dict of guided-diffusion, trained on intensities from -1 to 1" in shown
    assert "It does not denoise" in shown and f"saved {sidecar_path(model)}" in shown
    given = read_sidecar(model)
    assert given.range == (-1, 1) and given.schedule.kind == "linear" and given.network == {"num_head_channels": 64}


def test_json_and_settings_that_are_not_saved(model, images, capsys):
    sidecar(model, schedule={"kind": "linear", "steps": 50}, network={"num_heads": 2}, licence="MIT")
    options = ["--range", "0", "255", "--set", "schedule.kind=cosine", "--images", images, "--json"]
    found = json.loads(said(capsys, model, *options))
    assert found["verdict"] == "does not denoise" and found["channels"] == 1 and found["saved"] is None
    assert [level["sigma"] for level in found["levels"]["real"]] == [0.05, 0.1, 0.2, 0.5, 1.0]
    assert len(found["sha256"]) == 64 and any("one channel" in n for n in found["notes"])
    assert read_sidecar(model).schedule.kind == "linear"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--range", "1", "0"], "range is 1 0"),
        (["--range", "1"], "expected 2 arguments"),
        (["--set", "schedule.kind=sigmoid"], "schedule.kind is 'sigmoid'"),
        (["--set", "magic=1"], "magic is 1"),
        (["--images", "absent.npz"], "absent.npz cannot be read"),
    ],
)
def test_wrong_options_are_one_line_and_save_nothing(model, options, sentence, capsys):
    sidecar(model, range=(-1, 1), schedule={"kind": "linear"}, network={"num_heads": 2})
    before = sidecar_path(model).read_text()
    complaint = said(capsys, model, *options, "--save", code=2)
    assert sentence in complaint and len(complaint.splitlines()) == 1
    assert sidecar_path(model).read_text() == before


def test_our_own_priors_describe_themselves(images, capsys):
    assert "It denoises" in said(capsys, "brain")
    assert "describes itself" in said(capsys, "brain", "--range", "0", "1", code=2)
    assert "There is no prior 'nobody'" in said(capsys, "nobody", code=2)


def test_recon_takes_the_model_and_keeps_its_checksum(model, tmp_path, capsys):
    from napari_lossguide.data.phantoms import shepp_logan, simulate
    from napari_lossguide.priors.load import prior_info

    sidecar(model, range=(-1, 1), schedule={"kind": "linear"}, network={"num_heads": 2})
    np.save(tmp_path / "scan.npy", simulate(shepp_logan(30), noise_std=0.01, seed=1).kspace[0, 0])
    out = tmp_path / "out.npz"
    argv = ["recon", str(tmp_path / "scan.npy"), "-o", str(out), "--prior", str(model), "--steps", "3"]
    assert main([*argv, "--device", "cpu"]) == 0
    recipe = json.loads(str(np.load(out)["recipe"]))
    assert recipe["prior"] == str(model)
    assert recipe["prior_sha256"] == prior_info(model, checksum=True).sha256
    sidecar(model, range=(0, 1), schedule={"kind": "linear"}, network={"num_heads": 2})
    assert main(["recon", argv[1], "-o", str(tmp_path / "two.npz"), "--recipe", str(out), "--device", "cpu"]) == 2
    assert "another version of the prior" in capsys.readouterr().err
