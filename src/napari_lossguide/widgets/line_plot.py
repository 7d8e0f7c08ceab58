"""Several curves in one plot, in the colours of the theme, with their names below."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

# Okabe and Ito's, which people with any colour vision can tell apart; without black.
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#f0e442")
GREY = "#8a8a8a"
HEIGHT = 180  # pixels of the plot
DECADES = 5  # of a logarithmic axis, below the largest value


@dataclass(frozen=True)
class Line:
    """A curve; where a value is not a number it has a gap. Without a `colour` it takes the theme's own for text."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str = ""


class LinePlot(QWidget):
    """Plot and legend.

    Parameters
    ----------
    name : for screen readers.
    logarithmic : the vertical axis; values that are not above 0 are left out.

    Attributes
    ----------
    lines : as they are shown.
    """

    def __init__(self, name: str, *, logarithmic: bool = False) -> None:
        super().__init__()
        import pyqtgraph  # here, so that the other docks do not pay for it

        self._pg = pyqtgraph
        self._logarithmic, self._foreground = logarithmic, GREY
        self.lines: list[Line] = []
        self._plot, self._legend = pyqtgraph.PlotWidget(background=None), QLabel()
        self._plot.setCacheMode(self._plot.CacheModeFlag.CacheNone)  # the ground would keep the colour of another theme
        self._mark = pyqtgraph.InfiniteLine(0.0, pen=pyqtgraph.mkPen(GREY, style=Qt.PenStyle.DashLine))
        self._plot.setAccessibleName(name)
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.setFixedHeight(HEIGHT)
        self._plot.getPlotItem().layout.setContentsMargins(0, 0, 0, 6)  # else the label loses what hangs below its line
        self._plot.getAxis("left").enableAutoSIPrefix(False)
        self._plot.getAxis("bottom").enableAutoSIPrefix(False)
        self._plot.getAxis("left").setLogMode(x=False, y=logarithmic)
        self._legend.setWordWrap(True)
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self._legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._legend.setAccessibleName(f"{name}: names of the curves")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._plot, 1)
        layout.addWidget(self._legend)
        self.set_foreground(GREY)

    def sizeHint(self) -> QSize:
        """Prefer a flat plot."""
        return QSize(300, HEIGHT + self._legend.sizeHint().height())

    def show_lines(self, lines: Sequence[Line], across: str, up: str, mark: float | None = None) -> None:
        """Show other curves.

        Parameters
        ----------
        lines : drawn in this order, the last one on top.
        across, up : what the axes are called.
        mark : where a dashed line stands upright, if anywhere.
        """
        self.lines = list(lines)
        self._plot.setLabel("bottom", across)
        self._plot.setLabel("left", up)
        self._mark.setVisible(mark is not None)
        self._mark.setValue(0.0 if mark is None else mark)
        self._redraw()

    def set_foreground(self, color: str) -> None:
        """Draw axes, text and the curve without a colour in this one."""
        self._foreground = color
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(color)
            axis.setTextPen(color)
        self._redraw()

    def _cut_off(self) -> None:
        """Errors that are next to nothing would press all the others together."""
        values = np.concatenate([np.asarray(line.y, float) for line in self.lines] or [np.ones(1)])
        values = values[values > 0]
        if values.size:
            high, low = np.log10(values.max()), np.log10(values.min())
            self._plot.setYRange(max(low, high - DECADES), high, padding=0.05)

    def _redraw(self) -> None:
        plot = self._plot.getPlotItem()
        plot.clear()
        plot.addItem(self._mark, ignoreBounds=True)
        for line in self.lines:
            y = np.asarray(line.y, float)
            if self._logarithmic:
                y = np.log10(y, where=y > 0, out=np.full(y.shape, np.nan))
            plot.plot(line.x, y, pen=self._pg.mkPen(line.colour or self._foreground, width=2), connect="finite")
        plot.autoRange(padding=0.03)
        if self._logarithmic:
            self._cut_off()
        names = (
            f'<span style="color:{line.colour or self._foreground}">━</span> {html.escape(line.name)}'
            for line in self.lines
        )
        self._legend.setText("<br>".join(names))
        self._legend.setVisible(bool(self.lines))
