"""The Sample dock: draw images from a prior without data, watch them form, get them as a stack of layers."""

import sys
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Signal

from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.panel import Panel
from napari_lossguide.widgets.recipe_row import RecipeRow, same_but_live
from napari_lossguide.widgets.recovery import Autosave
from napari_lossguide.widgets.run_panel import RunPanel
from napari_lossguide.widgets.sample_settings import SampleSettings, describe_samples
from napari_lossguide.widgets.settings import read_settings
from napari_lossguide.widgets.smooth import load_torch
from napari_lossguide.widgets.views import held
from napari_lossguide.widgets.worker import Job, Point, Preview, watch_machine

if TYPE_CHECKING:
    from napari_lossguide.recon.result import Progress
    from napari_lossguide.recon.samples import Samples


def start_sampling(
    recipe: Recipe, device: str, live: Live, say: Callable[[str], None]
) -> "Generator[Progress, None, Samples]":
    """Start the engine; called in the worker thread, which is where torch is loaded."""
    if "torch" not in sys.modules:
        say("Loading PyTorch…")
    load_torch()
    from napari_lossguide.recon.sampling import sampling

    say("Reading the prior…")
    return sampling(recipe, device=device, live=live)


class SampleDock(Panel):
    """Dock widget; one run at a time. It needs no layers.

    Parameters
    ----------
    napari_viewer : napari hands it over.

    Attributes
    ----------
    settings : what to draw.
    panel : buttons and progress.
    done : signal ``(sentence)`` at the end of a run: empty, or why there is no result.
    """

    done = Signal(str)

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._viewer = napari_viewer
        self.settings, self.panel = SampleSettings(), RunPanel(plotted=False)
        self._set = read_settings()
        self._job: Job | None = None
        self._live: Live | None = None
        self._running: Recipe | None = None
        self._last: tuple[Recipe, Recipe] | None = None  # as it was started, as it came out
        self._stoppers: list[Callable[[], bool]] = []
        self.autosave = Autosave(self, napari_viewer)
        self.destroyed.connect(partial(_stop_all, self._stoppers))
        self._build()

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
        """Draw what the form says."""
        if not self.running:
            with self.attempt():
                self._set = read_settings()
                self._begin(self.settings.recipe())

    def cancel(self) -> None:
        """End the run at the next step; what was drawn stays as a preview."""
        if self._live is not None and self.panel.state == "running":
            self._live.cancel()
            self.panel.set_state("cancelling")

    def recipe(self) -> tuple[Recipe, str]:
        """What is copied and saved, and what it is called: the last run's as long as the form says the same.

        Raises
        ------
        InvalidInput
            If the form is not complete.
        """
        shown = self.settings.recipe()
        if self._last is None or not same_but_live(shown, self._last[0]):
            return shown, "the recipe of these settings"
        return self._last[1], "the recipe of the last run"

    def load_recipe(self, source: str) -> None:
        """Show a recipe, from JSON text or a file.

        Raises
        ------
        InvalidInput
            If it is not a recipe of samples, or its prior is not here.
        """
        self.settings.set_recipe(Recipe.from_json(source))
        self._last = None

    def _begin(self, recipe: Recipe) -> None:
        self._running, self._live = recipe, Live(recipe.changes)
        start = partial(start_sampling, recipe, self.settings.device.currentData(), self._live)
        title = describe_samples(recipe)
        watch = partial(watch_machine, self.settings.device.currentData())
        how = {"preview": self.panel.preview.isChecked(), "watch": watch, "rate": self._set.preview_rate}
        self.autosave.begin(recipe, title)
        self._job = Job(start, self._live, title=title, parent=self, **how)
        self._job.watched.connect(self.panel.show_machine)
        self._stoppers[:] = [self._job.stopper]
        self._job.noted.connect(self.panel.note)
        self._job.progressed.connect(self._show_points)
        self._job.previewed.connect(self._show_preview)
        self._job.ended.connect(self._end)
        self.settings.set_running(True)
        self.panel.begin("Starting…")
        self._job.start()

    def _show_points(self, points: list[Point]) -> None:
        if self._live is not None:
            self.panel.show_points(points, self._live.changes)

    def _show_preview(self, preview: Preview) -> None:
        if self._running is not None:
            layers.update_samples(self._viewer, preview.image, first=preview.slice, count=self._running.samples)

    def _end(self, outcome: "Samples | Failure") -> None:
        assert self._job is not None
        self._stoppers.clear()
        self._job.deleteLater()
        self._job = self._live = None
        self.settings.set_running(False)
        self.panel.finish()
        with self.attempt():
            if isinstance(outcome, Failure):
                self._show_failure(outcome)
            elif outcome.status == "cancelled":
                self.panel.where.setText("Cancelled")
                begun = len(outcome.images)
                self.status.show_text(f"Cancelled; {begun} of {outcome.recipe.samples} images were begun.")
            else:
                self._show_samples(outcome)
        finished = not isinstance(outcome, Failure) and outcome.status == "done"
        self.done.emit("" if finished else self.status.sentence or "Cancelled.")

    def _show_failure(self, failure: Failure) -> None:
        self.panel.where.setText("Cancelled" if failure.cancelled else "Failed")
        self.status.setToolTip(failure.detail[-4000:])
        if not failure.cancelled:
            self.status.show_text(failure.sentence, colour="error")

    def _show_samples(self, samples: "Samples") -> None:
        assert self._running is not None
        self._last = self._running, samples.recipe
        layer = layers.add_samples(self._viewer, samples, describe_samples(samples.recipe))
        self.autosave.keep(samples, held(layer)["name"])
        self._viewer.layers.selection.active = layer
        self.panel.where.setText("Done")
        self.status.setToolTip("")
        n = len(samples.images)
        self.status.show_text(
            f"{n} image{'s' * (n != 1)} in {samples.seconds:.1f} s; drawn from the prior, not measured."
        )

    def _turn(self, name: str, value: float) -> None:
        if self._live is None:
            self._last = None  # the knob is set for the next run now
        else:
            with self.attempt():
                self._live.update({name: value})

    def _pause(self, paused: bool) -> None:
        if self._live is not None:
            (self._live.pause if paused else self._live.resume)()

    def _watch(self, enabled: bool) -> None:
        if self._job is not None:
            self._job.set_preview(enabled)

    def _build(self) -> None:
        self.body.addWidget(self.settings)
        self.body.addWidget(RecipeRow(self, command="lossguide sample"))
        self.body.addStretch(1)
        self.layout().insertWidget(1, self.panel)
        self.layout().insertWidget(0, self.autosave)
        self.panel.button.setToolTip("Draw the images; during a run: stop it.")
        self.panel.give_keys(self)
        self.panel.run.connect(self.start)
        self.panel.cancel.connect(self.cancel)
        self.panel.paused.connect(self._pause)
        self.panel.preview.toggled.connect(self._watch)
        self.settings.live_changed.connect(self._turn)
        self.settings.prior.refused.connect(partial(self.status.show_text, colour="error"))


def _stop_all(stoppers: list[Callable[[], bool]], *_: object) -> None:
    """Cancel and wait. Runs while the dock is being destroyed, so it touches no widget."""
    for stop in stoppers:
        stop()
