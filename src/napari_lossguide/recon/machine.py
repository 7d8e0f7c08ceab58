"""What a run computes with and how much memory is in use, in words. Asked in the thread of the run."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import torch

from napari_lossguide.recon.run import choose_device

STATM = Path("/proc/self/statm")


def machine(device: str) -> str:
    """The device of a name (auto, cpu, cuda, mps) and the memory in use on it.

    Raises
    ------
    InvalidInput
        If this machine does not have the device.
    """
    chosen = choose_device(device)
    if chosen.type == "cuda":
        free, total = torch.cuda.mem_get_info(chosen)
        return on_gpu(torch.cuda.get_device_name(chosen), total - free, total)
    if chosen.type == "mps":
        used, total = torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory()
        return on_gpu("Apple GPU", used, total)
    return on_cpu(torch.get_num_threads(), resident())


def on_gpu(name: str, used: int, total: int) -> str:
    """Say "NVIDIA H100, 3.1 of 8.0 GB", from bytes; what other programs use of it counts."""
    return f"{name}, {used / 1e9:.1f} of {total / 1e9:.1f} GB"


def on_cpu(threads: int, memory: int | None) -> str:
    """Say "CPU, 2 threads · 1.2 GB", from bytes; without memory where the system does not tell."""
    text = f"CPU, {threads} thread{'s' * (threads != 1)}"
    return text if memory is None else f"{text} · {memory / 1e9:.1f} GB"


def resident() -> int | None:
    """Bytes of memory that this process occupies: by psutil, which napari brings, or Linux; None elsewhere."""
    if importlib.util.find_spec("psutil") is not None:
        import psutil

        return int(psutil.Process().memory_info().rss)
    if STATM.is_file():
        return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None
