"""How often a classifier is right, by noise level, on people it has not seen.

    python benchmarks/classifier_accuracy.py --data FOLDER [--classifier NAME]

Contrast: slices of two unseen patients (T1w, T2w, FLAIR) and of eleven from another continent (T1c). Plane: the same,
all axial, of which the training asked no plane for T1w, T2w and FLAIR; and synthetic slices of three heads that were
held out, in all planes. Whole slices at 128²; the two figures are of real images and of images with a smooth phase.
"""

import argparse
from pathlib import Path

import torch

from napari_lossguide.priors.classifier.classifier import CLASSES, NoiseClassifier, load_classifier
from napari_lossguide.priors.classifier.data import HEADS, HELD_OUT, NAMES, from_heads, read_slices
from napari_lossguide.priors.training.augment import random_complex
from napari_lossguide.priors.training.augmentation import Augmentation
from napari_lossguide.priors.training.synthetic_heads import SyntheticHeads

SIZE = 128
SIGMAS = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
PER_PLANE = 16


def half(images: torch.Tensor) -> torch.Tensor:
    """(N, 256, 256) -> (N, 128, 128)."""
    return torch.nn.functional.adaptive_avg_pool2d(images[:, None].float(), SIZE)[:, 0]


def groups(folder: Path) -> dict[tuple[str, str], torch.Tensor]:
    """Images by question and true answer; several groups of one answer have a note in brackets."""
    axial, facts = read_slices(folder / "validation_brain_t1_t2_flair_256.npz", "contrast")
    t1c = half(read_slices(folder / "validation_brain_t1c_256.npz")[0])
    by_contrast = {NAMES[c]: half(axial[torch.from_numpy(facts["contrast"] == c)]) for c in NAMES}
    heads, rng = SyntheticHeads(folder / HEADS), torch.Generator().manual_seed(0)
    last = range(len(heads.labels) - HELD_OUT, len(heads.labels))
    out = {("contrast", name): images for name, images in {**by_contrast, "T1c": t1c}.items()}
    out |= {("plane", f"axial ({name})"): images for name, images in {**by_contrast, "T1c": t1c}.items()}
    for plane in CLASSES["plane"]:
        draw = from_heads(heads, plane, last)
        out["plane", f"{plane} (synthetic)"] = half(torch.stack([draw(rng) for _ in range(PER_PLANE)]))
    return out


def with_phase(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Complex images with the phase of the training."""
    channels = random_complex(images[:, None], Augmentation(size=SIZE, noisy_fraction=0), rng)
    return torch.complex(channels[:, 0], channels[:, 1])


@torch.no_grad()
def accuracy(classifier: NoiseClassifier, images: torch.Tensor, question: str, answer: int, sigma: float) -> float:
    """Fraction that is taken for what it is."""
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(images.shape, generator=rng, dtype=images.dtype)
    noise = noise * 2**0.5 if images.is_complex() else noise  # sigma is of each channel
    return float((classifier(images + sigma * noise, sigma)[question].argmax(1) == answer).float().mean())


def main() -> None:
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--classifier", default="brain")
    args = p.parse_args()
    classifier = load_classifier(args.classifier)
    print(f"| question | true answer | slices | {' | '.join(f'σ = {s:g}' for s in SIGMAS)} |")
    for (question, name), images in groups(args.data).items():
        answer = CLASSES[question].index(name.split(maxsplit=1)[0])
        both = [images, with_phase(images, torch.Generator().manual_seed(2))]
        cells = [" / ".join(f"{accuracy(classifier, x, question, answer, s):.0%}" for x in both) for s in SIGMAS]
        print(f"| {question} | {name} | {len(images)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
