"""One network for real and complex images, or one for each: denoising PSNR at the same cost of training.

    python benchmarks/one_or_two_networks.py --data FOLDER [--steps 600] [--out runs/networks]

Three small networks: one sees real images alone, one complex images alone, each for the given steps; the third sees
both, for twice the steps. So the two networks and the one cost the same to train, and the one is half as large to ship.
Measured on slices of unseen patients. A training that was stopped goes on.
"""

import argparse
from pathlib import Path

from napari_lossguide.priors.training.config import TrainConfig
from napari_lossguide.priors.training.data import open_data
from napari_lossguide.priors.training.trainer import Trainer
from napari_lossguide.priors.training.validate import VALIDATION_SIGMAS

RUNS = {"real alone": (0.0, 1), "complex alone": (1.0, 1), "both": (0.5, 2)}  # complex fraction, multiple of the steps


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("configs/brain-cpu.toml"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("runs/networks"))
    args = parser.parse_args()
    base = TrainConfig.read(args.config)
    small = {"widths": (32, 48, 64, 96), "views": [{"size": 96, "batch": 8}], "save_every": 100}
    small |= {"minutes": float("inf"), "initial": ""}
    small |= {"warmup": 50, "ema_halflives": (50.0,), "export": "best"}  # a short training
    scores = {}
    for name, (fraction, multiple) in RUNS.items():
        changes = {**small, "augmentation": {"complex_fraction": fraction}, "steps": multiple * args.steps}
        config = TrainConfig(**(base.model_dump() | changes))
        out = args.out / name.replace(" ", "-")
        trainer = Trainer(config, open_data(config, args.data, out), out)
        trainer.run(lambda row: None)
        scores[name] = trainer.validate()[50.0]
    print(f"{args.steps} steps each, {2 * args.steps} for both; PSNR in dB")
    print("| image | network | " + " | ".join(f"σ {s:g}" for s in VALIDATION_SIGMAS) + " |")
    print("|---|---|" + "---|" * len(VALIDATION_SIGMAS))
    for kind in ("real", "complex"):
        for name in (f"{kind} alone", "both"):
            row = " | ".join(f"{scores[name][f'{kind} {s}']:.2f}" for s in VALIDATION_SIGMAS)
            print(f"| {kind} | {name} | {row} |")


if __name__ == "__main__":
    main()
