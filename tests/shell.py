"""What tests of the shell share: a small prior, the command in a process of its own, its one line of complaint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_lossguide.cli import main


def make_prior(path: Path, factor: float = 1.0) -> Path:
    """A prior file whose weights are random numbers times a factor."""
    import torch

    from napari_lossguide.priors.load import save_prior
    from napari_lossguide.priors.network import UNet

    torch.manual_seed(0)
    network = UNet(2, (8, 8), 1, 1)
    state = {name: factor * value for name, value in network.state_dict().items()}
    info = {"name": path.stem, "sigma_data": 0.25, "licence": "none", "trained_on": "nothing"}
    save_prior(path, state, network.config, info)
    return path


def error_of(capsys: pytest.CaptureFixture[str], argv: list[str], code: int = 2) -> str:
    """Run, expect this exit code and one line on standard error, and return it."""
    assert main(argv) == code
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("lossguide: error: ")
    assert captured.out == ""
    return lines[0]


def start(argv: list[str], **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "napari_lossguide", *argv], env=with_sources(), **options)  # type: ignore[call-overload]


def with_sources() -> dict[str, str]:
    source = str(Path(__file__).resolve().parents[1] / "src")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))}
