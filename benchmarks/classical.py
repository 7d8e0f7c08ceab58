"""The classical methods beside each other on simulated 8-coil acquisitions, BART's among them where it is installed.

    python benchmarks/classical.py --data FOLDER [--mask random] [--acceleration 4] [--snr 20] [--every 24]
        [--size 128] [--weights 0.001 0.003 0.01 0.03]

Slices, coils, noise and metrics are those of ``simulated_coils.py``. Every method that has a weight gets the one of the
grid that is best on these very images. Partial Fourier has a mask of its own: five eighths of the rows, at the same
SNR. Finished reconstructions are kept in the cache: a run that was stopped goes on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from simulated_coils import CENTER_FRACTION, Bench
from simulated_lines import FILES, half_size

from napari_lossguide.masks import MaskRecipe
from napari_lossguide.masks.rules import PartialParams, partial_fourier
from napari_lossguide.recon.methods import METHODS

WEIGHTS = (0.001, 0.003, 0.01, 0.03)
TUNED: dict[str, tuple[str, dict[str, Any]]] = {
    "cg-sense": ("cg-sense", {}),
    "l1-wavelet": ("l1-wavelet", {}),
    "tv": ("tv", {}),
    "bart-pics, L1-wavelet": ("bart-pics", {}),
    "bart-pics, TV": ("bart-pics", {"guidance.regularizer": "tv"}),
    "bart-pics, l2": ("bart-pics", {"guidance.regularizer": "l2"}),
}
PARTIAL = ("homodyne", "pocs")
FRACTION = 0.625


def tuned(bench: Bench, mask: MaskRecipe, snr: float, weights: Sequence[float]) -> dict[str, np.ndarray]:
    """Mean PSNR, SSIM, residual and seconds of each method with its best weight, which its name tells."""
    found = {"zero-filled": bench.mean(mask, snr, "zero-filled")}
    for name, (method, settings) in TUNED.items():
        if METHODS[method].missing():
            print(f"left out: {METHODS[method].missing()}")
            continue
        scores = {w: bench.mean(mask, snr, method, **settings, **{"guidance.regularization": w}) for w in weights}
        best = max(scores, key=lambda w: scores[w][0])
        found[f"{name}, λ {best:g}"] = scores[best]
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/classical.json"))
    parser.add_argument("--mask", choices=("equispaced", "random"), default="random")
    parser.add_argument("--acceleration", type=int, choices=CENTER_FRACTION, default=4)
    parser.add_argument("--snr", type=float, default=20.0)
    parser.add_argument("--every", type=int, default=24, help="take every n-th slice")
    parser.add_argument("--size", type=int, choices=(128, 256), default=128)
    parser.add_argument("--weights", type=float, nargs="+", default=list(WEIGHTS))
    args = parser.parse_args()
    args.cache.parent.mkdir(parents=True, exist_ok=True)
    files = [np.load(args.data / f)["images"].astype(np.float32)[1 :: args.every] for f in FILES.values()]
    images = np.concatenate(files) if args.size == 256 else half_size(np.concatenate(files))
    bench = Bench(images, args.cache, "brain")
    center = CENTER_FRACTION[args.acceleration]
    lines = MaskRecipe.of(args.mask, acceleration=args.acceleration, center_fraction=center, seed=0)
    rows = PartialParams(axis="y", fraction=FRACTION)
    half = MaskRecipe.drawn(partial_fourier(np.ones(images.shape[1:], bool), rows))
    print(f"{len(images)} slices {images.shape[1]} x {images.shape[2]}, 8 coils, SNR {args.snr:g}")
    print("| mask | method | PSNR dB | SSIM | residual | seconds |\n|---|---|---|---|---|---|")
    named = {f"{args.mask} {args.acceleration}x": tuned(bench, lines, args.snr, args.weights)}
    named["partial Fourier 5/8"] = {m: bench.mean(half, args.snr, m) for m in ("zero-filled", *PARTIAL)}
    for mask, scores in named.items():
        for name, (p, s, residual, seconds) in scores.items():
            print(f"| {mask} | {name} | {p:.2f} | {s:.3f} | {residual:.2f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
