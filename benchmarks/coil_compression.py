"""Energy of k-space that virtual coils keep, by SVD and by geometric coil compression (GCC).

The coils are simulated, on a ring around the head phantom; or those of a k-space file.

    python benchmarks/coil_compression.py
    python benchmarks/coil_compression.py --file kspace_brain_8ch_undersampled.npz --methods svd
"""

import argparse

import numpy as np

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.raw.coil_compression import compress_coils
from napari_lossguide.data.readers import read


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", help="k-space of several coils")
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--kept", type=int, nargs="+", default=[1, 2, 3, 4, 6])
    parser.add_argument("--methods", nargs="+", default=["svd", "gcc"], choices=["svd", "gcc"])
    args = parser.parse_args()
    kdata = read(args.file) if args.file else simulate(shepp_logan(128), n_coils=args.coils)
    whole = np.sum(np.abs(kdata.kspace) ** 2, dtype=np.float64)
    for method in args.methods:
        for kept in args.kept:
            share = np.sum(np.abs(compress_coils(kdata, kept, method).kspace) ** 2, dtype=np.float64) / whole
            print(f"{method} {kdata.n_coils} -> {kept}: {100 * share:.2f} %")


if __name__ == "__main__":
    main()
