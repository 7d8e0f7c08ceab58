"""Options that several commands share: all that a reconstruction follows from, of a mask, settings by name."""

from __future__ import annotations

import argparse

from napari_lossguide.cli.reading import add_reading
from napari_lossguide.cli.values import parse_loss, parse_setting

DEVICES = ("auto", "cpu", "cuda", "mps")


def add_recon_options(p: argparse.ArgumentParser, output: str | None = None) -> None:
    """Everything that a reconstruction follows from."""
    p.add_argument(
        "input", metavar="INPUT", help="k-space or images: .npy, .npz, .mat, fastMRI or ISMRMRD .h5, BART .cfl, NIfTI"
    )
    p.add_argument("-o", "--output", required=True, metavar="OUT.npz", help=output)
    add_reading(p)
    which = p.add_mutually_exclusive_group()
    which.add_argument("--mask", metavar="M.npy", help="keep only these acquired points")
    which.add_argument("--mask-type", metavar="NAME", help="keep only the points of a mask made with the next options")
    add_mask_options(p, "--mask-seed", "--mask-axis")
    add_maps(p)
    add_noise(p)
    p.add_argument("--prior", metavar="NAME", help="a bundled prior, a prior's file or another library's model (brain)")
    p.add_argument("--method", metavar="NAME", help="see `lossguide methods` (prox-mean)")
    p.add_argument("--steps", type=int, metavar="N", help="network evaluations, or iterations of a classical method")
    add_extras(p)
    p.add_argument("--samples", type=int, metavar="P", help="posterior samples; the image is their mean (1)")
    p.add_argument("--seed", type=int, metavar="N")
    p.add_argument("--device", choices=DEVICES, default="auto")
    p.add_argument("--recipe", metavar="R.json", help="a recipe, or a result file with one")
    add_settings(
        p,
        "a parameter of the method (guidance.gamma=1.0), of the mask (mask.axis=y) or a field of the recipe (batch=1)",
    )


def add_maps(p: argparse.ArgumentParser) -> None:
    """Coil maps, given or estimated."""
    maps = p.add_mutually_exclusive_group()
    maps.add_argument("--maps", metavar="FILE", help="coil maps (.npy, or .npz with `maps`) instead of estimated ones")
    maps.add_argument(
        "--coil-maps",
        choices=("espirit", "walsh"),
        help="how they are estimated; walsh is faster and not as exact (espirit)",
    )


def add_noise(p: argparse.ArgumentParser) -> None:
    """The noise level, given or measured."""
    noise = p.add_mutually_exclusive_group()
    noise.add_argument(
        "--noise-std", type=float, metavar="S", help="noise of the k-space, E|n|^2 = S^2, instead of an estimate"
    )
    noise.add_argument("--noise-scan", metavar="FILE", help="k-space of noise alone, which gives the noise's level")


def add_extras(p: argparse.ArgumentParser) -> None:
    """What goes beside the method: a warm start, further losses, a region."""
    p.add_argument(
        "--start",
        choices=("noise", "zero-filled", "cg-sense", "l1-wavelet", "tv"),
        help="noise is added to this reconstruction; lower schedule.sigma_max with it (noise)",
    )
    p.add_argument(
        "--loss",
        dest="losses",
        action="append",
        type=parse_loss,
        metavar="KIND=WEIGHT[,low=L,high=H]",
        help="a further loss of the estimate: tv, range or region; repeatable",
    )
    p.add_argument(
        "--region",
        metavar="FILE.npy",
        help="bool (ny, nx): the pixels that `repaint` fills or the loss `region` weights",
    )


def add_mask_options(p: argparse.ArgumentParser, seed: str, axis: str) -> None:
    """The parameters that most masks have."""
    p.add_argument("--acceleration", type=float, metavar="R")
    p.add_argument(
        "--center-fraction", type=float, metavar="C", help="part of the lines that is acquired in the centre"
    )
    p.add_argument(seed, dest="mask_seed", type=int, metavar="N")
    p.add_argument(axis, dest="mask_axis", choices=("x", "y"), help="direction along which lines are skipped")


def add_settings(p: argparse.ArgumentParser, what: str) -> None:
    """``--set KEY=VALUE``, repeated."""
    p.add_argument(
        "--set", dest="settings", action="append", default=[], type=parse_setting, metavar="KEY=VALUE", help=what
    )
