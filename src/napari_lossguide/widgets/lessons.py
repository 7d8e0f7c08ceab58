"""Sample data for the guide: an acquisition and the mask that undersamples it, one of each for a lesson."""

from typing import Any

import numpy as np
from napari.utils import DirectLabelColormap

from napari_lossguide.data import samples
from napari_lossguide.data.kdata import KData
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.widgets.io import LayerData, kspace_layers
from napari_lossguide.widgets.layers import COLOURS
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.views import KEY

MASK = MaskRecipe.of("equispaced", acceleration=4.0, center_fraction=0.08)


def lesson_1() -> list[LayerData]:
    """Phantom, one coil, 4x."""
    return with_mask(samples.lesson_phantom())


def lesson_2() -> list[LayerData]:
    """Brain template, 8 coils."""
    return with_mask(samples.lesson_brain())


def lesson_3() -> list[LayerData]:
    """Spikes and noise."""
    return with_mask(samples.lesson_spikes())


def lesson_4() -> list[LayerData]:
    """A scan that is undersampled already and has no reference."""
    kdata = samples.lesson_scan()
    return kspace_layers(kdata.undersample(MASK.make(kdata.image_shape)))


def lesson_5() -> list[LayerData]:
    """A stack of slices."""
    return with_mask(samples.lesson_stack())


def with_mask(kdata: KData) -> list[LayerData]:
    """Layers of fully sampled k-space and, above them, of its mask, which the docks know as theirs."""
    kept = {"role": "mask", "name": "mask", "mask": MASK.model_dump(), "simulated": kdata.simulated}
    attributes: dict[str, Any] = {
        "name": "mask",
        "metadata": {KEY: kept},
        "colormap": DirectLabelColormap(color_dict={0: (0, 0, 0, 0), None: COLOURS["mask"]}),
        "opacity": 0.8,
        "visible": False,
        **Place.of(kdata).keywords(2),
    }
    return [*kspace_layers(kdata), (MASK.make(kdata.image_shape).astype(np.uint8), attributes, "labels")]
