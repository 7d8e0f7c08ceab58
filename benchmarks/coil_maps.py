"""Coil maps of ESPIRiT and of Walsh's local covariances: how near to the true ones, and how long they take.

    OMP_NUM_THREADS=1 python benchmarks/coil_maps.py --data FOLDER

Simulated: the phantom and one unseen slice of each validation file, 8 and 16 coils on a ring, smooth phase, an SNR of
20, every fourth column and a full centre of so many. Agreement is |<true, map>| of unit vectors in the object, of which
1 - mean and 1 - first percentile are given; "left out" is the share of the true coil images outside the maps; CG-SENSE
is the relative error of the magnitude that it gives, in the last column with the true maps, zero outside the object.
Both estimators take turns in one process, so their times compare: the best of three each.

Measured: the 8-channel brain, of which nothing is known. A fifth of the points outside the centre is held back, the
image is reconstructed from the rest (L1-wavelet), and its prediction of them is compared with what was measured.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_fill_holes
from simulated_lines import FILES

from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate, smooth_phase
from napari_lossguide.data.readers import read
from napari_lossguide.operators.coil_maps import calibration_width
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.problem import coil_maps
from napari_lossguide.recon.recipe import Recipe

ESTIMATORS = ("espirit", "walsh")
REPEATS = 3


def timed(kdata: KData, width: int, repeats: int = REPEATS) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Maps (coil, ny, nx) and seconds of each estimator, in turns."""
    maps, seconds = {}, dict.fromkeys(ESTIMATORS, np.inf)
    for _ in range(repeats):
        for name in ESTIMATORS:
            start = time.perf_counter()
            maps[name] = coil_maps(kdata, 0, width, name)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return maps, seconds


def lines(shape: tuple[int, int], width: int) -> np.ndarray:
    """Every fourth column, and the centre."""
    columns = np.arange(shape[1])
    centre = shape[1] // 2 - width // 2
    return np.broadcast_to((columns % 4 == 0) | ((columns >= centre) & (columns < centre + width)), shape)


def error_of(kdata: KData, maps: np.ndarray, image: np.ndarray) -> float:
    """Relative error of the magnitude of CG-SENSE with these maps."""
    recipe = Recipe.for_method("cg-sense", settings={"guidance.regularization": 0.01})
    found = np.abs(reconstruct(kdata, recipe=recipe, maps=maps, device="cpu").image[0])
    return float(np.linalg.norm(found - image) / np.linalg.norm(image))


def simulated(images: dict[str, np.ndarray], coils: tuple[int, ...], widths: tuple[int, ...]) -> None:
    """A table of the simulated acquisitions."""
    print("| image | coils | lines | estimator | 1 - mean | 1 - 1 % | left out | CG-SENSE | seconds | ratio | true |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, image in images.items():
        inside = binary_fill_holes(image > 0.05 * image.max())
        noise = float(image[image > 0.1 * image.max()].mean()) / 20
        for n in coils:
            full = simulate(image, n_coils=n, noise_std=noise, phase=smooth_phase(image.shape, seed=1), seed=1)
            coil_images = full.maps[0] * image
            for width in widths:
                kdata = full.undersample(lines(image.shape, width))
                maps, seconds = timed(kdata, width)
                best = error_of(kdata, full.maps[0] * inside, image)
                for estimator, m in maps.items():
                    agreement = np.abs((full.maps[0].conj() * m).sum(0))[inside]
                    missed = coil_images - m * (m.conj() * coil_images).sum(0)
                    share = np.linalg.norm(missed) / np.linalg.norm(coil_images)
                    took, ratio = seconds[estimator], seconds["espirit"] / seconds[estimator]
                    print(
                        f"| {name} {image.shape[0]} | {n} | {width} | {estimator} | {1 - agreement.mean():.5f} "
                        f"| {1 - np.percentile(agreement, 1):.4f} | {share:.2%} | {error_of(kdata, m, image):.4f} "
                        f"| {took:.2f} | {ratio:.1f} | {best:.4f} |",
                        flush=True,
                    )


def measured(path: Path) -> None:
    """What is found on measured data: agreement with each other, times, and points that were held back."""
    kdata = read(path)
    width = min(24, calibration_width(kdata.acquired))
    maps, seconds = timed(kdata, width)
    both = maps["espirit"].any(axis=0) & maps["walsh"].any(axis=0)
    agreement = np.abs((maps["espirit"].conj() * maps["walsh"]).sum(0))[both]
    ny, nx = kdata.image_shape
    print(
        f"\n{path.name}: {kdata.n_coils} coils, {ny} x {nx}, centre of {width} points; mutual agreement: mean "
        f"{agreement.mean():.4f}, 1 % below {np.percentile(agreement, 1):.4f}; seconds "
        + ", ".join(f"{name} {s:.2f}" for name, s in seconds.items())
        + f", ratio {seconds['espirit'] / seconds['walsh']:.1f}"
    )
    y, x = np.mgrid[:ny, :nx]
    away = np.maximum(np.abs(y - ny // 2), np.abs(x - nx // 2)) > width // 2
    held = kdata.acquired & away & (np.random.default_rng(0).random((ny, nx)) < 0.2)
    rest = kdata.undersample(kdata.acquired & ~held)
    for regularization in (0.001, 0.003, 0.01):
        recipe = Recipe.for_method("l1-wavelet", settings={"guidance.regularization": regularization})
        for name in ESTIMATORS:
            m = coil_maps(rest, 0, width, name)
            image = reconstruct(rest, recipe=recipe, maps=m, device="cpu").image[0]
            there = kdata.kspace[0][:, held]
            error = np.linalg.norm(fft2c(m * image)[:, held] - there) / np.linalg.norm(there)
            print(f"  L1-wavelet {regularization:g}, {name}: {error:.4f} of the points held back is not predicted")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--coils", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--lines", type=int, nargs="+", default=[8, 12, 16, 24, 32])
    args = parser.parse_args()
    images = {"phantom": shepp_logan(128)}
    for name, file in FILES.items():
        images[name] = np.load(args.data / file)["images"][5].astype(np.float32)
    simulated(images, tuple(args.coils), tuple(args.lines))
    measured(args.data / "kspace_brain_8ch_undersampled.npz")


if __name__ == "__main__":
    main()
