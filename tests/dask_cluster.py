"""Dask workers in processes of their own, each with one thread, on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

Process = subprocess.Popen


class Cluster(NamedTuple):
    """Address of a scheduler, and the processes."""

    address: str
    workers: list[Process]
    scheduler: Process


def dask(*arguments: str) -> Process:
    source = str(Path(__file__).resolve().parents[1] / "src")
    path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "dask", *arguments], env=env, stderr=subprocess.DEVNULL)


def kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.wait(30)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def started(count: int = 2) -> Iterator[Cluster]:
    from distributed import Client

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str) -> Process:
            process = dask(*arguments)
            stack.callback(process.wait, 30)
            stack.callback(process.kill)
            return process

        scheduler = begin("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        workers = [begin("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard") for _ in range(count)]
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=120)
        yield Cluster(address, workers, scheduler)
