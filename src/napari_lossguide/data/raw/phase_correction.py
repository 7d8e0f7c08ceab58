"""Phase between lines that were read forwards and backwards, which makes ghosts half a field of view away (N/2).

Delays of gradients and eddy currents shift the two kinds of lines against each other in k-space: in the image that is
a phase that is linear along the readout. Lines without phase encoding, read both ways, measure it (Bruder et al. 1992,
Magn. Reson. Med. 23:311); its slope is the phase of an autocorrelation (Ahn and Cho 1987,
doi 10.1109/TMI.1987.4307795).
"""

from __future__ import annotations

import numpy as np

from napari_lossguide.types import InvalidInput


def linear_phase(forward: np.ndarray, reverse: np.ndarray) -> tuple[float, float]:
    """Phase a + b (x - nx // 2) of the image of reverse lines over that of forward lines, by all coils together.

    Parameters
    ----------
    forward, reverse : complex (line, coil, nx), k-space without phase encoding, from low to high k; the mean over lines
        is taken, so with one reverse line between two forward ones a drift cancels

    Returns
    -------
    a in (-pi, pi] in rad, b in rad per pixel

    Raises
    ------
    InvalidInput
        If there are no lines of one kind, or no signal.
    """
    if not len(forward) or not len(reverse):
        raise InvalidInput(
            f"A phase correction needs lines read in both directions; there are {len(forward)} forwards and "
            f"{len(reverse)} backwards."
        )
    one, other = (_image(np.asarray(lines, np.complex128).mean(axis=0)) for lines in (forward, reverse))
    product = (other * one.conj()).sum(axis=0)
    if not product.any():
        raise InvalidInput("A phase correction needs signal in its lines; there is none.")
    slope = float(np.angle((product[1:] * product[:-1].conj()).sum()))
    constant = float(np.angle((product * np.exp(-1j * slope * _positions(len(product)))).sum()))
    return constant, slope


def correct_phase(line: np.ndarray, constant: float, slope: float) -> np.ndarray:
    """K-space lines (..., nx) whose image had the phase constant + slope (x - nx // 2), without it."""
    turned = _image(line) * np.exp(-1j * (constant + slope * _positions(line.shape[-1])))
    back = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(turned, axes=-1), norm="ortho"), axes=-1)
    return np.asarray(back.astype(line.dtype, copy=False))


def _positions(size: int) -> np.ndarray:
    return np.arange(size) - size // 2


def _image(line: np.ndarray) -> np.ndarray:
    return np.asarray(np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(line, axes=-1), norm="ortho"), axes=-1))
