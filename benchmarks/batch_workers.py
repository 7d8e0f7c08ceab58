"""Throughput of a batch on Dask workers of this machine, against one process with as many threads as each of them.

The slices are noisy copies of the head phantom, undersampled, in a temporary file. Both are warmed up by one slice for
each worker, then timed in turn; their images are compared bit by bit. Put the machine to nothing else meanwhile.

    python benchmarks/batch_workers.py --workers 2 --slices 16 --steps 20 --rounds 3
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, here and, by inheritance, in the workers

import numpy as np

from napari_lossguide.data.phantoms import shepp_logan
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.batch import pinned, plan, run_here
from napari_lossguide.recon.cluster import local_workers, run_on
from napari_lossguide.recon.recipe import Recipe


def write(path, slices, size):
    rng = np.random.default_rng(0)
    images = shepp_logan(size) + 0.02 * rng.standard_normal((slices, size, size))
    np.savez(path, images=images.astype(np.float32))


def image(path):
    with np.load(path, allow_pickle=False) as file:
        return file["image"].tobytes()


def timed(lines, expected):
    start = time.perf_counter()
    done = list(lines)
    assert len(done) == expected, [line.why for line in done]
    assert all(line.status == "done" for line in done), [line.why for line in done]
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slices", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    recipe = pinned(Recipe.for_method(steps=args.steps, mask=MaskRecipe.of("random", acceleration=4.0)))
    print(f"{os.cpu_count()} cores, {args.slices} slices of {args.size}^2, {recipe.method}, {args.steps} steps")
    with tempfile.TemporaryDirectory() as name, local_workers(args.workers) as client:
        folder = Path(name)
        warm, scan = folder / "warm.npz", folder / "scan.npz"
        write(warm, args.workers, args.size)
        write(scan, args.slices, args.size)

        def pieces(path, output):
            found, failed = plan([path], folder / output, recipe)
            assert not failed, failed
            return found

        timed(run_here(pieces(warm, "warm"), recipe, "cpu"), args.workers)
        timed(run_on(client, pieces(warm, "warmed"), recipe, "cpu"), args.workers)
        ratios = []
        for number in range(args.rounds):
            alone, shared = pieces(scan, f"alone{number}"), pieces(scan, f"shared{number}")
            one = timed(run_here(alone, recipe, "cpu"), args.slices)
            many = timed(run_on(client, shared, recipe, "cpu"), args.slices)
            for a, b in zip(alone, shared, strict=True):
                assert image(a.output) == image(b.output), f"{a.output} and {b.output} differ"
            ratios.append(one / many)
            print(
                f"one process {one:.1f} s, {args.workers} workers {many:.1f} s: {one / many:.2f} times the throughput"
            )
        print(f"median {np.median(ratios):.2f} times; images the same bit by bit")


if __name__ == "__main__":
    main()
