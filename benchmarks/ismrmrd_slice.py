"""Peak memory of reading one slice of a large ISMRMRD file, in a fresh process, against the size of the slice.

The file is written to a temporary folder and removed afterwards.

    python benchmarks/ismrmrd_slice.py --gigabytes 4
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ismrmrd
import numpy as np

COILS, NY, NX = 16, 256, 512  # readout with twofold oversampling
HEADER = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions><H1resonanceFrequency_Hz>63500000
</H1resonanceFrequency_Hz></experimentalConditions><encoding>{}{}<encodingLimits/><trajectory>cartesian</trajectory>
</encoding></ismrmrdHeader>"""
SPACE = """<{0}><matrixSize><x>{1}</x><y>256</y><z>1</z></matrixSize><fieldOfView_mm><x>{1}</x><y>256</y><z>5</z>
</fieldOfView_mm></{0}>"""
READ = """
import resource, sys, time
import h5py, ismrmrd.xsd
from napari_lossguide.data.formats.ismrmrd import ISMRMRD
from pathlib import Path
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
form, path, index = ISMRMRD(), Path(sys.argv[1]), int(sys.argv[2])
before, start = peak(), time.perf_counter()
loaded = form.load(path, "dataset", slice(index, index + 1))
print(before, peak(), loaded.array.nbytes / 2**20, time.perf_counter() - start)
"""


def write(path, slices):
    rng = np.random.default_rng(0)
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(
        HEADER.format(SPACE.format("encodedSpace", NX), SPACE.format("reconSpace", NX // 2)).encode()
    )
    acq = ismrmrd.Acquisition()
    acq.resize(NX, COILS)
    acq.center_sample = NX // 2
    acq.data[:] = rng.standard_normal((COILS, NX)) + 1j * rng.standard_normal((COILS, NX))
    for y in range(NY):  # the slices of a line one after another, as multi-slice scans are measured
        for number in range(slices):
            acq.idx.kspace_encode_step_1, acq.idx.slice = y, number
            dataset.append_acquisition(acq)
    dataset.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1)
    wanted = parser.parse_args().gigabytes * 1e9
    slices = max(round(wanted / (NY * NX * COILS * 8)), 1)
    if shutil.disk_usage(tempfile.gettempdir()).free < 1.5 * wanted:
        sys.exit(f"There is too little space in {tempfile.gettempdir()}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.h5"
        start = time.perf_counter()
        write(path, slices)
        print(f"{path.stat().st_size / 1e9:.2f} GB, {slices} slices, written in {time.perf_counter() - start:.0f} s")
        command = [sys.executable, "-c", READ, str(path), str(slices // 2)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
        before, after, size, seconds = map(float, done.stdout.split())
        print(f"one slice: {size:.1f} MiB; peak RSS {before:.0f} -> {after:.0f} MiB, in {seconds:.2f} s")


if __name__ == "__main__":
    main()
