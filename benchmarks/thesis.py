"""The thesis's own experiments with our prior: guidance factor against acceleration, resampling, its coding faults.

    python benchmarks/thesis.py --data FOLDER [--steps 250]

L. Peer, "Diffusion Models for Linear Inverse Problems", ETH Zurich 2023. One slice of unseen people from each
validation file, at 128 x 128, real, one coil, no noise; MSE as in the thesis (images in [0, 1]) and PSNR. The thesis
takes 999 levels: --steps 999. Finished reconstructions are kept in the cache.
"""

import argparse
from pathlib import Path

from simulated_lines import FILES, MASKS, Bench, mean

from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import Diverged

SLICE = 4
FACTORS = (1e4, 5e4, 1e5, 2e5)
"""g at the thesis's batch of 100 images."""
DIRECT = "loss-guidance-thesis"
MENDED = "cosine+ancestral+loss"


def score(benches: list[Bench], acceleration: float, name: str, steps: int, settings: dict) -> str:
    """PSNR and MSE, mean over the slices, or that it diverged."""
    factor, center = MASKS[acceleration]
    mask = MaskRecipe.of("thesis", acceleration=factor, center_fraction=center, seed=0)
    recipe = Recipe.for_method(name, steps=steps, mask=mask, seed=0, prior=benches[0].prior, settings=settings)
    try:
        m = mean([bench.run(SLICE, acceleration, 0, recipe) for bench in benches])
    except Diverged:
        return "diverged"
    return f"{m['psnr']:.2f} ({m['mse']:.4f})"


def guidance_table(benches: list[Bench], steps: int) -> None:
    """g against acceleration, direct sampling."""
    print("\n| g | " + " | ".join(f"{a}-fold" for a in MASKS) + " |\n" + "|---" * (1 + len(MASKS)) + "|")
    for g in FACTORS:
        cells = [score(benches, a, DIRECT, steps, {"guidance.g": g}) for a in MASKS]
        print(f"| {g:g} | " + " | ".join(cells) + " |", flush=True)


def pairs(steps: int) -> list[tuple[str, list[tuple[str, str, int, dict]]]]:
    """Comparisons: a title and (name, method, levels, settings) of each row."""
    state = {"guidance.target": "state", "guidance.strength": 0.5}
    return [
        (
            "resampling",
            [
                ("direct", DIRECT, steps, {}),
                ("slowed down, twice the levels", DIRECT, 2 * steps, {}),
                ("long-grained, as coded", "long-grained", steps, {}),
                ("long-grained, re-noised", "long-grained", steps, {"schedule.renoise": True}),
                ("short-grained", "short-grained", steps, {}),
            ],
        ),
        (
            "fault 1: g depends on the batch (5e4 at a batch of 100; the same g at a batch of 1 is 5e6 at one of 100)",
            [
                ("g = 5e4, batch 100", DIRECT, steps, {"guidance.g": 5e4}),
                ("g = 5e4, batch 1", DIRECT, steps, {"guidance.g": 5e6}),
            ],
        ),
        (
            "fault 2: the target is neither scaled nor noised",
            [
                ("as coded", DIRECT, steps, {}),
                ("mended, on the state", MENDED, steps, state),
                ("mended, on the estimate", MENDED, steps, {"guidance.strength": 1.0}),
            ],
        ),
        (
            "fault 3: restarts without noise, at the mended target",
            [
                ("as coded", MENDED, steps, state | {"schedule.resample": "long", "schedule.renoise": False}),
                ("re-noised", MENDED, steps, state | {"schedule.resample": "long"}),
            ],
        ),
        (
            "fault 4: the magnitude of the state in frequency replacement",
            [
                ("as coded", "frequency-replacement", steps, {"guidance.magnitude": True}),
                ("mended", "frequency-replacement", steps, {}),
            ],
        ),
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--cache", type=Path, default=Path("runs/thesis.json"))
    parser.add_argument("--steps", type=int, default=250)
    args = parser.parse_args()
    args.cache.parent.mkdir(parents=True, exist_ok=True)
    benches = [Bench(args.data, file, 128, args.cache, args.prior) for file in FILES]
    print(f"{args.steps} levels; PSNR in dB (MSE)")
    for title, rows in pairs(args.steps):
        print(f"\n| {title} | 5.6-fold | 11.6-fold |\n|---|---|---|")
        for name, method, steps, settings in rows:
            cells = [score(benches, a, method, steps, settings) for a in (5.6, 11.6)]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    guidance_table(benches, args.steps)


if __name__ == "__main__":
    main()
