"""The K-space dock: open k-space or make it from an image, and look at both sides of the Fourier transform."""

from typing import TYPE_CHECKING

from napari.layers import Image, Layer
from qtpy.QtWidgets import QPushButton, QWidget

from napari_lossguide.data.kdata import KData
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.artefact_tools import NoiseTools, SpikeTools
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.file_opener import FileOpener, Opened
from napari_lossguide.widgets.fold import Fold
from napari_lossguide.widgets.forms import ParamsForm, form_layout
from napari_lossguide.widgets.keys import MAIN, give_key
from napari_lossguide.widgets.kspace_view import KSpaceView
from napari_lossguide.widgets.panel import LayerCombo, Panel, heading
from napari_lossguide.widgets.pixels import take_pixels
from napari_lossguide.widgets.predicted_view import PredictedView
from napari_lossguide.widgets.radial_plot import RadialPlot
from napari_lossguide.widgets.raw_steps import RawStepsPart
from napari_lossguide.widgets.simulation import SimulationParams, simulate_pixels
from napari_lossguide.widgets.views import kdata_of, role_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

FOLLOW_MS = 150
NOT_SOURCES = ("psf", "preview", "mask preview", "acquired k-space", "predicted k-space", "k-space residual")


class KSpaceDock(Panel):
    """Dock that opens an acquisition, or simulates one from an image layer, and shows its k-space and image.

    Parameters
    ----------
    napari_viewer : napari's viewer, or a viewer model.

    Attributes
    ----------
    opener : buttons that open files and folders.
    view : controls of what is shown; ``view.kdata`` is the acquisition.
    raw : what is done to raw data when a file is read.
    source, slices, simulation : layer to transform, which slices, and the simulation's settings.
    """

    def __init__(self, napari_viewer: "ViewerModel") -> None:
        super().__init__(napari_viewer)
        self.viewer = napari_viewer
        self._origin: Layer | None = None  # the image layer that the data shown were made from
        self.source = LayerCombo(self, napari_viewer, _is_source, "no image layer")
        self.slices = ComboBox()
        self.simulation = ParamsForm(SimulationParams)
        self.transform_button = QPushButton("Transform to k-space")
        self.view = KSpaceView(self, napari_viewer)
        self.raw = RawStepsPart(self, self.view, self._show_changed)
        self.opener = FileOpener(self, self.raw.steps)
        self.profile = RadialPlot(self, napari_viewer, self.view)
        self.predicted = PredictedView(self, napari_viewer, self.view)
        self.spikes = SpikeTools(self, napari_viewer, self.view, self._show_changed)
        self.noise = NoiseTools(self, napari_viewer, self.view, self._show_changed)
        self._follow_timer = self.after(FOLLOW_MS, self._follow)
        self._build()
        self._connect()
        self._noise_changed()
        self._source_changed(self.source.layer)

    @property
    def kdata(self) -> KData | None:
        """The acquisition shown."""
        return self.view.kdata

    def transform(self) -> None:
        """Make k-space from the chosen layer and show it."""
        with self.attempt(), self.busy():
            kdata, note = self._simulate(self.source.layer)
            self._origin = self.source.layer
            self.view.show_new(kdata)
            self.status.show_text(note)

    def _show_opened(self, opened: Opened) -> None:
        """Show what was read."""
        self._origin = None
        _, self.source.layer = self.view.show_new(opened.kdata, opened.pictures)

    def _show_changed(self, kdata: KData) -> None:
        """Show data that were made from those shown, which stay."""
        self._origin = None
        _, self.source.layer = self.view.show_new(kdata)

    def _follow(self) -> None:
        """The settings have changed: simulate again what this dock has transformed."""
        if self._origin is not None and self._origin is self.source.layer:
            with self.attempt(), self.busy():
                self.view.show_again(self._simulate(self._origin)[0])

    def _simulate(self, layer: Layer | None) -> tuple[KData, str]:
        """The acquisition, and what had to be converted."""
        if layer is None:
            raise InvalidInput("There is no image layer to transform; open an image first.")
        pixels = take_pixels(layer, self.viewer.dims, every_slice=self.slices.currentIndex() == 1)
        return simulate_pixels(pixels, SimulationParams(**self.simulation.values()), layer.name), pixels.note

    def _source_changed(self, layer: Layer | None) -> None:
        kdata = kdata_of(layer) if layer is not None else None
        self._image_part.setVisible(kdata is None)
        self.transform_button.setEnabled(layer is not None)
        self._source_form.setRowVisible(self.slices, layer is not None and kdata is None and layer.ndim > 2)
        if kdata is not None and kdata is not self.kdata:
            self._origin = None
            with self.attempt():
                self.view.pick_up(kdata)

    def _noise_changed(self, *_: object) -> None:
        noise = self.simulation.values()["noise"]
        self.simulation.show_row("snr", noise == "snr")
        self.simulation.show_row("noise_std", noise == "std")

    def _connect(self) -> None:
        self.opener.opened.connect(self._show_opened)
        self.view.taken.connect(self._show_changed)
        self.transform_button.clicked.connect(self.transform)
        self.source.layer_changed.connect(self._source_changed)
        self.simulation.changed.connect(self._noise_changed)
        self.simulation.changed.connect(self._follow_timer.start)
        self.slices.currentIndexChanged.connect(self._follow_timer.start)

    def _build(self) -> None:
        self.transform_button.setToolTip("Fourier transform of the chosen layer, as the simulated acquisition sees it.")
        give_key(self, self.transform_button, MAIN)
        self.source.setAccessibleName("Source layer")
        self.slices.addItems(["current slice", "all slices"])
        self.source.setToolTip("The image that becomes k-space, or k-space that is there already, to look at.")
        self.slices.setAccessibleName("Slices to transform")
        self.slices.setToolTip("Transform the slice that is shown, or the whole stack.")
        self._source_form = form_layout()
        self._source_form.addRow("Layer", self.source)
        self._source_form.addRow("Slices", self.slices)
        self._image_part = QWidget()
        part = form_layout(self._image_part)
        part.addRow(Fold("Simulated acquisition", self.simulation, expanded=True))
        part.addRow(self.transform_button)
        self.body.addWidget(heading("Source"))
        self.body.addWidget(self.opener)
        self.body.addWidget(Fold("Raw data", self.raw, tip="What is done to raw data when a file is read."))
        self.body.addLayout(self._source_form)
        self.body.addWidget(self._image_part)
        self.body.addWidget(self.view)
        for title, part_of, tip in (
            ("Energy against radius", self.profile, "How strong k-space is at each spatial frequency, in dB."),
            ("A reconstruction in k-space", self.predicted, "What a result says of the points, measured or not."),
            ("Spikes", self.spikes, "Single points that are far too strong: find them, take them out, or add some."),
            ("Noise", self.noise, "Measure the noise of the data, or add more of it."),
        ):
            self.body.addWidget(Fold(title, part_of, tip=tip))
        self.body.addStretch(1)


def _is_source(layer: Layer) -> bool:
    return isinstance(layer, Image) and role_of(layer) not in NOT_SOURCES
