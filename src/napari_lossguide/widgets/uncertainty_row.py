"""What the samples of a run say of their own error: quantile layers, figures beside the map, a calibration to load."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.display import display_limits
from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.recalibration import Calibration, Conditions
from napari_lossguide.recon.result import Result
from napari_lossguide.recon.uncertainty import Coverage, coverage, quantiles, spread, spread_note
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.panel import Sentence
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.run_facts import run_facts
from napari_lossguide.widgets.sample_group import SampleGroup
from napari_lossguide.widgets.views import held
from napari_lossguide.widgets.worker import Errand

SHOWN = (0.05, 0.5, 0.95)  # the ends of the samples' 90 % interval, and the median
FILTER = "Calibrations (*.json)"


@dataclass(frozen=True)
class Findings:
    """What was computed of a result's samples; arrays are float32 (slice, ...).

    Attributes
    ----------
    quantiles : (slice, quantile, ny, nx) of the magnitude, at ``SHOWN``.
    nominal, calibrated : against the true image; None where it, or a calibration that fits, is missing.
    std : of the calibration.
    refused : why the calibration is not for this result.
    note : why the spread says little, if it does.
    """

    quantiles: np.ndarray
    nominal: Coverage | None = None
    calibrated: Coverage | None = None
    std: np.ndarray | None = None
    refused: str = ""
    note: str = ""


def judge(result: Result, truth: np.ndarray | None, calibration: Calibration | None) -> Findings:
    """Compute; takes seconds for large volumes, so not in the main thread."""
    assert result.samples is not None
    drawn, found, refused = spread(result.samples), {}, ""
    if truth is not None:
        found["nominal"] = coverage(drawn, truth)
    std = None
    if calibration is not None:
        try:
            calibration.check(Conditions.of(result.recipe, result.mask, result.maps.shape[1]))
            std = calibration.std(drawn).astype(np.float32)
            if truth is not None:
                found["calibrated"] = coverage(drawn, truth, calibration.half_widths(drawn), std=std)
        except InvalidInput as error:
            refused = str(error)
    return Findings(
        quantiles(result.samples, SHOWN), **found, std=std, refused=refused, note=spread_note(result.recipe)
    )


def known_truth(kdata: KData) -> np.ndarray | None:
    """The true image of a simulation, or that of a full scan, (slice, ny, nx)."""
    truth = kdata.reference if kdata.reference is not None else kdata.true_images()
    return None if truth is None else np.asarray(truth)


def in_words(found: Findings) -> str:
    """The figures as text for people."""
    lines = []
    if found.nominal is None:
        lines.append("No true image is known here, so nobody can say how often the samples' intervals hold it.")
    else:
        c = found.nominal
        lines.append(f"Samples: {_holds(c)}.")
        lines.append(f"Error and std correlate by {c.correlation:.2f} in one pixel, by {c.local:.2f} over 2 pixels.")
    if found.calibrated is not None:
        lines.append(f"Calibrated: {_holds(found.calibrated)}.")
    return "\n".join([*lines, *(text for text in (found.note, found.refused) if text)])


def _holds(c: Coverage) -> str:
    return ", ".join(f"{level:.0%} interval holds {part:.0%}" for level, part in c.covered.items())


class UncertaintyRow(QWidget):
    """Text and button below the run; hidden while the last result has one sample only.

    Parameters
    ----------
    viewer : napari's viewer.
    attempt : context that shows what goes wrong inside.

    Attributes
    ----------
    text : the figures.
    calibration : the one that is loaded.
    findings : of the last result, once they are computed.
    group : choice of the layer of the samples that is on the canvas.
    """

    def __init__(self, viewer: Any, attempt: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self._viewer, self._attempt = viewer, attempt
        self._shown: tuple[Result, KData, str] | None = None
        self.calibration: Calibration | None = None
        self.findings: Findings | None = None
        self.text, self.button, self.drop = Sentence("Uncertainty"), QPushButton("Calibration…"), QPushButton("Drop it")
        self.group = SampleGroup(viewer)
        self._errand = Errand(self)
        self._errand.ended.connect(self._show)
        self._build()
        self.hide()

    def judge(self, result: Result, kdata: KData, name: str) -> None:
        """Compute and show what the samples of a result say; ``name`` is that of its layer."""
        self._shown = (result, kdata, name) if result.samples is not None else None
        self.findings = None
        self.setVisible(self._shown is not None)
        if self._shown is not None:
            self.group.show_group(*self._shown)
        self._start()

    def load(self, path: str) -> None:
        """Take a calibration; the last result is judged again.

        Raises
        ------
        InvalidInput
            If the file is none.
        """
        self._take(Calibration.from_json(path), f"Loaded: {Path(path).name}")

    def _take(self, calibration: Calibration | None, tip: str) -> None:
        self.calibration = calibration
        self.drop.setVisible(calibration is not None)
        self.drop.setToolTip(tip)
        self._start()

    def _start(self) -> None:
        if self._shown is not None:
            self.text.show_text("Judging the samples…")
            result, kdata, _ = self._shown
            self._errand.start(partial(_judge, result, kdata, self.calibration), "Uncertainty of the samples")

    def _show(self, found: Findings | Failure) -> None:
        if self._shown is None:
            return
        if isinstance(found, Failure):
            self.text.show_text(found.sentence, colour="error")
            return
        self.findings = found
        self.text.show_text(in_words(found), colour="warning" if found.note or found.refused else "")
        show_layers(self._viewer, found, *self._shown)
        self.group.refresh()

    def ask_and_load(self) -> None:
        """Ask for a file and load it."""
        with self._attempt():
            path, _ = QFileDialog.getOpenFileName(self, "Calibration", "", FILTER)
            if path:
                self.load(path)

    def _build(self) -> None:
        self.button.setToolTip(
            "Load a calibration (`lossguide calibrate`): intervals that hold the truth as often as they say, fitted on "
            "other slices that were reconstructed in the very same way."
        )
        self.button.clicked.connect(self.ask_and_load)
        self.drop.clicked.connect(lambda: self._take(None, ""))
        self.drop.hide()
        buttons, layout = QHBoxLayout(), QVBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        for button in (self.button, self.drop):
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout.addWidget(self.group)
        layout.addWidget(self.text)
        layout.addLayout(buttons)


def _judge(result: Result, kdata: KData, calibration: Calibration | None) -> Findings:
    return judge(result, known_truth(kdata), calibration)


def show_layers(viewer: Any, found: Findings, result: Result, kdata: KData, name: str) -> None:
    """Add the quantiles and the calibrated map, hidden, below the result's layer; nothing if that was removed.

    The figures go into the metadata of the maps that they belong to.
    """
    top = layers.find_layer(viewer, "result", name)
    if top is None:
        return
    facts = {**run_facts(result), "of": name, "note": found.note}
    limits = display_limits(result.image, "magnitude")
    for index, level in enumerate(SHOWN):
        own = {"metadata": facts, "contrast_limits": limits, "place": Place.of(kdata)}
        _show_below(viewer, top, found.quantiles[:, index], f"{level:.0%} quantile", name, **own)
    if found.std is not None:
        word, limits = "Calibrated standard deviation", display_limits(found.std, "magnitude")
        own = {"metadata": facts | figures(found.calibrated), "contrast_limits": limits, "place": Place.of(kdata)}
        _show_below(viewer, top, found.std, word, name, colormap="magma", **own)
    for layer in viewer.layers:
        if held(layer).get("role") == "standard deviation" and held(layer).get("of") == name:
            held(layer).update(figures(found.nominal))


def figures(found: Coverage | None) -> dict[str, Any]:
    """What the metadata of a map say of it."""
    if found is None:
        return {}
    return {"covered": found.covered, "correlation": found.correlation, "local_correlation": found.local}


def _show_below(viewer: Any, top: Any, image: np.ndarray, word: str, of: str, **how: Any) -> None:
    role = "quantile" if "quantile" in word else word.lower()
    known, selected = layers.find_layer(viewer, role, f"{word} of {of}"), viewer.layers.selection.active
    layer = layers.show_image(viewer, image, name=f"{word} of {of}", role=role, **how)
    if known is None:
        layer.visible = False
        viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(top))
        viewer.layers.selection.active = selected
