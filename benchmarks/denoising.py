"""Denoising of unseen patients by the prior and by BM3D: PSNR by noise level, real and complex, at two sizes.

    pip install bm3d    # Tampere University's package; free for non-commercial use only, so it is no dependency
    python benchmarks/denoising.py --data FOLDER [--prior brain] [--every 3]

PSNR in dB with peak 1, the 99.5 % quantile of each slice, as in the training's validation; mean over slices of both
validation files. Complex slices get a smooth random phase; BM3D then denoises real and imaginary part by itself. It is
told the true noise level (its "np" profile, all else default), as the prior is.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from bm3d import bm3d
from simulated_lines import FILES

from napari_lossguide.priors.domain import REFERENCE_QUANTILE
from napari_lossguide.priors.load import load_prior
from napari_lossguide.priors.training.augment import noise_for, random_views
from napari_lossguide.priors.training.validate import plain

SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0)


def views(data: Path, every: int, size: int, complex_fraction: float) -> torch.Tensor:
    """Whole slices (B, 2, size, size) as they are, with or without a phase."""
    images = np.concatenate([np.load(data / f)["images"][::every] for f in FILES.values()])
    slices = torch.from_numpy(images.astype(np.float32))[:, None]
    slices /= slices.flatten(1).quantile(REFERENCE_QUANTILE, dim=1)[:, None, None, None]
    return random_views(slices, plain(size, complex_fraction), torch.Generator().manual_seed(0))


def by_bm3d(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """Channels (2, n, n), the second one empty for a real image."""
    return np.stack([bm3d(channel, sigma) if channel.any() else channel for channel in noisy])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--every", type=int, default=3, help="take every n-th slice")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    args = parser.parse_args()
    model = load_prior(args.prior).model
    print("| images | size | " + " | ".join(f"σ {s:g}" for s in SIGMAS) + " |")
    print("|---" * (2 + len(SIGMAS)) + "|")
    for kind, fraction in (("real", 0.0), ("complex", 1.0)):
        for size in args.sizes:
            x0 = views(args.data, args.every, size, fraction)
            scores: dict[str, list[float]] = {"prior": [], "BM3D": []}
            for sigma in SIGMAS:
                rng = torch.Generator().manual_seed(1)
                noisy = x0 + sigma * noise_for(x0, rng)
                with torch.no_grad():
                    ours = torch.cat([model(x[None], torch.tensor([sigma])) for x in noisy])
                theirs = torch.from_numpy(np.stack([by_bm3d(x, sigma) for x in noisy.double().numpy()])).float()
                for name, d in (("prior", ours), ("BM3D", theirs)):
                    kept = d if fraction else d[:, :1]  # a real image has no imaginary part to be wrong
                    mse = (kept - x0[:, : kept.shape[1]]).square().sum(1).flatten(1).mean(1)
                    scores[name].append(float((-10 * mse.log10()).mean()))
            for name, values in scores.items():
                row = " | ".join(f"{v:.2f}" for v in values)
                print(f"| {kind}, {len(x0)} slices, {name} | {size} | {row} |", flush=True)


if __name__ == "__main__":
    main()
