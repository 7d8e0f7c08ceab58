"""Sampling masks: pure seeded functions that return bool (ny, nx), True where k-space is acquired."""

from napari_lossguide.masks.recipe import MaskRecipe
from napari_lossguide.masks.registry import MASKS, MaskKind, achieved_acceleration, make_mask, point_spread

__all__ = ["MASKS", "MaskKind", "MaskRecipe", "achieved_acceleration", "make_mask", "point_spread"]
