"""Every method at every budget: PSNR, SSIM, NMSE and residual over network evaluations, as a table and a plot.

    python benchmarks/methods.py --data FOLDER [--plot docs/images/methods.png] [--methods dps song2021]
        [--budgets 50] [--noise 0.05]

Two slices of unseen people from each validation file at 128 x 128, real, one coil, no noise unless some is asked for
(E|n|^2 = noise^2, images in [0, 1]), the thesis's masks, mask seed 0. A method gets the longest path whose network
evaluations stay within the budget; all else is its preset. A residual is |A x - y| / |y|. Finished reconstructions are
kept in the cache. The plot needs matplotlib, which is no dependency.
"""

import argparse
from pathlib import Path

from simulated_lines import FILES, MASKS, Bench, mean

from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.methods import METHODS, Method, here
from napari_lossguide.recon.recipe import Recipe

BUDGETS = (1, 5, 10, 20, 50, 100)
LONG = 1000
"""A further budget of the methods whose papers ask for some hundred evaluations or more."""
FEW = 100
"""Up to here DPS takes a step of 5 in the place of its paper's 1, which is meant for a thousand levels."""
SLICES = (4, 16)
# no data; nothing stated: prox-ddim itself; needs a region; need other masks
NOT_HERE = ("unconditional", "classifier", "repaint", "homodyne", "pocs")
WEIGHTS = {"tv": 0.01, "l1-wavelet": 0.0001, "bart-pics": 0.0001}
"""The best for 5.6-fold of `simulated_lines.py`; BART's wavelets have that of the others."""


def fitting(method: Method, budget: int) -> int | None:
    """The most levels whose evaluations are within a budget; None if even one level needs more."""
    low, high = 0, budget
    while low < high:  # evaluations grow with the levels
        middle = (low + high + 1) // 2
        parts = method.settings({"schedule.steps": middle})
        low, high = (middle, high) if method.evaluations(parts) <= budget else (low, middle - 1)
    return low or None


def score(benches: list[Bench], acceleration: float, name: str, steps: int | None, settings: dict) -> dict[str, float]:
    """Mean metrics over the slices of both files."""
    factor, center = MASKS[acceleration]
    mask = MaskRecipe.of("thesis", acceleration=factor, center_fraction=center, seed=0)
    rows = []
    for bench in benches:
        recipe = Recipe.for_method(name, steps=steps, mask=mask, seed=0, prior=bench.prior, settings=settings)
        rows += [bench.run(i, acceleration, 0, recipe) for i in SLICES]
    return mean(rows)


def report(acceleration: float, name: str, evaluations: int, m: dict[str, float]) -> None:
    """One line of the table."""
    print(
        f"| {acceleration} | {name} | {evaluations} | {m['psnr']:.2f} | {m['ssim']:.3f} | {m['nmse']:.4f} "
        f"| {m['residual']:.1e} | {m['seconds']:.1f} |",
        flush=True,
    )


def plot(path: Path, curves: dict[str, list[tuple[int, float]]], levels: dict[str, float], title: str) -> None:
    """PSNR over evaluations, the classical methods as lines across."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 6.4), layout="constrained")
    colours = plt.get_cmap("tab20")
    for k, (name, points) in enumerate(sorted(curves.items(), key=lambda item: -max(p for _, p in item[1]))):
        style = {"color": colours(k % 20), "marker": "os^Dv"[k // 5 % 5], "markersize": 4}
        axes.plot(*zip(*points, strict=True), label=name, linewidth=2.4 if name == "prox-mean" else 1.2, **style)
    for name, level in levels.items():
        axes.axhline(level, color="0.6", linewidth=0.8, linestyle="--")
        axes.annotate(name, (1, level), fontsize=8, color="0.4", va="bottom")
    axes.set(xscale="log", xlabel="network evaluations", ylabel="PSNR in dB", title=title)
    axes.set_ylim(bottom=min(levels.values()) - 6)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--cache", type=Path, default=Path("runs/methods.json"))
    parser.add_argument("--budgets", type=int, nargs="+", default=list(BUDGETS))
    parser.add_argument("--accelerations", type=float, nargs="+", choices=MASKS, default=[5.6])
    parser.add_argument("--methods", nargs="+", default=[m.name for m in here() if m.name not in NOT_HERE])
    parser.add_argument("--long", action="store_true", help=f"also {LONG} evaluations of those whose papers ask so")
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    args.cache.parent.mkdir(parents=True, exist_ok=True)
    benches = [Bench(args.data, file, 128, args.cache, args.prior, args.noise) for file in FILES]
    print("| acceleration | method | evaluations | PSNR dB | SSIM | NMSE | residual | s |")
    print("|---|---|---|---|---|---|---|---|")
    for acceleration in args.accelerations:
        curves, levels = table(benches, acceleration, args)
        if args.plot:
            plot(args.plot, curves, levels, f"{acceleration}-fold, 128 × 128, {2 * len(SLICES)} slices")


def table(
    benches: list[Bench], acceleration: float, args: argparse.Namespace
) -> tuple[dict[str, list[tuple[int, float]]], dict[str, float]]:
    """The rows of one mask; the curves of the methods with a prior and the levels of the others."""
    curves: dict[str, list[tuple[int, float]]] = {}
    levels: dict[str, float] = {}
    for name in args.methods:
        method = METHODS[name]
        if not method.needs_prior:
            settings = {"guidance.regularization": WEIGHTS[name]} if name in WEIGHTS else {}
            m = score(benches, acceleration, name, None, settings)
            report(acceleration, name, 0, m)
            levels[name] = m["psnr"]
            continue
        long = [LONG] if args.long and method.evaluations(method.settings()) > 100 else []
        for budget in [*args.budgets, *long]:
            steps = fitting(method, budget)
            if steps is None:
                continue
            few = name == "dps" and budget <= FEW
            m = score(benches, acceleration, name, steps, {"guidance.zeta": 5.0} if few else {})
            report(acceleration, name, int(m["nfe"]), m)
            curves.setdefault(name, []).append((int(m["nfe"]), m["psnr"]))
    return curves, levels


if __name__ == "__main__":
    main()
