"""Real and simulated multi-coil data: the prior against L1-wavelet SENSE.

    python benchmarks/raw_brain.py --data FOLDER [--out figure.png]

First the real 8-coil acquisition ``kspace_brain_8ch_undersampled.npz`` (12.4 % acquired, no reference): time and data
residual of each method, and a picture. Then simulated 8-coil acquisitions, with smooth phase and noise, of validation
slices at 4-fold undersampling, where there is a reference; the baseline's regularisation is varied.
"""

import argparse
from pathlib import Path

import numpy as np

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import simulate, smooth_phase
from napari_lossguide.data.readers import read
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.metrics import nmse, psnr, ssim
from napari_lossguide.recon.recipe import Recipe

METHODS = (
    ("zero-filled", {}),
    ("cg-sense", {}),
    ("l1-wavelet", {}),
    ("prox-mean", {}),
    ("prox-ddim", {}),
    ("dds", {}),
    ("loss-guidance", {}),
)


def real_data(data: Path, out: Path | None) -> None:
    """The real acquisition: seconds, residual, picture."""
    kdata = read(data / "kspace_brain_8ch_undersampled.npz")
    print(f"real data: {kdata.kspace.shape}, acceleration {kdata.acceleration:.2f}")
    print("| method | evaluations | residual | seconds (coil maps included) |")
    print("|---|---|---|---|")
    tiles = []
    for method, settings in METHODS:
        result = reconstruct(kdata, method=method, settings=settings)
        print(f"| {method} | {result.nfe} | {result.residual:.3f} | {result.seconds:.1f} |", flush=True)
        tiles.append(np.abs(result.image[0]))
    if out is not None:
        from skimage.io import imsave

        top = np.quantile(tiles[-1], 0.998)
        picture = np.concatenate([np.clip(t / top, 0, 1) for t in tiles], axis=1)
        imsave(out, (255 * picture).astype(np.uint8))


def acquisition(image: np.ndarray, index: int, snr: float) -> KData:
    """An 8-coil acquisition of one slice; noise_std = (mean of the bright half) / snr."""
    bright = float(image[image > 0.1 * image.max()].mean())
    phase = smooth_phase(image.shape, seed=index)
    return simulate(image, n_coils=8, noise_std=bright / snr, phase=phase, seed=index)


def simulated(data: Path, snr: float) -> None:
    """Simulated acquisitions of slices at 256 x 256, equispaced 4-fold."""
    images = np.load(data / "validation_brain_t1c_256.npz")["images"].astype(np.float32)[::6]
    mask = MaskRecipe.of("equispaced", acceleration=4, center_fraction=0.08, seed=0)
    runs = [("zero-filled", {}), *(("l1-wavelet", {"guidance.regularization": r}) for r in (0.001, 0.003, 0.01, 0.03))]
    runs += [("prox-mean", {}), ("prox-ddim", {}), ("prox-ddim", {"guidance.gamma": 0.3}), ("dds", {})]
    print(f"simulated: {len(images)} slices 256 x 256, 8 coils, equispaced 4x, SNR {snr:g}")
    print("| method | PSNR dB | SSIM | NMSE | residual |")
    print("|---|---|---|---|---|")
    for method, settings in runs:
        rows = []
        for i, image in enumerate(images):
            recipe = Recipe.for_method(method, settings=settings, mask=mask)
            result = reconstruct(acquisition(image, i, snr), recipe=recipe)
            reference, got = image[None], np.abs(result.image)
            rows.append([psnr(reference, got), ssim(reference, got), nmse(reference, got), result.residual])
        p, s, n, r = np.mean(rows, axis=0)
        shown = ", ".join(f"{k.removeprefix('guidance.')} {v:g}" for k, v in settings.items())
        print(f"| {method} {shown} | {p:.2f} | {s:.3f} | {n:.4f} | {r:.3f} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="PNG of the real data's reconstructions")
    parser.add_argument("--snr", type=float, default=20)
    args = parser.parse_args()
    real_data(args.data, args.out)
    simulated(args.data, args.snr)


if __name__ == "__main__":
    main()
