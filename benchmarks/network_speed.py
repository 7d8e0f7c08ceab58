"""Time of one network evaluation, and what the rest of a step costs beside it.

    python benchmarks/network_speed.py [--prior brain] [--device cpu]

Medians over repeats in one run; "beside" is the time of a whole reconstruction over that of its evaluations alone.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.priors.load import load_prior
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.recipe import Recipe


def milliseconds(action: Callable[[], object], repeats: int = 15) -> float:
    """Median time of an action after one warm-up."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    denoiser = load_prior(args.prior, args.device)
    print(f"{args.device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("| image | coils | evaluation, ms | step, ms | beside |")
    print("|---|---|---|---|---|")
    for n, coils in ((128, 1), (256, 1), (256, 8)):
        dtype = torch.float32 if coils == 1 else torch.complex64
        x = torch.zeros((1, n, n), dtype=dtype, device=args.device)

        def evaluate(x: torch.Tensor = x) -> np.ndarray:
            return denoiser(x, 0.3).cpu().numpy()

        evaluation = milliseconds(evaluate)
        kdata = simulate(shepp_logan(n), n_coils=coils, noise_std=0.01 * (coils > 1))
        steps = reconstruction(kdata, Recipe.for_method(steps=40), device=args.device, denoiser=denoiser)
        step = milliseconds(lambda steps=steps: next(steps), 15)  # type: ignore[misc]
        steps.close()
        print(
            f"| {n} x {n} | {coils} | {evaluation:.1f} | {step:.1f} | {100 * (step / evaluation - 1):+.0f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
