"""A sweep as a picture: magnitudes in rows and columns, with reference and zero-filled image beside or above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.figure import Panel, captioned_grid

if TYPE_CHECKING:
    from napari_lossguide.recon.cells import Sweep


def figure(sweep: Sweep) -> np.ndarray:
    """The middle slice of every cell, uint8 (height, width); at least one cell must be done.

    White is the largest magnitude of the reference's slice, or else the median of the cells' largest: one cell that is
    far too bright does not darken the others.
    """
    middle = sweep.image.shape[2] // 2
    n_rows, n_columns = sweep.status.shape
    panels = [[cell_panel(sweep, r, c, middle) for c in range(n_columns)] for r in range(n_rows)]
    rows, columns = ([axis.caption(i) for i in range(len(axis))] for axis in (sweep.rows, sweep.columns))
    if same_zero_filled(sweep, across_columns=True):
        # each row has one zero-filled image: it stands at the left
        beside = [beside_panels(sweep, sweep.zero_filled[r], middle) for r in range(n_rows)]
        panels = [[*b, *row] for b, row in zip(beside, panels, strict=True)]
        columns = [*names(sweep), *columns]
    elif same_zero_filled(sweep, across_columns=False):
        above = [beside_panels(sweep, sweep.zero_filled[:, c], middle) for c in range(n_columns)]
        panels = [*(list(row) for row in zip(*above, strict=True)), *panels]
        rows = [*names(sweep), *rows]
    elif sweep.reference is not None:
        shown = Panel(np.abs(sweep.reference[middle]), "")
        panels, columns = [[shown, *row] for row in panels], ["reference", *columns]
    return captioned_grid(panels, rows, columns, title(sweep, middle), white(sweep, middle))


def names(sweep: Sweep) -> list[str]:
    """What stands beside the cells."""
    return [*(["reference"] if sweep.reference is not None else []), "zero-filled"]


def beside_panels(sweep: Sweep, zero_filled: np.ndarray, middle: int) -> list[Panel]:
    """The reference if it is known, and the zero-filled image of the first cell (cell, slice, ny, nx) that is done."""
    done = [volume for volume in zero_filled if np.isfinite(volume).all()]
    first = Panel(np.abs(done[0][middle]), quality(sweep, done[0])) if done else Panel(None, "not reached")
    return [first] if sweep.reference is None else [Panel(np.abs(sweep.reference[middle]), ""), first]


def quality(sweep: Sweep, image: np.ndarray) -> str:
    """PSNR and SSIM of a volume; nothing without a reference."""
    from napari_lossguide.recon.cells import scores

    if sweep.reference is None:
        return ""
    values = scores(sweep.reference, image)
    return f"{values['psnr']:.2f} dB, SSIM {values['ssim']:.3f}"


def cell_panel(sweep: Sweep, row: int, column: int, middle: int) -> Panel:
    """One cell: its image with PSNR and SSIM, or the residual without a reference; or why there is none."""
    place = row, column
    if sweep.status[place] != "done":
        return Panel(None, str(sweep.status[place]))
    caption = quality(sweep, sweep.image[place]) or f"residual {sweep.figures['residual'][place]:.3g}"
    return Panel(np.abs(sweep.image[place][middle]), caption)


def same_zero_filled(sweep: Sweep, across_columns: bool) -> bool:
    """Whether the cells of each row (else of each column) that are done began from one zero-filled image."""
    axes = (0, 1) if across_columns else (1, 0)
    lines = (np.moveaxis(array, axes, (0, 1)) for array in (sweep.zero_filled, sweep.status))
    for volumes, status in zip(*lines, strict=True):
        done = volumes[status == "done"]
        if len(done) and not np.allclose(done, done[:1], rtol=1e-4, atol=1e-6 * np.abs(done[0]).max()):
            return False
    return True


def white(sweep: Sweep, middle: int) -> float:
    """The magnitude that is shown white."""
    done = sweep.image[sweep.status == "done"][:, middle]
    shown = np.abs(done).max(axis=(1, 2)) if sweep.reference is None else np.abs(sweep.reference[middle]).max()
    return float(np.median(shown)) or 1.0


def title(sweep: Sweep, middle: int) -> str:
    """What varies along which side, the method, the slice."""
    base, slices = sweep.recipes[0][0], sweep.image.shape[2]
    sides = [f"{side}: {', '.join(axis.names)}" for side, axis in (("rows", sweep.rows), ("columns", sweep.columns))]
    shown = [text for text, axis in zip(sides, (sweep.rows, sweep.columns), strict=True) if axis.names]
    if "method" not in (*sweep.rows.names, *sweep.columns.names):
        shown.append(f"method: {base.method}")
    return "\n".join([*shown, *([f"slice {middle} of 0 ... {slices - 1}, figures of all"] if slices > 1 else [])])
