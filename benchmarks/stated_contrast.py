"""Does it help to say which contrast a slice has? Classifier guidance at 11.6-fold undersampling.

    python benchmarks/stated_contrast.py --data FOLDER

Slices of unseen people at 128², real, one coil, no noise, the thesis's mask (center 0.04, acceleration 16). The same
noise and the same mask in every row: differences are of pairs.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from napari_lossguide.data.phantoms import simulate
from napari_lossguide.masks import make_mask
from napari_lossguide.priors.classifier.classifier import CLASSES, load_classifier
from napari_lossguide.priors.classifier.data import NAMES, read_slices
from napari_lossguide.priors.load import load_prior
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.recipe import Recipe

SIZE = 128
RIGHT = (1.0, 3.0, 10.0)  # scales at which the right contrast is stated
WRONG = 3.0


def slices(folder: Path, per_contrast: int) -> list[tuple[str, np.ndarray]]:
    """(contrast, image (128, 128)) of unseen people, evenly chosen."""
    axial, facts = read_slices(folder / "validation_brain_t1_t2_flair_256.npz", "contrast")
    t1c, _ = read_slices(folder / "validation_brain_t1c_256.npz")
    groups = {NAMES[c]: axial[torch.from_numpy(facts["contrast"] == c)] for c in NAMES} | {"T1c": t1c}
    picked = []
    for name, group in groups.items():
        for i in np.linspace(0, len(group) - 1, per_contrast).round().astype(int):
            image = torch.nn.functional.adaptive_avg_pool2d(group[i][None, None].float(), SIZE)[0, 0]
            picked.append((name, image.numpy()))
    return picked


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """In dB with the greatest value of the truth as peak."""
    return float(10 * np.log10(truth.max() ** 2 / np.mean((image - truth) ** 2)))


def main() -> None:
    """Reconstruct every slice in every way and print the table."""
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--per-contrast", type=int, default=3)
    p.add_argument("--steps", type=int, default=50)
    args = p.parse_args()
    prior, classifier = load_prior("brain"), load_classifier("brain")
    chosen = slices(args.data, args.per_contrast)
    contrasts = CLASSES["contrast"]
    ways = {"not stated": None} | {f"right, s = {s:g}": (0, s) for s in RIGHT} | {f"wrong, s = {WRONG:g}": (1, WRONG)}
    scores: dict[str, list[float]] = {way: [] for way in ways}
    seen: dict[str, list[bool]] = {way: [] for way in ways}
    for k, (contrast, image) in enumerate(chosen):
        mask = make_mask("thesis", (SIZE, SIZE), acceleration=16, center_fraction=0.04, seed=k)
        kdata = simulate(image).undersample(mask)
        for way, stated in ways.items():
            settings = {}
            if stated is not None:
                said = contrasts[(contrasts.index(contrast) + stated[0]) % len(contrasts)]
                settings = {"guidance.contrast": said, "guidance.scale": stated[1]}
            recipe = Recipe.for_method("classifier", steps=args.steps, settings=settings, seed=k, noise_std=0.0)
            run = reconstruction(kdata, recipe, device="cpu", denoiser=prior)
            while True:
                try:
                    next(run)
                except StopIteration as stop:
                    result = stop.value
                    break
            out = result.image[0].real
            scores[way].append(psnr(out, image))
            log_p = classifier(torch.from_numpy(out)[None], 0.1)["contrast"][0]
            seen[way].append(int(log_p.argmax()) == contrasts.index(contrast))
        print(k, contrast, {way: round(s[-1], 2) for way, s in scores.items()}, flush=True)
    reference = np.array(scores["not stated"])
    print("| contrast | PSNR | difference | standard error | better | taken for the true contrast |")
    for way, values in scores.items():
        d = np.array(values) - reference
        error = d.std(ddof=1) / np.sqrt(len(d)) if len(d) > 1 else float("nan")
        print(
            f"| {way} | {np.mean(values):.2f} | {d.mean():+.2f} | {error:.2f} | {int((d > 0).sum())} of {len(d)} "
            f"| {sum(seen[way])} of {len(d)} |"
        )


if __name__ == "__main__":
    main()
