"""Run, Cancel, Pause and how far it is: the part of the Reconstruct dock that is always in sight."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Literal

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_lossguide.recon.live import Change
from napari_lossguide.widgets.curve import Curve
from napari_lossguide.widgets.keys import CANCEL, MAIN, PAUSE, give_key, with_key
from napari_lossguide.widgets.result_layers import failures
from napari_lossguide.widgets.worker import Point

State = Literal["idle", "running", "cancelling"]
BUTTON = {"idle": "Run", "running": "Cancel", "cancelling": "Cancelling…"}


class Clock:
    """Time of a run without its pauses, and a guess of what is left."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._paused_at: float | None = None
        self._first: tuple[float, int] | None = None

    def elapsed(self) -> float:
        """Seconds since the start, pauses left out."""
        now = time.monotonic() if self._paused_at is None else self._paused_at
        return now - self._start

    def pause(self, paused: bool) -> None:
        """Stop or go on."""
        if paused:
            self._paused_at = time.monotonic()
        elif self._paused_at is not None:
            self._start += time.monotonic() - self._paused_at
            self._paused_at = None

    def left(self, step: int, total: int) -> float | None:
        """Seconds for the steps that remain, at the pace since the first; None before there is a pace."""
        if self._first is None:
            self._first = (self.elapsed(), step)  # loading and coil maps are not part of the pace
        since, first = self._first
        return (self.elapsed() - since) / (step - first) * (total - step) if step > first else None


class RunPanel(QWidget):
    """Buttons, progress and curve of one run at a time.

    Parameters
    ----------
    plotted : there are data to come near to, so there is a curve.

    Attributes
    ----------
    run, cancel : signals of the one button that is either.
    paused : signal ``(bool)``.
    preview : check box of the live preview.
    fold : button that shows and hides the curve; a low dock has better use for its room.
    state : idle, running or cancelling.
    """

    run = Signal()
    cancel = Signal()
    paused = Signal(bool)

    def __init__(self, *, plotted: bool = True) -> None:
        super().__init__()
        self.state: State = "idle"
        self._plotted = plotted
        self.button, self.pause = QPushButton(), QPushButton("Pause")
        self.preview = QCheckBox("Preview")
        self.bar, self.where, self.times = QProgressBar(), QElidingLabel(), QLabel()
        self.machine, self.fold, self.curve = QElidingLabel(), QToolButton(), Curve()
        self._clock, self._waiting = Clock(), False
        self._heartbeat = QTimer(self)  # shows that it is alive while there are no steps yet
        self._heartbeat.setInterval(500)
        self._heartbeat.timeout.connect(self._beat)
        self._build()
        self.set_state("idle")

    def set_state(self, state: State) -> None:
        """Change the state; the button says what pressing it does."""
        self.state = state
        self.button.setText(BUTTON[state])
        self.button.setEnabled(state != "cancelling")
        self.pause.setEnabled(state == "running")
        if state != "running":
            self.pause.setChecked(False)
        if state == "idle":
            self._heartbeat.stop()
            self.bar.setRange(0, 1)  # a busy bar would go on moving
            self.bar.setValue(0)

    def begin(self, doing: str) -> None:
        """A run starts: nothing is known of its length yet."""
        self._clock = Clock()
        self.curve.clear()
        self.fold.setVisible(self._plotted)
        self._fold(self.fold.isChecked())
        self.show_machine("")
        self.bar.setRange(0, 0)
        self._heartbeat.start()
        self.set_state("running")
        self.note(doing)

    def note(self, doing: str) -> None:
        """Say what is going on before the first step."""
        self._waiting = True
        self.where.setText(doing)
        self._beat()

    def show_points(self, points: Sequence[Point], changes: Sequence[Change]) -> None:
        """Show the steps of a tick."""
        last = points[-1]
        self.curve.add(points, changes)
        where = f"Step {last.step} of {last.total}"
        if last.slices > 1:
            where += f", slice {last.slice + 1} of {last.slices}" + f", {len(last.failed)} failed" * bool(last.failed)
        self.advance(last.step, last.total, where)
        self.where.setToolTip(failures(last.failed).strip())

    def advance(self, step: int, total: int, where: str) -> None:
        """Show how far the run is, in words too, and how long it will take."""
        self._waiting = False
        self.bar.setUpdatesEnabled(False)  # else Qt paints the bar at once, and the canvas with it, besides the rest
        self.bar.setRange(0, total)
        self.bar.setValue(step)
        self.bar.setUpdatesEnabled(True)
        self.where.setText(where)
        left = self._clock.left(step, total)
        elapsed = clock(self._clock.elapsed())
        self.times.setText(elapsed if left is None else f"{elapsed} · {clock(left)} left")

    def give_keys(self, dock: QWidget) -> None:
        """Run, pause and cancel by keys while the keyboard is in the dock."""
        self._dock_keys = [give_key(dock, self.pause, PAUSE)]
        shown = self.button.toolTip()
        for keys, idle in ((MAIN, True), (CANCEL, False)):
            key = QShortcut(QKeySequence(keys), dock)
            key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            key.activated.connect(partial(self._press, idle))
            self._dock_keys.append(key)
        self.button.setToolTip(with_key(with_key(shown, MAIN), CANCEL))

    def _press(self, idle: bool) -> None:
        """Ctrl+Return never cancels and Ctrl+. never starts, whatever the button would do now."""
        focused = QApplication.focusWidget()
        if isinstance(focused, QAbstractSpinBox):
            focused.interpretText()  # a number that is being typed counts
        if (self.state == "idle") == idle:
            self.button.setFocus()  # what has the keyboard now may be disabled by the run
            self.button.click()

    def show_machine(self, text: str) -> None:
        """Say what the run computes with and how much memory is in use."""
        self.machine.setText(text)
        self.machine.setToolTip(text)

    def finish(self) -> None:
        """The run is over: back to idle."""
        self.set_state("idle")
        self.times.setText(clock(self._clock.elapsed()))

    def _beat(self) -> None:
        if self._waiting:
            self.times.setText(clock(self._clock.elapsed()))

    def _build(self) -> None:
        self.preview.setChecked(True)
        self.preview.setToolTip("Show the estimate live on the canvas while it converges; off is a little faster.")
        self.button.setToolTip("Run what the settings say; during a run: end it at the next step.")
        self.pause.setCheckable(True)
        self.pause.setToolTip("Hold the run after this step; the live knobs can still be turned.")
        self.curve.hide()  # until there is something to see
        self.fold.hide()
        self.fold.setCheckable(True)
        self.fold.setChecked(True)
        self.fold.setAutoRaise(True)
        self.fold.setAccessibleName("Curve")
        self.fold.setToolTip("Show or hide the convergence curve; without it the settings have more room.")
        self.where.setText("Ready")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setAccessibleName("Progress")
        self.where.setAccessibleName("Step")
        self.times.setAccessibleName("Time")
        self.machine.setAccessibleName("Machine")
        self.machine.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._place()
        self.button.clicked.connect(lambda: self.run.emit() if self.state == "idle" else self.cancel.emit())
        self.pause.toggled.connect(self._toggle_pause)
        self.fold.toggled.connect(self._fold)

    def _place(self) -> None:
        buttons, below, last = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        buttons.addWidget(self.button, 2)
        buttons.addWidget(self.pause, 1)
        buttons.addWidget(self.preview)
        below.addWidget(self.where, 1)
        below.addWidget(self.fold)
        last.addWidget(self.times)
        last.addWidget(self.machine, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addLayout(below)
        layout.addLayout(last)
        layout.addWidget(self.curve, 1)

    def _fold(self, shown: bool) -> None:
        self.fold.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self.curve.setVisible(shown and self._plotted)

    def _toggle_pause(self, paused: bool) -> None:
        self.pause.setText("Resume" if paused else "Pause")
        self._clock.pause(paused)
        if self.state == "running":
            self.paused.emit(paused)


def clock(seconds: float) -> str:
    """Seconds for people: "8 s", "2:05 min"."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02d} min"
