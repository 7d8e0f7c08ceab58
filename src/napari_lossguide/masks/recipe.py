"""A mask as a recipe: kind and parameters, or the points that a person drew."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.data.checks import as_mask
from napari_lossguide.masks.registry import MASKS, check_params, make_mask
from napari_lossguide.types import InvalidInput

DRAWN = "drawn"


class MaskRecipe(BaseModel):
    """How to make a mask again. `kind` is one of `MASKS`, or "drawn", whose `params` hold the points themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    params: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of(cls, kind: str, **params: Any) -> MaskRecipe:
        """A recipe that names every parameter, the defaults too.

        Raises
        ------
        InvalidInput
            As `make_mask`.
        """
        return cls(kind=kind, params=check_params(kind, params).model_dump())

    @classmethod
    def drawn(cls, mask: np.ndarray) -> MaskRecipe:
        """The recipe of a mask (ny, nx) that no function makes: its bits, packed row by row, in base64."""
        if np.ndim(mask) != 2:
            raise InvalidInput(f"The drawn mask has shape {np.shape(mask)}; it must be (ny, nx).")
        mask = as_mask(mask, np.shape(mask), "The drawn mask")
        bits = base64.b64encode(np.packbits(mask).tobytes()).decode("ascii")
        return cls(kind=DRAWN, params={"shape": list(mask.shape), "bits": bits})

    def make(self, shape: tuple[int, int]) -> np.ndarray:
        """The mask, bool (ny, nx).

        Raises
        ------
        InvalidInput
            As `make_mask`; and if a drawn mask has another shape or is damaged.
        """
        if self.kind == DRAWN:
            return self._unpack(shape)
        if self.kind not in MASKS:
            raise InvalidInput(f"The mask {self.kind!r} is unknown; accepted are {', '.join(MASKS)}, {DRAWN}.")
        return make_mask(self.kind, shape, **self.params)

    def _unpack(self, shape: tuple[int, int]) -> np.ndarray:
        try:
            ny, nx = (int(n) for n in self.params["shape"])
            packed = np.frombuffer(base64.b64decode(self.params["bits"], validate=True), np.uint8)
            if min(ny, nx) < 1 or packed.size != -(-ny * nx // 8):
                raise ValueError(f"{packed.size} bytes for {ny} x {nx} points")
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise InvalidInput(f"The drawn mask in the recipe is damaged ({error!r}).") from error
        return as_mask(np.unpackbits(packed, count=ny * nx).reshape(ny, nx), shape, "The drawn mask")
