"""The layers that belong to the samples of one run, as one group of which one member is on the canvas."""

from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_lossguide.data.display import display_limits
from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.result import Result
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.boxes import ComboBox, IntBox
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.run_facts import run_facts
from napari_lossguide.widgets.views import held, role_of

SAMPLE = "single sample"  # role
MAGNITUDES = {"result", "quantile", SAMPLE}
SPREADS = {"standard deviation", "calibrated standard deviation"}


class SampleGroup(QWidget):
    """Choice of what is shown of a run's samples: mean, quantiles, standard deviation, one sample after another.

    Choosing a member shows its layer and hides the others of the group. Members that a person removed are not offered.

    Parameters
    ----------
    viewer : napari's viewer.

    Attributes
    ----------
    box, number : which member, and which sample, from 1.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._of: tuple[Result, KData, str] | None = None
        self.box, self.number = ComboBox(), IntBox()
        self._build()

    def show_group(self, result: Result, kdata: KData, name: str) -> None:
        """Offer the members of the result of that name; the mean is on the canvas."""
        assert result.samples is not None
        self._of = (result, kdata, name)
        with QSignalBlocker(self.number):
            self.number.setRange(1, result.samples.shape[1])
            self.number.setSuffix(f" of {result.samples.shape[1]}")
        self.refresh()

    def members(self) -> list[Image]:
        """Layers of the group, the mean first, then quantiles, maps of the spread and the single sample."""
        if self._of is None:
            return []
        name, order = self._of[2], ("result", "quantile", *sorted(SPREADS, reverse=True), SAMPLE)
        own = [x for x in self._viewer.layers if held(x).get("of" if role_of(x) != "result" else "name") == name]
        return sorted((x for x in own if role_of(x) in order), key=lambda x: order.index(role_of(x)))

    def refresh(self) -> None:
        """Read the members again; the choice stays."""
        chosen = self.box.currentData()
        with QSignalBlocker(self.box):
            self.box.clear()
            for layer in self.members():
                if role_of(layer) != SAMPLE:
                    self.box.addItem(_title(layer, self._of[2] if self._of else ""), held(layer)["name"])
            self.box.addItem("Single sample", SAMPLE)
            self.box.setCurrentIndex(max(0, self.box.findData(chosen)))
        self.number.setVisible(self.box.currentData() == SAMPLE)

    def _show(self) -> None:
        """Put the chosen member on the canvas, in the contrast of the one before if both are images."""
        if self._of is None:
            return
        self.number.setVisible(self.box.currentData() == SAMPLE)
        before = next((x for x in self.members() if x.visible and role_of(x) in MAGNITUDES), None)
        if self.box.currentData() == SAMPLE:
            self._sample()
        members = self.members()
        chosen = next(
            (x for x in members if self.box.currentData() in (held(x)["name"], role_of(x))),
            members[0] if members else None,
        )
        for layer in members:
            layer.visible = layer is chosen
        if chosen is not None:
            self._viewer.layers.selection.active = chosen
            if before is not None and role_of(chosen) in MAGNITUDES:
                chosen.contrast_limits = before.contrast_limits

    def _sample(self) -> None:
        """Bring the layer of the single sample up to date."""
        assert self._of is not None
        result, kdata, name = self._of
        assert result.samples is not None
        image = np.abs(result.samples[:, self.number.value() - 1]).astype(np.float32)
        layers.show_image(
            self._viewer,
            image,
            name=f"Sample of {name}",
            role=SAMPLE,
            place=Place.of(kdata),
            metadata={**run_facts(result), "of": name, "sample": self.number.value()},
            contrast_limits=display_limits(result.image, "magnitude"),
        )

    def _build(self) -> None:
        self.box.setAccessibleName("Shown of the samples")
        self.box.setToolTip(
            "Which of the layers that belong to these samples is on the canvas; the others of the group are hidden."
        )
        self.number.setAccessibleName("Number of the sample")
        self.number.setToolTip("Which sample is shown; the arrow keys go from one to the next.")
        self.number.hide()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Show"))
        layout.addWidget(self.box, 1)
        layout.addWidget(self.number)
        self.box.currentIndexChanged.connect(lambda _: self._show())
        self.number.valueChanged.connect(lambda _: self._show())


def _title(layer: Image, of: str) -> str:
    return "Mean" if role_of(layer) == "result" else str(held(layer)["name"]).removesuffix(f" of {of}")
