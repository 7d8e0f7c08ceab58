"""Difference maps: how far each image is from the reference, as layers that live while the Compare dock shows them."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from napari.layers import Image
from pydantic import BaseModel, Field
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_lossguide.widgets import layers
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.result_layers import SIMULATION
from napari_lossguide.widgets.views import role_of

ROLE = "difference"


class DifferenceParams(BaseModel):
    """How differences are shown."""

    kind: Literal["absolute", "signed"] = Field(
        "absolute", title="Difference", description="|image − reference| of the magnitudes, or with its sign."
    )
    gain: float = Field(
        5.0,
        ge=1,
        le=100,
        title="Gain",
        description="How much brighter differences are shown than the images.",
        json_schema_extra={"live": True, "scale": "log"},
    )


class DifferenceMaps(QWidget):
    """Whether and how differences are shown, and their layers.

    Attributes
    ----------
    changed : signal, when the maps have to be made again. The gain only changes their contrast.
    box, form : check box and form.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._peak = 1.0
        self.box, self.form = QCheckBox("Difference maps"), ParamsForm(DifferenceParams)
        self.box.setChecked(True)
        self.box.setToolTip("Show what each image differs by from the reference, below the images.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        layout.addWidget(self.form)
        self.box.toggled.connect(lambda _: self.changed.emit())
        self.form.changed.connect(lambda name, _: self._stretch() if name == "gain" else self.changed.emit())

    def show_maps(self, reference: Image | None, images: Sequence[Image]) -> list[Image]:
        """Show the maps of the images that fit the reference; drop all others.

        Returns
        -------
        list of Image
            In the order of the images; empty when switched off or without a reference.
        """
        maps: list[Image] = []
        if reference is not None and self.box.isChecked():
            self._peak = float(reference.contrast_limits[1])
            truth = magnitude(reference)
            maps = [self._show(image, truth, reference) for image in images if magnitude(image).shape == truth.shape]
        for layer in [x for x in self._viewer.layers if role_of(x) == ROLE and x not in maps]:
            self._viewer.layers.remove(layer)
        return maps

    def _show(self, image: Image, truth: np.ndarray, reference: Image) -> Image:
        delta, signed = magnitude(image) - truth, self._signed()
        return layers.show_image(
            self._viewer,
            delta if signed else np.abs(delta),
            name=f"{'Error' if signed else '|Error|'} of {image.name.removesuffix(SIMULATION)}",
            role=ROLE,
            scale=(1.0, *reference.scale)[-3:],
            contrast_limits=self._limits(),
            colormap="PiYG" if signed else "inferno",
            renew=True,
        )

    def _signed(self) -> bool:
        return bool(self.form.values()["kind"] == "signed")

    def _limits(self) -> tuple[float, float]:
        high = self._peak / self.form.values()["gain"]
        return (-high if self._signed() else 0.0), high

    def _stretch(self) -> None:
        for layer in self._viewer.layers:
            if role_of(layer) == ROLE:
                layer.contrast_limits = self._limits()


def magnitude(layer: Image) -> np.ndarray:
    """Magnitude in a layer, float32 (slice, ny, nx)."""
    data = np.abs(np.asarray(layer.data)).astype(np.float32)
    return data[None] if data.ndim == 2 else data
