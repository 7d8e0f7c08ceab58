"""A program called bart that is none, for machines without BART and for what BART seldom does: hang, fail, be mute."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

HEAD = """#!{python}
import json, os, sys, time
from pathlib import Path
if sys.argv[1] == "version":
    print("v9.9-fake")
    sys.exit()
here = Path({folder!r})
calls = here / "calls.jsonl"
with open(calls, "a") as file:
    known = {{"args": sys.argv[1:], "cwd": os.getcwd(), "threads": os.environ["OMP_NUM_THREADS"], "pid": os.getpid()}}
    file.write(json.dumps(known) + chr(10))
names = sys.argv[-3:]
"""
ZERO_FILLED = """
import numpy as np
def load(name):
    shape = [int(n) for n in open(name + ".hdr").read().splitlines()[1].split()]
    return np.fromfile(name + ".cfl", np.complex64).reshape(shape, order="F").reshape(*shape[:2], shape[3], order="F")
y, maps = load(names[0]), load(names[1])
def centred(a):
    a = np.fft.ifftshift(a, axes=(0, 1))
    return np.fft.fftshift(np.fft.ifft2(a, axes=(0, 1), norm="ortho"), axes=(0, 1))
image = (maps.conj() * centred(y)).sum(2).astype(np.complex64)
(Path(names[2] + ".hdr")).write_text("# Dimensions" + chr(10) + " ".join(map(str, [*image.shape, *[1] * 14])) + chr(10))
image.ravel(order="F").tofile(names[2] + ".cfl")
"""
HANG = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
(here / "child").write_text(str(child.pid))
time.sleep(60)
"""
FAIL = """
print("Reading data.", flush=True)
print("ERROR: Dimensions of kspace and sensitivities do not match!", file=sys.stderr)
sys.exit(3)
"""
SILENT = "sys.exit(0)"


@dataclass(frozen=True)
class FakeBart:
    """Where it lies, and what it was asked."""

    folder: Path

    def calls(self) -> list[dict]:
        """Arguments, folder, threads and process of each call but those for the version."""
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def fake_bart(folder: Path, behaviour: str = ZERO_FILLED) -> FakeBart:
    """Put it into a folder."""
    folder.mkdir(exist_ok=True)
    script = folder / "bart"
    script.write_text(HEAD.format(python=sys.executable, folder=str(folder)) + behaviour)
    script.chmod(0o755)
    return FakeBart(folder)
