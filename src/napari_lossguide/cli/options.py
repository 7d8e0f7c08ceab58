"""The commands and their options, as argparse knows them."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from napari_lossguide import __version__
from napari_lossguide.cli.batch import add_format, batch
from napari_lossguide.cli.commands import demo, info, mask, metrics, priors
from napari_lossguide.cli.methods import methods
from napari_lossguide.cli.priors import check, join
from napari_lossguide.cli.reading import add_reading, add_variable
from napari_lossguide.cli.recon import recon
from napari_lossguide.cli.sample import sample
from napari_lossguide.cli.shared_options import DEVICES, add_mask_options, add_recon_options, add_settings
from napari_lossguide.cli.sweep import sweep
from napari_lossguide.cli.train import train
from napari_lossguide.cli.train_classifier import train_classifier
from napari_lossguide.cli.uncertainty import add_uncertainty
from napari_lossguide.cli.values import parse_shape, parse_vary, parse_workers
from napari_lossguide.types import InvalidInput


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise InvalidInput(f"{message[0].upper()}{message[1:]}; see {self.prog} --help.")


def parser() -> Parser:
    """All commands and their options."""
    top = Parser(prog="lossguide", description="MRI reconstruction with diffusion priors.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    add_recon(commands)
    add_sweep(commands)
    add_batch(commands)
    add_mask(commands)
    add_sample(commands)
    add_train(commands)
    add_train_classifier(commands)

    p = commands.add_parser(
        "metrics", help="compare an image with its reference: PSNR, SSIM, NMSE of the volume, as fastMRI"
    )
    p.add_argument("reference", metavar="REF")
    p.add_argument("image", metavar="IMAGE")
    p.add_argument("--region", metavar="FILE", help="only these pixels: an .npy, bool (ny, nx)")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=metrics)

    add_uncertainty(commands)

    add_info(commands)
    add_priors(commands)

    p = commands.add_parser("methods", help="list the methods and their parts, or what --set can change of one")
    p.add_argument("method", metavar="NAME", nargs="?", help="of the list, or a combination (karras+heun+proximal)")
    p.add_argument("--json", action="store_true", help="all there is to say, as JSON")
    p.set_defaults(run=methods)

    p = commands.add_parser("demo", help="open napari with a simulated acquisition and reconstruct it")
    p.add_argument("--screenshot", metavar="FILE.png", help="save a picture at the end")
    p.set_defaults(run=demo)
    return top


def add_recon(commands: Any) -> None:
    """``lossguide recon``."""
    p = commands.add_parser(
        "recon", help="reconstruct k-space", description="Options that are given override those of --recipe."
    )
    add_recon_options(
        p, "the whole result (.npz), or its image for other programs, such as .nii.gz: the ending chooses"
    )
    p.add_argument("--save-recipe", metavar="R.json", help="write the recipe of this run")
    p.set_defaults(run=recon)


def add_sweep(commands: Any) -> None:
    """``lossguide sweep``."""
    p = commands.add_parser(
        "sweep",
        help="reconstruct with every pair of values of two parameters",
        description="Values that vary override the options, which override those of --recipe.",
    )
    p.add_argument(
        "--vary",
        required=True,
        action="append",
        type=parse_vary,
        metavar="NAME=V1,V2,...",
        help="as --set, or method, of many values; given twice: rows and columns. Parameters that change together: "
        "mask.acceleration,mask.center_fraction=4:0.10,8:0.07",
    )
    p.add_argument("--slice", type=int, metavar="N", help="of this slice only, from 0")
    p.add_argument("--png", metavar="FIG.png", help="the magnitudes as one picture with captions")
    p.add_argument("--csv", metavar="T.csv", help="a table with a line for each cell")
    p.add_argument(
        "--resume",
        action="store_true",
        help="take over the cells that are done in OUT.npz, which is written after each cell, and run the others",
    )
    add_recon_options(p)
    p.set_defaults(run=sweep)


def add_batch(commands: Any) -> None:
    """``lossguide batch``."""
    p = commands.add_parser(
        "batch",
        help="reconstruct every slice of many files with one recipe",
        description="Each slice becomes a result file in FOLDER. The same command goes on with a stopped batch.",
    )
    p.add_argument("recipe", metavar="RECIPE", help="a recipe, or a result file with one")
    p.add_argument("files", metavar="FILE", nargs="+", help="k-space or images, as for `lossguide recon`")
    p.add_argument(
        "-o", "--output", required=True, metavar="FOLDER", help="for results, summary.csv and a contact sheet"
    )
    add_reading(p)
    add_format(p)
    p.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    p.add_argument("--no-sheet", dest="sheet", action="store_false", help="no picture of all images")
    p.add_argument("--device", choices=DEVICES, default="auto")
    where = p.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=parse_workers,
        metavar="N",
        help="processes on this machine, one thread each (one for each GPU)",
    )
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster whose workers see the same folders")
    p.set_defaults(run=batch)


def add_info(commands: Any) -> None:
    """``lossguide info``."""
    p = commands.add_parser("info", help="what a k-space or result file holds")
    p.add_argument("file", metavar="FILE")
    add_variable(p)
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=info)


def add_priors(commands: Any) -> None:
    """``lossguide priors``, alone or with ``fetch`` or ``check``."""
    p = commands.add_parser(
        "priors", help="list the priors in the package, fetch a published one, check your own model"
    )
    p.set_defaults(run=priors, name=None)
    actions = p.add_subparsers(metavar="fetch|check|join")

    p = actions.add_parser("join", help="one prior of two: one network for low noise, one above; see docs/training.md")
    p.add_argument("coarse", metavar="COARSE.safetensors")
    p.add_argument("fine", metavar="FINE.safetensors")
    p.add_argument("--below", type=float, default=0.06, metavar="SIGMA", help="FINE is taken up to it (0.06)")
    p.add_argument("-o", "--output", required=True, metavar="OUT.safetensors")
    p.set_defaults(run=join)

    p = actions.add_parser("fetch", help="fetch a published prior")
    p.add_argument("name", metavar="NAME")

    p = actions.add_parser("check", help="does a model denoise, and images of which range? See docs/own_models.md")
    p.add_argument("path", metavar="PATH", help="a file or folder of another library, or a prior")
    p.add_argument(
        "--range",
        type=float,
        nargs=2,
        metavar=("LO", "HI"),
        help="lowest and highest intensity in the model's training",
    )
    p.add_argument("--images", metavar="FILE.npz", help="with `images` (slice, ny, nx), instead of phantoms")
    p.add_argument("--save", action="store_true", help="write what was said into the sidecar beside the model")
    p.add_argument("--json", action="store_true")
    p.add_argument("--device", choices=DEVICES, default="auto")
    add_settings(p, "something else that the model does not say (schedule.kind=cosine, network.num_heads=4)")
    p.set_defaults(run=check)


def add_mask(commands: Any) -> None:
    """``lossguide mask``."""
    p = commands.add_parser("mask", help="make an undersampling mask")
    p.add_argument("--type", dest="mask_type", required=True, metavar="NAME")
    p.add_argument("--shape", required=True, type=parse_shape, metavar="NYxNX")
    p.add_argument("-o", "--output", required=True, metavar="M.npy")
    add_mask_options(p, "--seed", "--axis")
    add_settings(p, "a further parameter of this type")
    p.set_defaults(run=mask)


def add_sample(commands: Any) -> None:
    """``lossguide sample``."""
    p = commands.add_parser(
        "sample",
        help="draw images from a prior, without data",
        description="Options that are given override those of --recipe.",
    )
    p.add_argument("-o", "--output", required=True, metavar="OUT.npz")
    p.add_argument("--png", metavar="GRID.png", help="the magnitudes as one picture too")
    p.add_argument("--prior", metavar="NAME", help="a bundled prior, a prior's file or another library's model (brain)")
    p.add_argument("--shape", type=parse_shape, metavar="NYxNX", help="size of an image (128x128)")
    p.add_argument("--count", type=int, metavar="N", help="number of images (4)")
    kind = p.add_mutually_exclusive_group()
    kind.add_argument("--real", dest="image", action="store_const", const="real", help="real images (the default)")
    kind.add_argument("--complex", dest="image", action="store_const", const="complex", help="images with a phase")
    p.add_argument("--contrast", metavar="NAME", help="any, T1w, T2w, FLAIR or T1c (any)")
    p.add_argument("--plane", metavar="NAME", help="any, axial, coronal or sagittal (any)")
    p.add_argument("--steps", type=int, metavar="N", help="network evaluations of each image")
    p.add_argument("--seed", type=int, metavar="N")
    p.add_argument("--device", choices=DEVICES, default="auto")
    p.add_argument("--recipe", metavar="R.json", help="a recipe of samples, or a file of samples with one")
    p.add_argument("--save-recipe", metavar="R.json", help="write the recipe of this run")
    add_settings(p, "a parameter of the method `unconditional` (guidance.scale=2) or a field of the recipe (batch=16)")
    p.set_defaults(run=sample)


def add_train(commands: Any) -> None:
    """``lossguide train``."""
    p = commands.add_parser("train", help="train a prior; the same command continues after an interruption")
    p.add_argument("config", metavar="CONFIG.toml", nargs="?", help="instead of a preset")
    p.add_argument("--data", required=True, metavar="FOLDER", help="of NIfTI, DICOM, .npy, .npz or .h5 files")
    p.add_argument("--out", required=True, metavar="FOLDER", help="for the report, the checkpoints, the log, the prior")
    p.add_argument("--preset", metavar="NAME", help="cpu (the default), gpu or gpus: a configuration in the package")
    p.add_argument("--initial", metavar="NAME", help="a prior to start from: fine-tuning")
    p.add_argument("--device", choices=DEVICES, default="auto")
    p.add_argument("--report-only", action="store_true", help="look at the data and stop")
    p.add_argument("--json", action="store_true", help="progress as one JSON object a line")
    add_settings(p, "a key of the configuration (steps=2000, folder.plane=axial)")
    p.set_defaults(run=train)


def add_train_classifier(commands: Any) -> None:
    """``lossguide train-classifier``."""
    p = commands.add_parser(
        "train-classifier", help="train a classifier of contrast and plane on the encoder of a prior"
    )
    p.add_argument("config", metavar="CONFIG.toml")
    p.add_argument("--data", required=True, metavar="FOLDER", help="with the training files")
    p.add_argument("--out", required=True, metavar="FOLDER", help="for what is drawn and for the classifier")
    p.set_defaults(run=train_classifier)
