"""Variable-density Poisson disc."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from napari_lossguide.masks.density import centre_block
from napari_lossguide.masks.params import PointParams, budget

# Random sequential packing of discs covers 0.547 of the plane, so at a smallest distance d it has 0.696 / d^2 points.
_PACKING = 0.696
_SHRINK = 0.93


class PoissonParams(PointParams):
    """A Poisson disc whose density falls from the centre to the edge."""

    falloff: float = Field(
        1.0,
        ge=0,
        le=10,
        title="Density falloff",
        description="How much farther apart points are at the edge than in the centre; 0: uniform, 1: twice as far.",
    )


def poisson_points(shape: tuple[int, int], params: PoissonParams) -> np.ndarray:
    """The centre, and points that keep a distance from each other which grows from the centre outwards.

    Dart throwing with shrinking discs (McCool and Fiume, Graphics Interface 1992): all points of the grid are tried in
    random order with discs too large for the asked number; when none fits any more, the discs shrink a little, and so
    on until there are exactly round(ny nx / acceleration) points. So no density has to be searched for.
    """
    block = centre_block(shape, params.center_fraction)
    count = round(budget(block.size, int(block.sum()), params))
    radius = _relative_radius(shape, params.falloff)
    scale = 1.3 * np.sqrt(_PACKING * (1 / radius[~block] ** 2).sum() / max(count, 1))
    field = _Distances(radius, int(np.ceil(scale * radius.max())))
    field.relative[field.inner][block] = 0
    rng = np.random.default_rng(params.seed)
    taken: list[int] = []
    while len(taken) < count:
        taken += field.throw(scale, count - len(taken), rng)
        scale *= _SHRINK
    block.ravel()[taken] = True
    return block


def _relative_radius(shape: tuple[int, int], falloff: float) -> np.ndarray:
    """Disc radius at each point, 1 in the centre and 1 + falloff in the middle of the edges."""
    y, x = (np.abs(np.arange(n) - n // 2) / (n / 2) for n in shape)
    return 1 + falloff * np.hypot(y[:, None], x[None, :])


class _Distances:
    """For each point of the grid, its distance to the points taken so far, in units of their relative radius."""

    def __init__(self, radius: np.ndarray, reach: int) -> None:
        self.radius = radius
        self.reach = reach
        # Padded, so that windows need no clipping.
        self.relative = np.full([n + 2 * reach for n in radius.shape], np.inf)
        self.inner = tuple(slice(reach, reach + n) for n in radius.shape)
        offsets = np.arange(-reach, reach + 1)
        self.offsets = np.hypot(offsets[:, None], offsets[None, :])

    def throw(self, scale: float, most: int, rng: np.random.Generator) -> list[int]:
        """Take points at least `scale` times the radius away from those taken, in random order; their flat indices."""
        nx = self.radius.shape[1]
        taken: list[int] = []
        for index in rng.permutation(np.flatnonzero(self.relative[self.inner] >= scale)).tolist():
            y, x = divmod(index, nx)
            if self.relative[y + self.reach, x + self.reach] < scale:
                continue
            self._cover(y, x, scale)
            taken.append(index)
            if len(taken) == most:
                break
        return taken

    def _cover(self, y: int, x: int, scale: float) -> None:
        radius = self.radius[y, x]
        # Farther away the point matters to no smaller disc either.
        near = min(int(scale * radius), self.reach)
        window = self.relative[
            y + self.reach - near : y + self.reach + near + 1, x + self.reach - near : x + self.reach + near + 1
        ]
        first, last = self.reach - near, self.reach + near + 1
        np.minimum(window, self.offsets[first:last, first:last] / radius, out=window)
