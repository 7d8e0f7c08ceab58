"""Time of reading an ISMRMRD file slice by slice, as a batch does, against the number of its slices.

The file, with a noise scan, is written to a temporary folder and removed afterwards.

    python benchmarks/ismrmrd_batch.py --slices 25 50 100 200
"""

import argparse
import tempfile
import time
from pathlib import Path

import ismrmrd
import numpy as np

from napari_lossguide.data.readers import open_scan

COILS, NY, NX, NOISE = 8, 64, 128, 64
SPACE = """<{0}><matrixSize><x>{1}</x><y>64</y><z>1</z></matrixSize><fieldOfView_mm><x>{1}</x><y>64</y><z>5</z>
</fieldOfView_mm></{0}>"""
HEADER = f"""<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions><H1resonanceFrequency_Hz>63500000
</H1resonanceFrequency_Hz></experimentalConditions><encoding>{SPACE.format("encodedSpace", NX)}
{SPACE.format("reconSpace", NX // 2)}<encodingLimits/><trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"""


def write(path, slices):
    rng = np.random.default_rng(0)
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(HEADER.encode())

    def append(count, **idx):
        acq = ismrmrd.Acquisition()
        acq.resize(NX, COILS)
        acq.center_sample = NX // 2
        acq.data[:] = rng.standard_normal((COILS, NX)) + 1j * rng.standard_normal((COILS, NX))
        for name, value in idx.items():
            setattr(acq.idx, name, value)
        if not idx:
            acq.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        for _ in range(count):
            dataset.append_acquisition(acq)

    for _ in range(NOISE):
        append(1)
    for y in range(NY):
        for number in range(slices):
            append(1, kspace_encode_step_1=y, slice=number)
    dataset.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[25, 100])
    for slices in parser.parse_args().slices:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scan.h5"
            write(path, slices)
            origin = open_scan(path).origin
            start = time.perf_counter()
            for index in range(slices):
                open_scan(path, origin=origin).read_slice(index)
            seconds = time.perf_counter() - start
        print(f"{slices:4d} slices: {seconds:6.2f} s, {1e3 * seconds / slices:6.1f} ms a slice")


if __name__ == "__main__":
    main()
