"""Spikes and noise of k-space, as parts of the K-space dock. What they make is new data; the old data stay."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image
from pydantic import BaseModel, Field
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_lossguide.data import artefacts
from napari_lossguide.data.artefacts import Spike
from napari_lossguide.data.kdata import KData
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.kspace_view import KSpaceView
from napari_lossguide.widgets.mask_previews import shown_slice
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import Panel, Sentence
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.roi import is_region, pixels_in
from napari_lossguide.widgets.views import picture_name
from napari_lossguide.widgets.worker import Errand

HEADINGS = ("Slice", "Coil", "ky", "kx", "Score")
MOST_ROWS = 100


class SpikeParams(BaseModel):
    """A spike to add, and how spikes are looked for."""

    ky: int = Field(20, ge=-4096, le=4096, title="ky", description="Line of the spike, counted from the centre.")
    kx: int = Field(15, ge=-4096, le=4096, title="kx", description="Column of the spike, counted from the centre.")
    strength: float = Field(
        0.5, gt=0, le=1000, title="Strength", description="Relative to the largest magnitude of slice and coil."
    )
    threshold: float = Field(
        4.0,
        ge=2,
        le=50,
        title="Threshold",
        description="For finding: robust standard deviations of the log-magnitude above the median of the ring.",
    )


class NoiseParams(BaseModel):
    """Noise to add."""

    noise_std: float = Field(
        0.0, ge=0, title="Noise std", description="Root mean square magnitude of one k-space point; 0: by the SNR."
    )
    snr: float = Field(
        20.0, ge=0.1, le=1e6, title="SNR", description="Mean of the object / noise of the real part of one pixel."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Seed", description="The same seed adds the same noise.")


class ArtefactTools(QWidget):
    """Base of both parts.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer, or a viewer model.
    view : which acquisition and coil are shown.
    show : called with new data.
    """

    def __init__(self, panel: Panel, viewer: Any, view: KSpaceView, show: Callable[[KData], None]) -> None:
        super().__init__()
        self._panel, self._viewer, self._view, self._show = panel, viewer, view, show
        self.note = Sentence(type(self).__name__)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)

    def _data(self) -> KData:
        kdata = self._view.kdata
        if kdata is None:
            raise InvalidInput("There is no k-space yet; open some, or transform an image.")
        return kdata

    def _add(self, kdata: KData) -> None:
        """Show new data under a name that no layer has, so that nothing is replaced."""
        name, number = kdata.name, 1
        while layers.find_layer(self._viewer, "kspace", picture_name(kdata, "k-space")) is not None:
            number += 1
            kdata = replace(kdata, name=f"{name} ({number})")
        self._show(kdata)

    def _button(self, title: str, tip: str, action: Callable[[], None]) -> QPushButton:
        button = QPushButton(title)
        button.setToolTip(tip)

        def press(*_: object) -> None:
            with self._panel.attempt(), self._panel.busy():
                action()

        button.clicked.connect(press)
        return button


class SpikeTools(ArtefactTools):
    """Adding a spike; finding spikes, marking them as points and taking them out.

    Attributes
    ----------
    form, buttons, table : the controls.
    found : spikes of the last search.
    """

    def __init__(self, panel: Panel, viewer: Any, view: KSpaceView, show: Callable[[KData], None]) -> None:
        super().__init__(panel, viewer, view, show)
        self.found: Sequence[Spike] = ()
        self._searched: KData | None = None
        self._errand = Errand(self)
        self._errand.ended.connect(self._show_found)
        self.form, self.table = ParamsForm(SpikeParams), QTableWidget(0, len(HEADINGS))
        self.buttons = {
            "add": self._button(
                "Add a spike", "To the coil of the slider, or to all while coils are combined.", self.add
            ),
            "find": self._button("Find spikes", "Outliers of their ring that exceed their neighbours too.", self.find),
            "mark": self._button("Mark as points", "A Points layer on k-space, one point for each spike.", self.mark),
            "remove": self._button("Remove", "New data in which these points count as not acquired.", self.remove),
        }
        self.table.setAccessibleName("Spikes found")
        self.table.setToolTip(
            "ky and kx count from the centre; the score is in robust standard deviations of the log-magnitude."
        )
        self.table.setHorizontalHeaderLabels(list(HEADINGS))
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setMinimumSectionSize(36)
        self.table.setFixedHeight(120)
        widgets = (self.form, self.buttons["add"], self.buttons["find"], self.note, self.table)
        for widget in (*widgets, self.buttons["mark"], self.buttons["remove"]):
            self._layout.addWidget(widget)

    def add(self) -> None:
        """Add a spike to the slice on the canvas."""
        kdata, values = self._data(), self.form.values()
        point = values["ky"], values["kx"]
        index = shown_slice(self._viewer, kdata)
        self._add(artefacts.add_spike(kdata, point, values["strength"], self._view.chosen_coil, index))

    def find(self) -> None:
        """Search all slices and coils, in a thread; what an earlier search found is gone."""
        kdata, threshold = self._data(), self.form.values()["threshold"]
        self.found, self._searched = (), None
        self.table.setRowCount(0)
        self.buttons["find"].setEnabled(False)
        self.note.show_text(f"Searching {kdata.name}…")
        self._errand.start(lambda: (kdata, artefacts.find_spikes(kdata, threshold)), "Search for spikes")

    def _show_found(self, outcome: tuple[KData, Sequence[Spike]] | Failure) -> None:
        self.buttons["find"].setEnabled(True)
        self.note.show_text("")
        with self._panel.attempt():
            if isinstance(outcome, Failure):
                raise InvalidInput(outcome.sentence)
            if outcome[0] is self._view.kdata:  # else other data are shown by now, of which this says nothing
                self._searched, self.found = outcome
                self._fill_table(self._searched)

    def _fill_table(self, kdata: KData) -> None:
        more = f"; the table shows {MOST_ROWS}" if len(self.found) > MOST_ROWS else ""
        self.note.show_text(f"{len(self.found)} found in {kdata.name}, slices and coils counted apart{more}.")
        ny, nx = kdata.image_shape
        self.table.setRowCount(min(len(self.found), MOST_ROWS))
        for row, spike in enumerate(self.found[:MOST_ROWS]):
            values = (spike.slice + 1, spike.coil + 1, spike.y - ny // 2, spike.x - nx // 2, f"{spike.score:.1f}")
            for column, value in enumerate(values):
                cell = QTableWidgetItem(str(value))
                cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, cell)

    def mark(self) -> None:
        """Show what was found as points."""
        kdata = self._searched_data()
        points = np.array([spike[:1] + spike[2:4] for spike in self.found], float)
        layers.show_points(
            self._viewer,
            points[:, 1:] if kdata.n_slices == 1 else points,
            name=picture_name(kdata, "spikes"),
            role="spikes",
            place=Place.of(kdata),
            metadata={"simulated": kdata.simulated},
        )
        if self._viewer.canvas.grid.enabled:
            self._panel.status.show_text("Switch “Layers side by side” off to see the points on top of k-space.")

    def remove(self) -> None:
        """Make data without the points found."""
        kdata = self._searched_data()
        self._add(artefacts.drop_points(kdata, np.array([spike[2:4] for spike in self.found])))

    def _searched_data(self) -> KData:
        kdata = self._data()
        if self._searched is not kdata or not self.found:
            raise InvalidInput(f"No spikes of {kdata.name} are known; press “Find spikes” first.")
        return kdata


class NoiseTools(ArtefactTools):
    """Adding white noise, and measuring its level.

    Attributes
    ----------
    form, region, buttons : the controls.
    level : noise std that was measured last, and how; None before.
    """

    def __init__(self, panel: Panel, viewer: Any, view: KSpaceView, show: Callable[[KData], None]) -> None:
        super().__init__(panel, viewer, view, show)
        self.level: tuple[KData, float, str] | None = None
        self.form = ParamsForm(NoiseParams)
        self.region = OptionalLayerCombo(panel, viewer, is_region, "corners of k-space")
        self.region.setAccessibleName("Where the noise is measured")
        self.region.setToolTip(
            "A Shapes or Labels layer on a part of the image without signal; without one, the corners of k-space."
        )
        self.buttons = {
            "add": self._button("Add noise", "New data: complex white noise on every acquired point.", self.add),
            "measure": self._button(
                "Measure the noise",
                "In the corners of k-space, or in a region of the image without signal.",
                self.measure,
            ),
            "state": self._button("State it in the data", "New data that know this noise level.", self.state),
        }
        for widget in (self.form, self.buttons["add"], self.region, self.buttons["measure"], self.note):
            self._layout.addWidget(widget)
        self._layout.addWidget(self.buttons["state"])

    def add(self) -> None:
        """Add noise of the std, or of the signal-to-noise ratio if it is 0."""
        kdata, values = self._data(), self.form.values()
        std = values["noise_std"] or artefacts.std_for_snr(kdata, values["snr"])
        self._add(artefacts.add_noise(kdata, std, values["seed"]))

    def measure(self) -> None:
        """Measure and say it."""
        kdata, chosen = self._data(), self.region.layer
        if chosen is None:
            std, how = artefacts.noise_from_corners(kdata), "measured in the corners of k-space"
        else:
            image = layers.find_layer(self._viewer, "image", picture_name(kdata, "image"))
            if not isinstance(image, Image):
                raise InvalidInput("The image of the k-space is not shown; check its box, for the region lies on it.")
            inside, index = pixels_in(chosen, image), shown_slice(self._viewer, kdata)
            std = artefacts.noise_from_region(kdata, inside, index)
            how = f"measured in the region {chosen.name}, slice {index + 1}"
        self.level = kdata, std, how
        known = f" The data state {kdata.noise_std:.4g}." if kdata.noise_std is not None else ""
        self.note.show_text(f"Noise std {std:.4g} of {kdata.name}, {how}.{known}")

    def state(self) -> None:
        """Make data that state the level measured."""
        kdata = self._data()
        if self.level is None or self.level[0] is not kdata:
            raise InvalidInput(f"The noise of {kdata.name} was not measured yet; press “Measure the noise” first.")
        self._add(artefacts.with_noise_std(*self.level))
