"""What is said of the machine during a run."""

import sys

import psutil
import pytest
import torch

from napari_lossguide.recon import machine as told
from napari_lossguide.types import InvalidInput


def test_the_cpu_says_its_threads_and_the_memory_of_the_process():
    text = told.machine("cpu")
    words, memory = text.split(" · ")
    count = torch.get_num_threads()
    assert words == f"CPU, {count} thread{'s' * (count != 1)}"
    assert float(memory.removesuffix(" GB")) == pytest.approx(psutil.Process().memory_info().rss / 1e9, abs=0.2)


def test_figures_in_words():
    assert told.on_gpu("NVIDIA H100", 3_060_000_000, 8_000_000_000) == "NVIDIA H100, 3.1 of 8.0 GB"
    assert told.on_cpu(2, 1_230_000_000) == "CPU, 2 threads · 1.2 GB"
    assert told.on_cpu(1, None) == "CPU, 1 thread"


@pytest.mark.skipif(
    sys.platform != "linux", reason="reads /proc, which Linux alone has: memory without psutil not tested"
)
def test_without_psutil_linux_tells_the_same(monkeypatch):
    expected = told.resident()
    monkeypatch.setattr(told.importlib.util, "find_spec", lambda name: None)
    assert told.resident() == pytest.approx(expected, rel=0.1)
    monkeypatch.setattr(told, "STATM", told.STATM / "absent")
    assert told.resident() is None


def test_a_device_that_is_not_here_is_refused():
    with pytest.raises(InvalidInput, match="nonsense"):
        told.machine("nonsense")
