"""BART's ``pics`` as one of the classical methods, fed through its own files.

Uecker et al., BART, the Berkeley Advanced Reconstruction Toolbox, https://mrirecon.github.io/bart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_lossguide.data.formats.bart import Bart, write_cfl
from napari_lossguide.data.fourier import fft2c
from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.recon.problem import data_residual
from napari_lossguide.recon.program import BART
from napari_lossguide.types import InvalidInput, Problem

# Both transform rows and columns (3 = dimensions 0 and 1) and threshold every coefficient by itself (0).
SPARSE = {"l1-wavelet": "W:3:0:{:.9g}", "tv": "T:3:0:{:.9g}"}
# ADMM solves total variation; with its own penalty (0.5, 10 inner iterations) and data of unit scale it is farther from
# the optimum after 200 iterations at small weights: the objective of 0.005 is 0.7 % above, with these 0.01 %.
ADMM = ("-u", "0.2", "-C", "5")
# BART's conjugate gradients do not stop when they are done: rounding errors then pile up, and after some hundreds of
# iterations nothing is left of the image. 50 are always enough here, and always few enough.
CG_MOST = 50
WORST = 1.001
"""|A x - y|^2 / |y|^2 that an image may have: a black one has 1, and every minimum less."""
KSPACE, MAPS, PATTERN, IMAGE = "kspace", "maps", "pattern", "image"


def options(params: Mapping[str, Any], *, real: bool) -> list[str]:
    """Arguments of ``pics`` before the names of its files.

    The data are of unit scale already (``-w 1`` keeps BART from scaling them again), so that the weights are those of
    the methods beside it.
    """
    kind, weight, iterations = params["regularizer"], params["regularization"], params["iterations"]
    if kind == "l2":
        iterations = min(iterations, CG_MOST)
        term = ["-l2", "-r", f"{weight:.9g}"]
    else:
        term = ["-R", SPARSE[kind].format(weight), *(ADMM if kind == "tv" else ())]
    spinning = ["-n"] if kind == "l1-wavelet" and not params["cycle_spinning"] else []
    return [*term, *spinning, *(["-c"] if real else []), "-i", str(iterations), "-w", "1", "-p", PATTERN]


def bart_pics(problem: Problem, params: Mapping[str, Any], checkpoint: Callable[[], None]) -> Tensor:
    """Image (1, ny, nx) of ``pics`` for a problem of one slice.

    Parameters
    ----------
    problem : what to reconstruct.
    params : regularizer, regularization, iterations and cycle_spinning.
    checkpoint : called while BART computes; if it raises, BART is stopped.

    Raises
    ------
    InvalidInput
        If BART is missing, fails, or leaves no image, or one that does not fit the data at all.
    """
    A = problem.A
    assert isinstance(A, CartesianSense)
    with TemporaryDirectory(prefix="lossguide-") as name:
        folder = Path(name)
        y = problem.y.cpu().numpy()
        if any(n % 4 for n in A.image_shape) and modulates_twice(folder, checkpoint):
            y = y * twice(*A.image_shape).conj()
        write_cfl(folder / KSPACE, y.astype(np.complex64))
        write_cfl(folder / MAPS, A.maps[None].cpu().numpy())
        write_cfl(folder / PATTERN, A.mask[None].cpu().numpy())
        arguments = ["pics", *options(params, real=problem.real), KSPACE, MAPS, IMAGE]
        BART.run(arguments, folder, torch.get_num_threads(), checkpoint)
        found = image_of(folder / IMAGE, A.image_shape)
    image = torch.from_numpy(found).to(problem.y.device)
    image = image.real if problem.real else image
    if not data_residual(problem, image)[1] <= WORST:
        raise InvalidInput(
            "BART (pics) left an image that fits the data worse than a black one does; try fewer iterations."
        )
    return image


def twice(ny: int, nx: int) -> np.ndarray:
    """What a BART that modulates the data in the wrong sense makes of them, (ny, nx): ones if four divides the sizes.

    A centred transform is one that is not, between two modulations m_k = exp(2 pi i (k - c/2) c/n), c = n // 2. The
    data have to be divided by the outer one; ``pics`` of BART 0.8 and before multiplies them.
    """
    rows, columns = (np.exp(4j * np.pi * (np.arange(n) - n // 2 / 2) * (n // 2) / n) for n in (ny, nx))
    return rows[:, None] * columns


def modulates_twice(folder: Path, checkpoint: Callable[[], None]) -> bool:
    """Ask this BART, with a bright image of 6 x 4 pixels: one that does gives a negative one."""
    bright = np.ones((1, 1, 6, 4), np.complex64)
    write_cfl(folder / KSPACE, fft2c(bright).astype(np.complex64))
    write_cfl(folder / MAPS, bright)
    write_cfl(folder / PATTERN, bright[0])
    arguments = ["pics", "-l2", "-r", "0", "-i", "3", "-w", "1", "-p", PATTERN, KSPACE, MAPS, IMAGE]
    BART.run(arguments, folder, 1, checkpoint)
    return bool(image_of(folder / IMAGE, (6, 4)).real.sum() < 0)


def image_of(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The image that BART left, complex64 (1, ny, nx).

    Raises
    ------
    InvalidInput
        If there is none, or one of another size.
    """
    try:
        found = Bart().load(path.with_suffix(".cfl"), "images", slice(None)).array
    except (InvalidInput, OSError) as error:
        raise InvalidInput(f"BART (pics) ended well, but left no image: {error}") from error
    if found.shape != (1, *shape):
        raise InvalidInput(f"BART (pics) left an image of shape {found.shape}; expected was {(1, *shape)}.")
    return np.array(found, np.complex64)
