"""Do samples know how wrong they are? Coverage before and after calibration on another patient.

    python benchmarks/uncertainty.py --data FOLDER [--samples 16] [--methods posterior-draw] [--steps 50]

Slices of two unseen patients (FLAIR, T1w, T2w) at 128 x 128, real, one coil, no noise, the thesis's masks, mask seed 0.
Intervals are calibrated on the slices of one patient and tested on those of the other, and the other way round: every
line names the patient it was tested on. "nominal" and "calibrated" are the parts of the foreground whose truth lies in
the interval, with the least and the greatest slice; widths are relative to the bright tissue. Correlations are of the
error with the nominal standard deviation, of single pixels and within windows of 2 pixels; in parentheses what they
would be if the truth were one more sample. Samples are kept in the cache: a run that was stopped goes on.
"""

import argparse
from pathlib import Path

import numpy as np
from simulated_lines import MASKS
from uncertainty_draws import Draws

from napari_lossguide.recon.measured_share import measured_share
from napari_lossguide.recon.metrics import psnr
from napari_lossguide.recon.recalibration import Conditions, calibrate
from napari_lossguide.recon.uncertainty import Coverage, attainable, coverage, spread

METHODS = ("posterior-draw", "prox-ddim", "karras+ancestral+proximal", "daps", "prox-mean")
HEADER = (
    "acceleration | method | tested on | nominal 50 % | nominal 90 % | calibrated 50 % | calibrated 90 % "
    "| width of 90 %, nominal, calibrated | pixel correlation | local correlation | measured share | PSNR of the mean"
)


def covered(c: Coverage, level: float) -> str:
    """Coverage of a level and its range over slices."""
    low, high = c.by_slice[level]
    return f"{100 * c.covered[level]:.1f} ({100 * low:.0f}–{100 * high:.0f})"


def row(draws: Draws, name: str, acceleration: float, slices: dict[int, list[int]], args: argparse.Namespace) -> None:
    """Calibrate on one patient, test on the other; one line for each of the two ways."""
    recipe = draws.recipe(name, args.steps, acceleration, args.samples)
    mask = recipe.mask.make(draws.images.shape[1:])
    samples = {
        patient: np.stack([draws.samples(i, name, args.steps, acceleration, args.samples) for i in chosen])
        for patient, chosen in slices.items()
    }
    truth = {patient: draws.images[chosen] for patient, chosen in slices.items()}
    fitted, tested = slices
    for known, other in ((fitted, tested), (tested, fitted)):
        made = calibrate([(spread(samples[known]), truth[known])], Conditions.of(recipe, mask, 1))
        drawn = spread(samples[other])
        before = coverage(drawn, truth[other])
        after = coverage(drawn, truth[other], made.half_widths(drawn), std=made.std(drawn))
        pixel, local = attainable(samples[other])
        score = np.mean([psnr(t, m) for t, m in zip(truth[other], samples[other].mean(axis=1), strict=True)])
        print(
            f"| {acceleration} | {name} | patient {other} | {covered(before, 0.5)} | {covered(before, 0.9)} "
            f"| {covered(after, 0.5)} | {covered(after, 0.9)} | {before.width[0.9]:.2f}, {after.width[0.9]:.2f} "
            f"| {before.correlation:.2f} ({pixel:.2f}) | {before.local:.2f} ({local:.2f}) "
            f"| {measured_share(samples[other], mask).share:.1e} | {score:.2f} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--cache", type=Path, default=Path("runs/uncertainty"))
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--methods", "--method", nargs="+", default=list(METHODS))
    parser.add_argument("--steps", type=int, default=50, help="network evaluations of a sample")
    parser.add_argument("--slices", type=int, default=4, help="of each patient, evenly spaced, at most 12")
    parser.add_argument("--accelerations", type=float, nargs="+", choices=MASKS, default=[5.6, 11.6])
    args = parser.parse_args()
    draws = Draws(args.data, args.cache, args.prior)
    slices = {}
    for patient in np.unique(draws.patients):
        own = np.flatnonzero(draws.patients == patient)
        slices[int(patient)] = own[1 :: max(1, len(own) // args.slices)][: args.slices].tolist()
    print(f"prior {args.prior}; {args.samples} samples of {args.steps} evaluations; slices {slices}")
    print(f"| {HEADER} |\n|{'---|' * (HEADER.count('|') + 1)}")
    for acceleration in args.accelerations:
        for name in args.methods:
            row(draws, name, acceleration, slices, args)


if __name__ == "__main__":
    main()
