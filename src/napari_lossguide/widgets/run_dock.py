"""What the docks that run something have in common: one run at a time, its buttons, its thread and its end."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Signal

from napari_lossguide.recon.live import Live
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.panel import Panel
from napari_lossguide.widgets.run_panel import RunPanel
from napari_lossguide.widgets.settings import read_settings
from napari_lossguide.widgets.worker import Job, watch_machine

if TYPE_CHECKING:
    from napari_lossguide.widgets.worker import Outcome, Start


class RunDock(Panel):
    """Base of the Reconstruct, Sample and Sweep docks.

    A dock writes `start`, in which it calls `_launch`, and what is shown of a run: `_show_points`, `_show_preview` and
    `_show_end`.

    Parameters
    ----------
    viewer : napari's viewer.
    panel : buttons and progress.

    Attributes
    ----------
    done : signal ``(sentence)`` at the end of a run: empty, or why there is no result.
    """

    done = Signal(str)

    def __init__(self, viewer: Any, panel: RunPanel) -> None:
        super().__init__(viewer)
        self._viewer, self.panel = viewer, panel
        self._job: Job | None = None
        self._live: Live | None = None
        self._stoppers: list[Callable[[], bool]] = []
        self.destroyed.connect(partial(_stop_all, self._stoppers))
        panel.run.connect(self.start)
        panel.cancel.connect(self.cancel)
        panel.paused.connect(self._pause)
        panel.preview.toggled.connect(self._watch)

    @property
    def running(self) -> bool:
        """Is there a run?"""
        return self.panel.state != "idle"

    def event(self, event: QEvent) -> bool:
        """Cancel when napari takes the widget out of its dock: nobody could stop the run any more."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.cancel()
        return super().event(event)

    def start(self) -> None:
        """Run what the form says."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End the run at the next step."""
        if self._live is not None and self.panel.state == "running":
            self._live.cancel()
            self.panel.set_state("cancelling")

    def _launch(self, start: "Start", live: Live, title: str, device: str, **pictures: Any) -> Job:
        """Make the job of a run, and tell the panel; the job is not started yet.

        Parameters
        ----------
        start, live, title : as of `Job`.
        device : auto, cpu, cuda or mps, which is watched.
        pictures : `point` and `picture` of `Job`, where the run yields no `Progress`.
        """
        self._live = live
        self._job = job = Job(
            start,
            live,
            title=title,
            preview=self.panel.preview.isChecked(),
            rate=read_settings().preview_rate,
            watch=partial(watch_machine, device),
            parent=self,
            **pictures,
        )
        self._stoppers[:] = [job.stopper]
        job.noted.connect(self.panel.note)
        job.watched.connect(self.panel.show_machine)
        job.progressed.connect(self._show_points)
        job.previewed.connect(self._show_preview)
        job.ended.connect(self._end)
        self.panel.begin("Starting…")
        return job

    def _show_points(self, points: list[Any]) -> None:
        if self._live is not None:
            self.panel.show_points(points, self._live.changes)

    def _show_preview(self, preview: Any) -> None:
        raise NotImplementedError

    def _show_end(self, outcome: Any, live: Live) -> None:
        """Show what came of a run, which is no more; then `done` is to be emitted."""
        raise NotImplementedError

    def _end(self, outcome: "Outcome | Failure") -> None:
        job, live = self._job, self._live
        assert job is not None
        assert live is not None
        self._stoppers.clear()
        job.deleteLater()
        self._job = self._live = None
        self.panel.finish()
        self._show_end(outcome, live)

    def _show_failure(self, failure: Failure) -> None:
        self.panel.where.setText("Cancelled" if failure.cancelled else "Failed")
        self.status.setToolTip(failure.detail[-4000:])
        if not failure.cancelled:
            self.status.show_text(failure.sentence, colour="error")

    def _tell_end(self, whole: bool) -> None:
        self.done.emit("" if whole else self.status.sentence or "Cancelled.")

    def _pause(self, paused: bool) -> None:
        if self._live is not None:
            (self._live.pause if paused else self._live.resume)()

    def _watch(self, enabled: bool) -> None:
        if self._job is not None:
            self._job.set_preview(enabled)


def _stop_all(stoppers: list[Callable[[], bool]], *_: object) -> None:
    """Cancel and wait. Runs while the dock is being destroyed, so it touches no widget."""
    for stop in stoppers:
        stop()
