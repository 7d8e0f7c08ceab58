"""What a prior draws by itself, and how near that is to the images it was trained on.

    python docs/what_the_prior_knows.py --data FOLDER

Draws samples, looks for the nearest training slice of each, does the same for slices of unseen people and for training
slices, both seen through the augmentation of the training; draws samples of each contrast and plane. Writes
docs/images/prior_{samples,classes}.png and the figures into docs/what_the_prior_knows.md. Samples are kept in --cache,
so that a second run only measures.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from napari_lossguide.data.montage import montage, write_png
from napari_lossguide.priors.classifier.classifier import CLASSES, load_classifier
from napari_lossguide.priors.classifier.data import AXIAL, T1C, read_slices
from napari_lossguide.priors.training.augment import random_views
from napari_lossguide.priors.training.augmentation import Augmentation
from napari_lossguide.recon.sampling import sample

DOCS = Path(__file__).parent
SIZE, COARSE = 128, 32
REACH = 12  # pixels that a slice may be shifted by at 128 pixels
CANDIDATES = 24  # of the coarse search that are looked at in full
THUMBNAIL = 64
VALIDATION = ("validation_brain_t1_t2_flair_256.npz", "validation_brain_t1c_256.npz")


def pooled(images: torch.Tensor, size: int) -> torch.Tensor:
    """Magnitudes (N, n, n) -> (N, size, size) by averaging."""
    return torch.nn.functional.adaptive_avg_pool2d(images[:, None].float(), size)[:, 0]


def turned(image: torch.Tensor) -> torch.Tensor:
    """The eight flips and quarter turns of an image (n, n)."""
    return torch.stack([t.rot90(k) for t in (image, image.flip(-1)) for k in range(4)])


def centred(images: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit norm, (..., n, n)."""
    images = images - images.mean((-2, -1), keepdim=True)
    return images / torch.linalg.vector_norm(images, dim=(-2, -1), keepdim=True).clamp(min=1e-6)


def correlation(queries: torch.Tensor, targets: torch.Tensor, reach: int) -> torch.Tensor:
    """Correlation (..., shifts) of centred images for every circular shift by at most ``reach`` pixels."""
    c = torch.fft.irfft2(torch.fft.rfft2(targets) * torch.fft.rfft2(queries).conj(), s=queries.shape[-2:])
    near = list(range(-reach, reach + 1))
    return c[..., near, :][..., near].flatten(-2)


class Training:
    """The training slices, ready for the search."""

    def __init__(self, folder: Path) -> None:
        slices = [read_slices(folder / name)[0] for name in (AXIAL, T1C)]
        self.images = torch.cat([pooled(s, SIZE) for s in slices])
        self.fine, self.coarse = centred(self.images), centred(pooled(self.images, COARSE))

    def nearest(self, image: torch.Tensor) -> tuple[float, float, torch.Tensor]:
        """Correlation with the nearest slice, root mean square distance to it, and that slice brought into place.

        Nearest means the greatest correlation under flips, quarter turns and shifts. For the distance the intensity of
        the slice is fitted by least squares, which makes a memorised but dimmed image count as near.
        """
        small = centred(turned(pooled(image[None], COARSE)[0]))
        best = torch.stack([correlation(q, self.coarse, REACH * COARSE // SIZE).amax(-1) for q in small]).amax(0)
        picked = best.topk(min(CANDIDATES, len(best))).indices
        options = correlation(
            centred(turned(image))[:, None], self.fine[picked][None], REACH
        )  # (8, candidates, shifts)
        value, where = options.flatten().max(0)
        turn, candidate, shift = np.unravel_index(int(where), options.shape)
        dy, dx = (int(k) - REACH for k in np.unravel_index(shift, (2 * REACH + 1,) * 2))
        found = self.images[picked[candidate]].roll((-dy, -dx), (0, 1))
        found = found.rot90(-(turn % 4))
        found = found.flip(-1) if turn >= 4 else found
        design = torch.stack([found.flatten(), torch.ones(found.numel())], 1)
        fitted = design @ torch.linalg.lstsq(design, image.flatten()[:, None]).solution
        return float(value), float((fitted[:, 0] - image.flatten()).square().mean().sqrt()), found


def views(images: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    """Views of slices as in training, real ones, (n, 128, 128)."""
    rng = torch.Generator().manual_seed(seed)
    picked = images[torch.randint(len(images), (n,), generator=rng)].float()[:, None]
    return random_views(picked, Augmentation(size=SIZE, complex_fraction=0), rng)[:, 0]


def draw(cache: Path, name: str, **fields: object) -> np.ndarray:
    """Samples, from the cache if they are there."""
    path = cache / f"{name}.npz"
    if not path.exists():
        start = time.perf_counter()
        sample(shape=(SIZE, SIZE), **fields).save(path)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    return np.load(path)["images"]


def quantiles(values: list[float]) -> str:
    """Median, 90 % and greatest value, as cells of a table."""
    return " | ".join(f"{v:.3f}" for v in (np.median(values), np.quantile(values, 0.9), max(values)))


def memorisation(training: Training, folder: Path, samples: np.ndarray) -> list[str]:
    """The table of correlations and distances; draws the picture of samples beside their nearest slices."""
    unseen = torch.cat([pooled(read_slices(folder / name)[0], 256) for name in VALIDATION])
    seen = torch.cat([read_slices(folder / name)[0] for name in (AXIAL, T1C)])
    n = len(samples)
    rows = {
        "samples of the prior": torch.from_numpy(samples),
        "views of unseen people": views(unseen, n, 1),
        "views of training slices (what a memorised image would give)": views(seen, n, 2),
        "whole slices of unseen people": pooled(unseen, SIZE),
    }
    lines = [
        "| | number | correlation: median | 90 % | greatest | distance: median | 10 % | least |",
        "|---|" + "---|" * 7,
    ]
    for name, images in rows.items():
        found = [training.nearest(image) for image in images]
        near, far = [f[0] for f in found], [f[1] for f in found]
        distances = " | ".join(f"{v:.3f}" for v in (np.median(far), np.quantile(far, 0.1), min(far)))
        lines.append(f"| {name} | {len(images)} | {quantiles(near)} | {distances} |")
        print(lines[-1], flush=True)
        if name.startswith("samples"):
            columns = round(np.sqrt(n))
            neighbours = torch.stack([f[2] for f in found])
            left, right = (montage(pooled(i.clamp(0, 1), THUMBNAIL).numpy(), columns, 1) for i in (images, neighbours))
            band = np.ones((len(left), 12), np.float32)
            write_png(DOCS / "images" / "prior_samples.png", np.concatenate([left, band, right], 1), (0, 1))
    return lines


def classes(cache: Path, prior: str, count: int, steps: int, scale: float) -> list[str]:
    """Samples of each contrast and plane, and what the classifier makes of them."""
    classifier, pictures = load_classifier("brain"), []
    lines = ["| asked for | taken for it by the classifier, at σ = 0.05 |", "|---|---|"]
    for question, answers in CLASSES.items():
        for k, answer in enumerate(answers):
            fields = {"prior": prior, "count": count, "steps": steps, "seed": 10, question: answer}
            images = draw(cache, f"{question}-{answer}", settings={"guidance.scale": scale, "batch": count}, **fields)
            log_p = classifier(torch.from_numpy(images), 0.05)[question]
            lines.append(f"| {answer} | {int((log_p.argmax(1) == k).sum())} of {count} |")
            pictures.append(images)
    free = draw(cache, "any", prior=prior, count=count, steps=steps, seed=10, settings={"batch": count})
    picture = montage(np.concatenate([free, *pictures]).clip(0, 1), columns=count, gap=1)
    write_png(DOCS / "images" / "prior_classes.png", picture, (0, 1))
    return lines


def into_text(name: str, lines: list[str]) -> None:
    """Put figures between their marks in the text."""
    path = DOCS / "what_the_prior_knows.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, _, after = rest.partition(f"<!-- end of {name} -->\n")
    block = "\n".join(lines)
    path.write_text(f"{before}<!-- {name} -->\n{block}\n<!-- end of {name} -->\n{after}", encoding="utf-8")


def main() -> None:
    """Draw, measure, write."""
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--prior", default="brain")
    p.add_argument("--cache", type=Path, default=Path("runs/what_the_prior_knows"))
    p.add_argument("--count", type=int, default=64)
    p.add_argument("--per-class", type=int, default=6)
    p.add_argument("--steps", type=int, default=100)
    p.add_argument("--scale", type=float, default=2.0)
    args = p.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    samples = draw(args.cache, "samples", prior=args.prior, count=args.count, steps=args.steps)
    with np.load(args.cache / "samples.npz") as file:
        recipe = json.loads(str(file["recipe"]))
    made = (
        f"{len(samples)} samples of `{recipe['prior']}` (sha256 {recipe['prior_sha256'][:12]}…), real, {SIZE}², "
        f"{recipe['schedule']['steps']} evaluations each, seed {recipe['seed']}, in order, none left out.\n"
    )
    into_text("nearest", [made, *memorisation(Training(args.data), args.data, samples)])
    into_text("classes", classes(args.cache, args.prior, args.per_class, args.steps, args.scale))


if __name__ == "__main__":
    main()
