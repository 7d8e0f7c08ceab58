"""The thesis's three masks on real images of unseen patients: the prior against tuned compressed sensing.

    python benchmarks/simulated_lines.py --data FOLDER [--prior brain] [--cache runs/simulated_lines.json]

FOLDER holds ``validation_brain_t1_t2_flair_256.npz`` (24 slices, T1w, T2w, FLAIR) and ``validation_brain_t1c_256.npz``
(22 slices, T1w after contrast agent); at 128 x 128 they are averages of 2 x 2 pixels. One coil, no noise: a
simulation. Every figure is a mean over slices and mask seeds; PSNR and SSIM as fastMRI defines them, each slice a
volume of its own. L1-wavelet and TV take the regularisation that is best on every third of these very images, per
mask and size, so they are favoured; they are told that the image is real, as the prior is. Finished reconstructions
are kept in the cache: a run that was stopped goes on.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_lossguide.data.phantoms import simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.priors.load import find_prior, prior_info
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.metrics import nmse, psnr, ssim
from napari_lossguide.recon.recipe import Recipe

FILES = {"T1w/T2w/FLAIR": "validation_brain_t1_t2_flair_256.npz", "T1c": "validation_brain_t1c_256.npz"}
MASKS = {3.1: (4, 0.10), 5.6: (8, 0.07), 11.6: (16, 0.04)}
REGULARIZATION = {
    "l1-wavelet": (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005),
    "tv": (0.002, 0.005, 0.01, 0.02, 0.05),
}
METRICS = {"psnr": psnr, "ssim": ssim, "nmse": nmse}


def half_size(images: np.ndarray) -> np.ndarray:
    """(slice, 2n, 2n) -> (slice, n, n) by 2 x 2 averages."""
    s, ny, nx = images.shape
    return images.astype(np.float32).reshape(s, ny // 2, 2, nx // 2, 2).mean((2, 4))


class Bench:
    """Reconstructs and remembers the metrics of every (file, size, method, settings, mask, seed, slice)."""

    def __init__(self, data: Path, file: str, size: int, cache: Path, prior: str, noise_std: float = 0.0) -> None:
        with np.load(data / FILES[file]) as held:
            images = held["images"].astype(np.float32)
            self.contrasts = held["contrast"] if "contrast" in held.files else np.full(len(images), file)
        self.images = half_size(images) if size == 128 else images
        self.file, self.size, self.cache, self.prior = file, size, cache, prior
        self.sha256 = prior_info(find_prior(prior), checksum=True).sha256
        self.noise_std = noise_std
        self.kdata = simulate(self.images, n_coils=1, noise_std=noise_std)
        self.known: dict[str, dict[str, float]] = json.loads(cache.read_text()) if cache.exists() else {}

    def run(self, index: int, acceleration: float, seed: int, recipe: Recipe) -> dict[str, float]:
        """Metrics of one reconstruction."""
        settings = {"method": recipe.method, "samples": recipe.samples}
        if recipe.method not in ("zero-filled", *REGULARIZATION):
            settings["prior"] = self.sha256
        settings |= {"schedule": recipe.schedule, "sampler": recipe.sampler, "guidance": recipe.guidance}
        if self.noise_std:
            settings["noise_std"] = self.noise_std
        key = json.dumps([self.file, self.size, acceleration, seed, index, settings])
        if key not in self.known:
            result = reconstruct(self.kdata.select(index), recipe=recipe)
            reference, image = self.images[index : index + 1], np.abs(result.image)
            self.known[key] = {name: float(f(reference, image)) for name, f in METRICS.items()}
            self.known[key] |= {"mse": float(((reference - image) ** 2).mean()), "seconds": result.seconds}
            self.known[key] |= {"nfe": result.nfe, "residual": result.trace[-1]["loss"] ** 0.5}
            if self.cache.exists():  # another bench writes to it too
                self.known = json.loads(self.cache.read_text()) | self.known
            part = self.cache.with_suffix(".part")
            part.write_text(json.dumps(self.known))
            os.replace(part, self.cache)
        return self.known[key]

    def rows(
        self,
        slices: Sequence[int],
        acceleration: float,
        seeds: range,
        method: str,
        steps: int | None = None,
        **more: Any,
    ) -> list[dict[str, float]]:
        """Metrics of every slice and mask seed; the sampler's seed is the mask's."""
        factor, center = MASKS[acceleration]
        rows = []
        for seed in seeds:
            mask = MaskRecipe.of("thesis", acceleration=factor, center_fraction=center, seed=seed)
            recipe = Recipe.for_method(method, steps=steps or None, mask=mask, seed=seed, prior=self.prior, **more)
            rows += [self.run(i, acceleration, seed, recipe) for i in slices]
        return rows

    def tuned(self, slices: Sequence[int], acceleration: float, method: str) -> float:
        """The best regularisation for these images: on every third of them and the first mask seed."""

        def score(value: float) -> float:
            settings = {"guidance.regularization": value}
            return mean(self.rows(slices[::3], acceleration, range(1), method, settings=settings))["psnr"]

        return max(REGULARIZATION[method], key=score)


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every metric, and the number of rows."""
    return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]} | {"n": len(rows)}


def report(bench: Bench, acceleration: float, name: str, m: dict[str, float], best: float) -> None:
    """One line of the table; the last column is the PSNR above the better of the tuned baselines."""
    print(
        f"| {bench.file} | {bench.size} | {acceleration} | {name} | {m['psnr']:.2f} | {m['ssim']:.3f} "
        f"| {m['nmse']:.4f} | {m['mse']:.5f} | {m['psnr'] - best:+.2f} | {m['seconds']:.1f} | {m['n']} |",
        flush=True,
    )


def table(bench: Bench, acceleration: float, slices: range, seeds: range, baselines_only: bool) -> None:
    """The rows of one mask: all methods over all slices, then the prior by contrast."""
    values = {m: bench.tuned(slices, acceleration, m) for m in REGULARIZATION}
    scores = {
        m: bench.rows(slices, acceleration, seeds, m, settings={"guidance.regularization": r})
        for m, r in values.items()
    }
    best = max(scores, key=lambda m: mean(scores[m])["psnr"])
    top = mean(scores[best])["psnr"]
    report(bench, acceleration, "zero-filled", mean(bench.rows(slices, acceleration, seeds, "zero-filled")), top)
    for m, r in values.items():
        report(bench, acceleration, f"{m}, λ {r:g}", mean(scores[m]), top)
    if baselines_only:
        return
    prior = bench.rows(slices, acceleration, seeds, "prox-mean", 50)
    report(bench, acceleration, "prox-mean, 50 evaluations", mean(prior), top)
    contrasts = np.tile(bench.contrasts[slices], len(seeds))
    for c in np.unique(contrasts) if len(set(contrasts)) > 1 else ():
        own = [[r for r, k in zip(rows, contrasts, strict=True) if k == c] for rows in (prior, scores[best])]
        report(bench, acceleration, f"– {c} alone", mean(own[0]), mean(own[1])["psnr"])


def other_methods(bench: Bench, acceleration: float, slices: range) -> None:
    """Every method on a few slices and the first mask seed, against the baselines on the same."""
    one = range(1)
    settings = {m: {"guidance.regularization": bench.tuned(slices, acceleration, m)} for m in REGULARIZATION}
    few = slices[::8]
    top = max(mean(bench.rows(few, acceleration, one, m, settings=v))["psnr"] for m, v in settings.items())
    runs = [(m, 50, 1) for m in ("prox-mean", "prox-ddim", "ddnm", "diffpir", "dds", "loss-guidance")]
    for method, steps, samples in (*runs, ("prox-ddim", 50, 8), ("loss-guidance-thesis", 999, 1)):
        name = f"few slices: {method}, {steps} evaluations" + (f", mean of {samples} samples" * (samples > 1))
        report(bench, acceleration, name, mean(bench.rows(few, acceleration, one, method, steps, samples=samples)), top)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--cache", type=Path, default=Path("runs/simulated_lines.json"))
    parser.add_argument("--seeds", type=int, default=3, help="mask seeds 0 ... n-1")
    parser.add_argument("--files", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--sizes", nargs="+", type=int, choices=(128, 256), default=[128, 256])
    parser.add_argument("--every", type=int, default=1, help="take every n-th slice at 128 x 128")
    parser.add_argument("--every-256", type=int, default=4, help="take every n-th slice at 256 x 256")
    parser.add_argument("--baselines-only", action="store_true")
    parser.add_argument("--other-methods", action="store_true", help="also the others, on few slices at 128 x 128")
    args = parser.parse_args()
    args.cache.parent.mkdir(parents=True, exist_ok=True)
    print(f"prior {args.prior}; mask seeds 0 ... {args.seeds - 1}; sampler seed = mask seed")
    print("| images | size | acceleration | method | PSNR dB | SSIM | NMSE | MSE | above best baseline dB | s | n |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for file in args.files:
        for size in args.sizes:
            bench = Bench(args.data, file, size, args.cache, args.prior)
            slices = range(0, len(bench.images), args.every if size == 128 else args.every_256)
            for acceleration in MASKS:
                table(bench, acceleration, slices, range(args.seeds), args.baselines_only)
                if args.other_methods and size == 128:
                    other_methods(bench, acceleration, slices)


if __name__ == "__main__":
    main()
