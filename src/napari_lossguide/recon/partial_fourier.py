"""Reconstructions of partial Fourier, of several coils combined by their maps: homodyne detection and POCS.

Both take the phase of an image from the rows at the centre of k-space, which were measured on both sides. A real image
has none: its phase is known to be zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_lossguide.data.raw.partial_fourier import homodyne_weights
from napari_lossguide.operators.cartesian_sense import CartesianSense
from napari_lossguide.operators.fourier import ifft2c
from napari_lossguide.types import InvalidInput, Problem

ACCEPTED = "whole rows or whole columns in one range that holds the centre of k-space and some lines beyond it"


def lines_of(mask: NDArray[np.bool_], method: str) -> tuple[int, NDArray[np.bool_]]:
    """The axis along which a mask (ny, nx) is partial Fourier, and its acquired lines.

    Raises
    ------
    InvalidInput
        If it is not; the sentence says what it is, and what is accepted.
    """
    axis = 0 if np.array_equal(mask, np.broadcast_to(mask.all(axis=1, keepdims=True), mask.shape)) else 1
    acquired = np.asarray(mask.all(axis=1 - axis))
    centre, size = len(acquired) // 2, len(acquired)
    what, held = ("rows", "columns")[axis], np.flatnonzero(acquired)
    if not np.array_equal(mask, np.broadcast_to(np.expand_dims(acquired, 1 - axis), mask.shape)) or not held.size:
        found = f"has {mask.mean():.1%} of the points, and not whole rows or columns alone"
    elif held[-1] - held[0] + 1 != held.size:
        found = f"has {held.size} of {size} {what}, in {int((np.diff(held) > 1).sum()) + 1} ranges with gaps between"
    elif not held[0] < centre < held[-1]:
        found = f"has {what} {held[0]} to {held[-1]} of {size}, and not both sides of the centre, {centre}"
    else:
        return axis, acquired
    raise InvalidInput(f"The method '{method}' needs a mask of partial Fourier, {ACCEPTED}; this mask {found}.")


def weights_of(problem: Problem, method: str) -> tuple[Tensor, Tensor]:
    """Of homodyne detection: the weights of k-space, and which points are of the central lines, to broadcast.

    Raises
    ------
    InvalidInput
        If the mask is not one of partial Fourier.
    """
    assert isinstance(problem.A, CartesianSense)
    axis, acquired = lines_of(problem.A.mask.cpu().numpy(), method)
    weight, both = (np.expand_dims(values, 1 - axis).astype(np.float32) for values in homodyne_weights(acquired))
    device = problem.y.device
    return torch.from_numpy(weight).to(device), torch.from_numpy(both).to(device)


def phase_of(problem: Problem, both: Tensor) -> Tensor:
    """Unit numbers (1, ny, nx) with the phase of the image of the central lines, coils combined."""
    low = problem.A.adjoint(both * problem.y)
    return torch.ones_like(low) if problem.real else torch.polar(torch.ones_like(low.real), low.angle())


def homodyne(problem: Problem) -> Tensor:
    """Homodyne detection, (1, ny, nx): each coil's image with the phase of its map and of the centre taken off.

    Noll, Nishimura & Macovski 1991, IEEE Trans Med Imaging 10:154. What is real of a coil is weighted by its map, as in
    A^H y, and the phase of the centre is put back.

    Raises
    ------
    InvalidInput
        If the mask is not one of partial Fourier.
    """
    A = problem.A
    assert isinstance(A, CartesianSense)
    weight, both = weights_of(problem, "homodyne")
    phase = phase_of(problem, both)
    coils = A.maps.conj() * ifft2c(weight * problem.y)  # of the phase of the image alone
    image = (coils * phase.conj()[:, None]).real.sum(1)
    return image if problem.real else image * phase


def pocs(problem: Problem, iterations: int) -> Iterator[Tensor]:
    """Estimates of projections onto convex sets, one per iteration.

    Haacke, Lindskog & Lin 1991, J Magn Reson 92:126. In turn the image gets the phase of the centre of k-space, and its
    k-space the measured points; this goes to the image of that phase that fits the data best.

    Raises
    ------
    InvalidInput
        If the mask is not one of partial Fourier.
    """
    _, both = weights_of(problem, "pocs")
    phase = phase_of(problem, both)
    x = torch.zeros_like(phase)
    for _ in range(iterations):
        x = x + problem.A.adjoint(problem.y - problem.A.forward(x))
        size = (x * phase.conj()).real
        x = size * phase
        yield size if problem.real else x
