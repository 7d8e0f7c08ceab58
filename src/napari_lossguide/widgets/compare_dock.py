"""The Compare dock: images side by side, swiped or flickering, their differences from a reference, figures, plots."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari.layers import Image, Layer, Shapes
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QTabWidget

from napari_lossguide.widgets import layers
from napari_lossguide.widgets.difference_maps import NO_REFERENCE, DifferenceMaps
from napari_lossguide.widgets.figures_page import FiguresPage
from napari_lossguide.widgets.forms import form_layout
from napari_lossguide.widgets.image_list import ImageList, is_comparable, left_out
from napari_lossguide.widgets.optional_layer import OptionalLayerCombo
from napari_lossguide.widgets.panel import Panel, Sentence, heading
from napari_lossguide.widgets.profile_page import ProfilePage
from napari_lossguide.widgets.result_layers import show_reference
from napari_lossguide.widgets.roi import is_region
from napari_lossguide.widgets.spectrum_page import SpectrumPage
from napari_lossguide.widgets.swipe import ROLE as SWIPE
from napari_lossguide.widgets.view_modes import GRID, ViewModes
from napari_lossguide.widgets.views import kdata_of, role_of

__all__ = ["CompareDock", "is_comparable"]


class CompareDock(Panel):
    """Dock widget.

    Parameters
    ----------
    napari_viewer : napari hands it over.

    Attributes
    ----------
    reference : choice of the reference layer.
    region : choice of the Shapes or Labels layer in which figures are taken.
    list : the candidates, with check boxes.
    modes : buttons that show them side by side, swiped, flickering, or as they were.
    differences : difference maps.
    figures : figures of merit.
    spectrum : error against the radius in k-space.
    profile : values along a line.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._viewer = napari_viewer
        self._arranging = False
        self.reference = OptionalLayerCombo(self, napari_viewer, is_comparable, "none")
        self.region = OptionalLayerCombo(self, napari_viewer, is_region, "whole image")
        self._watched: Layer | None = None  # the region whose drawing is followed
        self.draw = QPushButton("Draw")
        self.truth, self.list = QPushButton("True image"), ImageList(self, napari_viewer)
        self.skipped = Sentence("Not listed")
        self.modes, self.differences = ViewModes(napari_viewer), DifferenceMaps(napari_viewer)
        self.figures, self.spectrum = FiguresPage(napari_viewer, self.attempt), SpectrumPage()
        self.profile, self.tabs = ProfilePage(self, napari_viewer), QTabWidget()
        self._soon, self._line_soon = self.after(80, self._update), self.after(30, self._draw_profiles)
        self._build()
        self._refresh()
        for name in ("inserted", "removed", "reordered", "renamed"):
            self.listen(getattr(napari_viewer.layers.events, name), self._layers_changed)

    @property
    def table(self) -> Any:
        """Figures of merit."""
        return self.figures.table

    def event(self, event: QEvent) -> bool:
        """Leave the canvas as it was when napari takes the widget out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.modes.choose("")
        return super().event(event)

    def candidates(self) -> list[Image]:
        """Return the ticked layers, in the order of the layer list."""
        return self.list.ticked()

    def tick(self, layer: Layer, ticked: bool = True) -> None:
        """Tick or untick a candidate."""
        self.list.tick(layer, ticked)

    def add_reference(self) -> None:
        """Show the true image, or that of the full scan, and take it as the reference."""
        with self.attempt():
            kdata = next((k for layer in self._viewer.layers if (k := _with_truth(layer)) is not None), None)
            shown = None if kdata is None else show_reference(self._viewer, kdata)
            if shown is not None:
                self.reference.layer = shown

    def csv(self) -> str:
        """Return the table as comma-separated values."""
        return self.figures.csv()

    def draw_region(self) -> None:
        """Put napari's rectangle tool into the person's hand, on the chosen Shapes layer or a new one."""
        with self.attempt():
            self._leave_grid()
            layer = self.region.layer
            if not isinstance(layer, Shapes):
                layer = layers.add_shapes(self._viewer, "region", "figures region")
                self.region.refresh()  # it may not have heard of the layer yet
                self.region.layer = layer
            layer.visible = True
            self._viewer.layers.selection.active = layer
            layer.mode = "add_rectangle"

    def _layers_changed(self, event: Any = None) -> None:
        if self._arranging:
            return
        if event is not None and event.type == "removed" and role_of(event.value) == SWIPE:
            self.modes.choose("")  # a person threw the swipe away
        self.reference.refresh()  # it may not have heard of the change yet
        self._refresh()

    def _refresh(self) -> None:
        """Read the candidates from the viewer again."""
        self.list.read(self.reference.layer, self._data_changed)
        self.skipped.show_text(left_out(self._viewer))
        self.truth.setEnabled(any(_with_truth(layer) is not None for layer in self._viewer.layers))
        self._soon.start()

    def _data_changed(self, event: Any = None) -> None:
        self._soon.start()

    def _reference_changed(self, layer: Layer | None) -> None:
        known, page = layer is not None, self.tabs.indexOf(self.spectrum)
        self.differences.allow_errors(known)
        self.tabs.setTabEnabled(page, known)
        self.tabs.setTabToolTip(page, "Error against the radius in k-space." if known else NO_REFERENCE)
        self._refresh()

    def _region_changed(self, layer: Layer | None) -> None:
        """Follow what is drawn: shapes tell of their data, labels of each stroke."""
        for watched, connect in ((self._watched, self.unlisten), (layer, self.listen)):
            if watched is not None:
                connect(
                    watched.events.data if isinstance(watched, Shapes) else watched.events.paint, self._data_changed
                )
        self._watched = layer
        self._soon.start()

    def _update(self) -> None:
        """Bring canvas, table and plots up to date."""
        with self.attempt():
            self._arrange()
        problem = self.status.sentence
        with self.attempt():
            self.figures.measure(self.reference.layer, self.candidates(), self.region.layer)
        if problem:
            self._say(problem)
        self._plot()

    def _plot(self, _: Any = None) -> None:
        """Only the plot that is looked at costs anything."""
        page = self.tabs.currentWidget()
        if page is self.spectrum:
            self.spectrum.compute(self.reference.layer, self.candidates())
        elif page is self.profile:
            self.profile.forget()
            self._draw_profiles()

    def _draw_profiles(self) -> None:
        if self.tabs.currentWidget() is self.profile:
            self.profile.show_profiles(self.reference.layer, self.candidates())

    def _say(self, sentence: str, colour: str = "error") -> None:
        self.status.show_text(sentence, colour=colour)

    @contextmanager
    def _own_changes(self) -> Iterator[None]:
        """What the dock does to the layers itself is no reason to do it again."""
        before, self._arranging = self._arranging, True
        try:
            yield
        finally:
            self._arranging = before

    def _arrange(self) -> None:
        if not self.modes.mode:
            return
        reference, images = self.reference.layer, self.candidates()
        with self._own_changes():
            self.modes.begin()
            maps = self.differences.show_maps(reference, images if self.modes.mode == GRID else [])
            self._show_layers(maps)

    def _arrived(self) -> None:
        with self.attempt(), self._own_changes():
            self._show_layers(self.differences.maps())

    def _show_layers(self, maps: list[Image]) -> None:
        running = [x for x in self._viewer.layers if role_of(x) == "preview"]
        self.modes.show_layers(self.reference.layer, self.candidates(), maps, running)

    def _mode_changed(self, mode: str) -> None:
        self.differences.setVisible(mode in ("", GRID))
        with self.attempt(), self._own_changes():
            if mode:
                self._arrange()
                return
            self.differences.show_maps(None, [])
            self.modes.leave()

    def _leave_grid(self) -> None:
        """In the grid the line would have a place of its own, with no image under it."""
        if self.modes.mode == GRID:
            self.modes.choose("")

    def _follow_theme(self, event: Any = None) -> None:
        colour = get_theme(self._viewer.theme).text.as_hex()
        for page in (self.spectrum, self.profile):
            page.plot.set_foreground(colour)

    def _build(self) -> None:
        self.truth.setToolTip("Show the true image of a simulation, or that of the full scan, and compare with it.")
        self.reference.setAccessibleName("Reference")
        self.reference.setToolTip("The image that differences and figures of merit are taken against.")
        self.region.setAccessibleName("Region of interest")
        self.region.setToolTip(
            "Take the figures of merit inside a Shapes layer (rectangles, ellipses, polygons) or a Labels layer, as it "
            "is drawn; the residual stays that of the whole image."
        )
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.reference, 1)
        row.addWidget(self.truth)
        rows = form_layout()
        label = QLabel("Reference")
        label.setBuddy(self.reference)
        rows.addRow(label, row)
        self.draw.setToolTip("Take napari's rectangle tool; without a Shapes layer for it one is added.")
        area = QHBoxLayout()
        area.setSpacing(6)
        area.addWidget(self.region, 1)
        area.addWidget(self.draw)
        label = QLabel("Region")
        label.setBuddy(self.region)
        rows.addRow(label, area)
        self.body.addLayout(rows)
        for title, page, tip in (
            ("Figures", self.figures, "Figures of merit of each image."),
            ("k-space error", self.spectrum, NO_REFERENCE),
            ("Profile", self.profile, "Values along a line."),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(page, title), tip)
        for widget in (heading("Images"), self.list, self.skipped, self.modes, self.differences, self.tabs):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        self._connect()

    def _connect(self) -> None:
        self.truth.clicked.connect(self.add_reference)
        self.draw.clicked.connect(lambda _: self.draw_region())
        self.modes.changed.connect(self._mode_changed)
        self.list.changed.connect(self._soon.start)
        self.differences.changed.connect(self._soon.start)
        for part in (self.differences, self.modes):
            part.arrived.connect(self._arrived)
        self.differences.failed.connect(self._say)
        self.figures.said.connect(self._say)
        self.spectrum.changed.connect(self._plot)
        self.profile.changed.connect(self._line_soon.start)
        self.profile.drawing.connect(self._leave_grid)
        self.tabs.currentChanged.connect(self._plot)
        self.reference.layer_changed.connect(self._reference_changed)
        self.region.layer_changed.connect(self._region_changed)
        self.listen(self._viewer.events.theme, self._follow_theme)
        self._follow_theme()
        self._reference_changed(None)


def _with_truth(layer: Layer) -> Any:
    kdata = kdata_of(layer)
    return kdata if kdata is not None and (kdata.reference is not None or kdata.fully_sampled) else None
