"""The error of each image against the radius in k-space, as a plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_lossguide.recon.result import Result
from napari_lossguide.recon.spectra import PIXELS, RingError, nyquist, ring_error
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.difference_maps import as_magnitude
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.line_plot import COLOURS, Line, LinePlot
from napari_lossguide.widgets.panel import Sentence
from napari_lossguide.widgets.placement import finest, pixel_size, unit_of
from napari_lossguide.widgets.result_layers import SIMULATION
from napari_lossguide.widgets.views import held, result_of
from napari_lossguide.widgets.worker import Errand

FRACTION, LENGTH = "fraction of Nyquist", "1/length"
UP = "relative error"


@dataclass(frozen=True)
class Source:
    """Where the pixels of an image are: in its layer, and with their phase elsewhere, if anywhere."""

    name: str
    data: Any
    complex: np.ndarray | None = None

    def image(self) -> np.ndarray | None:
        """The image with its phase, (slice, ny, nx); None if that is unknown, or the layer shows something else now."""
        known = self.complex
        if known is None or not np.iscomplexobj(known):
            return None
        known = known[None] if known.ndim == 2 else known
        shown = as_magnitude(self.data)
        same = known.shape == shown.shape and np.allclose(np.abs(known), shown, rtol=1e-4, atol=1e-6 * shown.max())
        return known if same else None


@dataclass(frozen=True)
class Curve:
    """What was found of an image: its errors, or why there are none; and whether the phase counted."""

    name: str
    found: RingError | None
    phase: bool = False
    note: str = ""


def curves(
    reference: Source, images: Sequence[Source], spacing: tuple[float, float], *, with_phase: bool
) -> list[Curve]:
    """Compute; takes seconds for large volumes, so not in the main thread."""
    truth, out = reference.image() if with_phase else None, []
    for each in images:
        image = each.image() if truth is not None else None
        try:
            if truth is not None and image is not None:
                out.append(Curve(each.name, ring_error(truth, image, spacing), phase=True))
            else:
                found = ring_error(as_magnitude(reference.data), as_magnitude(each.data), spacing)
                out.append(Curve(each.name, found))
        except InvalidInput as error:
            out.append(Curve(each.name, None, note=str(error)))
    return out


class SpectrumPage(QWidget):
    """Plot and controls.

    Attributes
    ----------
    changed : signal, when it has to be computed again.
    unit : of the radius.
    phase : whether the phase counts where it is known.
    plot, said : curves, and the sentence about them.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.unit, self.phase = ComboBox(), QCheckBox("With phase")
        self.plot, self.said = LinePlot("Error against the radius in k-space", logarithmic=True), Sentence("Compared")
        self._errand = Errand(self)
        self._errand.ended.connect(self._show)
        self._shown: tuple[str, float] = FRACTION, 1.0
        self._build()

    def compute(self, reference: Image | None, images: Sequence[Image]) -> None:
        """Have the curves computed in a thread."""
        if reference is None or not images:
            self._errand.start(list, "Nothing to compare")
            self._shown = FRACTION, 1.0
            return
        self.unit.setItemText(1, f"1/{unit_of(reference)}")
        spacing = PIXELS if self.unit.currentData() == FRACTION else pixel_size(reference)
        self._shown = self.unit.currentText(), nyquist(spacing)
        sources = [Source(x.name.removesuffix(SIMULATION), finest(x), _complex(x)) for x in (reference, *images)]
        job = partial(curves, sources[0], sources[1:], spacing, with_phase=self.phase.isChecked())
        self._errand.start(job, "Errors in k-space")

    def _show(self, found: list[Curve] | Failure) -> None:
        if isinstance(found, Failure):
            self.said.show_text(found.sentence, colour="error")
            return
        lines = [
            Line(curve.name, curve.found.radius, curve.found.relative, COLOURS[i % len(COLOURS)])
            for i, curve in enumerate(found)
            if curve.found is not None
        ]
        unit, edge = self._shown
        self.plot.show_lines(lines, f"radius ({unit})", UP, edge if lines else None)
        self.said.show_text(in_words(found))

    def _build(self) -> None:
        for text in (FRACTION, LENGTH):
            self.unit.addItem(text, text)
        self.unit.setAccessibleName("Unit of the radius")
        self.unit.setToolTip(
            "Radius as a fraction of the Nyquist frequency of each axis, or as a spatial frequency. The dashed line is "
            "the Nyquist frequency, of the coarser axis; beyond it lie the corners."
        )
        self.phase.setToolTip(
            "Compare complex images where the image is a result and the reference is complex as well, else magnitudes. "
            "Mind that estimated coil maps give a result a phase of their own, which is no error: the true image does "
            "not have it, another result of the same data does."
        )
        self.plot.setToolTip(
            "|F(image − reference)|² / |F reference|², summed over rings of one radius and all slices."
        )
        row = QHBoxLayout()
        row.addWidget(self.unit, 1)
        row.addWidget(self.phase)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.said)
        self.unit.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.phase.toggled.connect(lambda _: self.changed.emit())


def in_words(found: Sequence[Curve]) -> str:
    """Which images were compared with their phase, and which cannot be."""
    if not found:
        return "Tick an image to compare."
    drawn = [curve for curve in found if curve.found is not None]
    parts = []
    with_phase = [curve.name for curve in drawn if curve.phase]
    if drawn:
        names = ", ".join(f"'{name}'" for name in with_phase)
        rest = ", of the others magnitudes" if len(with_phase) < len(drawn) else ""
        parts.append(f"Complex images of {names}{rest}." if with_phase else "Magnitudes are compared.")
    parts += [f"'{curve.name}': {curve.note}" for curve in found if curve.note]
    return " ".join(parts)


def _complex(layer: Image) -> np.ndarray | None:
    result = result_of(layer)
    known = result.image if isinstance(result, Result) else held(layer).get("complex")
    return known if isinstance(known, np.ndarray) else None
