"""What each part of the training data is worth: small networks, each trained without one of them.

    python benchmarks/training_ablation.py --data FOLDER [--steps 600] [--out runs/ablation]

A U-Net of 32/48/64/96 channels sees ``--steps`` batches of 8 views of 96 x 96 pixels; denoising PSNR in dB of slices of
unseen patients, means over both validation files: whole slices at 128 x 128 and at 256 x 256. A training that was
stopped goes on. The networks are far from converged: what makes the task harder costs more here than in long trainings;
and a second seed of the first row says which differences are chance.
"""

import argparse
from pathlib import Path

import numpy as np

from napari_lossguide.priors.training.config import TrainConfig
from napari_lossguide.priors.training.data import open_data
from napari_lossguide.priors.training.trainer import Trainer
from napari_lossguide.priors.training.validate import denoising_psnr, evenly

VARIANTS = {
    "all": {},
    "all, another seed": {"seed": 1},
    "no synthetic heads": {"train": slice(0, 2)},
    "no warps": {"augmentation": {"plain_fraction": 1.0}},
    "no quarter turns": {"augmentation": {"turned_fraction": 0.0}},
    "no gamma, no intensity": {"augmentation": {"gamma": (1.0, 1.0), "intensity": (1.0, 1.0)}},
    "no crops": {"augmentation": {"whole_fraction": 1.0}},
    "no residue, no noise in complex views": {"augmentation": {"residue": 0.0, "noisy_fraction": 0.0}},
    "no complex views": {"augmentation": {"complex_fraction": 0.0}},
}
SMALL = {
    "widths": (32, 48, 64, 96),
    "views": [{"size": 96, "batch": 8}],
    "initial": "",
    "minutes": float("inf"),
    "warmup": 50,
    "ema_halflives": (50.0,),
    "tensorboard": False,
    "validate_every": 100_000,
    "save_every": 100,
    "learning_rate": 1.5e-3,
    "seed": 0,
}
SHOWN = ("real 0.05", "real 0.2", "real 1.0", "complex 0.05", "complex 0.2", "complex 1.0")


def trained(config: TrainConfig, data: Path, out: Path) -> list[str]:
    """PSNR of the shown levels at both sizes."""
    trainer = Trainer(config, open_data(config, data, out), out)
    trainer.run(lambda row: None)
    model = trainer.denoiser(trainer.averages.states[50.0])
    cells = []
    for size in (128, 256):
        slices = [[s[i] for i in evenly(len(s), 8)] for s in trainer.validation]
        scores = [denoising_psnr(model, s, size) for s in slices]
        cells += [f"{np.mean([s[k] for s in scores]):.2f}" for k in (SHOWN if size == 128 else SHOWN[:2])]
    return cells


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("configs/brain-cpu-more.toml"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    args = parser.parse_args()
    base = TrainConfig.read(args.config).model_dump() | SMALL | {"steps": args.steps}
    print("| training views | " + " | ".join([*SHOWN, "real 0.05, 256²", "real 0.2, 256²"]) + " |")
    print("|---" * 9 + "|")
    for name, change in VARIANTS.items():
        values = dict(base)
        if "train" in change:
            values["train"] = base["train"][change["train"]]
        values["augmentation"] = base["augmentation"] | change.get("augmentation", {})
        values["seed"] = change.get("seed", base["seed"])
        cells = trained(TrainConfig(**values), args.data, args.out / name.replace(" ", "-").replace(",", ""))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
