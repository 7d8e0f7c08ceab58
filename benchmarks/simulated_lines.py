"""The thesis's three masks on real images of unseen patients: the prior against tuned compressed sensing.

    python benchmarks/simulated_lines.py --data FOLDER [--prior brain] [--cache runs/simulated_lines.json]

FOLDER holds ``validation_brain_t1_t2_flair_256.npz`` (24 slices, images in [0, 1]). Slices are brought to 128 x 128
by averaging 2 x 2 pixels; one coil, no noise: a simulation. Every figure is a mean over slices and mask seeds; PSNR and
SSIM as fastMRI defines them, each slice a volume of its own. L1-wavelet and TV take the regularisation that is best on
these very images, per mask, so they are favoured; they are
told that the image is real, as the prior is. Finished reconstructions are kept in the cache: a run that was
stopped goes on.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

from napari_lossguide.data.phantoms import simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.metrics import nmse, psnr, ssim
from napari_lossguide.recon.recipe import Recipe

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
    """Reconstructs and remembers the metrics of every (method, settings, mask, seed, slice)."""

    def __init__(self, images: np.ndarray, cache: Path, prior: str) -> None:
        self.images, self.cache, self.prior = images, cache, prior
        self.kdata = simulate(images, n_coils=1, noise_std=0.0)
        self.known: dict[str, dict[str, float]] = json.loads(cache.read_text()) if cache.exists() else {}

    def run(
        self,
        index: int,
        acceleration: float,
        seed: int,
        method: str,
        steps: int | None,
        samples: int = 1,
        **settings: float,
    ) -> dict[str, float]:
        """Metrics of one reconstruction."""
        prior = self.prior if method not in ("zero-filled", *REGULARIZATION) else ""
        key = json.dumps([prior, method, steps, samples, settings, acceleration, seed, index])
        if key not in self.known:
            factor, center = MASKS[acceleration]
            mask = MaskRecipe(kind="thesis", params={"acceleration": factor, "center_fraction": center, "seed": seed})
            recipe = Recipe.for_method(
                method, steps=steps, settings=settings, prior=self.prior, mask=mask, samples=samples, seed=seed
            )
            result = reconstruct(self.kdata.select(index), recipe=recipe)
            reference, image = self.images[index : index + 1], np.abs(result.image)
            self.known[key] = {name: float(f(reference, image)) for name, f in METRICS.items()}
            self.known[key] |= {"mse": float(((reference - image) ** 2).mean()), "seconds": result.seconds}
            part = self.cache.with_suffix(".part")
            part.write_text(json.dumps(self.known))
            os.replace(part, self.cache)
        return self.known[key]

    def mean(
        self,
        slices: range,
        acceleration: float,
        seeds: range,
        method: str,
        steps: int | None = None,
        samples: int = 1,
        **settings: float,
    ) -> dict[str, float]:
        """Mean metrics over slices and mask seeds."""
        rows = [self.run(i, acceleration, s, method, steps, samples, **settings) for s in seeds for i in slices]
        return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]} | {"n": len(rows)}

    def tuned(self, slices: range, acceleration: float, seeds: range, method: str) -> tuple[float, dict[str, float]]:
        """The best regularisation for these images and its metrics; chosen on the first mask seed."""
        best = max(
            REGULARIZATION[method],
            key=lambda r: self.mean(slices, acceleration, seeds[:1], method, **{"guidance.regularization": r})["psnr"],
        )
        return best, self.mean(slices, acceleration, seeds, method, **{"guidance.regularization": best})


def report(acceleration: float, name: str, m: dict[str, float], best: float) -> None:
    """One line of the table; the last column is the PSNR above the better of the tuned baselines."""
    print(
        f"| {acceleration} | {name} | {m['psnr']:.2f} | {m['ssim']:.3f} | {m['nmse']:.4f} | {m['mse']:.5f} "
        f"| {m['psnr'] - best:+.2f} | {m['seconds']:.1f} | {m['n']} |",
        flush=True,
    )


def table(bench: Bench, acceleration: float, slices: range, seeds: range, every_other: int) -> None:
    """The rows of one mask."""
    (l1, wavelet), (tv, variation) = (bench.tuned(slices, acceleration, seeds, m) for m in REGULARIZATION)
    best = max(wavelet["psnr"], variation["psnr"])
    report(acceleration, "zero-filled", bench.mean(slices, acceleration, seeds, "zero-filled"), best)
    report(acceleration, f"L1-wavelet, λ {l1:g}", wavelet, best)
    report(acceleration, f"TV, λ {tv:g}", variation, best)
    report(acceleration, "prox-ddim, 50 evaluations", bench.mean(slices, acceleration, seeds, "prox-ddim", 50), best)
    if not every_other:
        return
    # 999 evaluations take a while: fewer slices, the first mask seed, and the same for what stands beside them.
    few, one = slices[::every_other], seeds[:1]
    baselines = (("l1-wavelet", l1), ("tv", tv))
    same = max(bench.mean(few, acceleration, one, m, **{"guidance.regularization": r})["psnr"] for m, r in baselines)
    runs = [(m, 50, 1) for m in ("prox-ddim", "ddnm", "diffpir", "dds", "loss-guidance")]
    for method, steps, samples in (*runs, ("prox-ddim", 50, 8), ("loss-guidance-thesis", 999, 1)):
        name = f"few slices: {method}, {steps} evaluations" + (f", mean of {samples} samples" * (samples > 1))
        report(acceleration, name, bench.mean(few, acceleration, one, method, steps, samples), same)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--cache", type=Path, default=Path("runs/simulated_lines.json"))
    parser.add_argument("--seeds", type=int, default=3, help="mask seeds 0 ... n-1")
    parser.add_argument("--every", type=int, default=1, help="take every n-th slice")
    parser.add_argument(
        "--every-other", type=int, default=8, help="every n-th slice for the other methods, the thesis's among them"
    )
    args = parser.parse_args()
    args.cache.parent.mkdir(parents=True, exist_ok=True)
    images = half_size(np.load(args.data / "validation_brain_t1_t2_flair_256.npz")["images"])
    bench = Bench(images, args.cache, args.prior)
    slices, seeds = range(0, len(images), args.every), range(args.seeds)
    print(f"prior {args.prior}; {len(slices)} slices, mask seeds {list(seeds)}; sampler seed = mask seed")
    print("| acceleration | method | PSNR dB | SSIM | NMSE | MSE | above best baseline dB | s per slice | n |")
    print("|---|---|---|---|---|---|---|---|---|")
    for acceleration in MASKS:
        table(bench, acceleration, slices, seeds, args.every_other)


if __name__ == "__main__":
    main()
