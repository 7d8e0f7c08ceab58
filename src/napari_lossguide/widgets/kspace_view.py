"""How k-space and its image are shown: views, coils, which of the two layers. The lower part of the K-space dock."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.display import VIEWS
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.missing import missing_words
from napari_lossguide.data.orientation import in_words
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.boxes import ComboBox, Slider
from napari_lossguide.widgets.decibels import DecibelRange
from napari_lossguide.widgets.mask_previews import shown_slice
from napari_lossguide.widgets.panel import GridBox, Panel, Sentence, heading
from napari_lossguide.widgets.views import COMBINED, Picture, held, picture_name

if TYPE_CHECKING:
    from napari.components import ViewerModel

SHOWN = {"kspace": ("k-space", "log-magnitude"), "image": ("image", "magnitude")}
TIPS = {"kspace": "The layer of the k-space.", "image": "The layer of the inverse Fourier transform."}


class KSpaceView(QWidget):
    """Controls of the layers that show one `KData`; hidden until there is one.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer, or a viewer model.

    Attributes
    ----------
    kdata : what is shown, or None.
    boxes, views : by role, ``"kspace"`` and ``"image"``: whether the layer is there, and which view it shows.
    combine, coil : coils combined, or one of them, from 1.
    decibels : the range of the log-magnitude of k-space.
    alone : button that takes the slice that is shown out of a stack.
    shown : signal, when other data, another view or another coil is shown.
    taken : signal ``(KData)``, one slice as a scan of its own.
    """

    shown, taken = Signal(), Signal(object)

    def __init__(self, panel: Panel, viewer: "ViewerModel") -> None:
        super().__init__()
        self.kdata: KData | None = None
        self._panel, self._viewer = panel, viewer
        self.badge, self.summary = Sentence("Simulation"), Sentence("Summary")
        self.boxes, self.views = {}, {}
        for role, (title, _) in SHOWN.items():
            self.boxes[role], self.views[role] = QCheckBox(title.capitalize()), ComboBox()
            self.boxes[role].setToolTip(TIPS[role])
            self.views[role].addItems(VIEWS)
            self.views[role].setAccessibleName(f"View of the {title}")
        self.combine = QCheckBox("Combine coils (root sum of squares)")
        self.combine.setChecked(True)
        self.combine.setToolTip("Phase, real and imaginary part exist for one coil only: that of the slider.")
        self.coil, self.coil_row, self._coil_text = Slider(Qt.Orientation.Horizontal), QWidget(), QLabel()
        self.coil.setAccessibleName("Coil")
        self.decibels = DecibelRange(panel)
        self.alone = QPushButton("Take this slice alone")
        self.grid = GridBox(panel, viewer)
        self._build()
        self._connect()

    def show_new(self, kdata: KData, pictures: tuple[Picture, Picture] | None = None) -> tuple[Image, Image]:
        """Show other data in their usual views, made already or not; returns the layers of k-space and image."""
        self._adopt(kdata)
        for role, (_, kind) in SHOWN.items():
            with QSignalBlocker(self.views[role]):
                self.views[role].setCurrentText(kind)
        with QSignalBlocker(self.combine):
            self.combine.setChecked(True)
        pair = layers.add_kspace(self._viewer, kdata, pictures)
        self._mirror()
        self.grid.suggest()
        self._viewer.reset_view()
        return pair

    def show_again(self, kdata: KData) -> None:
        """Show new values of the same thing: views, coil and contrast stay, and a layer that is gone stays away."""
        self._adopt(kdata)
        for role in SHOWN:
            if self._layer(role) is not None:
                self._show(role)

    def pick_up(self, kdata: KData) -> None:
        """Make the controls fit data that have their layers already."""
        self._adopt(kdata)
        for role, layer in ((role, self._layer(role)) for role in SHOWN):
            if layer is not None:
                with QSignalBlocker(self.views[role]), QSignalBlocker(self.combine), QSignalBlocker(self.coil):
                    self.views[role].setCurrentText(held(layer).get("view", SHOWN[role][1]))
                    coil = held(layer).get("coil")
                    self.combine.setChecked(coil is None)
                    self.coil.setValue(1 if coil is None else coil + 1)
        self._tell_coil()
        self._mirror()

    def _adopt(self, kdata: KData) -> None:
        self.kdata = kdata
        with QSignalBlocker(self.coil):
            self.coil.setRange(1, kdata.n_coils)
        for widget in (self.combine, self.coil_row):
            widget.setVisible(kdata.n_coils > 1)
        self.alone.setVisible(kdata.n_slices > 1)
        self.badge.show_text(simulation_note(kdata), colour="warning")
        self.summary.show_text(describe_kdata(kdata))
        self.summary.setToolTip(kdata.source)  # what was done to measured data is said there
        self.setVisible(True)
        self._tell_coil()
        self.shown.emit()

    @property
    def chosen_coil(self) -> int | None:
        """The coil of the slider, from 0; None while the coils are combined."""
        one = self.kdata is not None and self.kdata.n_coils > 1 and not self.combine.isChecked()
        return self.coil.value() - 1 if one else None

    def _show(self, role: str) -> None:
        if self.kdata is None:
            return
        kind = self.views[role].currentText()
        combined = self.kdata.n_coils == 1 or (self.combine.isChecked() and kind in COMBINED)
        show = layers.show_kspace if role == "kspace" else layers.show_coil_image
        show(self._viewer, self.kdata, kind, None if combined else self.coil.value() - 1)
        self.decibels.follow(self._layer("kspace"))
        self.shown.emit()

    def _layer(self, role: str) -> Layer | None:
        if self.kdata is None:
            return None
        return layers.find_layer(self._viewer, role, picture_name(self.kdata, SHOWN[role][0]))

    def _view_changed(self, role: str) -> None:
        with self._panel.attempt():
            self._show(role)

    def _box_toggled(self, role: str, checked: bool) -> None:
        with self._panel.attempt():
            if checked:
                self._show(role)
            elif self.kdata is not None:
                layers.remove_layer(self._viewer, role, picture_name(self.kdata, SHOWN[role][0]))

    def _coils_changed(self, *_: object) -> None:
        if self.kdata is not None:
            with self._panel.attempt():
                self.show_again(self.kdata)

    def _take_slice(self) -> None:
        with self._panel.attempt():
            if self.kdata is not None:
                index = shown_slice(self._viewer, self.kdata)
                self.taken.emit(replace(self.kdata.select(index), name=f"{self.kdata.name}, slice {index}"))

    def _tell_coil(self) -> None:
        self._coil_text.setText(f"{self.coil.value()} of {self.coil.maximum()}")

    def _mirror(self, event: Any = None) -> None:
        """A layer that a person removes is not brought back until its box is checked."""
        for role, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setChecked(self._layer(role) is not None)
        self.decibels.follow(self._layer("kspace"))

    def _connect(self) -> None:
        for role in SHOWN:
            self.views[role].currentIndexChanged.connect(lambda _, role=role: self._view_changed(role))
            self.boxes[role].toggled.connect(lambda checked, role=role: self._box_toggled(role, checked))
        self.combine.toggled.connect(self._coils_changed)
        self.coil.valueChanged.connect(self._coils_changed)
        self.alone.clicked.connect(self._take_slice)
        self._panel.listen(self._viewer.layers.events.inserted, self._mirror)
        self._panel.listen(self._viewer.layers.events.removed, self._mirror)

    def _build(self) -> None:
        self.alone.setToolTip(
            "The slice at the viewer's slider as a scan of its own, with layers of its own: to try a reconstruction "
            "on it before the whole stack."
        )
        views, coils = QGridLayout(), QHBoxLayout(self.coil_row)
        for row, role in enumerate(SHOWN):
            views.addWidget(self.boxes[role], 2 * row, 0)
            views.addWidget(self.views[role], 2 * row, 1)
        views.addWidget(self.decibels, 1, 0, 1, 2)  # under k-space, whose range it is
        views.setColumnStretch(1, 1)
        for widget in (QLabel("Coil"), self.coil, self._coil_text):
            coils.addWidget(widget)
        part = QVBoxLayout(self)
        for layout in (views, coils, part):
            layout.setContentsMargins(0, 0, 0, 0)
        for widget in (heading("Shown"), self.badge, self.summary):
            part.addWidget(widget)
        part.addLayout(views)
        for widget in (self.combine, self.coil_row, self.alone, self.grid):
            part.addWidget(widget)
        self.setVisible(False)


def describe_kdata(kdata: KData) -> str:
    """Size, spacing and sampling of k-space in a sentence; in others what is missing and how it lies in the patient."""
    ny, nx = kdata.image_shape
    _, y, x = kdata.spacing
    sampling = f"{kdata.acquired.mean():.1%} acquired ({kdata.acceleration:.3g}×)"
    noise = f", noise std {kdata.noise_std:.3g}" if kdata.noise_std else ""
    words = "" if kdata.affine is None else in_words(kdata.affine)
    gone = missing_words(kdata.missing)
    further = "".join(f" {clause[0].upper()}{clause[1:]}." for clause in (gone, words) if clause)
    return (
        f"{kdata.name}: {_count(kdata.n_slices, 'slice')}, {_count(kdata.n_coils, 'coil')}, "
        f"{ny} × {nx} pixels of {y:.3g} × {x:.3g} mm, {'fully sampled' if kdata.fully_sampled else sampling}{noise}."
        f"{further}"
    )


def simulation_note(kdata: KData) -> str:
    """Says that data are simulated and from what; empty for measured data."""
    return f"SIMULATION, not measured: {kdata.source.removeprefix('simulation: ')}." if kdata.simulated else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
