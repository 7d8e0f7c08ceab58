"""From a fresh folder of scans to a prior that reconstructs, by three flags; presets; the report before."""

import json
from pathlib import Path

import numpy as np
import pytest
from scans import head, write_nifti

from napari_lossguide.cli import main
from napari_lossguide.priors.experts import build_network
from napari_lossguide.priors.load import load_prior, prior_info
from napari_lossguide.priors.training.config import PRESETS, TrainConfig, preset_path
from napari_lossguide.priors.training.session import alone, train
from napari_lossguide.types import InvalidInput

CONFIGS = sorted(Path(__file__).parents[2].glob("configs/brain-*.toml"))
TINY = {
    "widths": [8, 8],
    "heads": 1,
    "steps": 4,
    "warmup": 2,
    "log_every": 2,
    "views": [{"size": 32, "batch": 2}],
    "tensorboard": False,
}
SETTINGS = [part for key, value in TINY.items() for part in ("--set", f"{key}={json.dumps(value)}")]


@pytest.fixture(scope="module")
def fifty(tmp_path_factory):
    """A folder of 50 NIfTI files."""
    folder = tmp_path_factory.mktemp("scans")
    for k in range(50):
        write_nifti(folder / f"patient{k:02d}_T1.nii.gz", head(seed=k), orientation="RAS" if k % 2 else "LPS")
    return folder


@pytest.fixture(scope="module")
def trained(fifty, tmp_path_factory):
    """What three flags leave, with a network that takes no time."""
    out = tmp_path_factory.mktemp("runs") / "deeper" / "mine"
    argv = ["train", "--data", str(fifty), "--out", str(out), "--preset", "cpu", "--device", "cpu", *SETTINGS]
    assert main(argv) == 0
    return out, argv


def test_three_flags_on_a_fresh_folder_make_a_prior(trained):
    out, _ = trained
    info = prior_info(out / "mine.safetensors")
    assert info.name == "mine" and info.extra["steps"] == 4 and info.extra["ema_halflife"] in (100.0, 300.0, 1000.0)
    report = json.loads((out / "report.json").read_text())
    assert (report["files"], report["patients"]) == (50, 50)
    sides = [set(report["split"][side]["patients"]) for side in ("train", "validation")]
    assert len(sides[1]) == 8 and not sides[0] & sides[1]
    assert (out / "contact_sheet.png").stat().st_size > 1000
    assert "patients      50" in (out / "report.txt").read_text()
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [2, 4] and rows[-1]["psnr"] == info.extra["validation_psnr"]


def test_recon_takes_it(trained, tmp_path):
    kspace = np.random.default_rng(0).normal(size=(1, 32, 32)) * (1 + 1j)
    np.savez(tmp_path / "scan.npz", kspace=kspace.astype(np.complex64))
    argv = ["recon", str(tmp_path / "scan.npz"), "-o", str(tmp_path / "out.npz"), "--steps", "2", "--device", "cpu"]
    assert main([*argv, "--prior", str(trained[0] / "mine.safetensors")]) == 0
    assert (tmp_path / "out.npz").exists()


def test_the_same_command_goes_on_and_says_so(trained, capsys):
    out, argv = trained
    capsys.readouterr()
    assert main([*argv, "--set", "steps=6"]) == 0
    shown = capsys.readouterr()
    assert "Going on from step 4." in shown.err
    assert "step 6 of 6" in shown.out and "validation PSNR" in shown.out and "step 4 of" not in shown.out
    assert str(out / "mine.safetensors") in shown.out.splitlines()[-1]


def test_json_progress_is_one_object_a_line(fifty, tmp_path, capsys):
    argv = ["train", "--data", str(fifty), "--out", str(tmp_path / "x"), "--json", "--device", "cpu", *SETTINGS]
    assert main([*argv, "--set", "folder.slices=2"]) == 0
    report, *rows, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert report["report"]["patients"] == 50
    assert [r["step"] for r in rows] == [2, 4] and {"loss", "minutes_left", "learning_rate"} <= set(rows[0])
    assert last["prior"].endswith("x.safetensors") and last["step"] == 4


def test_report_only_trains_nothing(fifty, tmp_path, capsys):
    out = tmp_path / "looked"
    argv = ["train", "--data", str(fifty), "--out", str(out), "--report-only", "--device", "cpu", *SETTINGS]
    assert main([*argv, "--set", "folder.plane=coronal"]) == 0
    shown = capsys.readouterr().out
    assert "planes        coronal" in shown and "s a step" in shown and "memory" in shown
    assert sorted(p.name for p in out.iterdir() if p.name != ".lock") == [
        "cache",
        "contact_sheet.png",
        "report.json",
        "report.txt",
    ]


def test_fine_tuning_by_a_flag(trained, fifty, tmp_path):
    start, out = trained[0] / "mine.safetensors", tmp_path / "tuned"
    argv = ["train", "--data", str(fifty), "--out", str(out), "--initial", str(start), "--device", "cpu", *SETTINGS]
    assert main([*argv, "--set", "steps=1", "--set", "learning_rate=1e-9", "--set", "folder.slices=2"]) == 0
    before, after = (load_prior(str(p)).model.state_dict() for p in (start, out / "tuned.safetensors"))
    assert all(float((before[k] - after[k]).abs().max()) < 1e-3 for k in before)
    assert prior_info(out / "tuned.safetensors").extra["steps"] == prior_info(start).extra["steps"] + 1


def test_from_python(fifty, tmp_path):
    said, rows = [], []
    path = train(fifty, tmp_path / "x", say=said.append, report=rows.append, **(TINY | {"folder": {"slices": 2}}))
    assert path == tmp_path / "x" / "x.safetensors" and path.exists()
    assert "50 patients" in said[0] or "patients      50" in said[0]
    assert "validation PSNR" in said[-1] and [r["step"] for r in rows] == [2, 4]


def test_every_wrong_override_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"cpu\.toml is wrong at batsh"):
        TrainConfig.read(preset_path("cpu"), [("batsh", 3)])
    with pytest.raises(InvalidInput, match=r"export = 5\.0 is none of ema_halflives"):
        TrainConfig.read(preset_path("cpu"), [("export", 5)])
    with pytest.raises(InvalidInput, match="validation names files, but train does not"):
        TrainConfig.read(preset_path("cpu"), [("validation", ["a.npz"])])


@pytest.mark.parametrize("path", [*PRESETS.glob("*.toml"), *CONFIGS], ids=lambda p: p.stem)
def test_every_configuration_is_loadable_and_its_prior_is_at_most_60_mb(path):
    config = TrainConfig.read(path)
    weights = sum(p.numel() for p in build_network(config.network()).parameters())
    assert weights * 2 < 60e6
    if path in CONFIGS:
        assert config.train and config.validation and config.licence


def test_the_cpu_preset_is_the_network_that_the_package_ships():
    shipped = load_prior("brain").model.network.config
    assert TrainConfig.read(preset_path("cpu")).network() == shipped


def test_two_trainings_do_not_share_a_folder(fifty, tmp_path, capsys):
    argv = ["train", "--data", str(fifty), "--out", str(tmp_path), "--device", "cpu", *SETTINGS, "--report-only"]
    with alone(tmp_path):
        assert main(argv) == 2
    assert "Another training is at work in" in capsys.readouterr().err
    assert main(argv) == 0


def test_a_full_disk_ends_in_one_sentence(trained, monkeypatch, capsys):
    out, argv = trained
    before = (out / "mine.safetensors").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_lossguide.priors.training.trainer.save_checkpoint", full)
    assert main([*argv, "--set", "steps=9", "--set", "validate_every=100", "--set", "save_every=7"]) == 2
    shown = capsys.readouterr().err
    assert "No space left on device; what is there is whole, and the same command goes on." in shown
    assert (out / "mine.safetensors").read_bytes() == before
