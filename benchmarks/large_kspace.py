"""Memory and time of opening a large stack of k-space for napari, whole and slice by slice, each in a fresh process.

The file, in fastMRI's layout, is written to a temporary folder and removed afterwards. Both ways make the pictures of
k-space and image that the K-space dock shows, and look at three slices.

    python benchmarks/large_kspace.py --gigabytes 1.3
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

COILS, N = 16, 384
OPEN = """
import resource, sys, time
import napari.layers
from napari_lossguide.data.readers import open_scan
from napari_lossguide.widgets.views import image_picture, kspace_picture
import h5py
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start = peak(), time.perf_counter()
scan = open_scan(sys.argv[1])
checked = time.perf_counter()
kdata = scan.read_sparingly(*([10**18] if sys.argv[2] == "whole" else [0]))
pictures = kspace_picture(kdata), image_picture(kdata)
opened = time.perf_counter()
for index in range(3):
    for picture in pictures:
        picture.data[index].sum()
print(f"{checked - start:.2f} {opened - checked:.2f} {(time.perf_counter() - opened) / 3:.3f} {peak() - before:.0f}")
"""


def write(path, slices):
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("kspace", (slices, COILS, N, N), np.complex64)
        for index in range(slices):
            values = rng.standard_normal((COILS, N, 2 * N), np.float32)
            data[index] = values.view(np.complex64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.3)
    slices = max(round(parser.parse_args().gigabytes * 1e9 / (COILS * N * N * 8)), 4)
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "scan.h5"
        write(path, slices)
        print(f"{path.stat().st_size / 1e9:.2f} GB, {slices} slices of {COILS * N * N * 8 / 2**20:.1f} MiB")
        for how in ("sparingly", "whole"):
            out = subprocess.run(
                [sys.executable, "-c", OPEN, str(path), how], check=True, capture_output=True, text=True
            )
            checksum, opened, slice_, memory = out.stdout.split()
            print(f"{how}: checksum {checksum} s, opening {opened} s, {memory} MiB more; {slice_} s for a slice")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
