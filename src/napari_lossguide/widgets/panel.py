"""What every dock is built on: a scrolling column, a line that tells what is wrong, layer choices, a tidy end."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import Any
from weakref import WeakMethod

from napari.layers import Layer
from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QPoint, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QFrame, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.boxes import ComboBox

LOG = logging.getLogger(__name__)
Connection = tuple[Any, "WeakMethod[Callable[..., None]]"]


class Sentence(QLabel):
    """Text that wraps anywhere it must and can be selected; hidden while it is empty."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setWordWrap(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._shown = self._colour = ""
        self.hide()

    def sizeHint(self) -> QSize:
        """As high as the text needs at the width there is; Qt's own hint is that of a narrower label."""
        width = max(self.width(), 100)
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        """Any width, and the height of `sizeHint`."""
        return QSize(0, self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Ask for another height."""
        super().resizeEvent(event)
        self.updateGeometry()

    def changeEvent(self, event: QEvent) -> None:
        """Take the ground's colour from another theme; napari changes the style of everything then."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.follow_theme()

    def follow_theme(self) -> None:
        """Take the ground's colour from the theme of the dock's viewer; in no dock, from that of the preferences."""
        if getattr(self, "_colour", ""):
            ground = _badge(self._colour, _theme_of(self))
            if ground != self.styleSheet():
                self.setStyleSheet(ground)

    @property
    def sentence(self) -> str:
        """What was given to `show_text`."""
        return self._shown

    def show_text(self, text: str, *, colour: str = "") -> None:
        """Show a text, on a ground of the theme's colour ``"error"`` or ``"warning"`` if named."""
        self._shown, self._colour = text, colour
        self.setText(_breakable(text))
        self.setStyleSheet(_badge(colour, _theme_of(self)) if colour else "")
        self.setVisible(bool(text))


class Panel(QWidget):
    """Base of the docks.

    Parameters
    ----------
    viewer : napari's viewer, whose theme colours the sentences; None: that of the preferences does.

    Attributes
    ----------
    body : vertical layout inside the scroll area; add to it, then call `finish`.
    status : below the scroll area, always in sight.
    """

    def __init__(self, viewer: Any = None) -> None:
        super().__init__()
        self._connections: list[Connection] = []
        self.destroyed.connect(partial(_disconnect, self._connections))
        self._themed = viewer
        if viewer is not None:
            self.listen(viewer.events.theme, self._recolour)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(4)
        content = QWidget()
        self.body = QVBoxLayout(content)
        self.body.setContentsMargins(8, 8, 8, 4)
        self.body.setSpacing(8)
        self._area = Column()
        self._area.setWidget(content)
        outer.addWidget(self._area, 1)
        self.status = Sentence("Status")
        below = QVBoxLayout()
        below.setContentsMargins(8, 0, 8, 4)
        below.addWidget(self.status)
        outer.addLayout(below)

    @property
    def theme(self) -> str:
        """Name of the theme."""
        return str(get_settings().appearance.theme if self._themed is None else self._themed.theme)

    def _recolour(self, event: Any = None) -> None:
        for sentence in self.findChildren(Sentence):
            sentence.follow_theme()

    def sizeHint(self) -> QSize:
        """Wide enough for a label and a number."""
        return QSize(320, 560)

    def focusNextPrevChild(self, following: bool) -> bool:  # noqa: N802 (the name is Qt's)
        """Tab goes through the controls as they are read, in whatever order they were made, and out of the dock."""
        stops, focused = self._stops(), self.focusWidget()
        at = next((i for i, w in enumerate(stops) if w is focused or w.isAncestorOf(focused)), None)
        if at is None:
            return bool(super().focusNextPrevChild(following))
        target = at + (1 if following else -1)
        inside = 0 <= target < len(stops)
        widget = stops[target] if inside else self._outside(following) or stops[0 if following else -1]
        widget.setFocus(Qt.FocusReason.TabFocusReason if following else Qt.FocusReason.BacktabFocusReason)
        if self.body.parentWidget().isAncestorOf(widget):
            self._area.ensureWidgetVisible(widget)
        return True

    def _stops(self) -> list[QWidget]:
        """Where Tab stops, from top to bottom: first what scrolls, then what is below it."""
        content = self.body.parentWidget()
        reached = [w for w in self.findChildren(QWidget) if _takes_tab(w)]
        found: list[QWidget] = []
        for whole in (content, self):
            part = [w for w in reached if content.isAncestorOf(w) == (whole is content)]
            places = [(w.mapTo(whole, QPoint(0, 0)), w.height()) for w in part]
            found += [part[i] for i in reading_order([(p.x(), p.y(), height) for p, height in places])]
        return found

    def _outside(self, following: bool) -> QWidget | None:
        """The next stop of the window that is no part of this dock."""
        widget: QWidget = self
        while (widget := widget.nextInFocusChain() if following else widget.previousInFocusChain()) is not self:
            if not self.isAncestorOf(widget) and _takes_tab(widget):
                return widget
        return None

    def listen(self, emitter: Any, callback: Callable[..., None]) -> None:
        """Connect a method of this dock to an event of napari until the dock is destroyed."""
        emitter.connect(callback)
        self._connections.append((emitter, WeakMethod(callback)))

    def unlisten(self, emitter: Any, callback: Callable[..., None]) -> None:
        """Undo `listen`."""
        emitter.disconnect(callback)
        self._connections.remove((emitter, WeakMethod(callback)))

    def after(self, milliseconds: int, callback: Callable[[], None]) -> QTimer:
        """Return a timer that, once started, calls back once; started again meanwhile, it waits anew.

        The timer ends with the dock.
        """
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(callback)
        return timer

    def once(self, milliseconds: int, callback: Callable[[], None]) -> None:
        """Call back once, unless the dock ends before; nothing is left of it."""
        timer = self.after(milliseconds, callback)
        timer.timeout.connect(timer.deleteLater)
        timer.start()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Show what goes wrong inside as one sentence; clear the last one before. The dock stays usable."""
        self.status.show_text("")
        try:
            yield
        except InvalidInput as error:
            self.status.show_text(str(error), colour="error")
        except Exception as error:
            LOG.exception("Unexpected error in %s", type(self).__name__)
            reason = " ".join(str(error).split()) or "no message"
            self.status.show_text(f"Unexpected {type(error).__name__}: {reason[:300]}", colour="error")

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Show the waiting cursor meanwhile."""
        QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            yield
        finally:
            QApplication.restoreOverrideCursor()


class Column(QScrollArea):
    """A column that scrolls up and down only."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its controls take the keyboard
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        """As wide as the content needs, so that nothing is cut off; as low as one likes."""
        inside = self.widget().minimumSizeHint().width() if self.widget() else 0
        return QSize(inside + self.verticalScrollBar().sizeHint().width(), 80)

    def event(self, event: QEvent) -> bool:
        """Tell the dock when the content needs another width, as after napari's style came; Qt does not."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().event(event)


class LayerCombo(ComboBox):
    """Choice among the layers of a viewer that pass a test.

    It follows additions, removals, moves and new names, and keeps the chosen layer through all of them. (magicgui's
    combo box forgets a chosen layer that is renamed.)

    Parameters
    ----------
    panel : the dock it lives in, which ends the listening.
    viewer : napari's viewer.
    accepts : which layers to offer.
    empty : shown when there is none.

    Attributes
    ----------
    layer_changed : signal ``(layer or None)``, also when the chosen layer was removed.
    """

    layer_changed = Signal(object)

    def __init__(self, panel: Panel, viewer: Any, accepts: Callable[[Layer], bool], empty: str) -> None:
        super().__init__()
        self._viewer, self._accepts = viewer, accepts
        self._layers: list[Layer] = []
        self._chosen: Layer | None = None
        self._help = ""
        self.setPlaceholderText(empty)
        for name in ("inserted", "removed", "reordered", "renamed"):
            panel.listen(getattr(viewer.layers.events, name), self.refresh)
        self.currentIndexChanged.connect(self._choose)
        self.refresh()

    @property
    def layer(self) -> Layer | None:
        """The chosen layer."""
        return self._chosen

    @layer.setter
    def layer(self, layer: Layer | None) -> None:
        self.setCurrentIndex(self._layers.index(layer) if layer is not None else -1)

    def setToolTip(self, text: str) -> None:  # noqa: N802 (the name is Qt's)
        """Say what is chosen here; the name of the layer, which may be too long for the box, comes first."""
        self._help = text
        self._tell()

    def refresh(self, event: Any = None) -> None:
        """Read the viewer's layers again; without a choice the uppermost is chosen."""
        self._layers = [layer for layer in self._viewer.layers if self._accepts(layer)]
        keep = self._layers.index(self._chosen) if self._chosen in self._layers else len(self._layers) - 1
        self.blockSignals(True)
        self.clear()
        self.addItems([layer.name for layer in self._layers])
        self.setCurrentIndex(keep)
        self.blockSignals(False)
        self._choose(keep)

    def _choose(self, index: int) -> None:
        chosen = self._layers[index] if 0 <= index < len(self._layers) else None
        changed, self._chosen = chosen is not self._chosen, chosen
        self._tell()
        if changed:
            self.layer_changed.emit(chosen)

    def _tell(self) -> None:
        name = "" if self._chosen is None else self._chosen.name
        super().setToolTip("\n".join(text for text in (name, self._help) if text))


class GridBox(QCheckBox):
    """napari's grid, layers side by side, as a check box of a dock."""

    def __init__(self, panel: Panel, viewer: Any) -> None:
        super().__init__("Layers side by side")
        self.setToolTip(
            "Show the visible layers next to each other, with linked cameras, instead of on top of each other."
        )
        self._grid = viewer.canvas.grid
        self._used = False
        self._follow()
        panel.listen(self._grid.events.enabled, self._follow)
        self.toggled.connect(partial(setattr, self._grid, "enabled"))

    def suggest(self) -> None:
        """Turn the grid on the first time; later it is the person's choice alone."""
        if not self._used:
            self._used = True
            self.setChecked(True)

    def _follow(self, event: Any = None) -> None:
        self.setChecked(self._grid.enabled)


def reading_order(boxes: Sequence[tuple[int, int, int]]) -> list[int]:
    """Numbers of boxes (left, top, height) line by line; a box is on the line whose first box reaches its middle."""
    order: list[int] = []
    line: list[int] = []
    end = -1.0
    for number in sorted(range(len(boxes)), key=lambda i: boxes[i][1] + boxes[i][2] / 2):
        _, top, height = boxes[number]
        if top + height / 2 > end:
            order += sorted(line, key=lambda i: boxes[i][0])
            line, end = [], float(top + height)
        line.append(number)
    return order + sorted(line, key=lambda i: boxes[i][0])


def _takes_tab(widget: QWidget) -> bool:
    reached = bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus) and widget.focusProxy() is None
    return reached and widget.isVisible() and widget.isEnabled()


def heading(text: str) -> QLabel:
    """Title of a part of a dock."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold")
    return label


def _disconnect(connections: list[Connection], *_: object) -> None:
    """Let go of the viewer. Runs while the dock is being destroyed, so it touches no widget."""
    for emitter, reference in connections:
        callback = reference()
        if isinstance(callback, MethodType):
            emitter.disconnect(callback)
    connections.clear()


def _theme_of(widget: QWidget) -> str:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, Panel):
        parent = parent.parentWidget()
    return str(get_settings().appearance.theme) if parent is None else parent.theme


def _badge(colour: str, name: str) -> str:
    theme = get_theme(name)
    text = "black" if colour == "warning" else "white"
    return f"background: {getattr(theme, colour).as_hex()}; color: {text}; border-radius: 4px; padding: 4px;"


def _breakable(text: str) -> str:
    """Let words longer than a line, such as paths, break at their separators."""
    return re.sub(r"\S{25,}", lambda word: re.sub(r"([/\\_.,=-])", "\\1\u200b", word[0]), text)
