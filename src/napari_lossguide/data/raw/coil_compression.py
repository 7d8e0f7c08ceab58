"""Fewer, virtual coils (Buehrer et al. 2007, doi 10.1002/mrm.21237; Zhang et al. 2013, doi 10.1002/mrm.24267)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from napari_lossguide.data.kdata import KData
from napari_lossguide.types import InvalidInput

Readout = Literal["x", "y"]
_WINDOW = 24  # so much of the readout that one combination is made from is one part in this many


def compression_matrix(kspace: np.ndarray, n_coils: int) -> np.ndarray:
    """Combinations of coils that keep the most energy: the first left singular vectors of all coils' samples.

    Parameters
    ----------
    kspace : complex (..., coil, ny, nx), prewhitened, or its noise changes its correlation
    n_coils : virtual coils to keep

    Returns
    -------
    complex128 (n_coils, coil)
        Its rows are orthonormal, so white noise stays white and keeps its variance.

    Raises
    ------
    InvalidInput
        If there are fewer coils.
    """
    coils = _checked(kspace.shape[-3], n_coils)
    samples = np.moveaxis(kspace, -3, 0).reshape(coils, -1).astype(np.complex128)
    return _strongest(samples @ samples.conj().T, n_coils)


def compress(kspace: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Virtual coils (..., n_coils, ny, nx) of k-space (..., coil, ny, nx)."""
    mixed = np.moveaxis(kspace, -3, -1) @ matrix.T.astype(kspace.dtype)
    return np.moveaxis(mixed, -1, -3)


def geometric_matrices(kspace: np.ndarray, n_coils: int, readout: Readout) -> np.ndarray:
    """One combination of coils for each position along the readout, which sees fewer of them than the whole does.

    Each is made from a few neighbouring positions. Any rotation of its virtual coils keeps the same energy; the one
    nearest to the neighbour's combination is taken, from the strongest position outwards, so that virtual coils change
    smoothly along the readout.

    Parameters
    ----------
    kspace : complex (..., coil, ny, nx), centred, prewhitened; along the readout every line is whole
    n_coils : virtual coils to keep
    readout : axis

    Returns
    -------
    complex128 (position, n_coils, coil)
        The rows of each are orthonormal, so white noise stays white and keeps its variance.

    Raises
    ------
    InvalidInput
        If there are fewer coils.
    """
    coils = _checked(kspace.shape[-3], n_coils)
    hybrid = np.moveaxis(_inverse(kspace, _axis(readout)), (_axis(readout), -3), (0, 1))
    samples = hybrid.reshape(len(hybrid), coils, -1).astype(np.complex128)
    covariances = samples @ samples.conj().swapaxes(1, 2)
    energy = np.trace(covariances, axis1=1, axis2=2).real
    matrices = np.stack([_strongest(each, n_coils) for each in _smoothed(covariances)])
    strongest = int(energy.argmax())
    for here in range(strongest + 1, len(matrices)):
        matrices[here] = _aligned(matrices[here], matrices[here - 1])
    for here in range(strongest - 1, -1, -1):
        matrices[here] = _aligned(matrices[here], matrices[here + 1])
    return matrices


def compress_geometric(kspace: np.ndarray, matrices: np.ndarray, readout: Readout) -> np.ndarray:
    """Virtual coils (..., n_coils, ny, nx) of k-space (..., coil, ny, nx); each line is mixed with itself alone."""
    hybrid = combine_geometric(_inverse(kspace, _axis(readout)), matrices, readout)
    return _forward(hybrid, _axis(readout)).astype(kspace.dtype, copy=False)


def compress_block(block: np.ndarray, matrices: np.ndarray, readout: Readout) -> np.ndarray:
    """Virtual coils of a centred block of k-space (coil, cy, cx).

    Where it is shorter along the readout than the k-space it is filled with zeros there, and cut again afterwards: as
    exact as the missing ends are faint.
    """
    axis = _axis(readout)
    full, own = len(matrices), block.shape[axis]
    before = full // 2 - own // 2
    margins = [(0, 0), (0, 0), (0, 0)]
    margins[axis] = (before, full - own - before)
    mixed = compress_geometric(np.pad(block, margins), matrices, readout)
    return np.take(mixed, np.arange(before, before + own), axis=axis)


def combine_geometric(images: np.ndarray, matrices: np.ndarray, readout: Readout) -> np.ndarray:
    """Virtual coils of images or coil maps (..., coil, ny, nx)."""
    coils_last = np.moveaxis(images, (-3, _axis(readout)), (-1, -3))
    mixed = coils_last @ matrices.swapaxes(1, 2)
    return np.moveaxis(mixed, (-1, -3), (-3, _axis(readout)))


def compress_coils(kdata: KData, n_coils: int, method: Literal["svd", "gcc"] = "svd") -> KData:
    """Virtual coils of k-space, of its coil maps and of its calibration.

    Each slice has combinations of its own, so that a slice is the same whether it was read alone or with others.

    Parameters
    ----------
    kdata : of more coils, or as many.
    n_coils : virtual coils to keep.
    method : "svd", one combination for a slice, or "gcc", one for each position along the readout; that is the axis
        along which every line was measured whole, x if both are.

    Raises
    ------
    InvalidInput
        If there are fewer coils, or lines are whole along neither axis.
    """
    _checked(kdata.n_coils, n_coils)
    readout = readout_of(kdata) if method == "gcc" else "x"
    kspace, maps, blocks = [], [], []
    for index, own in enumerate(kdata.kspace):
        given = None if kdata.maps is None else kdata.maps[index]
        known = np.nan_to_num(own)  # it is NaN as a whole where a slice is missing, and stays so
        block = None if kdata.calibration is None else kdata.calibration[index]
        if method == "gcc":
            matrices = geometric_matrices(known, n_coils, readout)
            kspace.append(compress_geometric(own, matrices, readout))
            maps += [] if given is None else [combine_geometric(given, matrices, readout)]
            blocks += [] if block is None else [compress_block(block, matrices, readout)]
        else:
            matrix = compression_matrix(known, n_coils)
            kspace.append(compress(own, matrix))
            maps += [] if given is None else [compress(given, matrix)]
            blocks += [] if block is None else [compress(block, matrix)]
    source = f"{kdata.source}; {kdata.n_coils} coils compressed to {n_coils} ({method})".removeprefix("; ")
    stacked, calibration = (np.stack(arrays) if arrays else None for arrays in (maps, blocks))
    return replace(kdata, kspace=np.stack(kspace), maps=stacked, calibration=calibration, source=source, origin=None)


def readout_of(kdata: KData) -> Readout:
    """The axis along which every line was measured whole, or not at all; x if both are.

    Raises
    ------
    InvalidInput
        If neither is.
    """
    acquired = kdata.acquired
    axes: tuple[tuple[Readout, int], ...] = (("x", 1), ("y", 0))
    for name, axis in axes:
        if (acquired.all(axis=axis) == acquired.any(axis=axis)).all():
            return name
    raise InvalidInput(
        f"{kdata.name} has no readout axis: neither all of its rows nor all of its columns were measured whole or not "
        "at all, which geometric coil compression (gcc) needs; svd compresses any data."
    )


def _checked(coils: int, n_coils: int) -> int:
    if not 1 <= n_coils <= coils:
        raise InvalidInput(f"{coils} coils cannot be compressed to {n_coils}; accepted are 1 to {coils}.")
    return coils


def _strongest(covariance: np.ndarray, n_coils: int) -> np.ndarray:
    _, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors[:, ::-1][:, :n_coils].conj().T)


def _smoothed(covariances: np.ndarray) -> np.ndarray:
    """Sums over a window of neighbouring positions, an odd number of them; shorter at the ends."""
    half = len(covariances) // _WINDOW // 2
    sums = np.concatenate([np.zeros_like(covariances[:1]), np.cumsum(covariances, axis=0)])
    at = np.arange(len(covariances))
    return np.asarray(sums[np.minimum(at + half + 1, len(at))] - sums[np.maximum(at - half, 0)])


def _aligned(matrix: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
    """Rotate virtual coils to be as near as can be to a neighbour's (orthogonal Procrustes)."""
    left, _, right = np.linalg.svd(neighbour @ matrix.conj().T)
    return np.asarray(left @ right @ matrix)


def _axis(readout: Readout) -> int:
    return -1 if readout == "x" else -2


def _inverse(kspace: np.ndarray, axis: int) -> np.ndarray:
    return np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(kspace, axes=axis), axis=axis, norm="ortho"), axes=axis)


def _forward(hybrid: np.ndarray, axis: int) -> np.ndarray:
    return np.fft.fftshift(np.fft.fft(np.fft.ifftshift(hybrid, axes=axis), axis=axis, norm="ortho"), axes=axis)
