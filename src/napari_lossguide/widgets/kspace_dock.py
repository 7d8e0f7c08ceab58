"""The K-space dock: open k-space or make it from an image, and look at both sides of the Fourier transform."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFileDialog, QGridLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_lossguide.data.display import VIEWS
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.readers import read
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.boxes import ComboBox, Slider
from napari_lossguide.widgets.forms import ParamsForm, collapsible, form_layout
from napari_lossguide.widgets.panel import GridBox, LayerCombo, Panel, Sentence, heading
from napari_lossguide.widgets.pixels import take_pixels
from napari_lossguide.widgets.simulation import SimulationParams, simulate_pixels
from napari_lossguide.widgets.views import COMBINED, held, kdata_of, picture_name, role_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

FILES = "k-space or images (*.npy *.npz *.h5);;all files (*)"
SHOWN = {"kspace": ("k-space", "log-magnitude"), "image": ("image", "magnitude")}
FOLLOW_MS = 150


class KSpaceDock(Panel):
    """Dock that shows the k-space and the image of an acquisition, real or simulated.

    Parameters
    ----------
    napari_viewer : napari's viewer, or a viewer model.

    Attributes
    ----------
    kdata : what is shown, or None.
    """

    def __init__(self, napari_viewer: "ViewerModel") -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.kdata: KData | None = None
        self._origin: Layer | None = None
        self.open_button = _button("Open k-space file…", "NumPy .npy or .npz, or fastMRI .h5.")
        self.source = LayerCombo(self, napari_viewer, _is_source, "no image layer")
        self.slices = _combo(["current slice", "all slices"], "Slices to transform")
        self.simulation = ParamsForm(SimulationParams)
        self.transform_button = _button("Transform to k-space", "Fourier transform of the chosen layer.")
        self.boxes = {role: _role_box(role) for role in SHOWN}
        self.views = {role: _combo(list(VIEWS), f"View of the {title}") for role, (title, _) in SHOWN.items()}
        self.combine = QCheckBox("Combine coils (root sum of squares)")
        self.coil, self.coil_text = Slider(Qt.Orientation.Horizontal), QLabel()
        self.grid = GridBox(self, napari_viewer)
        self.badge, self.summary = Sentence("Simulation"), Sentence("Summary")
        self._follow_timer = self.after(FOLLOW_MS, self._follow)
        self._build()
        self._connect()
        self._source_changed(self.source.layer)

    def open_file(self) -> None:
        """Ask for a file and show it."""
        path, _ = QFileDialog.getOpenFileName(self, "Open k-space", "", FILES)
        if path:
            self.load(Path(path))

    def load(self, path: Path) -> None:
        """Read a file and show it."""
        with self.attempt(), self.busy():
            self._origin = None
            _, image = self._show_new(read(path))
            self.source.layer = image

    def transform(self) -> None:
        """Make k-space from the chosen layer and show it."""
        with self.attempt(), self.busy():
            self._origin = self.source.layer
            note = self._simulate(new=True)
            self.status.show_text(note)

    def _simulate(self, *, new: bool) -> str:
        """Returns what had to be converted."""
        layer = self._origin
        if layer is None:
            raise InvalidInput("There is no image layer to transform; open an image first.")
        pixels = take_pixels(layer, self.viewer.dims, every_slice=self.slices.currentIndex() == 1)
        kdata = simulate_pixels(pixels, SimulationParams(**self.simulation.values()), layer.name)
        if new:
            self._show_new(kdata)
        else:
            self._adopt(kdata)
            self._refresh_shown()
        return pixels.note

    def _follow(self) -> None:
        """The simulation's settings have changed: simulate again what this dock has transformed."""
        if self._origin is not None and self._origin is self.source.layer and self.kdata is not None:
            with self.attempt(), self.busy():
                self._simulate(new=False)

    def _show_new(self, kdata: KData) -> tuple[Image, Image]:
        self._adopt(kdata)
        for role, (_, kind) in SHOWN.items():
            _select(self.views[role], kind)
        pair = layers.add_kspace(self.viewer, kdata)
        self._mirror_layers()
        self.grid.suggest()
        self.viewer.reset_view()
        return pair

    def _adopt(self, kdata: KData) -> None:
        """Make the controls fit the data."""
        self.kdata = kdata
        self.coil.blockSignals(True)
        self.coil.setRange(1, kdata.n_coils)
        self.coil.blockSignals(False)
        for widget in (self.combine, self.coil_row):
            widget.setVisible(kdata.n_coils > 1)
        self.badge.show_text(f"SIMULATION, not measured: {kdata.source}" if kdata.simulated else "", colour="warning")
        self.summary.show_text(describe_kdata(kdata))
        self.shown_part.setVisible(True)
        self._show_coil()

    def _refresh_shown(self) -> None:
        """Bring the layers that are there up to date."""
        for role in SHOWN:
            if self._layer(role) is not None:
                self._show(role)

    def _show(self, role: str) -> None:
        kdata = self.kdata
        if kdata is not None:
            kind = self.views[role].currentText()
            coil = None if self.combine.isChecked() and kind in COMBINED else self.coil.value() - 1
            show = layers.show_kspace if role == "kspace" else layers.show_coil_image
            show(self.viewer, kdata, kind, coil if kdata.n_coils > 1 else None)

    def _layer(self, role: str) -> Layer | None:
        if self.kdata is None:
            return None
        return layers.find_layer(self.viewer, role, picture_name(self.kdata, SHOWN[role][0]))

    def _view_changed(self, role: str) -> None:
        with self.attempt():
            self._show(role)

    def _box_toggled(self, role: str, checked: bool) -> None:
        with self.attempt():
            if checked:
                self._show(role)
            elif self.kdata is not None:
                layers.remove_layer(self.viewer, role, picture_name(self.kdata, SHOWN[role][0]))

    def _coils_changed(self, *_: object) -> None:
        self._show_coil()
        with self.attempt():
            self._refresh_shown()

    def _show_coil(self) -> None:
        self.coil_text.setText(f"{self.coil.value()} of {self.coil.maximum()}")

    def _mirror_layers(self, event: Any = None) -> None:
        """A layer that a person removes is not brought back until its box is checked."""
        for role, box in self.boxes.items():
            box.blockSignals(True)
            box.setChecked(self._layer(role) is not None)
            box.blockSignals(False)

    def _source_changed(self, layer: Layer | None) -> None:
        kdata = kdata_of(layer) if layer is not None else None
        self.image_part.setVisible(layer is None or kdata is None)
        self.transform_button.setEnabled(layer is not None)
        self.source_form.setRowVisible(self.slices, layer is not None and kdata is None and layer.ndim > 2)
        if kdata is not None and kdata is not self.kdata:
            with self.attempt():
                self._origin = None
                self._adopt(kdata)
                self._read_views()
                self._mirror_layers()

    def _read_views(self) -> None:
        """Take the views over that the layers of these data show already."""
        for role in SHOWN:
            layer = self._layer(role)
            if layer is not None:
                _select(self.views[role], held(layer).get("view", SHOWN[role][1]))
                coil = held(layer).get("coil")
                for widget in (self.combine, self.coil):
                    widget.blockSignals(True)
                self.combine.setChecked(coil is None)
                self.coil.setValue(1 if coil is None else coil + 1)
                for widget in (self.combine, self.coil):
                    widget.blockSignals(False)
        self._show_coil()

    def _noise_changed(self, *_: object) -> None:
        noise = self.simulation.values()["noise"]
        self.simulation.show_row("snr", noise == "snr")
        self.simulation.show_row("noise_std", noise == "std")

    def _connect(self) -> None:
        self.open_button.clicked.connect(self.open_file)
        self.transform_button.clicked.connect(self.transform)
        self.source.layer_changed.connect(self._source_changed)
        self.simulation.changed.connect(self._noise_changed)
        self.simulation.changed.connect(self._follow_timer.start)
        self.slices.currentIndexChanged.connect(self._follow_timer.start)
        for role in SHOWN:
            self.views[role].currentIndexChanged.connect(lambda _, role=role: self._view_changed(role))
            self.boxes[role].toggled.connect(lambda checked, role=role: self._box_toggled(role, checked))
        self.combine.toggled.connect(self._coils_changed)
        self.coil.valueChanged.connect(self._coils_changed)
        self.listen(self.viewer.layers.events.inserted, self._mirror_layers)
        self.listen(self.viewer.layers.events.removed, self._mirror_layers)

    def _build(self) -> None:
        self._build_source()
        self._build_shown()
        self.body.addStretch(1)
        self._noise_changed()

    def _build_source(self) -> None:
        self.source.setAccessibleName("Source layer")
        self.source_form = form_layout()
        self.source_form.addRow("Layer", self.source)
        self.source_form.addRow("Slices", self.slices)
        self.image_part = QWidget()
        part = form_layout(self.image_part)
        part.addRow(collapsible("Simulated acquisition", self.simulation, expanded=True))
        part.addRow(self.transform_button)
        self.body.addWidget(heading("Source"))
        self.body.addWidget(self.open_button)
        self.body.addLayout(self.source_form)
        self.body.addWidget(self.image_part)

    def _build_shown(self) -> None:
        self.shown_part, self.coil_row = QWidget(), QWidget()
        part = QGridLayout(self.shown_part)
        part.setContentsMargins(0, 0, 0, 0)
        part.setColumnStretch(1, 1)
        part.addWidget(heading("Shown"), 0, 0, 1, 2)
        part.addWidget(self.badge, 1, 0, 1, 2)
        part.addWidget(self.summary, 2, 0, 1, 2)
        for row, role in enumerate(SHOWN, start=3):
            part.addWidget(self.boxes[role], row, 0)
            part.addWidget(self.views[role], row, 1)
        self.combine.setChecked(True)
        self.combine.setToolTip("Phase, real and imaginary part exist for one coil only: that of the slider.")
        self.coil.setAccessibleName("Coil")
        row_layout = QHBoxLayout(self.coil_row)
        row_layout.setContentsMargins(0, 0, 0, 0)
        for widget in (QLabel("Coil"), self.coil, self.coil_text):
            row_layout.addWidget(widget)
        part.addWidget(self.combine, 5, 0, 1, 2)
        part.addWidget(self.coil_row, 6, 0, 1, 2)
        part.addWidget(self.grid, 7, 0, 1, 2)
        self.shown_part.setVisible(False)
        self.body.addWidget(self.shown_part)


def describe_kdata(kdata: KData) -> str:
    """Size, spacing and sampling of k-space in a sentence."""
    ny, nx = kdata.image_shape
    _, y, x = kdata.spacing
    sampling = (
        "fully sampled" if kdata.fully_sampled else f"{kdata.acquired.mean():.1%} acquired ({kdata.acceleration:.3g}×)"
    )
    noise = "" if not kdata.noise_std else f", noise std {kdata.noise_std:.3g}"
    return (
        f"{kdata.name}: {_count(kdata.n_slices, 'slice')}, {_count(kdata.n_coils, 'coil')}, "
        f"{ny} × {nx} pixels of {y:.3g} × {x:.3g} mm, {sampling}{noise}."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _is_source(layer: Layer) -> bool:
    return isinstance(layer, Image) and role_of(layer) not in ("psf", "preview")


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _role_box(role: str) -> QCheckBox:
    box = QCheckBox("k-space" if role == "kspace" else "Image")
    box.setToolTip("The layer of the k-space." if role == "kspace" else "The layer of the inverse Fourier transform.")
    return box


def _combo(texts: list[str], name: str) -> ComboBox:
    box = ComboBox()
    box.addItems(texts)
    box.setAccessibleName(name)
    return box


def _select(box: ComboBox, text: str) -> None:
    box.blockSignals(True)
    box.setCurrentText(text)
    box.blockSignals(False)
