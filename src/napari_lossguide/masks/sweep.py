"""One kind of mask over a range of accelerations: what is achieved, and how strongly it aliases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_lossguide.masks.quality import peak_sidelobe
from napari_lossguide.masks.registry import MASKS, achieved_acceleration, make_mask
from napari_lossguide.types import InvalidInput

ACCELERATIONS = tuple(range(2, 13))


@dataclass(frozen=True)
class Row:
    """One acceleration.

    Attributes
    ----------
    asked, achieved : acceleration; achieved is not a number where no mask could be made.
    sidelobe : peak sidelobe of the point spread in dB.
    psnr : of the zero-filled image in dB; not a number if there is no full scan.
    note : why there is no mask.
    """

    asked: float
    achieved: float = np.nan
    sidelobe: float = np.nan
    psnr: float = np.nan
    note: str = ""


def at_acceleration(kind: str, params: Mapping[str, Any], acceleration: float) -> dict[str, Any]:
    """The parameters of a kind with another acceleration; of a grid, the two distances nearest to a square.

    Raises
    ------
    InvalidInput
        If the kind has none: a fully sampled mask.
    """
    fields = MASKS[kind].params.model_fields
    if "acceleration" in fields:
        return {**params, "acceleration": float(acceleration)}
    if "ry" in fields and "rx" in fields:
        whole = max(round(acceleration), 1)
        ry = max(n for n in range(1, int(whole**0.5) + 1) if whole % n == 0)
        return {**params, "ry": ry, "rx": whole // ry}
    raise InvalidInput(f"The mask “{MASKS[kind].title}” has no acceleration to sweep over; choose another kind.")


def sweep(
    kind: str,
    params: Mapping[str, Any],
    shape: tuple[int, int],
    accelerations: Iterable[float] = ACCELERATIONS,
    psnr: Callable[[np.ndarray], float] | None = None,
) -> list[Row]:
    """Masks of one kind over accelerations, everything else as given.

    Parameters
    ----------
    kind : one of `MASKS`
    params : of the kind, its acceleration is replaced
    shape : (ny, nx)
    accelerations : to ask for
    psnr : mask (ny, nx) -> quality in dB; None: not computed

    Raises
    ------
    InvalidInput
        If the kind has no acceleration. An acceleration that cannot be made is a row with a note.
    """
    rows = []
    for acceleration in accelerations:
        wanted = at_acceleration(kind, params, acceleration)
        try:
            mask = make_mask(kind, shape, **wanted)
        except InvalidInput as error:
            rows.append(Row(acceleration, note=str(error)))
            continue
        quality = np.nan if psnr is None else psnr(mask)
        rows.append(Row(acceleration, achieved_acceleration(mask), peak_sidelobe(mask), quality))
    return rows
