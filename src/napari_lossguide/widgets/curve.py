"""The convergence plot: the distance from the measured data, step by step, and which knob was turned when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_lossguide.recon.knobs import short_name
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.log_ticks import log_text, log_ticks

if TYPE_CHECKING:
    from napari_lossguide.recon.live import Change
    from napari_lossguide.widgets.worker import Point

# What can be plotted: title, help.
QUANTITIES = {
    "residual": ("Data residual", "‖Ax − y‖ / (σ√m), distance from the data; at 1 (dashed) they are explained."),
    "loss": ("Data loss", "|Ax − y|² / |y|², squared distance from the data relative to their size."),
    "sigma": ("Noise level σ", "Noise level of the diffusion at each step."),
}
AXES = {"step": "step", "sigma": "σ"}
MANY = 5  # powers of ten on an axis, beyond which there is no room for marks between them
NEAR = 3  # marks of one knob that are at most this many steps apart share a label
BLUE, ORANGE, GREY = "#5aa9e6", "#f2a541", "#8a8a8a"


class Curve(QWidget):
    """Plot of the points of one run; changes of live knobs are marked where they took effect."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        import pyqtgraph  # here, so that the other docks do not pay for it

        self._pg = pyqtgraph
        self._points: list[Point] = []
        self._changes: Sequence[Change] = ()
        self._labels: list[Any] = []
        self._quantity = _choice("Curve", {key: title for key, (title, _) in QUANTITIES.items()})
        self._over = _choice("Curve over", AXES)
        self._over.setToolTip("Horizontal axis: the step, or the noise level of the diffusion from high to low.")
        self._plot = pyqtgraph.PlotWidget(background=None)
        self._plot.setCacheMode(self._plot.CacheModeFlag.CacheNone)  # the ground would keep the colour of another theme
        self._line = self._plot.plot([], [], pen=pyqtgraph.mkPen(BLUE, width=2), connect="finite")
        self._marks = pyqtgraph.ScatterPlotItem(symbol="t", size=10, brush=ORANGE, pen=None, hoverable=True, tip=_tip)
        self._target = pyqtgraph.InfiniteLine(0.0, angle=0, pen=pyqtgraph.mkPen(GREY, style=Qt.PenStyle.DashLine))
        self._build()
        self.clear()

    def sizeHint(self) -> QSize:
        """Prefer a flat plot, flatter in a low window."""
        return QSize(300, min(max(self.window().height() // 6, 110), 180))

    def clear(self) -> None:
        """Forget the run."""
        self._points, self._changes = [], ()
        self._redraw()

    def add(self, points: Sequence[Point], changes: Sequence[Change] = ()) -> None:
        """Append the points of a tick and draw once.

        Parameters
        ----------
        points : new ones.
        changes : all changes of live knobs so far; their steps count from 0.
        """
        self._points += points
        self._changes = changes
        if self._quantity.currentData() == "residual" and not any(math.isfinite(p.residual) for p in self._points):
            self._quantity.setCurrentIndex(
                self._quantity.findData("loss")
            )  # no noise level, no residual in units of it
        self._redraw()

    @property
    def marks(self) -> list[tuple[int, str]]:
        """(step from 1, "knob value") of every mark drawn."""
        return [(point.step, _text(change)) for point, change in self._marked()]

    def set_foreground(self, color: str) -> None:
        """Draw axes and text in this colour."""
        self._foreground = color
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(color)
            axis.setTextPen(color)
        self._draw_marks()

    def _build(self) -> None:
        self._plot.setMinimumHeight(80)
        self._plot.setMenuEnabled(False)
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # there is nothing in it that a key could do
        self._plot.hideButtons()
        self._plot.setAccessibleName("Convergence curve")
        self._plot.addItem(self._marks)
        self._plot.addItem(self._target, ignoreBounds=True)
        self.set_foreground(GREY)
        view = self._plot.getViewBox()
        for signal in (view.sigRangeChanged, view.sigResized):
            signal.connect(lambda *_: self._label_axes())
        header = QHBoxLayout()
        header.addWidget(self._quantity, 1)
        header.addWidget(QLabel("over"))
        header.addWidget(self._over)
        self._over.setMinimumContentsLength(4)
        self._over.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(header)
        layout.addWidget(self._plot, 1)
        self._quantity.currentIndexChanged.connect(self._choose)
        self._over.currentIndexChanged.connect(self._choose)
        self._choose()

    def _choose(self) -> None:
        """Set the axes for what was chosen; each of these calls draws them anew, so not with every point."""
        key, over = self._quantity.currentData(), self._over.currentData()
        self._quantity.setToolTip(QUANTITIES[key][1])
        self._plot.getAxis("left").setLogMode(x=False, y=True)
        self._plot.getAxis("bottom").setLogMode(x=over == "sigma", y=False)
        self._plot.getPlotItem().invertX(over == "sigma")
        self._target.setVisible(key == "residual")
        self._redraw()

    def _redraw(self) -> None:
        key = self._quantity.currentData()
        x, y = self._coordinates(self._points)
        # No line joins the end of one slice to the start of the next.
        gaps = [i for i in range(1, len(x)) if self._points[i].slice != self._points[i - 1].slice]
        self._line.setData(np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan))
        self._fit(y, with_one=key == "residual")
        self._draw_marks()
        self._label_axes()

    def _fit(self, y: np.ndarray, *, with_one: bool) -> None:
        """Show the whole curve, and the noise level with it."""
        shown = [*y[np.isfinite(y)], *([0.0] if with_one else [])]
        low, high = (min(shown), max(shown)) if shown else (0.0, 0.0)
        slack = max(0.12 * (high - low), 0.02)
        self._plot.setYRange(low - slack, high + slack, padding=0)

    def _label_axes(self) -> None:
        """Label the logarithmic axes anew, because their lengths or ends have changed."""
        view, metrics = self._plot.getViewBox(), self._plot.fontMetrics()
        across, up = view.viewRange()
        self._plot.getAxis("left").setTicks(_ticks(up, view.height(), 1.3 * metrics.height()))
        wide = metrics.horizontalAdvance("0.005") + 8
        logarithmic = self._over.currentData() == "sigma"
        self._plot.getAxis("bottom").setTicks(_ticks(across, view.width(), wide) if logarithmic else None)

    def _coordinates(self, points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
        over = self._over.currentData()
        x = np.array([getattr(p, over) for p in points], float)
        y = np.array([getattr(p, self._quantity.currentData()) for p in points], float)
        return _log10(x) if over == "sigma" else x, _log10(y)

    def _marked(self) -> list[tuple[Point, Change]]:
        by_step = {p.step: p for p in self._points}
        return [(by_step[c.step + 1], c) for c in self._changes if c.step + 1 in by_step]

    def _draw_marks(self) -> None:
        while self._labels:
            self._plot.removeItem(self._labels.pop())
        marked = self._marked()
        x, y = self._coordinates([point for point, _ in marked])
        shown = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        self._marks.setData(x=x[shown], y=y[shown], data=[marked[i] for i in shown])
        taken: dict[tuple[bool, int], float] = {}
        for i in shown:
            change = marked[i][1]
            if not any(c.name == change.name and 0 < c.step - change.step <= NEAR for _, c in marked):
                self._label(_text(change), float(x[i]), float(y[i]), taken)

    def _label(self, text: str, x: float, y: float, taken: dict[tuple[bool, int], float]) -> None:
        """Write beside a mark: within the plot, and in a second row where it would lie on the label before.

        Parameters
        ----------
        text, x, y : what, and at which point.
        taken : where the labels so far end, from the left, 0 to 1: (below the marks, row) -> end. It is added to.
        """
        label, box = self._pg.TextItem(text, color=self._foreground), self._plot.getViewBox()
        xs, (low, high) = self._coordinates(self._points)[0], box.viewRange()[1]
        left, right = np.nanmin(xs), np.nanmax(xs)
        across = float((x - left) / (right - left)) if right > left else 0.0
        across = 1 - across if self._over.currentData() == "sigma" else across
        width = label.boundingRect().width() / max(box.width(), 1.0)
        below, start = y > (low + high) / 2, across * (1 - width)
        row = min((0, 1), key=lambda r: max(taken.get((below, r), -1.0), start))  # the first that is free, or sooner so
        taken[below, row] = start + width
        label.setAnchor((across, -0.2 - row if below else 1.2 + row))
        label.setPos(x, y)
        self._plot.addItem(label, ignoreBounds=True)
        self._labels.append(label)


def _choice(name: str, titles: dict[str, str]) -> ComboBox:
    box = ComboBox()
    box.setAccessibleName(name)
    for key, title in titles.items():
        box.addItem(title, key)
    return box


def _ticks(ends: Sequence[float], pixels: float, room: float) -> list[list[tuple[float, str]]]:
    """Marks with labels, and those between them."""
    low, high = ends
    labelled = [(value, log_text(value)) for value in log_ticks(low, high, pixels, room)]
    powers = range(math.floor(low), math.ceil(high)) if high - low < MANY else ()
    return [labelled, [(power + math.log10(m), "") for power in powers for m in range(1, 10)]]


def _log10(values: np.ndarray) -> np.ndarray:
    return np.log10(values, where=values > 0, out=np.full(values.shape, np.nan))


def _text(change: Change) -> str:
    return f"{short_name(change.name)} {change.value:.3g}"


def _tip(x: float, y: float, data: tuple[Point, Change]) -> str:  # noqa: ARG001 (pyqtgraph calls it)
    return f"step {data[0].step}: {_text(data[1])}"
